"""Maps span rows to samples."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from json import JSONDecodeError
from typing import Any, Final

from sia_dagster.core.errors import SpanError
from sia_dagster.core.openinference.attributes import EMPTY_TEXTS, is_cut, load_json, load_object, nest
from sia_dagster.core.openinference.mending import mending_notes
from sia_dagster.core.openinference.messages import parse_messages
from sia_dagster.core.openinference.payloads import load_request, request_messages
from sia_dagster.core.openinference.recorded_template import trusted_text
from sia_dagster.core.openinference.responses import NoAnswer, read_answer
from sia_dagster.core.openinference.settings import (
    read_model,
    read_parameters,
    read_request_model,
    read_request_settings,
)
from sia_dagster.core.openinference.tools import offered_tools, read_tools
from sia_dagster.core.openinference.turns import SYSTEM_ROLES, as_chat, completed, filled, is_lost, without_repeats
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.sample import (
    Message,
    Sample,
    conversation_of,
    is_shared_by_all,
    people_of,
    person,
    split_of,
)
from sia_dagster.core.records.trace_notes import SkippedSpan, TraceNote
from sia_dagster.core.records.value import JsonObject, Value
from sia_dagster.core.text import storable

_BAD_SHAPES = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)
"""What reading a trace of unknown shape may raise: instrumentors differ, and traces are untrusted."""
LONGEST_TAG: Final = 80
"""Characters of a tag: it names a part of the traffic in tables and sentences."""


class MappedSpans(Value):
    """The samples of a window's sampled rows."""

    samples: tuple[Sample, ...] = ()
    """In the order of the rows."""
    left_out: tuple[SkippedSpan, ...] = ()
    """Spans that could not be used, each with its reason."""
    notes: tuple[TraceNote, ...] = ()
    """What was mended or dropped in samples that are used, one note a kind."""

    @property
    def skipped(self) -> tuple[str, ...]:
        """Why spans could not be used, one sentence a span, which it names."""
        return tuple(map(str, self.left_out))


def samples_from_rows(rows: Iterable[Mapping[str, Any]]) -> MappedSpans:
    """Map rows of `SPAN_SCHEMA` that are `sampled`; spans that cannot be read are skipped and named.

    All conversations of a user are of one split. A user id that stands for nobody (`NOBODY`), or that nearly all
    conversations have (a service account), is left out: each of its conversations is split by itself, and where there
    are no sessions either, each trace is a conversation.
    """
    samples: list[Sample] = []
    left_out: list[SkippedSpan] = []
    mended: list[tuple[str, str]] = []
    for row in rows:
        marks: set[str] = set()
        try:
            sample = _sample(row, marks)
        except SpanError as error:
            left_out.append(SkippedSpan(span_id=error.span_id, reason=error.reason, sentence=error.sentence))
        else:
            samples.append(sample)
            mended += [(mark, sample.span_id) for mark in sorted(marks)]
    return MappedSpans(samples=_split_by_user(samples), left_out=tuple(left_out), notes=mending_notes(mended))


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
    conversation = conversation_of("", "", sample.trace_id, sample.span_id)
    return sample.model_copy(update={"conversation_id": conversation, "split": split_of(conversation)})


def sample_from_row(row: Mapping[str, Any]) -> Sample:
    """Map one sampled row of `SPAN_SCHEMA`. Raises SpanError if it holds no chat, no answer or broken JSON.

    The sample can be stored and hashed: lone surrogates are replaced, in the row here and in its JSON on loading.
    """
    return _sample(row, set())


def _sample(row: Mapping[str, Any], marks: set[str]) -> Sample:
    """The row's sample; kinds of mending (`MENDED`) are added to `marks`."""
    row = {name: storable(value) for name, value in row.items()}
    span_id, trace_id, user_id = (str(row.get(name) or "") for name in ("span_id", "trace_id", "user_id"))
    request, settings = load_request(row.get("input_value")), _settings(row, marks)
    chat = as_chat(_chat(row, request, marks))
    output = _answer(row, (settings, request), marks)
    if not chat or not output:
        missing = "no answer" if chat else "no messages"
        sentence = f"the span holds {missing}; see its input and output in the trace store"
        raise SpanError(sentence, span_id=span_id, reason=missing.replace(" ", "_"))
    system, history = _divided(chat, marks)
    variables = _variables(row, marks)
    recorded = str(row.get("conversation_id") or "")
    conversation = conversation_of(recorded, user_id, trace_id, span_id)
    if recorded not in ("", conversation):
        marks.add("nobody")
    return Sample(
        span_id=span_id,
        trace_id=trace_id,
        conversation_id=conversation,
        user_id=user_id,
        start_time=_utc(row["start_time"]),
        split=split_of(conversation),
        system_prompt=system,
        messages=history,
        output=output,
        variables=variables,
        template=trusted_text(row.get("template"), variables, system),
        name=str(row.get("name") or ""),
        **_models(row, settings, request),
        parameters=read_request_settings(request) | read_parameters(settings),
        tools=_tools(row, settings, request),
        tags=_read(row, "tags", read_tags),
        evals=_read(row, "evals", _evals),
        annotations=_read(row, "annotations", _evals),
    )


