"""What an endpoint refuses of a request, and the same request without it.

An endpoint says in a 400 which parameter a model does not take. Such a request is mended where that does not change
what is asked for: a limit goes by its other name; a setting of the draw is left out, and the reply says so. A way of
answering that is refused (a JSON schema, tools) is not mended here: whoever asked for it chooses another.
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
"""Settings without which the model still does what was asked. `stop` and `reasoning_effort` are none of them."""


_UNSUPPORTED = re.compile(
    r"unsupported|\bnot\b.{0,20}(?:support|permitted|allowed|available)|n['\u2019]t support|unrecogni[sz]ed|unknown"
    r"|unexpected|extra inputs|deprecated|no endpoints found that support",
    re.IGNORECASE,
)


# What is wrong with one request's schema says nothing of the model.
_ITS_OWN = re.compile(r"invalid schema|schema (?:contains|is invalid)|keyword(?! argument)", re.IGNORECASE)


_FORMS = {
    "response_format:json_schema": re.compile(r"json_schema|response_format|structured outputs?", re.IGNORECASE),
    "response_format:json_object": re.compile(r"json_object|response_format|json mode", re.IGNORECASE),
    # All use of tools, not one of their settings: `tool_choice` may be refused where tools are not.
    "tools": re.compile(
        r"support\w*(?: for)?(?: the)?(?: use of)? (?:tools\b|tool (?:use|calls?|calling)|function.?call)"
        r"|['\"`]tools['\"`]|\btools (?:is|are) ",
        re.IGNORECASE,
    ),
}
"""Ways of answering, by a name for each and what endpoints write of it."""


def refused_by(failure: Failure, sent: JsonObject) -> str | None:
    """What of the body `sent` the endpoint takes from no call of this model; None where it does not say so.

    A parameter's name, or a way of answering as in `forms_of`. A value out of range, or a schema that is wrong, is
    that request's own fault.
    """
    if failure.status not in (400, 404, 422) or _ITS_OWN.search(failure.message):
        return None
    # A model's name may hold any word.
    said = failure.message.replace(str(sent.get("model") or "\n"), "")
    if not (_UNSUPPORTED.search(said) or failure.code.startswith("unsupported_")):
        return None
    named = [name for name in (*_OTHER_NAME, *_LEFT_OUT) if name in sent and _place(name, failure.param, said) >= 0]
    if named and failure.status != 404:
        # The parameter that is refused is named before the one to use instead.
        return min(named, key=lambda name: _place(name, failure.param, said))
    told = f"'{failure.param}' {said}" if failure.param else said
    return next((form for form in forms_of(sent) if _FORMS[form].search(told)), None)


def forms_of(body: JsonObject) -> tuple[str, ...]:
    """The ways of answering that a request asks for: its response format's type, and `tools`."""
    format_ = body.get("response_format")
    kind = format_.get("type") if isinstance(format_, dict) else None
    asked = (f"response_format:{kind}", "tools" if "tools" in body else "")
    return tuple(form for form in asked if form in _FORMS)


def without_refused(body: JsonObject, refused: Mapping[str, object]) -> tuple[JsonObject, tuple[str, ...]]:
    """The body without the parameters in `refused`, and the names of those that are left out.

    A limit goes by its other name; it stays as it is where that is refused, too.
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


def _place(name: str, param: str, said: str) -> int:
    """Where the endpoint names a parameter: 0 where as such, else its place in the message; -1 where it does not."""
    if param.rpartition(".")[2] == name:
        return 0
    found = re.search(rf"\b{name}\b", said)
    return found.start() if found else -1
