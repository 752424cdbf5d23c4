"""Replay: recorded samples are answered again under one or more policies, and the answers scored.

Comparing the answers is in `statistics`, deciding in `gate`.
"""

from sia_dagster.core.replay.replay import ReplayPlan, Replies, constants_of, judge_replies, pair, replay, replayable
from sia_dagster.core.replay.rows import map_rows

__all__ = ["ReplayPlan", "Replies", "constants_of", "judge_replies", "map_rows", "pair", "replay", "replayable"]
