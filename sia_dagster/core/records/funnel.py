"""What became of a window's records on the way from the trace store to the sampled calls."""

from collections import Counter
from typing import Literal, get_args

from sia_dagster.core.records.value import Value

Step = Literal["file", "record", "window", "kind", "condition", "double", "answer", "limit", "sample", "replay"]
"""Where a record was left out: with its whole file, alone, since it started in another window, since it is no LLM
call, by `traces.where`, as a second record of one call, without an answer, by `sample_limit`, as a sampled call that
cannot be read, or as one that cannot be replayed."""


class Loss(Value):
    """Records that were left out for one reason."""

    step: Step
    reason: str
    records: int
    """How many; of a file that cannot be read, the files."""
    example: str = ""
    """The first of them: file and line, or span id."""


class Funnel(Value):
    """From records to calls that can be replayed.

    `records` less the losses of the steps up to `limit` (those of files aside) is `sampled`; less those of `sample` is
    `readable`, less those of `replay` is `replayable`.
    """

    records: int = 0
    """All records of the files, or of the reply of a trace store."""
    losses: tuple[Loss, ...] = ()
    """In the order of the steps."""
    sampled: int = 0
    readable: int | None = None
    """Sampled calls that could be read; None where they were not read yet."""
    replayable: int | None = None
    forms: tuple[str, ...] = ()
    """The forms of the records, by name, with the number of records."""
    notes: tuple[str, ...] = ()
    """What was mended, and what else a person should know."""


STEPS: tuple[Step, ...] = get_args(Step)
_LOSSES = 50
"""Different reasons of one step that are kept by name; the rest are counted together."""


class FunnelCount:
    """Counts a funnel while records are read. A reading that is repeated starts with `clear`."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.records = self.sampled = 0
        self._counts: Counter[tuple[Step, str]] = Counter()
        self._examples: dict[tuple[Step, str], str] = {}
        self._forms: Counter[str] = Counter()
        self._notes: dict[str, None] = {}

    def read(self, records: int, form: str = "") -> None:
        """Count records that were read, of the form with this name."""
        self.records += records
        if form:
            self._forms[form] += records

    def lost(self, step: Step, reason: str, example: str = "", records: int = 1) -> None:
        """Count records that were left out at a step; the first example of a reason is kept."""
        if not records:
            return
        key = (step, reason)
        if key not in self._counts and sum(1 for known, _ in self._counts if known == step) >= _LOSSES:
            key = (step, "for other reasons")
        self._counts[key] += records
        self._examples.setdefault(key, example)

    def note(self, sentence: str) -> None:
        """Keep a sentence once."""
        self._notes.setdefault(sentence)

    def lost_at(self, step: Step) -> int:
        """How many records were left out at this step."""
        return sum(count for (known, _), count in self._counts.items() if known == step)

    def add(self, other: "FunnelCount") -> None:
        """Count everything that `other` counted."""
        self.records, self.sampled = self.records + other.records, self.sampled + other.sampled
        self._counts.update(other._counts)
        self._examples = other._examples | self._examples
        self._forms.update(other._forms)
        self._notes |= other._notes

    def result(self) -> Funnel:
        """The funnel so far: losses by step, the most records first."""
        ordered = sorted(self._counts.items(), key=lambda item: (STEPS.index(item[0][0]), -item[1], item[0][1]))
        return Funnel(
            records=self.records,
            losses=tuple(
                Loss(step=step, reason=reason, records=records, example=self._examples[step, reason])
                for (step, reason), records in ordered
            ),
            sampled=self.sampled,
            forms=tuple(f"{name}: {records:,}" for name, records in self._forms.most_common()),
            notes=tuple(self._notes),
        )
