"""The parameters that an endpoint refuses for a model, and the same request without them.

An endpoint reports in a 400 which parameter a model does not accept. Where this does not change what is asked for, the
request is adapted: a limit is sent under its other name; a sampling parameter that is refused, or must have its
default, is left out; a system message becomes the first words of the user. The reply lists what was left out. A refused
answer form (a JSON schema, tools) is not replaced here: the caller chooses another.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile

from sia_dagster.adapters.engine.wire.completions import plain_text
from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.text import without_name

_SYSTEM = ("system", "developer")

_OTHER_NAME = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}

_LEFT_OUT = (
    *("temperature", "top_p", "top_k", "top_a", "min_p", "typical_p", "seed", "logit_bias"),
    *("presence_penalty", "frequency_penalty", "repetition_penalty", "parallel_tool_calls"),
)
"""Parameters without which the model still does what was asked; `stop` and `reasoning_effort` are not among them."""

_UNSUPPORTED = re.compile(
    r"unsupported|\bnot\b.{0,20}(?:support|permitted|allowed|available)|n['\u2019]t support|unrecogni[sz]ed|unknown"
    r"|unexpected|extra inputs|deprecated|no endpoints found that support"
    # A parameter that must have its default is as good as refused.
    r"|only (?:the |supports (?:the )?)?default|\bonly \S{1,20} is (?:allowed|supported)"
    r"|(?:must|may only|can only|has to) be (?:set to |equal to )?1(?:\.0)?\b|cannot both be ",
    re.IGNORECASE,
)

_ABOVE_ZERO = re.compile(r"strictly positive|(?:greater|larger|more) than (?:0|zero)\b|must be > ?0\b|\(0(?:\.0)?,")

SYSTEM_ROLE = "system role"
"""The name under which a refused system message is remembered and listed."""

_NO_SYSTEM = re.compile(
    r"system (?:role|message|prompt|instruction)s? (?:is |are )?not (?:supported|enabled|allowed)"
    r"|(?:not|n.t) support (?:the )?['\"`]?(?:system|developer)['\"`]?(?: role| message| prompt| with|\b)"
    r"|(?:system|developer) instruction is not enabled|only user(?:,| and) assistant roles",
    re.IGNORECASE,
)

# What the chat templates of models without a system role say of a chat that begins with one.
_ALTERNATE = re.compile(r"roles must alternate", re.IGNORECASE)

# An error in one request's schema does not concern the model.
_SCHEMA_ERROR = re.compile(r"invalid schema|schema (?:contains|is invalid)|keyword(?! argument)", re.IGNORECASE)

_FORMS = {
    "response_format:json_schema": re.compile(r"json_schema|response_format|structured outputs?", re.IGNORECASE),
    "response_format:json_object": re.compile(r"json_object|response_format|json mode", re.IGNORECASE),
    # Any use of tools, not one of their settings: `tool_choice` may be refused where tools are accepted.
    "tools": re.compile(
        r"support\w*(?: for)?(?: the)?(?: use of)? (?:tools\b|tool (?:use|calls?|calling)|function.?call)"
        r"|['\"`]tools['\"`]|\btools (?:is|are) ",
        re.IGNORECASE,
    ),
}
"""Answer forms by name, and how endpoints refer to them."""


def refused_by(failure: Failure, sent: JsonObject) -> str | None:
    """The part of the body `sent` that the endpoint refuses in every call of this model; None where it names none.

    A parameter's name, `name=0` where only its 0 is refused, SYSTEM_ROLE, or an answer form of `forms_of`. A value out
    of range, or an invalid schema, concerns that request alone.
    """
    if failure.status not in (400, 404, 422, 500):
        return None
    # A model's name may contain any word, and so may what is repeated of the request.
    message = without_name(failure.own_words(sent), str(sent.get("model") or ""))
    if failure.status != 404 and _refuses_system(message, sent):
        return SYSTEM_ROLE
    return None if failure.status == 500 else _refused_part(failure, message, sent)


def _refused_part(failure: Failure, message: str, sent: JsonObject) -> str | None:
    """The parameter or answer form that is refused, by the endpoint's own words."""
    if _SCHEMA_ERROR.search(message):
        return None
    if (zero := _zero_refused(message, sent)) is not None:
        return zero
    if not (_UNSUPPORTED.search(message) or failure.code.startswith("unsupported_")):
        return None
    positions = {name: _position(name, failure.param, message) for name in (*_OTHER_NAME, *_LEFT_OUT) if name in sent}
    named = [name for name, position in positions.items() if position >= 0]
    if named and failure.status != 404:
        # The refused parameter is named before its replacement.
        return min(named, key=lambda name: positions[name])
    text = f"'{failure.param}' {message}" if failure.param else message
    return next((form for form in forms_of(sent) if _FORMS[form].search(text)), None)


