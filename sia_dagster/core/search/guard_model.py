"""The optional judge of an edit (`policy.guard_model`): does it serve the evaluators' criteria, or somebody else?"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

from sia_dagster.core.ports.model import ChatModel, ChatRequest
from sia_dagster.core.prompting import NOTICE, Form, StructuredCalls, quote
from sia_dagster.core.prompting.prompts import load_prompt
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.guard import GuardFinding
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.search import Candidate, PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import JsonObject

SERVES: Final = ("criteria", "somebody_else", "unclear")
FORM: Final = Form(
    name="whom_the_edit_serves",
    shape={
        "type": "object",
        "properties": {"thoughts": {"type": "string"}, "serves": {"type": "string", "enum": [*SERVES]}},
        "required": ["thoughts", "serves"],
        "additionalProperties": False,
    },
)
"""The form of the model's answer; its thoughts are not shown, since they may repeat the edit."""
_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")


async def ask_guard_model(update: PolicyUpdate, state: StateActions, *, chat: ChatModel, model: str) -> PolicyUpdate:
    """The update with one more concern, unless the model answers that the chosen candidate serves the criteria.

    One call; none where the words of the policy stay. An answer that cannot be used is a concern, too. Raises
    EndpointRefused and SpendCapReached.
    """
    if not update.changed or update.baseline is None or update.candidate is None:
        return update
    if update.candidate.words == update.baseline.words:
        return update
    messages = guard_prompt(update.baseline, _changes(update), state.eval_constants)
    request = ChatRequest(model=model, messages=messages, draw="update/guard", stage="update")
    answer = await StructuredCalls(chat, FORM).ask(request)
    serves = (answer.content or {}).get("serves")
    if serves == "criteria":
        return update
    return _with_concern(update, _finding(model, serves))


def guard_prompt(policy: Actions, changes: Sequence[str], constants: Sequence[EvalConstant]) -> tuple[JsonObject, ...]:
    """The messages: whatever comes from a trace, a file or a model is quoted."""
    texts = {
        "notice": NOTICE,
        "policy": quote(policy.system_prompt, "policy"),
        "criteria": "\n\n".join(quote(f"{each.name}: {each.criteria}", "criteria") for each in constants),
        "edits": "\n\n".join(quote(change, "edit") for change in changes),
    }
    system, user = (_PLACEHOLDER.sub(lambda match: texts[match[1]], part) for part in _parts())
    return ({"role": "system", "content": system}, {"role": "user", "content": user})


@cache
def _parts() -> tuple[str, str]:
    system, _, user = load_prompt("guard").partition("\n---\n")
    return system, user


def _changes(update: PolicyUpdate) -> tuple[str, ...]:
    """The edits, or the whole new prompt where a strategy names none; and the new examples."""
    new, old = update.candidate or Actions(), update.baseline or Actions()
    edits = [f"{edit.operation}\nold text: {edit.find}\nnew text: {edit.text}" for edit in update.edits]
    whole = [f"the whole new prompt:\n{new.system_prompt}"] if new.system_prompt != old.system_prompt else []
    shown = [each for each in new.examples if each not in old.examples]
    examples = [f"a new example\nrequest: {each.input}\nanswer: {each.output}" for each in shown]
    return (*(edits or whole), *examples)


def _finding(model: str, serves: object) -> GuardFinding:
    why = {
        "somebody_else": "answers that the change serves somebody else than the evaluators' criteria",
        "unclear": "cannot say whom the change serves",
    }.get(str(serves), "gave no usable answer")
    return GuardFinding(action="person", rule="guard model", reason=f"guard model: {model} {why}")


def _with_concern(update: PolicyUpdate, concern: GuardFinding) -> PolicyUpdate:
    def added(candidate: Candidate) -> Candidate:
        more = {"concerns": (*candidate.concerns, concern)} if candidate.status == "chosen" else {}
        return candidate.model_copy(update=more)

    return update.model_copy(
        update={"concerns": (*update.concerns, concern), "candidates": tuple(map(added, update.candidates))}
    )
