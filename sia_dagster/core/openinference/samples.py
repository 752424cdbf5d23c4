"""Maps span rows to samples."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sia_dagster.core.errors import SpanError
from sia_dagster.core.openinference.attributes import load_json, load_object, nest
from sia_dagster.core.openinference.messages import answer_text, parse_messages
from sia_dagster.core.openinference.payloads import load_request, request_messages, response_text
from sia_dagster.core.openinference.recorded_template import trusted_text
from sia_dagster.core.openinference.settings import (
    read_model,
    read_parameters,
    read_request_model,
    read_request_settings,
)
from sia_dagster.core.openinference.tools import offered_tools, read_tools
from sia_dagster.core.openinference.turns import as_chat, completed
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.sample import Message, Sample, is_shared_by_all, people_of, person, split_of
from sia_dagster.core.records.value import JsonObject, Value
from sia_dagster.core.text import storable

_SYSTEM = {"system", "developer"}
_BAD_SHAPES = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)
"""What reading a trace of unknown shape may raise: instrumentors differ, and traces are untrusted."""
LONGEST_TAG: Final = 80
"""Characters of a tag: it names a part of the traffic in tables and sentences."""


class MappedSpans(Value):
    """The samples of a window's sampled rows."""

    samples: tuple[Sample, ...] = ()
    """In the order of the rows."""
    skipped: tuple[str, ...] = ()
    """Why spans could not be used, one sentence a span, which it names."""


def samples_from_rows(rows: Iterable[Mapping[str, Any]]) -> MappedSpans:
    """Map rows of `SPAN_SCHEMA` that are `sampled`; spans that cannot be read are skipped and named.

    All conversations of a user are of one split. A user id that stands for nobody (`NOBODY`), or that nearly all
    conversations have (a service account), is left out: each of its conversations is split by itself, and where there
    are no sessions either, each trace is a conversation.
    """
    samples: list[Sample] = []
    skipped: list[str] = []
    for row in rows:
        try:
            samples.append(sample_from_row(row))
        except SpanError as error:
            skipped.append(str(error))
    return MappedSpans(samples=_split_by_user(samples), skipped=tuple(skipped))


