"""The updater `reflection`: asks a model for edits of the prompt, several times with a different focus."""

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.ports.model import ChatModel, ChatRequest
from sia_dagster.core.prompting import Form, StructuredCalls
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.search import Candidate, Edit
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import JsonObject, Value
from sia_dagster.core.replay import map_rows
from sia_dagster.core.search.reflection.clusters import find_clusters
from sia_dagster.core.search.reflection.edits import EditError, apply_edits
from sia_dagster.core.search.reflection.prompt import EditTask, UpdatePrompt, build_prompt, edit_tasks


def _object(properties: JsonObject) -> JsonObject:
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


_TEXT = {"type": "string"}
_EDIT = _object(
    {
        "operation": {"type": "string", "enum": ["add", "replace", "delete"]},
        "find": _TEXT,
        "text": _TEXT,
        "samples": {"type": "array", "items": _TEXT},
        "why": _TEXT,
    }
)
FORM = Form(name="policy_edits", shape=_object({"thoughts": _TEXT, "edits": {"type": "array", "items": _EDIT}}))
"""The form of the model's answer."""


class _ProposedEdits(Value):
    thoughts: str
    edits: tuple[Edit, ...]


def first_prompt(state: StateActions, config: PolicyConfig) -> tuple[JsonObject, ...]:
    """The messages that ask for the first candidate: what an estimate of the search's cost counts."""
    clusters = find_clusters(state.of("train"), state.eval_constants)
    return build_prompt(state, clusters, edit_tasks(clusters, 1)[0], config).messages


class ReflectionUpdater:
    """Proposes `config.candidates` policies: one for all groups of failures, then one for each group alone."""

    def __init__(self, config: PolicyConfig, chat: ChatModel) -> None:
        """Ask `config.model` through `chat`."""
        self._config, self._calls = config, StructuredCalls(chat, FORM)

    async def propose(self, state: StateActions) -> tuple[Candidate, ...]:
        """One candidate a task, in the order of `edit_tasks`; none without a policy or failures on the train split.

        An answer that is truncated, withheld, of another form, without edits, with an edit that does not apply, or
        that names samples it was not shown is `unusable` with the reason: never repaired, never adopted in part. So
        is a failed call. Raises EndpointRefused and SpendCapReached.
        """
        clusters = find_clusters(state.of("train"), state.eval_constants)
        if state.actions is None or not clusters:
            return ()
        baseline, tasks = state.actions, edit_tasks(clusters, self._config.candidates)

        async def work(numbered: tuple[int, EditTask]) -> Candidate:
            index, task = numbered
            prompt = build_prompt(state, clusters, task, self._config)
            return await self._candidate(f"reflection-{index + 1}", baseline, prompt, draw=f"update/{index}")

        proposed = [result async for result in map_rows(enumerate(tasks), work, workers=len(tasks))]
        return tuple(candidate for _, candidate in sorted(proposed, key=lambda pair: pair[0]))

    async def _candidate(self, name: str, baseline: Actions, prompt: UpdatePrompt, draw: str) -> Candidate:
        unusable = Candidate(name=name, actions=baseline, status="unusable")
        if not prompt.span_ids:
            why = "the policy's prompt leaves no room to show samples: raise policy.max_context_tokens"
            return unusable.model_copy(update={"reasons": (why,)})
        request = ChatRequest(model=self._config.model, messages=prompt.messages, draw=draw, stage="update")
        answer = await self._calls.ask(request)
        if answer.content is None:
            return unusable.model_copy(update={"reasons": (answer.problem,)})
        return _read(answer.content, unusable, prompt.span_ids)


def _read(content: JsonObject, unusable: Candidate, span_ids: Mapping[str, str]) -> Candidate:
    """The candidate that the answer describes, or `unusable` with the answer's content and why it cannot be used."""
    try:
        proposal = _ProposedEdits.model_validate(content)
    except ValidationError as error:
        where = sorted({".".join(str(part) for part in problem["loc"]) for problem in error.errors()})
        return unusable.model_copy(update={"reasons": (f"the answer has wrong fields: {', '.join(where)[:200]}",)})
    edits = tuple(_with_span_ids(edit, span_ids) for edit in proposal.edits)
    read = unusable.model_copy(update={"thoughts": proposal.thoughts, "edits": edits})
    if reasons := _unfounded(proposal.edits, span_ids):
        return read.model_copy(update={"reasons": reasons})
    try:
        prompt = apply_edits(unusable.actions.system_prompt, edits)
    except EditError as error:
        return read.model_copy(update={"reasons": (str(error),)})
    actions = unusable.actions.model_copy(update={"system_prompt": prompt})
    return read.model_copy(update={"actions": actions, "status": "not_chosen"})


def _with_span_ids(edit: Edit, span_ids: Mapping[str, str]) -> Edit:
    return edit.model_copy(update={"samples": tuple(span_ids.get(shown, shown) for shown in edit.samples)})


def _unfounded(edits: Sequence[Edit], span_ids: Mapping[str, str]) -> tuple[str, ...]:
    """Why the edits cannot be accepted; empty where each names samples that were shown."""
    if not edits:
        return ("the answer proposes no edits",)
    reasons = []
    for number, edit in enumerate(edits, start=1):
        if not edit.samples:
            reasons.append(f"edit {number} names no sample that motivates it")
        elif unknown := [shown for shown in edit.samples if shown not in span_ids]:
            reasons.append(f"edit {number} names samples that were not shown ({len(unknown)} of {len(edit.samples)})")
    return tuple(reasons)
