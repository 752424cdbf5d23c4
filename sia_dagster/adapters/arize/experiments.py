"""Publishes a validation to Arize as two experiments on one dataset: an example a held-out sample, a run an answer.

Arize compares experiments on the same dataset side by side, example by example and score by score; within one
experiment it would only average both policies. So each policy is an experiment of its own.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Literal, TypeVar

from pydantic import Field

from sia_dagster.adapters.arize.arize_client import ArizeConnection, open_client
from sia_dagster.adapters.arize.flight_retries import Wait, wait_for_real
from sia_dagster.adapters.arize.rest_calls import PAGE, RestCalls, id_of
from sia_dagster.adapters.request_chunks import chunks
from sia_dagster.core.errors import PublishError
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ArmOutcome, ValidationReport, ValidationRow
from sia_dagster.core.records.value import JsonObject, Value, fingerprint

ROWS_PAGE: Final = 500
"""The most examples or runs in one page of a list."""
Arm = Literal["baseline", "candidate"]
RunKey = tuple[str, int]
"""Span id and repeat, which identify a run within an experiment."""
Item = TypeVar("Item", bound=Mapping[str, object])
MOST_ITEMS: Final = 1000
"""Examples or runs in one request."""
MOST_BYTES: Final = 4_000_000
"""Size of one request's JSON; above 8 MB the client uses another transport, which is avoided here."""
LONGEST_EXPLANATION: Final = 10_000
_CUT: Final = " [...]"


class ExperimentRows(Value):
    """One policy's answers as the runs of an experiment with a unique name."""

    name: str
    runs: tuple[JsonObject, ...]
    """Sorted by span and repeat; without `example_id`, which the platform assigns."""


def dataset_name(report: ValidationReport) -> str:
    """The dataset of a loop and window, which both experiments use."""
    return f"{report.loop}-{report.window.key}"


def examples(report: ValidationReport) -> tuple[JsonObject, ...]:
    """The held-out samples, each once, by span id."""
    found = {
        row.span_id: {"span_id": row.span_id, "conversation_id": row.conversation_id, "input": row.request}
        for row in report.rows
    }
    return tuple(found[span_id] for span_id in sorted(found))


def experiment_rows(report: ValidationReport, arm: Arm) -> ExperimentRows:
    """The runs of one policy. The name ends with a hash of them, so that other results are another experiment."""
    policy = report.candidate if arm == "candidate" else report.baseline
    rows = sorted(report.rows, key=lambda row: (row.span_id, row.repeat))
    runs = tuple(_run(row, row.candidate if arm == "candidate" else row.baseline, arm, policy) for row in rows)
    label = f"{arm}-{report.verdict}" if arm == "candidate" else arm
    return ExperimentRows(name=f"{dataset_name(report)}-{label}-{fingerprint(runs)[:8]}", runs=runs)


def run_key(run: Mapping[str, object]) -> RunKey:
    """The key of a run, as made here or as the platform returns it."""
    repeat = run.get("repeat")
    return str(run.get("span_id")), int(float(repeat)) if isinstance(repeat, int | float | str) else 0


def batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    """The items in order, in lists that one request can carry; an item too large for any list is alone."""
    return chunks(((item, len(json.dumps(item))) for item in items), most=MOST_ITEMS, most_bytes=MOST_BYTES)


def _run(row: ValidationRow, outcome: ArmOutcome, arm: Arm, policy: Actions | None) -> JsonObject:
    run: JsonObject = {
        "span_id": row.span_id,
        "conversation_id": row.conversation_id,
        "repeat": row.repeat,
        "policy": arm,
        "policy_fingerprint": policy.fingerprint if policy else "",
        "model": policy.model if policy else "",
        # The platform takes no run without an output; failures are in `error`.
        "output": outcome.output or "",
    }
    if outcome.error is not None:
        run["error"] = outcome.error
    for metrics in outcome.evals:
        run |= _evaluation(metrics)
    return run


def _evaluation(metrics: EvalMetrics) -> JsonObject:
    """The platform's columns of an evaluation, without empty ones."""
    score = float(metrics.score) if metrics.score is not None and math.isfinite(metrics.score) else None
    columns = {
        "label": metrics.label,
        "score": score,
        "explanation": None if metrics.label is None and score is None else _cut(metrics.explanation),
        "metadata.error": metrics.error,
    }
    return {f"eval.{metrics.name}.{column}": value for column, value in columns.items() if value is not None}


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= LONGEST_EXPLANATION:
        return text
    return text[: LONGEST_EXPLANATION - len(_CUT)] + _CUT


class PublishedValidation(Value):
    """Where a validation is on the platform."""

    dataset: str
    """The dataset's name."""
    experiments: tuple[str, ...] = ()
    """Names, the policy in force first; empty if nothing was replayed."""
    runs: int = 0
    """Of both experiments."""
    added: int = Field(default=0, exclude=True)
    """How many of these runs this call sent; 0 if all existed. Not stored: a repetition gives the same bytes."""


