"""An evaluator that takes the scores that the traces already carry."""

from sia_dagster.core.config.loop import PlatformConfig
from sia_dagster.core.evaluators.result import Scale
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import fingerprint
from sia_dagster.core.text import as_number

_BY_PEOPLE = "annotated by people"


class PlatformEvaluator:
    """Returns what the trace store recorded of a span: people's annotation, else the platform's own evaluation.

    Implements `Evaluator` without a call. It has scores of logged outputs only, so it cannot score a replayed one.
    """

    def __init__(self, config: PlatformConfig, *, primary: bool = False) -> None:
        """Takes `annotation.<config.name>.*`, and `eval.<config.name>.*` where people gave no score."""
        self._name, self._primary = config.name, primary
        self._scale = Scale(low=config.low, high=config.high)
        order = ["annotation", "eval"]
        self._fingerprint = fingerprint({"kind": "platform", "order": order, **config.model_dump(mode="json")})

    @property
    def constant(self) -> EvalConstant:
        """Its criteria say where the score comes from: the platform gives no others."""
        return EvalConstant(
            name=self._name,
            kind="platform",
            fingerprint=self._fingerprint,
            criteria=f"recorded by the trace store: what people said as annotation.{self._name}, "
            f"else its own eval.{self._name}",
            low=self._scale.low,
            high=self._scale.high,
            primary=self._primary,
        )

    async def score(self, sample: Sample, draw: str) -> EvalMetrics:
        """The first record with a score, people's before the platform's; a label that is a number can be the score.

        The explanation of people's record says that it is theirs. The row is an error where no record has a score.
        """
        people = self._recorded(sample.annotations, "annotation")
        platform = self._recorded(sample.evals, "eval")
        found = [record for record in (people, platform) if record]
        if not found:
            missing = f"the trace carries no annotation.{self._name} and no eval.{self._name}"
            return self._row(EvalMetrics(name=self._name, error=missing))
        chosen = next((record for record in found if record.score is not None), found[0])
        if chosen is people:
            chosen = chosen.model_copy(update={"explanation": _by_people(chosen.explanation)})
        return self._row(chosen)

    def _recorded(self, records: tuple[EvalMetrics, ...], column: str) -> EvalMetrics | None:
        """The record of this name with its score; a score off the scale keeps its error."""
        found = next((e for e in records if e.name == self._name and e.source == "platform"), None)
        if found is None:
            return None
        score = as_number(found.label or "") if found.score is None else found.score
        return found.model_copy(update={"score": score, "error": found.error or self._problem(score, column)})

    def _problem(self, score: float | None, column: str) -> str | None:
        if score is None:
            return f"{column}.{self._name} has neither a score nor a label that is a number"
        return self._scale.problem(score)

    def _row(self, record: EvalMetrics) -> EvalMetrics:
        score = None if record.error else record.score
        return record.model_copy(update={"fingerprint": self._fingerprint, "source": "platform", "score": score})


def _by_people(explanation: str | None) -> str:
    return f"{explanation} ({_BY_PEOPLE})" if explanation else _BY_PEOPLE
