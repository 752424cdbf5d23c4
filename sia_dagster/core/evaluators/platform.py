"""An evaluator that takes the scores that the traces already carry."""

from sia_dagster.core.config import PlatformConfig
from sia_dagster.core.evaluators.scores import Scale, number
from sia_dagster.core.models import EvalConstant, EvalMetrics, Sample, fingerprint


class PlatformEvaluator:
    """Returns what the trace store recorded of a span. Plays the role `Evaluator`; asks nobody.

    It knows the logged output alone, so it cannot score a replayed one.
    """

    def __init__(self, config: PlatformConfig, *, primary: bool = False) -> None:
        """Takes `eval.<config.name>.*`."""
        self._name, self._primary = config.name, primary
        self._scale = Scale(low=config.low, high=config.high)
        self._fingerprint = fingerprint({"kind": "platform", **config.model_dump(mode="json")})

    @property
    def constant(self) -> EvalConstant:
        """Its criteria say where the score comes from: the platform does not tell more."""
        return EvalConstant(
            name=self._name,
            kind="platform",
            fingerprint=self._fingerprint,
            criteria=f"recorded by the trace store as eval.{self._name}",
            low=self._scale.low,
            high=self._scale.high,
            primary=self._primary,
        )

    async def score(self, sample: Sample, draw: str) -> EvalMetrics:
        """The recorded evaluation; a label written as a number is the score where the record has none."""
        recorded = next((e for e in sample.evals if e.name == self._name and e.source == "platform"), None)
        if recorded is None:
            return self._row(EvalMetrics(name=self._name, error=f"the trace carries no eval.{self._name}"))
        score = number(recorded.label or "") if recorded.score is None else recorded.score
        return self._row(recorded.model_copy(update={"score": score, "error": recorded.error or self._problem(score)}))

    def _problem(self, score: float | None) -> str | None:
        if score is None:
            return f"eval.{self._name} has neither a score nor a label that is a number"
        return self._scale.problem(score)

    def _row(self, said: EvalMetrics) -> EvalMetrics:
        kept = {"score": None} if said.error else {}
        return said.model_copy(update={"fingerprint": self._fingerprint, "source": "platform", **kept})
