"""The parameters that an endpoint refuses for a model, and the same request without them.

An endpoint reports in a 400 which parameter a model does not accept. Where this does not change what is asked for, the
request is adapted: a limit is sent under its other name; a sampling parameter is left out, and the reply lists it. A
refused answer form (a JSON schema, tools) is not replaced here: the caller chooses another.
"""

import re
from collections.abc import Mapping

from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.core.records.value import JsonObject

_OTHER_NAME = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}

_LEFT_OUT = (
    *("temperature", "top_p", "top_k", "top_a", "min_p", "typical_p", "seed", "logit_bias"),
    *("presence_penalty", "frequency_penalty", "repetition_penalty", "parallel_tool_calls"),
)
"""Parameters without which the model still does what was asked; `stop` and `reasoning_effort` are not among them."""

_UNSUPPORTED = re.compile(
    r"unsupported|\bnot\b.{0,20}(?:support|permitted|allowed|available)|n['\u2019]t support|unrecogni[sz]ed|unknown"
    r"|unexpected|extra inputs|deprecated|no endpoints found that support",
    re.IGNORECASE,
)

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

    A parameter's name, or an answer form of `forms_of`. A value out of range, or an invalid schema, concerns that
    request alone.
    """
    if failure.status not in (400, 404, 422) or _SCHEMA_ERROR.search(failure.message):
        return None
    # A model's name may contain any word.
    message = failure.message.replace(str(sent.get("model") or "\n"), "")
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
    """The body without the parameters in `refused`, and the names of those that were left out.

    A limit is sent under its other name; it stays as it is where that is refused, too.
    """
    if not refused:
        return body, ()
    kept, left_out = dict(body), list[str]()
    for name in body.keys() & refused.keys():
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
