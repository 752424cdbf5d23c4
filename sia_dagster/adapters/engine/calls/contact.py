"""Whether an endpoint can be reached, by what its calls met: a run does not try every row against a closed door."""

from typing import Final

from sia_dagster.adapters.engine.wire.failures import UNREACHABLE, Failure

FIRST_TRIES: Final = 3
"""Attempts of one call to connect to an endpoint that never replied: some three seconds in all."""

MOST_LOST: Final = 3
"""Calls in a row that may use up their attempts without any reply, to them or to others."""


class Contact:
    """One endpoint's replies in one session."""

    def __init__(self) -> None:
        self._replied = False
        self._lost = 0

    def replied(self) -> None:
        """A reply came, whatever it says."""
        self._replied, self._lost = True, 0

    def is_hopeless(self, outcome: object, attempt: int) -> bool:
        """Whether another attempt to connect is not worth its wait: the endpoint never replied."""
        return attempt >= FIRST_TRIES and self._never(outcome)

    def is_lost(self, failure: Failure) -> bool:
        """Whether the endpoint counts as down, after a call that used up its attempts and ended so."""
        if failure.status is not None:
            return False
        self._lost += 1
        return self._never(failure) or self._lost >= MOST_LOST

    def _never(self, outcome: object) -> bool:
        return not self._replied and isinstance(outcome, Failure) and outcome.code == UNREACHABLE
