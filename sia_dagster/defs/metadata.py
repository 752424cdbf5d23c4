"""What people see on an asset: numbers that plot, tables, readable text."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import dagster as dg

from sia_dagster.adapters.files.storage import StoragePath
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.spend import Spend, total
from sia_dagster.wiring.loop_session import StageResult

if TYPE_CHECKING:
    from sia_dagster.core.cost import Estimate


def table(rows: Iterable[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """A table of records; columns from the first row."""
    records = [dg.TableRecord(dict(row)) for row in rows]
    columns = list(records[0].data) if records else ["nothing"]
    return dg.MetadataValue.table(
        records=records,
        schema=dg.TableSchema(columns=[dg.TableColumn(name, type=_type(records, name)) for name in columns]),
    )


def _type(records: list[dg.TableRecord], name: str) -> str:
    value = next((r.data[name] for r in records if r.data[name] is not None), "")
    return {bool: "bool", int: "int", float: "float"}.get(type(value), "string")


def link(path: StoragePath) -> dg.MetadataValue:
    """A link to a file that the UI opens."""
    return dg.MetadataValue.path(str(path)) if isinstance(path, Path) else dg.MetadataValue.url(str(path))


def column_schema(columns: Mapping[str, str], types: Mapping[str, str]) -> dict[str, dg.MetadataValue]:
    """Dagster's column schema from names, descriptions and types."""
    described = [dg.TableColumn(name, types.get(name, "string"), text) for name, text in columns.items()]
    return {"dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema(columns=described))}


def spend_metadata(spend: Mapping[str, Spend]) -> dict[str, Any]:
    """Cost, tokens and calls as plottable numbers, and the ledger by stage and model as a table."""
    whole = total(spend.values())
    numbers: dict[str, Any] = {
        "model_calls": whole.calls,
        "model_calls_paid_in_this_run": whole.paid_calls,
        "tokens": whole.prompt_tokens + whole.completion_tokens,
        "tokens_cached_by_the_endpoint": whole.cached_tokens,
        "tokens_of_reasoning": whole.reasoning_tokens,
    }
    if whole.calls:
        numbers["seconds_a_model_call"] = round(whole.seconds / whole.calls, 3)
    if whole.cost_usd is not None:
        numbers["cost_usd"] = whole.cost_usd
    if whole.left_out:
        numbers["parameters_left_out"] = ", ".join(whole.left_out)
    if spend:
        numbers["spend"] = table(
            {
                "stage and model": name,
                "calls": part.calls,
                "prompt tokens": part.prompt_tokens,
                "completion tokens": part.completion_tokens,
                "cost USD": _usd(part),
            }
            for name, part in sorted(spend.items())
        )
    return numbers


def _usd(spend: Spend) -> str:
    return "price unknown" if spend.cost_usd is None else f"{spend.cost_usd:.6f}"


def outcome_metadata(outcome: StageResult[Any]) -> dict[str, Any]:
    """A stage with model calls: its rows, the failed ones, and its spend."""
    rows = {"rows": outcome.rows.done, "rows_failed": outcome.rows.failed}
    return {**rows, **spend_metadata(outcome.spend)}


def estimate_metadata(expected: "Estimate") -> dict[str, Any]:
    """The estimate of a window as plottable numbers, and by stage as a table."""
    whole = expected.total
    numbers = {
        "estimated_model_calls": whole.calls,
        "estimated_tokens": whole.prompt_tokens + whole.completion_tokens,
        "estimated_cost_usd": whole.cost_usd,
    }
    by_stage = table(
        {
            "stage": line.stage,
            "calls of": f"{line.work} ({line.model})",
            "calls": line.spend.calls,
            "tokens": line.spend.prompt_tokens + line.spend.completion_tokens,
            "cost USD": _usd(line.spend),
        }
        for line in expected.lines
    )
    return {**present(numbers), "estimate_by_stage": by_stage}


def score_metadata(evals: Iterable[EvalMetrics]) -> dict[str, float]:
    """`score/<evaluator>`: the mean score of the logged outputs, as plottable numbers."""
    scores: dict[str, list[float]] = {}
    for metrics in evals:
        if metrics.score is not None:
            scores.setdefault(metrics.name, []).append(metrics.score)
    return {f"score/{name}": round(fmean(values), 6) for name, values in scores.items()}


def present(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """`numbers` without the None values: Dagster has no metadata for an unknown number."""
    return {name: value for name, value in numbers.items() if value is not None}