def forms_of(body: JsonObject) -> tuple[str, ...]:
    """The answer forms that a request asks for: its response format's type, and `tools`."""
    format_ = body.get("response_format")
    kind = format_.get("type") if isinstance(format_, dict) else None
    asked = (f"response_format:{kind}", "tools" if "tools" in body else "")
    return tuple(form for form in asked if form in _FORMS)


def without_refused(body: JsonObject, refused: Mapping[str, object]) -> tuple[JsonObject, tuple[str, ...]]:
    """The body without what is in `refused`, and the names of what was left out.

    A limit is sent under its other name; it stays as it is where that is refused, too.
    """
    if not refused:
        return body, ()
    kept, left_out = dict(body), list[str]()
    if SYSTEM_ROLE in refused and _system_messages(body):
        kept["messages"] = _without_system(body["messages"])
        left_out.append(SYSTEM_ROLE)
    for name in [name for name in _LEFT_OUT if f"{name}=0" in refused and _is_zero(kept.get(name))]:
        left_out.append(name)
        del kept[name]
    for name in kept.keys() & refused.keys():
        other = _OTHER_NAME.get(name)
        if other is not None and other not in refused:
            kept.setdefault(other, kept.pop(name))
        elif name in _LEFT_OUT:
            left_out.append(name)
            del kept[name]
    return kept, tuple(sorted(left_out))


def _position(name: str, param: str, message: str) -> int:
    """Where the endpoint names a parameter: 0 for `param`, else its position in the message; -1 where it does not."""
    if param.rpartition(".")[2] == name:
        return 0
    found = re.search(rf"\b{name}\b", message)
    return found.start() if found else -1


def _zero_refused(message: str, sent: JsonObject) -> str | None:
    """A setting whose 0, the usual request for the likeliest answer, is out of the endpoint's range."""
    zeros = (name for name in _LEFT_OUT if name in message and _is_zero(sent.get(name)))
    return next((f"{name}=0" for name in zeros if _ABOVE_ZERO.search(message)), None)


def _is_zero(value: object) -> bool:
    return value == 0 and not isinstance(value, bool)


def _refuses_system(message: str, sent: JsonObject) -> bool:
    """Whether the endpoint takes no system message. Of one that wants alternating roles only where they then would."""
    if not _system_messages(sent):
        return False
    roles = [message.get("role") for message in _without_system(sent["messages"])]
    alternate = all(role == ("user", "assistant")[place % 2] for place, role in enumerate(roles))
    return bool(_NO_SYSTEM.search(message) or (_ALTERNATE.search(message) and alternate))


def _system_messages(body: JsonObject) -> list[JsonObject]:
    """The system messages at the head of the chat."""
    return list(takewhile(lambda message: message.get("role") in _SYSTEM, body.get("messages", ())))


def _without_system(messages: Sequence[JsonObject]) -> list[JsonObject]:
    """The chat with the texts of its leading system messages as the user's first words."""
    head = _system_messages({"messages": messages})
    words = "\n\n".join(text for message in head if (text := plain_text(message.get("content"))))
    rest = list(messages[len(head) :])
    first = rest[0] if rest and rest[0].get("role") == "user" else None
    content = None if first is None else first.get("content")
    if first is None:
        return [{"role": "user", "content": words}, *rest]
    joined = [{"type": "text", "text": words}, *content] if isinstance(content, list) else f"{words}\n\n{content or ''}"
    return [{**first, "content": joined}, *rest[1:]]
