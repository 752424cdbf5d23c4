"""What people see on an asset: numbers that plot, tables, readable text."""

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

import dagster as dg

from sia_dagster.core.models import EvalMetrics, Spend
from sia_dagster.core.spending import total


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
    }
    if whole.cost_usd is not None:
        numbers["cost_usd"] = whole.cost_usd
    if spend:
        numbers["spend"] = table(
            {
                "stage and model": name,
                "calls": part.calls,
                "prompt tokens": part.prompt_tokens,
                "completion tokens": part.completion_tokens,
                "cost USD": "price unknown" if part.cost_usd is None else f"{part.cost_usd:.6f}",
            }
            for name, part in sorted(spend.items())
        )
    return numbers


def score_metadata(evals: Iterable[EvalMetrics]) -> dict[str, float]:
    """`score/<evaluator>`: the mean score of the logged outputs, as plottable numbers."""
    scores: dict[str, list[float]] = {}
    for metrics in evals:
        if metrics.score is not None:
            scores.setdefault(metrics.name, []).append(metrics.score)
    return {f"score/{name}": round(fmean(values), 6) for name, values in scores.items()}


def present(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is None: Dagster has no place for an unknown number."""
    return {name: value for name, value in numbers.items() if value is not None}
