"""The requests that a round of a stage is to submit as batches, and what they may cost."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sia_dagster.adapters.engine.batches.lines import Line
from sia_dagster.adapters.engine.money.spend_cap import Amount, exceeded_cap
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.ports.model import ChatRequest


@dataclass(frozen=True)
class PendingRequest:
    """One request to submit; its line is in the spool."""

    key: str
    stage: str
    model: str
    estimated_prompt: int
    expected: Amount
    left_out: tuple[str, ...]
    offset: int
    size: int
    """Bytes of its line."""


@dataclass(frozen=True)
class Submission:
    """The result of submitting a round's requests."""

    submitted: int
    """Requests."""
    refused: PendingRequest | None
    """The first that does not fit under the caps."""
    spent: Amount
    """Before the submission, with the amount reserved for batches under way."""


class PendingRequests:
    """The requests of one round, by key, in order of arrival. Their lines are kept on disk, not in memory."""

    def __init__(self) -> None:
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115  closed by `close`
        self._by_key: dict[str, PendingRequest] = {}
        self._end = 0

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    def __iter__(self) -> Iterator[PendingRequest]:
        return iter(self._by_key.values())

    def add(self, key: str, request: ChatRequest, line: Line, *, estimated_prompt: int, expected: Amount) -> None:
        """Add one request."""
        offset, size = self._end, len(line.text)
        self._spool.seek(offset)
        self._spool.write(line.text)
        self._end += size
        about = (key, request.stage, request.model)
        self._by_key[key] = PendingRequest(*about, estimated_prompt, expected, line.left_out, offset, size)

    def write(self, requests: Iterable[PendingRequest], path: Path) -> None:
        """Write the lines of some of them to a file."""
        with path.open("wb") as file:
            for request in requests:
                self._spool.seek(request.offset)
                file.write(self._spool.read(request.size))

    def clear(self) -> None:
        """Remove all requests."""
        self._by_key.clear()
        self._spool.truncate(0)
        self._end = 0

    def close(self) -> None:
        """Delete the spool."""
        self._spool.close()


def affordable(requests: Iterable[PendingRequest], spent: Amount, config: LLMConfig) -> list[PendingRequest]:
    """The first of `requests` that together fit under the window's caps, on top of what is `spent` and reserved."""
    chosen, total = list[PendingRequest](), spent
    for request in requests:
        total += request.expected
        if exceeded_cap(total, config):
            break
        chosen.append(request)
    return chosen