class ArizeExperiments:
    """Publishes validations into the connection's space."""

    def __init__(self, connection: ArizeConnection, *, wait: Wait = wait_for_real) -> None:
        """Nothing is contacted yet; `wait` waits between attempts. Raises ConfigError as `open_client`."""
        client = open_client(connection)
        # Accessed here, since the first access imports them, which must not count as a call's time.
        self._spaces, self._datasets, self._experiments = client.spaces, client.datasets, client.experiments
        self._calls = RestCalls(connection, wait=wait)

    def publish_validation(self, report: ValidationReport) -> PublishedValidation:
        """Make sure that the dataset and both experiments of this report exist with all their rows.

        Everything is first searched by name, so a second call, or one after a crash, adds only what is missing. Raises
        PublishError.
        """
        dataset = dataset_name(report)
        if not report.rows:
            return PublishedValidation(dataset=dataset)
        dataset_id, example_ids = self._dataset(dataset, examples(report))
        arms = (experiment_rows(report, "baseline"), experiment_rows(report, "candidate"))
        return PublishedValidation(
            dataset=dataset,
            experiments=tuple(arm.name for arm in arms),
            runs=sum(len(arm.runs) for arm in arms),
            added=sum(self._experiment(arm, dataset_id, example_ids) for arm in arms),
        )

    def _dataset(self, name: str, samples: Sequence[JsonObject]) -> tuple[str, dict[str, str]]:
        """The dataset's id, and its examples' ids by span id, including those of all `samples`."""
        what = f"the dataset {name!r}"
        dataset_id = self._find_dataset(name) or self._calls.create(
            what, lambda: self._create_dataset(name, samples), find=lambda: self._find_dataset(name)
        )
        known = self._examples(what, dataset_id)
        missing = [example for example in samples if example["span_id"] not in known]
        for batch in batches(missing):
            self._append_examples(what, dataset_id, batch)
        if missing:
            known = self._examples(what, dataset_id)
        if absent := [example["span_id"] for example in samples if example["span_id"] not in known]:
            raise PublishError(
                f"Arize, {what}: {len(absent)} of {len(samples)} samples were sent but cannot be read back yet; "
                "publish again in a few minutes: what has arrived is not sent twice"
            )
        return dataset_id, known

    def _experiment(self, arm: ExperimentRows, dataset_id: str, example_ids: dict[str, str]) -> int:
        """Make sure that the experiment holds its runs; returns how many were sent."""
        what = f"the experiment {arm.name!r}"
        runs = [{**run, "example_id": example_ids[run["span_id"]]} for run in arm.runs]
        found = self._find_experiment(arm.name, dataset_id)
        first, present = list[JsonObject](), set[RunKey]()
        if found is None:
            first = next(batches(runs))
            found = self._calls.create(
                what,
                lambda: self._create_experiment(arm.name, dataset_id, first),
                find=lambda: self._find_experiment(arm.name, dataset_id),
            )
            # Not read back: runs just written may not be listed yet, and would be sent a second time.
            present = {run_key(run) for run in first}
        else:
            present = self._present(what, found)
        missing = [run for run in runs if run_key(run) not in present]
        for batch in batches(missing):
            self._append_runs(what, found, batch)
        return len(first) + len(missing)

    @cached_property
    def _space(self) -> str:
        return self._calls.space(self._spaces)

    def _find_dataset(self, name: str) -> str | None:
        space = self._space
        listed = self._calls.pages(
            f"the dataset {name!r}",
            "datasets",
            lambda cursor: self._datasets.list(name=name, space=space, limit=PAGE, cursor=cursor),
        )
        return next((found.id for found in listed if found.name == name), None)

    def _create_dataset(self, name: str, samples: Sequence[JsonObject]) -> str:
        first: list[dict[str, object]] = next(batches(samples))
        return id_of(self._datasets.create(name=name, space=self._space, examples=first, force_http=True))

    def _examples(self, what: str, dataset_id: str) -> dict[str, str]:
        """Example ids by span id; of two examples of one span the first one listed."""
        listed = self._calls.pages(
            what,
            "examples",
            lambda cursor: self._datasets.list_examples(dataset=dataset_id, limit=ROWS_PAGE, cursor=cursor),
        )
        found: dict[str, str] = {}
        for example in listed:
            found.setdefault(str(example.additional_properties.get("span_id")), id_of(example))
        return found

    def _append_examples(self, what: str, dataset_id: str, batch: list[JsonObject]) -> None:
        self._calls.create(
            what,
            lambda: id_of(self._datasets.append_examples(dataset=dataset_id, examples=batch)),
            # A batch arrives completely or not at all, so its last example shows whether it did.
            find=lambda: self._examples(what, dataset_id).get(batch[-1]["span_id"]),
        )

    def _find_experiment(self, name: str, dataset_id: str) -> str | None:
        listed = self._calls.pages(
            f"the experiment {name!r}",
            "experiments",
            lambda cursor: self._experiments.list(dataset=dataset_id, limit=PAGE, cursor=cursor),
        )
        return next((found.id for found in listed if found.name == name), None)

    def _create_experiment(self, name: str, dataset_id: str, runs: list[JsonObject]) -> str:
        from arize.experiments.types import ExperimentTaskFieldNames

        made = self._experiments.create(
            name=name,
            dataset=dataset_id,
            experiment_runs=runs,
            # Evaluations are in columns with the platform's own names already.
            task_fields=ExperimentTaskFieldNames(example_id="example_id", output="output"),
            force_http=True,
        )
        return id_of(made)

    def _present(self, what: str, experiment_id: str) -> set[RunKey]:
        listed = self._calls.pages(
            what,
            "experiment_runs",
            lambda cursor: self._experiments.list_runs(experiment=experiment_id, limit=ROWS_PAGE, cursor=cursor),
        )
        return {run_key(run.additional_properties) for run in listed}

    def _append_runs(self, what: str, experiment_id: str, batch: list[JsonObject]) -> None:
        self._calls.create(
            what,
            lambda: id_of(self._experiments.append_runs(experiment=experiment_id, experiment_runs=_inputs(batch))),
            find=lambda: experiment_id if run_key(batch[-1]) in self._present(what, experiment_id) else None,
        )


def _inputs(batch: list[JsonObject]) -> list[Any]:
    from arize.experiments.types import ExperimentRunInput

    return [ExperimentRunInput.from_dict(run) for run in batch]
