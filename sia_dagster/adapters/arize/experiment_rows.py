"""A validation in the form of Arize's experiments: an example a held-out sample, a run a sample and policy."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, TypeVar

from sia_dagster.adapters.request_chunks import portions
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ArmOutcome, ValidationReport, ValidationRow
from sia_dagster.core.records.value import JsonObject, Value, fingerprint

Arm = Literal["baseline", "candidate"]
RunKey = tuple[str, int]
"""Span id and repeat: what tells the runs of one experiment apart."""
Item = TypeVar("Item", bound=Mapping[str, object])
MOST_ITEMS: Final = 1000
"""Examples or runs that one request may carry."""
MOST_BYTES: Final = 4_000_000
"""Of one request's JSON; the client sends more than 8 MB by another way, which this one need not have."""
LONGEST_EXPLANATION: Final = 10_000
_CUT: Final = " [...]"


class ExperimentRows(Value):
    """One policy's answers as the runs of an experiment, which its name tells from any other."""

    name: str
    runs: tuple[JsonObject, ...]
    """Without `example_id`, which the platform gives; sorted by span and repeat."""


def dataset_name(report: ValidationReport) -> str:
    """One dataset a loop and window: both experiments stand on it."""
    return f"{report.loop}-{report.window.key}"


def examples(report: ValidationReport) -> tuple[JsonObject, ...]:
    """The held-out samples, each once, by span id."""
    found = {
        row.span_id: {"span_id": row.span_id, "conversation_id": row.conversation_id, "input": row.request}
        for row in report.rows
    }
    return tuple(found[span_id] for span_id in sorted(found))


def experiment_rows(report: ValidationReport, arm: Arm) -> ExperimentRows:
    """The runs of one policy. The name ends with a hash of them: other results are another experiment."""
    policy = report.candidate if arm == "candidate" else report.baseline
    rows = sorted(report.rows, key=lambda row: (row.span_id, row.repeat))
    runs = tuple(_run(row, row.candidate if arm == "candidate" else row.baseline, arm, policy) for row in rows)
    said = f"{arm}-{report.verdict}" if arm == "candidate" else arm
    return ExperimentRows(name=f"{dataset_name(report)}-{said}-{fingerprint(runs)[:8]}", runs=runs)


def run_key(run: Mapping[str, object]) -> RunKey:
    """Of a run as it was made here or as the platform gives it back."""
    repeat = run.get("repeat")
    return str(run.get("span_id")), int(float(repeat)) if isinstance(repeat, int | float | str) else 0


def batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    """The items in order, in lists that one request can carry; an item too large for any goes alone."""
    return portions(((item, len(json.dumps(item))) for item in items), most=MOST_ITEMS, most_bytes=MOST_BYTES)


def _run(row: ValidationRow, outcome: ArmOutcome, arm: Arm, policy: Actions | None) -> JsonObject:
    run: JsonObject = {
        "span_id": row.span_id,
        "conversation_id": row.conversation_id,
        "repeat": row.repeat,
        "policy": arm,
        "policy_fingerprint": policy.fingerprint if policy else "",
        "model": policy.model if policy else "",
        # The platform takes no run without text; what failed says so beside it.
        "output": outcome.output or "",
    }
    if outcome.error is not None:
        run["error"] = outcome.error
    for said in outcome.evals:
        run |= _evaluation(said)
    return run


def _evaluation(said: EvalMetrics) -> JsonObject:
    """The columns by which the platform knows an evaluation; only those that hold something."""
    score = float(said.score) if said.score is not None and math.isfinite(said.score) else None
    columns = {
        "label": said.label,
        "score": score,
        "explanation": None if said.label is None and score is None else _cut(said.explanation),
        "metadata.error": said.error,
    }
    return {f"eval.{said.name}.{column}": value for column, value in columns.items() if value is not None}


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= LONGEST_EXPLANATION:
        return text
    return text[: LONGEST_EXPLANATION - len(_CUT)] + _CUT
