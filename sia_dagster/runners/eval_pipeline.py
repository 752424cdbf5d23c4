"""One evaluator over one window, from Python: any callable of a DataFrame or of a sample."""

import inspect
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from sia_dagster.adapters.files.storage import StoragePath
from sia_dagster.core.config.loop import CodeConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.evaluators import CodeEvaluator, evaluate, evaluations_to_write
from sia_dagster.core.openinference import MappedSpans
from sia_dagster.core.ports.trace_store import EvaluationStore, SpanQuery
from sia_dagster.core.records.evaluation import EvalMetrics, EvaluatorKind
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.text import storable
from sia_dagster.runners.frames import EVALUATION_FIELDS, evaluations, keep_newest, rows_of_result, samples_frame
from sia_dagster.runners.llm_classify import run_to_end
from sia_dagster.runners.windows import window_between
from sia_dagster.runners.workflow import check_name, checked

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)
_LARGEST = sys.float_info.max
_ENDS = {_LARGEST: 1.0, -_LARGEST: 0.0}
"""Scores of True and False, which a `code` evaluator maps to the ends of its range; here any number is allowed."""
_TELEMETRY = ("start_time", "end_time", "where", "limit", "model_id")


@dataclass(frozen=True)
class EvalPipeline:
    """An evaluator's name, where spans come from and where evaluations go."""

    name: str
    storage: StoragePath
    spans: Callable[[SpanQuery], MappedSpans]
    workers: int = 32
    """Samples that an evaluator of one sample works on at a time."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Passed to the evaluator."""
    store: EvaluationStore | None = None
    """Where `upsert` sends evaluations besides the file; None for traces that are files."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    """Aware: separates spans that the store no longer updates from unknown ones."""

    def run(self, evaluator: Any, telemetry: Mapping[str, Any], *, upsert: bool) -> "pd.DataFrame":
        """A row for each span: `context.span_id` and `eval.<name>.label|score|explanation|error`.

        `telemetry` names the window: `start_time`, `end_time`, and `where`, `limit` (200) and `model_id` (the project)
        if needed; files are a project of their own. A callable with a parameter `dataframe` is called once, with
        `frames.samples_frame`, and returns a DataFrame of the same index with `label`, `score` or `explanation`. Any
        other is called for each sample, as a `code` evaluator is: its failure, or 30 seconds without an answer, is
        that row's error. Both may be async. `upsert` keeps the rows in `<storage>/evaluations/<name>.parquet`, one a
        span, the newest, and then writes them to their spans in the trace store; `attrs["write_report"]` of the result
        says what it took, and the log what it refused. Raises ConfigError, TraceError, EvaluatorError for a DataFrame
        that does not fit, and WriteBackError where the trace store took nothing at all.
        """
        check_name(self.name)
        takes_frame = _takes_frame(evaluator)
        samples = self.spans(_query(telemetry)).samples
        rows = self._by_frame(evaluator, samples) if takes_frame else self._by_sample(evaluator, samples)
        results = [storable(row) for row in rows]
        table = evaluations(self.name, samples, results)
        if upsert and samples:
            keep_newest(self.storage / "evaluations" / f"{self.name}.parquet", table)
            self._send(samples, results, takes_frame, table)
        return table

    def _send(
        self, samples: Sequence[Sample], results: Sequence[Mapping[str, Any]], takes_frame: bool, table: "pd.DataFrame"
    ) -> None:
        """Send the results to the trace store, if there is one, after the file has them."""
        if self.store is None:
            return
        source: EvaluatorKind = "llm_classify" if takes_frame else "code"
        rows = zip(samples, results, strict=True)
        evals = {sample.span_id: (EvalMetrics(name=self.name, source=source, **row),) for sample, row in rows}
        started = {sample.span_id: sample.start_time for sample in samples}
        report = self.store.write(evaluations_to_write(evals, started), now=self.clock())
        table.attrs["write_report"] = report.model_dump()
        if report.updated < report.offered or not report.complete:
            _log.warning("%s: %s", self.name, report.summary)

    def _by_frame(self, evaluator: Any, samples: Sequence[Sample]) -> Sequence[Mapping[str, Any]]:
        if not samples:
            return []
        frame = samples_frame(samples)
        index = frame.index.copy()
        result = evaluator(dataframe=frame, **self.kwargs)
        if inspect.isawaitable(result):
            awaited = result

            async def wait() -> Any:
                return await awaited

            result = run_to_end(wait)
        return rows_of_result(self.name, result, index)

    def _by_sample(self, evaluator: Any, samples: Sequence[Sample]) -> Sequence[Mapping[str, Any]]:
        config = CodeConfig(name=self.name, kind="code", function=_address(evaluator), low=-_LARGEST, high=_LARGEST)
        scorer = CodeEvaluator(config, partial(evaluator, **self.kwargs) if self.kwargs else evaluator)

        async def score_all() -> list[EvalMetrics]:
            evals = await evaluate(samples, [scorer], draw="logged/0", workers=self.workers)
            return [evals[sample.span_id][0] for sample in samples]

        rows = [metrics.model_dump(include=set(EVALUATION_FIELDS)) for metrics in run_to_end(score_all)]
        return [row | {"score": _ENDS.get(row["score"], row["score"])} for row in rows]


def _takes_frame(evaluator: Any) -> bool:
    if not callable(evaluator):
        raise ConfigError(f"evaluator is a {type(evaluator).__name__}; give a callable of a sample or of `dataframe`")
    try:
        return "dataframe" in inspect.signature(evaluator).parameters
    except ValueError:  # Some callables written in C have no signature.
        return False


def _address(evaluator: Any) -> str:
    """`module:name` for errors; of a partial, that of the function within."""
    function = getattr(evaluator, "func", evaluator)
    name = getattr(function, "__name__", type(function).__name__)
    module = getattr(function, "__module__", None) or "builtins"
    return f"{module}:{name}" if name.isidentifier() and name.isascii() and module.isascii() else "given:callable"


def _query(telemetry: Mapping[str, Any]) -> SpanQuery:
    unknown = set(telemetry) - set(_TELEMETRY)
    if unknown or not {"start_time", "end_time"} <= set(telemetry):
        raise ConfigError(
            "get_telemetry_kwargs takes start_time and end_time, and where, limit, model_id if needed; "
            f"it has {', '.join(sorted(telemetry)) or 'nothing'}"
        )
    window = window_between(telemetry["start_time"], telemetry["end_time"])
    where, limit = telemetry.get("where", ""), telemetry.get("limit", 200)
    query = checked(lambda: SpanQuery(window=window, where=where, sample_limit=limit))
    if query.sample_limit < 1:
        raise ConfigError(f"get_telemetry_kwargs: limit is {limit}; it must be at least 1")
    return query
