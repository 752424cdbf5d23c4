"""The strategy `edits`: finds what evaluators complain of, has a model write separate edits, and keeps those that help.

A round: the causes worth most, edits for three causes a call, the guard on each, all survivors at once on train samples
that cover their causes, and the assembled policy in a race on the selection split. Then the next round from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sia_dagster.core.errors import SearchCapReached
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.guard import for_a_person, stops
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ArmOutcome
from sia_dagster.core.records.search import Candidate, Edit, RaceResult
from sia_dagster.core.search.causes import Cause, Complaints, same_cause, shortfall, without_causes
from sia_dagster.core.search.desk import Desk
from sia_dagster.core.search.edits.answers import FORM, read_edits
from sia_dagster.core.search.edits.apply import EditError, apply_edits
from sia_dagster.core.search.edits.probing import ProposedEdit, covering_samples, culprits, without_effect
from sia_dagster.core.search.edits.prompt import Evidence, build_prompt
from sia_dagster.core.search.naming import name_faults

CAUSES_A_CALL: Final = 3
"""More causes in one question get hastier edits."""
CALLS_A_ROUND: Final = 4
TRIES: Final = 3
"""Questions about one cause whose edits did not help: more would repeat themselves."""
DETAILS: Final = frozenset({"copied detail", "personal data", "secret", "URL", "identifier", "quoted wording"})
"""Rules of the guard whose doubts keep an edit out: it repeats a detail of a sample, and another wording would not."""
IDLE_ROUNDS: Final = 3
"""Rounds without a better policy, after which the search ends."""
LOOKED_AT: Final = 8
"""Train samples that are answered anew after a round that brought nothing, those believed best first."""
WORTH_A_CALL: Final = 0.005
"""A cause that costs less of the mean score, as a share of the evaluator's range, is left."""


class Edits:
    """The default strategy."""

    async def search(self, desk: Desk) -> Sequence[Candidate]:
        """The best policy found, then what was tried and left; nothing where no cause is worth a call."""
        return await _Search(desk).run()


