"""The strategy `rewrite`: a model writes the whole prompt anew from what evaluators complain of; the best draft races.

For prompts that are short or muddled: where most of a prompt is good, separate edits (`edits`) are surer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sia_dagster.core.errors import SearchCapReached
from sia_dagster.core.prompting import Form, quote
from sia_dagster.core.prompting.structured_answer import Answer
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.guard import stops
from sia_dagster.core.records.search import Candidate
from sia_dagster.core.search.arms import best_first, covering_order, price_of, primary_metrics, raced, standing
from sia_dagster.core.search.causes import Cause, Complaints
from sia_dagster.core.search.desk import Desk
from sia_dagster.core.search.edits.apply import apply_edits
from sia_dagster.core.search.edits.prompt import Evidence, Task, UpdatePrompt, build_prompt
from sia_dagster.core.search.edits.rewrites import edits_between, prompt_field
from sia_dagster.core.search.naming import name_faults
from sia_dagster.core.text import count

MOST_CAUSES: Final = 9
"""In one question: each is shown by samples of its own, and they share the room."""
FORM: Final = Form(
    name="policy_rewrite",
    shape={
        "type": "object",
        "properties": {"thoughts": {"type": "string"}, "system_prompt": {"type": "string"}},
        "required": ["thoughts", "system_prompt"],
        "additionalProperties": False,
    },
)
"""The form of the model's answer."""
DRAFTS: Final = (
    "Write it so that all groups are mended.",
    "Write it so that all groups are mended, as short as the rules allow.",
    "Write it so that all groups are mended, each kind of request with its rules together.",
)
"""What one draft is to be, in turn: drafts that are asked for alike resemble one another."""


class Rewrite:
    """Whole prompts, as many as `policy.candidates`."""

    async def search(self, desk: Desk) -> Sequence[Candidate]:
        """The best draft, after it those that were compared and lost, stopped by the guard, or could not be used."""
        return await _Search(desk).run()


@dataclass
class _Search:
    desk: Desk
    metrics: dict[str, EvalMetrics] = field(init=False)
    seen: list[Candidate] = field(default_factory=list)
    """Drafts that cannot be tried."""

    def __post_init__(self) -> None:
        self.metrics = primary_metrics(self.desk, standing(self.desk))

    async def run(self) -> Sequence[Candidate]:
        desk, primary = self.desk, self.desk.constants[0]
        complaints = Complaints.of(self.metrics, primary)
        await name_faults(desk, complaints, self.metrics, draw="faults")
        causes = complaints.causes(self.metrics)[:MOST_CAUSES]
        if not causes:
            desk.ended = f"{primary.name} names no cause: what it says of failures it says of good answers as well"
            return []
        drafts = await self._drafts(causes)
        if not drafts:
            desk.ended = "no draft can be tried"
            return self.seen
        probes = covering_order(causes, self.metrics, primary)
        prices = {draft.name: price_of(desk, draft.actions) for draft in drafts}
        try:
            ranked = await best_first(desk, drafts, probes, prices)
            found = await raced(desk, ranked, self.metrics, causes)
            desk.ended = f"{count(len(drafts), 'draft')} of {desk.config.candidates} could be tried"
        except SearchCapReached as error:
            desk.ended = str(error)
            found = [draft.model_copy(update={"reasons": (str(error),)}) for draft in drafts]
        return [*found, *self.seen]

    async def _drafts(self, causes: Sequence[Cause]) -> list[Candidate]:
        """Those that change the prompt and pass the guard, each once."""
        found = list[Candidate]()
        for number in range(self.desk.config.candidates):
            prompt = self._prompt(causes, number)
            if not prompt.span_ids:
                self._set_aside(number, "there is no room to show samples: raise policy.max_context_tokens")
                break
            answer = await self.desk.propose(prompt.messages, FORM, draw=str(number + 1))
            draft = self._read(answer, number, causes, prompt.span_ids)
            if draft is not None and all(draft.actions != other.actions for other in found):
                found.append(draft)
        return found

    def _prompt(self, causes: Sequence[Cause], number: int) -> UpdatePrompt:
        kept = self.desk.config.protected
        letter_for_letter = "\n\nThese passages stay letter for letter:\n\n" if kept else ""
        focus = DRAFTS[number % len(DRAFTS)] + letter_for_letter + "\n\n".join(quote(text, "passage") for text in kept)
        samples = {sample.span_id: sample for sample in self.desk.train}
        evidence = Evidence(samples=samples, metrics=self.metrics, constants=self.desk.constants)
        task = Task(template="rewrite", focus=focus)
        return build_prompt(self.desk.start.system_prompt, causes, evidence, self.desk.config, task)

    def _read(
        self, answer: Answer, number: int, causes: Sequence[Cause], span_ids: Mapping[str, str]
    ) -> Candidate | None:
        """The draft; None for one that cannot be used or is stopped, which is kept with the reason."""
        policy, shown = self.desk.start, set(span_ids.values())
        text = prompt_field(answer.content) if answer.content else None
        thoughts = str((answer.content or {}).get("thoughts") or "")
        samples = tuple(dict.fromkeys(span for cause in causes for span in cause.samples if span in shown))
        edits = [e.model_copy(update={"samples": samples}) for e in edits_between(policy.system_prompt, text or "")]
        if not edits:
            why = "the answer leaves the prompt as it is" if text else answer.problem or "the answer holds no prompt"
            self._set_aside(number, why, thoughts)
            return None
        actions = policy.model_copy(update={"system_prompt": apply_edits(policy.system_prompt, edits)})
        draft = Candidate(
            name=_name(number), actions=actions, status="not_chosen", edits=tuple(edits), thoughts=thoughts
        )
        if found := stops(self.desk.guard(actions, edits)):
            reasons = tuple(finding.reason for finding in found)
            self.seen.append(draft.model_copy(update={"status": "stopped_by_guard", "reasons": reasons}))
            return None
        return draft

    def _set_aside(self, number: int, reason: str, thoughts: str = "") -> None:
        name, policy = _name(number), self.desk.start
        self.seen.append(Candidate(name=name, actions=policy, status="unusable", reasons=(reason,), thoughts=thoughts))


def _name(number: int) -> str:
    return f"rewrite-{number + 1}"
