"""Which calls may still be sampled while records are read: the sample is the calls whose ids have the smallest MD5."""

import heapq
from hashlib import md5


class SmallestHashes:
    """The `most` smallest MD5s among the ids that were taken, each once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._negated: list[int] = []
        """A heap, with the greatest hash first."""
        self._held: set[int] = set()

    def take(self, span_id: str) -> bool:
        """Take an id; returns whether its hash is among the smallest so far.

        The greatest of these never grows, so that an id of the final ones was among them each time it was taken.
        """
        number = int.from_bytes(md5(span_id.encode(), usedforsecurity=False).digest())
        if number in self._held:
            return True
        if len(self._held) < self._most:
            heapq.heappush(self._negated, -number)
        elif number > -self._negated[0]:
            return False
        else:
            self._held.discard(-heapq.heapreplace(self._negated, -number))
        self._held.add(number)
        return True

    @property
    def greatest(self) -> str | None:
        """The greatest of the smallest hashes, as DuckDB writes it; None if there was room for more."""
        return f"{-self._negated[0]:032x}" if len(self._held) == self._most else None