def _settings(row: Mapping[str, Any], marks: set[str]) -> JsonObject:
    """The invocation parameters; {} where they cannot be read, since the call is known without them."""
    try:
        found = load_json(row.get("invocation_parameters"))
        if found is None or isinstance(found, dict):
            return found or {}
    except _BAD_SHAPES:
        pass
    marks.add("parameters_unreadable")
    return {}


def _variables(row: Mapping[str, Any], marks: set[str]) -> dict[str, str]:
    recorded = row.get("template_variables")
    found = load_object(recorded)
    if not found and isinstance(recorded, str) and recorded.strip() not in EMPTY_TEXTS:
        marks.add("variables_unreadable")
    return {name: _as_text(value) for name, value in found.items()}


def _answer(row: Mapping[str, Any], settings: Sequence[Any], marks: set[str]) -> str:
    messages = _read(row, "output_messages", parse_messages)
    found = _read(row, "output_value", lambda value: read_answer(messages, value, settings))
    if found.several:
        marks.add("several_choices")
    return str(found.text)


def _chat(row: Mapping[str, Any], request: Any, marks: set[str]) -> tuple[Message, ...]:
    """The recorded messages, with texts and parts that only the raw request holds; else the raw request's messages.

    Raises SpanError for a message of the user or of a tool without anything in it.
    """
    recorded: tuple[Message, ...] = _read(row, "input_messages", parse_messages)
    if not recorded:
        chat: tuple[Message, ...] = _read(row, "input_value", request_messages)
    else:
        try:
            sent = request_messages(request) if isinstance(request, dict | list) else ()
        except _BAD_SHAPES:
            sent = ()
        chat = completed(filled(recorded, sent), sent)
        if [m.content for m in chat] != [m.content for m in recorded]:
            marks.add("text_from_request")
    if empty := next((m.role for m in chat if is_lost(m)), None):
        sentence = f"a {empty} message is empty: its text was not recorded, so what was asked is not known"
        raise SpanError(sentence, span_id=str(row["span_id"]), reason="empty_message")
    return chat


def _models(row: Mapping[str, Any], settings: JsonObject, request: Any) -> dict[str, str]:
    """The requested model, and the one that answered where its name is another (a dated snapshot).

    A replay asks for the requested one: an endpoint may know the snapshot by no name.
    """
    answered = str(row.get("model") or "")
    asked = read_model(settings) or read_request_model(request) or answered
    return {"model": asked, "answered_by": answered if answered != asked else ""}


def _tools(row: Mapping[str, Any], settings: JsonObject, request: Any) -> tuple[JsonObject, ...]:
    """The recorded tools, else those in the settings, else those in the raw request."""
    recorded: tuple[JsonObject, ...] = _read(row, "tools", read_tools)
    if recorded:
        return recorded
    try:
        return offered_tools(settings) or offered_tools(request)
    except _BAD_SHAPES:
        return ()


def split_system(chat: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    """The leading system and developer messages, joined by a blank line, and the rest of the chat.

    Later messages that say the same again are left out: a replay sends the prompt of its policy once, in front.
    """
    lead = next((i for i, message in enumerate(chat) if message.role not in SYSTEM_ROLES), len(chat))
    texts = [m.content for m in chat[:lead] if m.content]
    prompt = "\n\n".join(texts)
    return prompt, without_repeats(chat[lead:], (prompt, *texts))


def _divided(chat: tuple[Message, ...], marks: set[str]) -> tuple[str, tuple[Message, ...]]:
    prompt, history = split_system(chat)
    if prompt and len(history) < len(chat) and chat[len(chat) - len(history) :] != history:
        marks.add("prompt_repeated")
    return prompt, history


def _read(row: Mapping[str, Any], column: str, reader: Any) -> Any:
    """Apply `reader` to a column. Raises SpanError that names the column and the fault."""
    try:
        return reader(row.get(column))
    except NoAnswer as error:
        raise SpanError(str(error), span_id=str(row["span_id"]), reason=error.reason) from error
    except _BAD_SHAPES as error:
        value = str(row.get(column) or "")
        cut = isinstance(error, JSONDecodeError) and is_cut(value)
        why = f"it is cut after {len(value):,} characters" if cut else f"{type(error).__name__}: {str(error)[:120]}"
        message = f"{column} cannot be read ({why}); the span is left out"
        raise SpanError(message, span_id=str(row["span_id"]), reason="cut" if cut else "unreadable") from error


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
