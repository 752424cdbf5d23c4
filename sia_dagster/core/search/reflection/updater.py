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
from sia_dagster.core.search.reflection.rewrites import NO_VERSION, edits_between, prompt_field, rewritten_prompt


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


NO_EDITS = "the answer proposes no edits"


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
        is a failed call. An answer that is the whole prompt written anew becomes edits, with the samples that it
        names, if any. Raises EndpointRefused and SpendCapReached.
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
        rewritten = rewritten_prompt(answer.content, answer.text, baseline.system_prompt)
        if rewritten is not None:
            return _read_rewritten(rewritten, answer.content or {}, unusable, prompt.span_ids)
        if answer.content is None:
            return unusable.model_copy(update={"reasons": (answer.problem,)})
        if prompt_field(answer.content) is not None:
            return unusable.model_copy(update={"reasons": (NO_VERSION,)})
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
    return _edited(read, edits)


def _read_rewritten(rewritten: str, content: JsonObject, unusable: Candidate, span_ids: Mapping[str, str]) -> Candidate:
    """The candidate of a prompt that was written anew; its edits have the samples that the answer names, if any."""
    only = content.get("edits")
    of_edit = only[0] if isinstance(only, list) and only and isinstance(only[0], dict) else {}
    named = [given for given in (content.get("samples"), of_edit.get("samples")) if isinstance(given, list)]
    shown = [each for given in named for each in given if isinstance(each, str)]
    if unknown := [each for each in shown if each not in span_ids]:
        why = f"the answer names samples that were not shown ({len(unknown)} of {len(shown)})"
        return unusable.model_copy(update={"reasons": (why,)})
    prompt = unusable.actions.system_prompt
    samples = tuple(dict.fromkeys(span_ids[each] for each in shown))
    edits = tuple(edit.model_copy(update={"samples": samples}) for edit in edits_between(prompt, rewritten))
    thoughts = content.get("thoughts")
    read = unusable.model_copy(update={"thoughts": thoughts if isinstance(thoughts, str) else "", "edits": edits})
    return _edited(read, edits) if edits else read.model_copy(update={"reasons": (NO_EDITS,)})


def _edited(read: Candidate, edits: Sequence[Edit]) -> Candidate:
    """The candidate with the edits made, or `unusable` with the reason why they do not apply."""
    try:
        prompt = apply_edits(read.actions.system_prompt, edits)
    except EditError as error:
        return read.model_copy(update={"reasons": (str(error),)})
    actions = read.actions.model_copy(update={"system_prompt": prompt})
    return read.model_copy(update={"actions": actions, "status": "not_chosen"})


def _with_span_ids(edit: Edit, span_ids: Mapping[str, str]) -> Edit:
    return edit.model_copy(update={"samples": tuple(span_ids.get(shown, shown) for shown in edit.samples)})


def _unfounded(edits: Sequence[Edit], span_ids: Mapping[str, str]) -> tuple[str, ...]:
    """Why the edits cannot be accepted; empty where each names samples that were shown."""
    if not edits:
        return (NO_EDITS,)
    reasons = []
    for number, edit in enumerate(edits, start=1):
        if not edit.samples:
            reasons.append(f"edit {number} names no sample that motivates it")
        elif unknown := [shown for shown in edit.samples if shown not in span_ids]:
            reasons.append(f"edit {number} names samples that were not shown ({len(unknown)} of {len(edit.samples)})")
    return tuple(reasons)