@dataclass
class _Search:
    desk: Desk
    policy: Actions = field(init=False)
    metrics: dict[str, EvalMetrics] = field(init=False)
    """The primary evaluator's result under `policy`, as far as it is known, by span id of the train split."""
    adopted: list[Edit] = field(default_factory=list)
    seen: list[Candidate] = field(default_factory=list)
    tries: list[Cause] = field(default_factory=list)
    """One entry for each time that a cause was tried in vain."""
    failed: list[tuple[Cause, str]] = field(default_factory=list)
    """Edits that were tried and left, with their causes: the next question says so."""
    spare: list[ProposedEdit] = field(default_factory=list)
    """Further edits for a cause of which another is tried first."""
    best: Candidate | None = None
    asked: int = 0
    idle: int = 0
    """Rounds in a row that brought nothing."""
    complaints: Complaints = field(init=False)

    def __post_init__(self) -> None:
        self.policy, primary = self.desk.start, self.desk.constants[0]
        self.metrics = {
            sample.span_id: metric
            for sample in self.desk.train
            for metric in sample.evals
            if metric.name == primary.name and metric.score is not None
        }
        self.complaints = Complaints.of(self.metrics, primary)

    async def run(self) -> Sequence[Candidate]:
        try:
            while self.idle < IDLE_ROUNDS and (causes := await self._worthwhile()):
                proposed = await self._proposed(causes)
                self.idle = 0 if proposed and await self._better(proposed) else self.idle + 1
            self.desk.ended = (
                f"{IDLE_ROUNDS} rounds brought nothing"
                if self.idle >= IDLE_ROUNDS
                else "no cause is worth a further call"
            )
        except SearchCapReached as error:
            self.desk.ended = str(error)
        return [*([self.best] if self.best else []), *self.seen]

    async def _worthwhile(self) -> list[Cause]:
        """The causes to propose edits for, the largest first."""
        self.asked += 1
        if self.idle:
            await self._look_again()
        await name_faults(self.desk, self.complaints, self.metrics, draw=f"faults/{self.asked}")
        return [
            cause
            for cause in self.complaints.causes(self.metrics)
            if cause.worth >= WORTH_A_CALL and sum(same_cause(cause, tried) for tried in self.tries) < TRIES
        ][: CAUSES_A_CALL * CALLS_A_ROUND]

    async def _look_again(self) -> None:
        """Answer some train samples anew of which it is only assumed how they fare under what was adopted."""
        primary = self.desk.constants[0]
        train = {sample.span_id: sample for sample in self.desk.train}
        unseen = [span for span in sorted(self.metrics) if self.desk.known(self.policy, train[span]) is None]
        unseen.sort(key=lambda span: shortfall(self.metrics[span], primary) or 0.0)
        for span, outcome in (await self.desk.probe(self.policy, unseen[:LOOKED_AT])).items():
            self.metrics[span] = _metric(outcome, primary.name) or self.metrics[span]

    async def _proposed(self, causes: Sequence[Cause]) -> list[ProposedEdit]:
        """One edit for each cause, if there is any: a spare one, else what the model proposes now."""
        found: list[ProposedEdit] = []
        open_causes = []
        for cause in causes:
            spare = next((each for each in self.spare if same_cause(each.cause, cause)), None)
            if spare is not None and self._passes(spare):
                self.spare.remove(spare)
                found.append(spare._replace(cause=cause))
            else:
                open_causes.append(cause)
        answered = [
            each
            for start in range(0, len(open_causes), CAUSES_A_CALL)
            for each in await self._ask(open_causes[start : start + CAUSES_A_CALL])
        ]
        for each in answered:
            if not self._passes(each):
                continue
            if any(same_cause(each.cause, other.cause) for other in found):
                self.spare.append(each)
            elif all(each.edits != other.edits for other in found):
                found.append(each)
        self._tried_in_vain([cause for cause in open_causes if not any(each.cause is cause for each in answered)])
        return found

    async def _ask(self, causes: Sequence[Cause]) -> list[ProposedEdit]:
        evidence = Evidence(
            samples={sample.span_id: sample for sample in self.desk.train},
            metrics=self.metrics,
            constants=self.desk.constants,
            whole=self.idle > 0,
            tried=tuple(text for cause, text in self.failed if any(same_cause(each, cause) for each in causes)),
        )
        prompt = build_prompt(self.policy.system_prompt, causes, evidence, self.desk.config)
        self.asked += 1
        if not prompt.span_ids:
            self._unusable("the policy's prompt leaves no room to show samples: raise policy.max_context_tokens")
            return []
        answer = await self.desk.propose(prompt.messages, FORM, draw=str(self.asked))
        read = read_edits(answer, self.policy.system_prompt, prompt.span_ids)
        for problem in read.problems:
            self._unusable(problem, read.thoughts)
        return [
            ProposedEdit(edits, _cause_of(edits, group, causes), read.thoughts)
            for edits, group in zip(read.edits, read.groups, strict=True)
        ]

    def _passes(self, proposed: ProposedEdit) -> bool:
        """Whether the edit applies and the guard lets it through by itself; what it stops is kept for the report."""
        actions = self._with([proposed])
        if actions is None or actions == self.policy:
            return False
        if all(each.operation == "add" and each.text in self.policy.system_prompt for each in proposed.edits):
            self._unusable("it adds what the prompt has already")
            return False
        findings = self.desk.guard(actions, edits=[*self.adopted, *proposed.edits])
        if stopping := stops(findings):
            self._note("stopped_by_guard", actions, [proposed], tuple(finding.reason for finding in stopping))
            return False
        doubts = [finding.reason for finding in for_a_person(findings) if finding.rule in DETAILS]
        if doubts:
            self._note("not_chosen", actions, [proposed], (f"a person would have to look: {'; '.join(doubts)}",))
        return not doubts

    def _with(self, proposed: Sequence[ProposedEdit]) -> Actions | None:
        """The policy with these edits; None where one does not apply, or the prompt does not change."""
        edits = [edit for each in proposed for edit in each.edits]
        try:
            prompt = apply_edits(self.policy.system_prompt, edits)
        except EditError as error:
            self._unusable(str(error))
            return None
        return self.policy.model_copy(update={"system_prompt": prompt})

    def _assembled(self, proposed: Sequence[ProposedEdit]) -> list[ProposedEdit]:
        """As many edits, the most wanted first, as apply together and pass the guard together."""
        kept: list[ProposedEdit] = []
        for each in sorted(proposed, key=lambda one: -one.cause.worth):
            actions = self._with([*kept, each])
            if actions is not None and not stops(self.desk.guard(actions)):
                kept.append(each)
        return kept

    async def _better(self, proposed: Sequence[ProposedEdit]) -> bool:
        """Whether these edits, or some of them, make a better policy, which is then adopted."""
        kept = await self._probed(self._assembled(proposed))
        while kept:
            actions = self._with(kept)
            if actions is None:
                break
            causes = [each.cause for each in kept]
            expected = sum(each.cause.worth * each.mended_share for each in kept)
            result = await self.desk.race(actions, self.policy, causes=causes, expected=expected)
            if result.decision in ("better", "too_small"):
                self._adopt(actions, kept, result)
                break
            self._note("not_chosen", actions, kept, (_lost(result),), result)
            self.failed += [(each.cause, each.text) for each in kept]
            kept = sorted(kept, key=lambda each: (-each.mended_share, -each.cause.worth))[: len(kept) // 2]
        left = [each.cause for each in proposed if each.edits[0].text not in {edit.text for edit in self.adopted}]
        self._tried_in_vain(left)
        return bool(kept)

    async def _probed(self, proposed: Sequence[ProposedEdit]) -> list[ProposedEdit]:
        """Those edits whose causes go away on train samples, without those that do harm there."""
        actions = self._with(proposed) if proposed else None
        if actions is None:
            return []
        covering = covering_samples(proposed, self.metrics, self.desk.constants[0])
        outcomes = await self.desk.probe(actions, covering)
        checked = [each.probed_on(outcomes) for each in proposed]
        harmful = await culprits(self.desk, checked, outcomes, self.metrics, self._with)
        kept = []
        for each in checked:
            if each in harmful:
                self._drop(each, "a train sample is scored lower with it, and not without it")
            elif each.probed and not each.mended:
                self._drop(each, f"what it is to mend is still found in all {each.probed} train samples tried")
            else:
                kept.append(each)
        useless = await without_effect(self.desk, kept, self._with)
        for each in useless:
            self._drop(each, "what it is to mend goes away without it, too")
        return [each for each in kept if each not in useless]

    def _drop(self, proposed: ProposedEdit, reason: str) -> None:
        self.failed.append((proposed.cause, proposed.text))
        actions = self._with([proposed])
        if actions is not None:
            self._note("not_chosen", actions, [proposed], (reason,))

    def _adopt(self, actions: Actions, kept: Sequence[ProposedEdit], result: RaceResult) -> None:
        primary, train = self.desk.constants[0], {sample.span_id: sample for sample in self.desk.train}
        mended = [each.cause for each in kept]
        for span, metric in self.metrics.items():
            outcome = self.desk.known(actions, train[span])
            replayed = _metric(outcome, primary.name) if outcome else None
            self.metrics[span] = replayed or without_causes(metric, mended, primary)
        self.policy = actions
        self.adopted += [edit for each in kept for edit in each.marked]
        thoughts = " ".join(dict.fromkeys(each.thoughts for each in kept if each.thoughts))
        self.best = self._candidate("not_chosen", actions, self.adopted, race=result, thoughts=thoughts)
        self.desk.offer(self.best)

    def _tried_in_vain(self, causes: Sequence[Cause]) -> None:
        self.tries += causes

    def _unusable(self, problem: str, thoughts: str = "") -> None:
        self.seen.append(
            Candidate(name=self._name(), actions=self.policy, status="unusable", reasons=(problem,), thoughts=thoughts)
        )

    def _note(
        self,
        status: str,
        actions: Actions,
        proposed: Sequence[ProposedEdit],
        reasons: tuple[str, ...],
        result: RaceResult | None = None,
    ) -> None:
        edits = [*self.adopted, *(edit for each in proposed for edit in each.marked)]
        thoughts = proposed[0].thoughts if proposed else ""
        self.seen.append(self._candidate(status, actions, edits, reasons=reasons, race=result, thoughts=thoughts))

    def _candidate(
        self,
        status: str,
        actions: Actions,
        edits: Sequence[Edit],
        *,
        reasons: tuple[str, ...] = (),
        race: RaceResult | None = None,
        thoughts: str = "",
    ) -> Candidate:
        return Candidate.model_validate(
            {
                "name": self._name(),
                "actions": actions,
                "status": status,
                "reasons": reasons,
                "edits": tuple(edits),
                "race": race,
                "thoughts": thoughts,
                "concerns": for_a_person(self.desk.guard(actions, edits=edits)) if status == "not_chosen" else (),
            }
        )

    def _name(self) -> str:
        return f"edits-{len(self.seen) + len(self.desk.offered) + 1}"


def _cause_of(edits: Sequence[Edit], group: int, causes: Sequence[Cause]) -> Cause:
    """The cause that the answer names; else the one with most of the edit's samples, and of equals the rarest."""
    if 1 <= group <= len(causes):
        return causes[group - 1]
    spans = {span for edit in edits for span in edit.samples}
    return max(causes, key=lambda cause: (len(spans & set(cause.samples)), -len(cause.samples), cause.worth))


def _metric(outcome: ArmOutcome, evaluator: str) -> EvalMetrics | None:
    return next((each for each in outcome.evals if each.name == evaluator and each.score is not None), None)


def _lost(result: RaceResult) -> str:
    if result.objection:
        return result.objection
    found = "no gain is seen" if result.decision == "worse" else "the gain is too uncertain"
    return f"{found} on {result.groups} groups of the selection split ({result.mean:+.3f} of the range)"
