"""Reads a proposing model's answer: separate edits, each with the samples that call for it."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from pydantic import ValidationError

from sia_dagster.core.prompting import Form
from sia_dagster.core.prompting.structured_answer import Answer
from sia_dagster.core.records.search import Edit
from sia_dagster.core.records.value import JsonObject, Value
from sia_dagster.core.search.edits.rewrites import NO_VERSION, edits_between, prompt_field, rewritten_prompt
from sia_dagster.core.text import count

MOST_EDITS: Final = 32
"""Of one answer: it was asked about three causes, and each edit that is tried costs answers."""
NO_EDITS: Final = "the answer proposes no edits"
_NUMBER: Final = re.compile(r"[0-9]{1,4}")


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
        "group": {"type": "integer"},
    }
)
FORM = Form(name="policy_edits", shape=_object({"thoughts": _TEXT, "edits": {"type": "array", "items": _EDIT}}))
"""The form of the model's answer."""


class _AnsweredEdit(Value):
    operation: str
    find: str = ""
    text: str = ""
    samples: tuple[str, ...] = ()
    why: str = ""
    group: object = 0

    @property
    def number(self) -> int:
        """Of the group; 0 for whatever is no number, since an edit is also known by its samples."""
        given = str(self.group)
        return int(given) if _NUMBER.fullmatch(given) else 0


class ProposedEdits(NamedTuple):
    """What one answer proposes."""

    edits: tuple[tuple[Edit, ...], ...] = ()
    """Each to be tried by itself; several in one where a prompt was written anew as a whole."""
    groups: tuple[int, ...] = ()
    """The number of the cause that each is for, as the answer says; 0 where it does not."""
    thoughts: str = ""
    problems: tuple[str, ...] = ()
    """Why edits, or the whole answer, cannot be used; without text of the answer, which is untrusted."""


def read_edits(answer: Answer, prompt: str, span_ids: Mapping[str, str]) -> ProposedEdits:
    """The edits of `prompt` in a model's answer; `span_ids` has the samples that it was shown, by the id shown.

    An edit of another form, without a sample, or of samples that were not shown is left out and named: never repaired.
    An answer that is the whole prompt written anew becomes edits, which are tried together.
    """
    rewritten = rewritten_prompt(answer.content, answer.text, prompt)
    if rewritten is not None:
        return _read_rewritten(rewritten, answer.content or {}, prompt, span_ids)
    if answer.content is None:
        return ProposedEdits(problems=(answer.problem or NO_EDITS,))
    if prompt_field(answer.content) is not None:
        return ProposedEdits(problems=(NO_VERSION,))
    thoughts, given = answer.content.get("thoughts"), answer.content.get("edits")
    if not isinstance(given, list) or not given:
        return ProposedEdits(problems=(NO_EDITS,))
    edits: list[tuple[Edit, ...]] = []
    groups: list[int] = []
    problems: list[str] = []
    for number, each in enumerate(given[:MOST_EDITS], start=1):
        edit, group, problem = _read_edit(number, each, span_ids)
        if edit is not None:
            edits.append((edit,))
            groups.append(group)
        problems += [problem] if problem else []
    if len(given) > MOST_EDITS:
        problems.append(f"only the first {MOST_EDITS} of {count(len(given), 'edit')} are tried")
    said = thoughts if isinstance(thoughts, str) else ""
    return ProposedEdits(tuple(edits), tuple(groups), said, tuple(problems))


def _read_edit(number: int, given: object, span_ids: Mapping[str, str]) -> tuple[Edit | None, int, str]:
    try:
        read = _AnsweredEdit.model_validate(given)
        unknown = [shown for shown in read.samples if shown not in span_ids]
        if not read.samples:
            return None, 0, f"edit {number} names no sample that motivates it"
        if unknown:
            return None, 0, f"edit {number} names samples that were not shown ({len(unknown)} of {len(read.samples)})"
        samples = tuple(dict.fromkeys(span_ids[shown] for shown in read.samples))
        fields = read.model_dump(exclude={"group"}) | {"samples": samples}
        return Edit.model_validate(fields), read.number, ""
    except ValidationError as error:
        where = sorted({".".join(str(part) for part in problem["loc"]) for problem in error.errors()})
        return None, 0, f"edit {number} has wrong fields: {', '.join(where)[:200]}"


def _read_rewritten(rewritten: str, content: JsonObject, prompt: str, span_ids: Mapping[str, str]) -> ProposedEdits:
    """A prompt that was written anew; its edits have the samples that the answer names, if any."""
    only = content.get("edits")
    of_edit = only[0] if isinstance(only, list) and only and isinstance(only[0], dict) else {}
    named = [given for given in (content.get("samples"), of_edit.get("samples")) if isinstance(given, list)]
    shown = [each for given in named for each in given if isinstance(each, str)]
    if unknown := [each for each in shown if each not in span_ids]:
        problem = f"the answer names samples that were not shown ({len(unknown)} of {len(shown)})"
        return ProposedEdits(problems=(problem,))
    samples = tuple(dict.fromkeys(span_ids[each] for each in shown))
    edits = tuple(edit.model_copy(update={"samples": samples}) for edit in edits_between(prompt, rewritten))
    thoughts = content.get("thoughts")
    if not edits:
        return ProposedEdits(problems=(NO_EDITS,))
    return ProposedEdits((edits,), (0,), thoughts if isinstance(thoughts, str) else "")
