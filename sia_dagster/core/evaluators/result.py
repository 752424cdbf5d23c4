"""Reads what a function returned as label, score, explanation or error: what counts as a score is decided here."""

import math
from typing import Any

from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.value import JsonObject, Value
from sia_dagster.core.text import as_number, storable

_SHOWN = 120


class Scale(Value):
    """The range in which an evaluator's scores lie, both ends included."""

    low: float
    high: float

    def problem(self, score: float) -> str | None:
        """Why `score` is not valid, or None."""
        if math.isfinite(score) and self.low <= score <= self.high:
            return None
        return f"the score {score:g} is not within {self.low:g} .. {self.high:g}, the evaluator's low and high"


def read_result(result: Any, scale: Scale) -> JsonObject:
    """The fields of EvalMetrics that a function's result stands for.

    True is the scale's high end and False its low one, a number is the score, a text is the label and, if it is
    written as a number, the score too. Anything else, and a score off the scale, is an `error` without a score.
    """
    fields: JsonObject = storable(_fields(result, scale))
    return fields


def _fields(result: Any, scale: Scale) -> JsonObject:
    if isinstance(result, EvalMetrics):
        fields = result.model_dump(include={"label", "score", "explanation", "error", "attempts", "cost_usd"})
        return _checked(fields, scale)
    value = _plain(result)
    if isinstance(value, bool):
        return {"label": str(value).lower(), "score": scale.high if value else scale.low}
    if isinstance(value, str):
        return _checked({"label": value, "score": as_number(value)}, scale)
    if isinstance(value, int | float):
        return _checked({"score": _float(value)}, scale)
    shown = repr(result)[:_SHOWN]
    return {"error": f"returned {shown} ({type(result).__name__}); a score is a bool, a number, a text or EvalMetrics"}


def _checked(fields: JsonObject, scale: Scale) -> JsonObject:
    score, label, error = fields["score"], fields.get("label"), fields.get("error")
    if score is None:
        missing = f"the label {label[:_SHOWN]!r} has no score" if label else "there is no score"
        return {**fields, "error": error or f"{missing}: return a number, a bool or EvalMetrics with a score"}
    problem = error or scale.problem(score)
    return {**fields, "score": None, "error": problem} if problem else fields


def _plain(result: Any) -> Any:
    """Scalars of numpy and the like as Python's own; anything else as it is."""
    item = getattr(result, "item", None)
    if not callable(item):
        return result
    try:
        return item()
    except (TypeError, ValueError):
        return result


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
