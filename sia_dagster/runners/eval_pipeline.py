"""One evaluator over one window, from Python: any callable of a DataFrame or of a sample."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from sia_dagster.adapters.storage import StoragePath, write_atomically
from sia_dagster.core.config import CodeConfig, Name
from sia_dagster.core.errors import ConfigError, EvaluatorError
from sia_dagster.core.models import EvalMetrics, Sample
from sia_dagster.core.ports import SpanQuery
from sia_dagster.runners.llm_classify import run_to_end
from sia_dagster.runners.windows import window_between

if TYPE_CHECKING:
    import pandas as pd

    from sia_dagster.core.openinference.samples import MappedSpans

SPAN_ID = "context.span_id"
_SAID = ("label", "score", "explanation", "error")


@dataclass(frozen=True)
class EvalPipeline:
    """An evaluator's name, where spans come from and where evaluations go."""

    name: str
    storage: StoragePath
    spans: "Callable[[SpanQuery], MappedSpans]"
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Passed to the evaluator."""

    def run(self, evaluator: Any, telemetry: Mapping[str, Any], *, upsert: bool) -> "pd.DataFrame":
        """A row for each span: `context.span_id` and `eval.<name>.label|score|explanation|error`.

        `telemetry` names the window: `start_time`, `end_time`, and `where`, `limit` (200) and `model_id` if needed
        (of a local source, the files are the project). A callable with a parameter `dataframe` is called once, with
        a DataFrame in the columns of an Arize export and `input`, `output`, `system_prompt`, and returns one of the
        same index with `label`, `score` or `explanation`. Any other is called for each sample; its failure is that
        row's error. `upsert` keeps the rows in `<storage>/evaluations/<name>.parquet`, one a span, the newest.
        """
        TypeAdapter(Name).validate_python(self.name)
        samples = self.spans(_query(telemetry)).samples
        takes_frame = "dataframe" in inspect.signature(evaluator).parameters
        said = self._by_frame(evaluator, samples) if takes_frame else self._by_sample(evaluator, samples)
        table = _table(self.name, samples, said)
        if upsert:
            self._upsert(table)
        return table

    def _by_frame(self, evaluator: Any, samples: Sequence[Sample]) -> "list[dict[str, Any]]":
        frame = samples_frame(samples)
        if frame.empty:
            return []
        result = evaluator(dataframe=frame, **self.kwargs)
        if not frame.index.equals(result.index):
            raise EvaluatorError(
                f"{self.name}: the evaluator returned {len(result)} rows for {len(frame)}; it must keep the index"
            )
        known = [column for column in _SAID if column in result.columns]
        return [dict(row) for row in result[known].to_dict("records")]

    def _by_sample(self, evaluator: Any, samples: Sequence[Sample]) -> "list[dict[str, Any]]":
        from sia_dagster.core.evaluators.code import CodeEvaluator

        def call(sample: Sample) -> Any:
            return evaluator(sample, **self.kwargs)

        config = CodeConfig(
            name=self.name, kind="code", function="given:callable", low=float("-inf"), high=float("inf")
        )
        scorer = CodeEvaluator(config, call if self.kwargs else evaluator)

        async def score_all() -> list[EvalMetrics]:
            return [await scorer.score(sample, "0") for sample in samples]

        return [metrics.model_dump(include=set(_SAID)) for metrics in run_to_end(score_all)]

    def _upsert(self, table: "pd.DataFrame") -> None:
        import pandas as pd

        path = self.storage / "evaluations" / f"{self.name}.parquet"
        if path.exists():
            with path.open("rb") as file:
                table = pd.concat([pd.read_parquet(file), table]).drop_duplicates(SPAN_ID, keep="last")
        write_atomically(path, table.sort_values(SPAN_ID).to_parquet(index=False))


def samples_frame(samples: Sequence[Sample]) -> "pd.DataFrame":
    """Samples in the columns of an Arize export, with `input`, `output` and `system_prompt` as text."""
    import pandas as pd

    rows = [
        {
            SPAN_ID: sample.span_id,
            "context.trace_id": sample.trace_id,
            "start_time": sample.start_time,
            "attributes.llm.model_name": sample.model,
            "attributes.llm.input_messages": _messages(sample),
            "attributes.llm.output_messages": [{"message.role": "assistant", "message.content": sample.output}],
            "attributes.input.value": sample.request,
            "attributes.output.value": sample.output,
            "system_prompt": sample.system_prompt,
            "input": sample.request,
            "output": sample.output,
        }
        for sample in samples
    ]
    return pd.DataFrame(rows)


def _messages(sample: Sample) -> list[dict[str, Any]]:
    system = [{"message.role": "system", "message.content": sample.system_prompt}] if sample.system_prompt else []
    return system + [{"message.role": m.role, "message.content": m.content} for m in sample.messages]


def _query(telemetry: Mapping[str, Any]) -> SpanQuery:
    unknown = set(telemetry) - {"model_id", "start_time", "end_time", "where", "limit"}
    if unknown or not {"start_time", "end_time"} <= set(telemetry):
        raise ConfigError(
            "get_telemetry_kwargs takes start_time and end_time, and model_id, where, limit; "
            f"it has {', '.join(sorted(telemetry)) or 'nothing'}"
        )
    return SpanQuery(
        window=window_between(telemetry["start_time"], telemetry["end_time"]),
        where=telemetry.get("where", ""),
        sample_limit=telemetry.get("limit", 200),
    )


def _table(name: str, samples: Sequence[Sample], said: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    import pandas as pd

    rows = [
        {SPAN_ID: sample.span_id, **{f"eval.{name}.{what}": row.get(what) for what in _SAID}}
        for sample, row in zip(samples, said, strict=True)
    ]
    columns = [SPAN_ID, *(f"eval.{name}.{what}" for what in _SAID)]
    return pd.DataFrame(rows, columns=columns).astype({f"eval.{name}.score": "float64"})
