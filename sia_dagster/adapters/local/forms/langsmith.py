"""LangSmith and LangChain: runs as the client's `list_runs` and `runs.query`, the bulk export and tracers write them.

`inputs`, `outputs` and `extra` are objects, or JSON text in the bulk export. The conversation is one of the metadata's
keys that LangSmith reads threads from; a run's own `session_id` is the project, and its `ls_user_id` who has the key
to LangSmith. Runs within a run (`child_runs`) are read, too, and are of its conversation.
"""

from collections.abc import Iterable
from typing import Any

from sia_dagster.adapters.local.forms.chat import answer_attributes, request_attributes
from sia_dagster.adapters.local.forms.fields import (
    an_object,
    evaluation,
    filled,
    first,
    loaded,
    metadata,
    objects,
    spans_of,
    text,
)
from sia_dagster.adapters.local.forms.span import Form, FormError, Span
from sia_dagster.core.records.value import JsonObject

_KINDS = {
    "llm": "LLM",
    "chat_model": "LLM",
    "tool": "TOOL",
    "retriever": "RETRIEVER",
    "embedding": "EMBEDDING",
    "prompt": "PROMPT",
}
_THREADS = ("session_id", "thread_id", "conversation_id")
_USERS = ("user_id", "userId")
_ONE_TEXT = (
    "its chat is one text, so that its messages cannot be told; export runs of LangSmith, or give your tracer "
    "`_schema_format='original+chat'`"
)


def _recognises(record: JsonObject) -> bool:
    return "run_type" in record and "id" in record and ("inputs" in record or "start_time" in record)


def _spans(record: JsonObject) -> Iterable[Span | FormError]:
    about = {name: value for name, value in _metadata(record).items() if name in (*_THREADS, *_USERS)}
    return spans_of(_with_children(record), lambda run: _span(run, about))


def _with_children(run: JsonObject) -> Iterable[JsonObject]:
    left = [run]
    while left:
        run = left.pop()
        yield run
        left.extend(reversed(objects(run.get("child_runs"))))


def _metadata(run: JsonObject) -> JsonObject:
    """The metadata within `extra`, which `runs.query` and the bulk export can give as a field of its own."""
    thread = {"thread_id": run["thread_id"]} if run.get("thread_id") else {}
    return thread | an_object(run.get("metadata")) | an_object(an_object(run.get("extra")).get("metadata"))


def _span(run: JsonObject, about: JsonObject) -> Span:
    kind = _KINDS.get(text(run.get("run_type")).lower(), "CHAIN")
    is_failed = bool(run.get("error")) or text(run.get("status")).lower() == "error"
    parents = loaded(run.get("parent_run_ids"))
    if kind == "LLM" and not is_failed and "inputs" not in run and "outputs" not in run:
        raise FormError("it holds neither inputs nor outputs; export both fields, too")
    return Span(
        span_id=text(run.get("id")),
        trace_id=text(first(run, "trace_id", "id")),
        parent_id=text(run.get("parent_run_id") or (parents[-1] if isinstance(parents, list) and parents else "")),
        name=text(run.get("name")),
        start=run.get("start_time"),
        end=run.get("end_time"),
        status="ERROR" if is_failed else "OK",
        kind=kind,
        attributes=_attributes(run, about | _metadata(run)) if kind == "LLM" else {},
        columns=run | (_feedback(run) if kind == "LLM" else {}),
    )


def _attributes(run: JsonObject, more: JsonObject) -> JsonObject:
    extra, inputs, outputs = (an_object(run.get(name)) for name in ("extra", "inputs", "outputs"))
    given = an_object(extra.get("invocation_params")) or an_object(extra.get("options"))
    request = request_attributes(_request(inputs, outputs))
    usage = an_object(more.get("usage_metadata")) or an_object(outputs.get("usage_metadata"))
    usage = usage or an_object(outputs.get("usage")) or _usage(outputs)
    found = {
        **request,
        **answer_attributes(outputs),
        **metadata(more),
        "llm.model_name": text(first(given | _named(more) | _named(inputs), "model", "model_name", "ls_model_name")),
        "llm.invocation_parameters": given or request.get("llm.invocation_parameters") or _settings(more),
        "llm.token_count.prompt": first(run, "prompt_tokens") or first(usage, "input_tokens", "prompt_tokens"),
        "llm.token_count.completion": first(run, "completion_tokens")
        or first(usage, "output_tokens", "completion_tokens"),
        "session.id": text(first(more, *_THREADS)),
        "user.id": text(first(more, *_USERS)),
        "tag.tags": loaded(run.get("tags")),
    }
    return filled(found)


def _named(source: JsonObject) -> JsonObject:
    return {name: source[name] for name in ("model", "model_name", "ls_model_name") if source.get(name)}


def _settings(more: JsonObject) -> JsonObject:
    """The settings in LangSmith's own metadata (`ls_temperature`)."""
    names = ("temperature", "max_tokens", "stop")
    return {name: more[f"ls_{name}"] for name in names if more.get(f"ls_{name}") is not None}


def _request(inputs: JsonObject, outputs: JsonObject) -> Any:
    """The request. Raises FormError for a chat that a tracer without LangSmith's schema joined to one text."""
    if "prompts" in inputs and "messages" not in inputs and isinstance(_first_generation(outputs).get("message"), dict):
        raise FormError(_ONE_TEXT)
    return inputs


def _usage(outputs: JsonObject) -> JsonObject:
    return an_object(an_object(outputs.get("llm_output")).get("token_usage"))


def _first_generation(outputs: JsonObject) -> JsonObject:
    found = outputs.get("generations")
    while isinstance(found, list) and found:
        found = found[0]
    return found if isinstance(found, dict) else {}


def _feedback(run: JsonObject) -> JsonObject:
    """LangSmith's statistics of feedback: the mean of a key's scores, and its comment if there is one value."""
    found: JsonObject = {}
    for name, stats in an_object(run.get("feedback_stats")).items():
        mean = stats.get("avg") if isinstance(stats, dict) else None
        values = stats.get("values") if isinstance(stats, dict) else None
        label = next(iter(values)) if mean is None and isinstance(values, dict) and len(values) == 1 else None
        found |= evaluation(name, label if mean is None else mean)
    return found


FORM = Form("LangSmith runs", _recognises, _spans, ("prompt templates",))
