"""Reads what a function returned or raised as label, score, explanation or error: what counts as a score."""

import contextlib
import math
import re
import reprlib
from decimal import Decimal
from numbers import Real
from typing import Any

from pydantic import ValidationError

from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.value import JsonObject, Value
from sia_dagster.core.text import as_number, storable

_SHOWN = 120
_LONGEST_LABEL = 200
"""In characters. A label names a kind of result; a longer text is no label, and one may be a whole answer."""
_LONGEST_EXPLANATION = 20_000
_LONGEST_ERROR = 300
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_NOT_A_SCORE = "a score is a bool, a number, a text or EvalMetrics"
_ALLOW = "; where the evaluator does not apply to an answer, write `not_applicable: allowed` in its section"


class Scale(Value):
    """The range in which an evaluator's scores lie, both ends included."""

    low: float
    high: float

    def problem(self, score: float) -> str | None:
        """Why `score` is not valid, or None."""
        if math.isfinite(score) and self.low <= score <= self.high:
            return None
        return f"the score {score:g} is not within {self.low:g} .. {self.high:g}, the evaluator's low and high"


def read_result(result: Any, scale: Scale, *, may_not_apply: bool = False) -> JsonObject:
    """The fields of EvalMetrics that a function's result stands for.

    True is the scale's high end and False its low one, a number is the score, a text is the label and, if it is
    written as a number, the score too. None, and EvalMetrics with `not_applicable`, mean that the evaluator does not
    apply, where it `may_not_apply`. Anything else, and a score off the scale, is an `error` without a score. All texts
    can be stored. Runs code of the result's type: it may raise.
    """
    fields: JsonObject = storable(_fields(result, scale, may_not_apply))
    if len(explanation := fields.get("explanation") or "") > _LONGEST_EXPLANATION:
        left_out = len(explanation) - _LONGEST_EXPLANATION
        fields["explanation"] = f"{explanation[:_LONGEST_EXPLANATION]} [... {left_out:,} characters left out]"
    return fields


def raised(function: str, error: BaseException) -> JsonObject:
    """The fields for what a function raised: its kind and its text, if that can be read."""
    text = "its text cannot be read"
    with contextlib.suppress(BaseException):
        text = str(error)
    sentence = f"{function} raised {type(error).__name__}: {text}"[:_LONGEST_ERROR]
    return {"error": _ADDRESS.sub("", str(storable(sentence)))}


def _fields(result: Any, scale: Scale, may_not_apply: bool) -> JsonObject:
    if isinstance(result, EvalMetrics):
        return _of_metrics(result, scale, may_not_apply)
    if result is None and may_not_apply:
        return {"not_applicable": True}
    value = _plain(result)
    if isinstance(value, bool):
        return {"label": str(value).lower(), "score": scale.high if value else scale.low}
    if isinstance(value, str):
        return _checked({"label": value, "score": as_number(value)}, scale)
    if isinstance(value, Real | Decimal):
        return _checked({"score": _float(value)}, scale)
    hint = _ALLOW if result is None else ""
    return {"error": f"returned {_shown(result)} ({type(result).__name__}); {_NOT_A_SCORE}{hint}"}


def _of_metrics(result: EvalMetrics, scale: Scale, may_not_apply: bool) -> JsonObject:
    names = ("label", "score", "explanation", "error", "attempts", "cost_usd")
    fields = {name: getattr(result, name) for name in names}
    try:
        EvalMetrics(name="", **fields)  # It may have been built without a check.
    except ValidationError as error:
        wrong = ", ".join(sorted({str(fault["loc"][0]) for fault in error.errors(include_url=False)}))
        return {"error": f"returned EvalMetrics whose {wrong} cannot be read"}
    if result.not_applicable and may_not_apply and result.score is None and not result.error:
        return {"not_applicable": True, "explanation": result.explanation}
    return _checked(fields, scale)


def _checked(fields: JsonObject, scale: Scale) -> JsonObject:
    score, label, error = fields["score"], fields.get("label"), fields.get("error")
    if label and len(label) > _LONGEST_LABEL:
        problem = f"the label {label[:_SHOWN]!r}... has {len(label):,} characters; at most {_LONGEST_LABEL} can be one"
        return {**fields, "label": None, "score": None, "error": error or problem}
    if score is None:
        missing = f"the label {label[:_SHOWN]!r} has no score" if label else "there is no score"
        return {**fields, "error": error or f"{missing}: return a number, a bool or EvalMetrics with a score"}
    off_scale = error or scale.problem(score)
    return {**fields, "score": None, "error": off_scale} if off_scale else fields


def _plain(result: Any) -> Any:
    """Scalars of numpy and the like as Python's own; anything else, and a masked (missing) one, as it is."""
    item = getattr(result, "item", None)
    if not callable(item) or isinstance(result, type) or type(result).__name__ == "MaskedConstant":
        return result
    found = result
    with contextlib.suppress(Exception):  # Each library has its own error for what is no scalar.
        found = item()
    return found


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except ValueError:  # a signalling NaN of `decimal`
        return math.nan


def _shown(result: Any) -> str:
    """The beginning of the result as Python writes it, however large it is, and the same in every process."""
    shown = "an object that cannot be shown"
    with contextlib.suppress(BaseException):
        shown = _REPR.repr(result)
    return _ADDRESS.sub("", shown)[:_SHOWN]


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = _SHOWN
