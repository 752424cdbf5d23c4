"""The requests that a round of a stage would hand in, and what they may cost."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sia_dagster.adapters.engine.batches.lines import Line
from sia_dagster.adapters.engine.money.cap import Amount, over
from sia_dagster.adapters.engine.money.ledger import line_of
from sia_dagster.adapters.engine.wire.completions import answer_limit
from sia_dagster.core.config.llm import LLMConfig, Price
from sia_dagster.core.ports.model import ChatReply, ChatRequest


@dataclass(frozen=True)
class Want:
    """One request to hand in; its line is in the spool."""

    key: str
    stage: str
    model: str
    estimated_prompt: int
    expected: Amount
    left_out: tuple[str, ...]
    place: int
    size: int
    """Bytes of its text."""

    @property
    def line(self) -> str:
        """The line of the ledger that it is booked on."""
        return f"{self.stage} {self.model}".strip()


@dataclass(frozen=True)
class Handing:
    """What came of handing in."""

    handed: int
    """Requests."""
    short: Want | None
    """The first that the caps leave no room for."""
    spent: Amount
    """Before, with what was promised then."""


class Wants:
    """The requests of one round, by key, in the order in which they came. Their texts wait on the disk, not here."""

    def __init__(self) -> None:
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115  closed by `close`
        self._by_key: dict[str, Want] = {}
        self._end = 0

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    def __iter__(self) -> Iterator[Want]:
        return iter(self._by_key.values())

    def add(self, key: str, request: ChatRequest, line: Line, *, estimated_prompt: int, expected: Amount) -> None:
        """Take one request."""
        place, size = self._end, len(line.text)
        self._spool.seek(place)
        self._spool.write(line.text)
        self._end += size
        about = (key, request.stage, request.model)
        self._by_key[key] = Want(*about, estimated_prompt, expected, line.left_out, place, size)

    def write(self, wants: Iterable[Want], path: Path) -> None:
        """Write the lines of some of them to a file."""
        with path.open("wb") as file:
            for want in wants:
                self._spool.seek(want.place)
                file.write(self._spool.read(want.size))

    def clear(self) -> None:
        """Forget them."""
        self._by_key.clear()
        self._spool.truncate(0)
        self._end = 0

    def close(self) -> None:
        """Give the room back."""
        self._spool.close()


class Sizes:
    """The dearest call so far of each stage and model, which the next ones are expected to be at most."""

    def __init__(self) -> None:
        self._most: dict[str, tuple[float, int]] = {}

    def knows(self, request: ChatRequest) -> bool:
        """Whether such a call was answered before."""
        return line_of(request) in self._most

    def learn(self, request: ChatRequest, estimated_prompt: int, reply: ChatReply) -> None:
        """Take an answer into account."""
        ratio, completion = self._most.get(line_of(request), (0.0, 0))
        ratio = max(ratio, reply.prompt_tokens / max(1, estimated_prompt))
        self._most[line_of(request)] = ratio, max(completion, reply.completion_tokens)

    def expected(self, request: ChatRequest, estimated_prompt: int, price: Price | None) -> Amount:
        """What the request may cost in a batch; 0 USD where the price is unknown."""
        ratio, completion = self._most.get(line_of(request), (1.0, 0))
        completion = min(completion, answer_limit(request) or completion)
        prompt = estimated_prompt * ratio
        return Amount(price.cost(prompt, completion, batch=True) if price else 0.0, prompt + completion)


def affordable(wants: Iterable[Want], spent: Amount, config: LLMConfig) -> list[Want]:
    """Those that fit under the window's caps together, from the first on, with what is spent and promised."""
    chosen, total = list[Want](), spent
    for want in wants:
        total += want.expected
        if over(total, config):
            break
        chosen.append(want)
    return chosen
