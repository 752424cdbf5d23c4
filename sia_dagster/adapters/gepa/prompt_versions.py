"""What gepa asks for, done at the desk: versions of the prompt are written, guarded, answered and compared."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sia_dagster.adapters.gepa.reflection import FORM, Shown, build_reflection, read_reflection
from sia_dagster.core.records.guard import stops
from sia_dagster.core.records.report import ArmOutcome
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import Candidate
from sia_dagster.core.search import Desk
from sia_dagster.core.search.edits import apply_edits

PATIENCE: Final = 20
"""Proposals in a row without a better version, after which the search ends: where scores are noisy, 12 are too few."""
NO_BETTER: Final = "it is no better than the version before it on the samples that it was written after"
Instance = str | int
"""One item of gepa's data sets: a span id of the train split, or a place in the selection split."""


class Scored(NamedTuple):
    """A batch's scores as shares of the primary evaluator's range, and the samples that may be shown to a model."""

    scores: list[float]
    shown: list[tuple[Sample, ArmOutcome]]
    """Empty for the selection split, of which the desk gives numbers alone."""


class PromptVersions:
    """The versions of the prompt that gepa knows, each by its text."""

    def __init__(self, desk: Desk) -> None:
        """Of the search at `desk`, beginning with the policy that the desk begins with."""
        self._desk, self._primary = desk, desk.constants[0]
        self._train = {sample.span_id: sample for sample in desk.train if sample.score(self._primary.name) is not None}
        start = Candidate(name="the policy that the search began with", actions=desk.start, status="not_chosen")
        self._versions = {desk.start.system_prompt: start}
        self._means: dict[str, float] = {}
        self._left: list[Candidate] = []
        self._asked = self._fruitless = self._idle = 0
        self._best = 0.0

    @property
    def train(self) -> list[Instance]:
        """Span ids of the scored samples to learn from."""
        return [*self._train]

    @property
    def validation(self) -> list[Instance] | None:
        """Places in the selection split; None where it is too small to choose by, and gepa validates on `train`."""
        return [*range(self._desk.selection_size)] or None

    async def evaluate(self, prompt: str, batch: Sequence[Instance]) -> Scored:
        """The scores of one version; what has no score counts as the worst. What is known costs nothing."""
        actions = self._versions[prompt].actions
        places = [each for each in batch if isinstance(each, int)]
        if places:
            return Scored([*await self._desk.selection_scores(actions, places)], [])
        outcomes = await self._desk.probe(actions, [str(each) for each in batch])
        shown = [(self._train[str(each)], outcomes[str(each)]) for each in batch]
        return Scored([outcome.share(self._primary) for _, outcome in shown], shown)

    async def propose(self, prompt: str, shown: Shown) -> str:
        """A new version, written after a look at these samples; empty where there is none that may be tried."""
        self._asked, self._fruitless, self._idle = self._asked + 1, self._fruitless + 1, 0
        desk, parent = self._desk, self._versions[prompt]
        messages = build_reflection(prompt, shown, desk.constants, desk.config)
        read = read_reflection(await desk.propose(messages, FORM, draw=str(self._asked)), prompt, shown)
        new = Candidate(name=f"gepa-{self._asked}", actions=parent.actions, status="unusable", thoughts=read.thoughts)
        if read.problem:
            return self._leave(new, read.problem)
        text = apply_edits(prompt, read.edits)
        if text in self._versions:
            return self._leave(new, f"the answer repeats {self._versions[text].name}")
        actions = desk.start.model_copy(update={"system_prompt": text})
        new = new.model_copy(update={"actions": actions, "status": "not_chosen", "edits": (*parent.edits, *read.edits)})
        if findings := stops(desk.guard(actions)):
            stopped = new.model_copy(update={"status": "stopped_by_guard"})
            return self._leave(stopped, *(finding.reason for finding in findings))
        self._versions[text] = new
        return text

    def _leave(self, candidate: Candidate, *reasons: str) -> str:
        self._left.append(candidate.model_copy(update={"reasons": reasons}))
        return ""

    def validated(self, prompt: str, mean: float) -> None:
        """A version was compared on all of `validation`; the best one so far counts even if the search ends early."""
        if not self._means or mean > self._best:
            self._best, self._fruitless = mean, 0
            if self._means:
                self._desk.offer(self._versions[prompt])
        self._means[prompt] = mean

    def finished(self) -> bool:
        """Whether gepa is to stop before its next iteration; then the desk knows why."""
        self._idle += 1
        if self._best >= 1.0:
            self._desk.ended = "the best version has the best score in all that it is compared by"
        elif self._fruitless >= PATIENCE:
            self._desk.ended = f"{PATIENCE} proposals in a row brought nothing better"
        elif self._idle > len(self._train):
            self._desk.ended = "the samples to learn from have the best score"
        return bool(self._desk.ended)

    def candidates(self, cut_off: str = "") -> list[Candidate]:
        """All versions, the best first; those that are not better than the policy to improve have a reason.

        `cut_off` says why the search ended before its last version was compared, if it did.
        """
        (_, start), *later = self._versions.items()
        base = self._means.get(self._desk.start.system_prompt, 0.0)
        better = [each for each in later if self._means.get(each[0], 0.0) > base]
        best = [candidate for prompt, candidate in sorted(better, key=lambda each: -self._means[each[0]])]
        others = list(self._left)
        for prompt, candidate in later:
            if (prompt, candidate) in better:
                continue
            mean, last = self._means.get(prompt), prompt == later[-1][0]
            why = f"it scores {mean:.3f} of 1, {start.name} {base:.3f}" if mean is not None else NO_BETTER
            reason = cut_off if cut_off and last and mean is None else why
            others.append(candidate.model_copy(update={"reasons": (reason,)}))
        return [*best, *sorted(others, key=lambda each: int(each.name.removeprefix("gepa-")))]