def _split_by_user(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    chats = {(s.trace_id if s.conversation_id == s.user_id else s.conversation_id, person(s.user_id)) for s in samples}
    held = Counter(user for _, user in chats)
    shared = {user for user, conversations in held.items() if is_shared_by_all(conversations, len(chats))}
    people = {name: who for name, who in people_of(samples).items() if who not in shared}
    return tuple(_in_split(sample, people) for sample in samples)


def _in_split(sample: Sample, people: Mapping[str, str]) -> Sample:
    """All samples of a conversation are of one split, also where only some of them name the user."""
    if who := people.get(sample.conversation_id):
        return sample.model_copy(update={"split": split_of(who)})
    if not sample.user_id or sample.conversation_id != sample.user_id:
        return sample
    conversation = sample.trace_id or sample.span_id
    return sample.model_copy(update={"conversation_id": conversation, "split": split_of(conversation)})


def sample_from_row(row: Mapping[str, Any]) -> Sample:
    """Map one sampled row of `SPAN_SCHEMA`. Raises SpanError if it holds no chat, no answer or broken JSON.

    The sample can be stored and hashed: lone surrogates are replaced, in the row here and in its JSON on loading.
    """
    row = {name: storable(value) for name, value in row.items()}
    span_id = str(row["span_id"])
    chat = _chat(row)
    output = answer_text(_read(row, "output_messages", parse_messages)) or _read(row, "output_value", response_text)
    if not chat or not output:
        missing = "no answer" if chat else "no messages"
        raise SpanError(f"the span holds {missing}; see its input and output in the trace store", span_id=span_id)
    system, history = split_system(as_chat(chat))
    request = load_request(row.get("input_value"))
    variables = {name: _as_text(value) for name, value in load_object(row.get("template_variables")).items()}
    conversation = str(row.get("conversation_id") or row.get("trace_id") or span_id)
    return Sample(
        span_id=span_id,
        trace_id=str(row.get("trace_id") or ""),
        conversation_id=conversation,
        user_id=str(row.get("user_id") or ""),
        start_time=_utc(row["start_time"]),
        split=split_of(conversation),
        system_prompt=system,
        messages=history,
        output=output,
        variables=variables,
        template=trusted_text(row.get("template"), variables, system),
        name=str(row.get("name") or ""),
        **_models(row, request),
        parameters=read_request_settings(request) | _read(row, "invocation_parameters", read_parameters),
        tools=_tools(row, request),
        tags=_read(row, "tags", read_tags),
        evals=_read(row, "evals", _evals),
        annotations=_read(row, "annotations", _evals),
    )


def _chat(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """The recorded messages, with parts that only the raw request holds; else the raw request's messages."""
    recorded: tuple[Message, ...] = _read(row, "input_messages", parse_messages)
    if not recorded:
        sent: tuple[Message, ...] = _read(row, "input_value", request_messages)
        return sent
    try:
        return completed(recorded, request_messages(row.get("input_value")))
    except _BAD_SHAPES:
        return recorded


def _models(row: Mapping[str, Any], request: Any) -> dict[str, str]:
    """The requested model, and the one that answered where its name is another (a dated snapshot).

    A replay asks for the requested one: an endpoint may know the snapshot by no name.
    """
    answered = str(row.get("model") or "")
    asked = _read(row, "invocation_parameters", read_model) or read_request_model(request) or answered
    return {"model": asked, "answered_by": answered if answered != asked else ""}


def _tools(row: Mapping[str, Any], request: Any) -> tuple[JsonObject, ...]:
    """The recorded tools, else those in the settings, else those in the raw request."""
    recorded: tuple[JsonObject, ...] = _read(row, "tools", read_tools)
    if recorded:
        return recorded
    try:
        return offered_tools(load_object(row.get("invocation_parameters"))) or offered_tools(request)
    except _BAD_SHAPES:
        return ()


def split_system(chat: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    """The leading system and developer messages, joined by a blank line, and the rest of the chat."""
    lead = next((i for i, message in enumerate(chat) if message.role not in _SYSTEM), len(chat))
    return "\n\n".join(m.content for m in chat[:lead] if m.content), chat[lead:]


def _read(row: Mapping[str, Any], column: str, reader: Any) -> Any:
    """Apply `reader` to a column. Raises SpanError that names the column."""
    try:
        return reader(row.get(column))
    except _BAD_SHAPES as error:
        message = f"{column} cannot be read ({type(error).__name__}: {str(error)[:120]}); the span is left out"
        raise SpanError(message, span_id=str(row["span_id"])) from error


def _evals(value: Any) -> tuple[EvalMetrics, ...]:
    found = load_json(value) or {}
    return tuple(
        EvalMetrics(
            name=name,
            label=_as_text(result["label"]) if result.get("label") is not None else None,
            score=_score(result.get("score")),
            explanation=result.get("explanation"),
            source="platform",
        )
        for name, result in sorted(found.items())
        if any(_score(v) is not None if k == "score" else v is not None for k, v in result.items())
    )


def _score(value: Any) -> float | None:
    """Exports write NaN for a missing score."""
    score = math.nan if value is None else float(value)
    return score if math.isfinite(score) else None


def _utc(moment: datetime) -> datetime:
    """The moment in UTC; times without a zone are UTC, as exports write them."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read_tags(value: Any) -> tuple[str, ...]:
    """The tags in a list, its JSON text or flattened attributes, in order and each once; other text is one tag.

    Tags are short names on one line: white space is folded, longer ones are cut. Only texts and numbers are tags.
    """
    try:
        loaded = nest(load_json(value))
    except (ValueError, RecursionError):
        loaded = value
    items = loaded if isinstance(loaded, list) else [loaded]
    tags = (" ".join(str(item).split())[:LONGEST_TAG].strip() for item in items if isinstance(item, str | int))
    return tuple(dict.fromkeys(tag for tag in tags if tag))
