"""Next window: whether a candidate keeps its promised gain on the traffic that came after it.

The verdict itself is in `gate`.
"""

from sia_dagster.core.next_window.next_window_check import NextWindowCheck, NextWindowRules, check_next_window

__all__ = ["NextWindowCheck", "NextWindowRules", "check_next_window"]
