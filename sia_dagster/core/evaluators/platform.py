"""An evaluator that takes the scores that the traces already carry."""

from sia_dagster.core.config.loop import PlatformConfig
from sia_dagster.core.evaluators.result import Scale, as_number
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import fingerprint

_BY_PEOPLE = "annotated by people"


class PlatformEvaluator:
    """Returns what the trace store recorded of a span: people's word, else the platform's own evaluation.

    Plays the role `Evaluator`; asks nobody. It knows the logged output alone, so it cannot score a replayed one.
    """

    def __init__(self, config: PlatformConfig, *, primary: bool = False) -> None:
        """Takes `annotation.<config.name>.*`, and `eval.<config.name>.*` where people gave no score."""
        self._name, self._primary = config.name, primary
        self._scale = Scale(low=config.low, high=config.high)
        order = ["annotation", "eval"]
        self._fingerprint = fingerprint({"kind": "platform", "order": order, **config.model_dump(mode="json")})

    @property
    def constant(self) -> EvalConstant:
        """Its criteria say where the score comes from: the platform does not tell more."""
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
        """The record that gives a score, people's first; a label written as a number is one where there is none else.

        Of people's record the explanation says so. A record without a score is an error of the row where no other has
        one.
        """
        people = self._recorded(sample.annotations, "annotation")
        platform = self._recorded(sample.evals, "eval")
        found = [said for said in (people, platform) if said]
        if not found:
            missing = f"the trace carries no annotation.{self._name} and no eval.{self._name}"
            return self._row(EvalMetrics(name=self._name, error=missing))
        chosen = next((said for said in found if said.score is not None), found[0])
        if chosen is people:
            chosen = chosen.model_copy(update={"explanation": _by_people(chosen.explanation)})
        return self._row(chosen)

    def _recorded(self, said: tuple[EvalMetrics, ...], column: str) -> EvalMetrics | None:
        """The record of this name with its score; a score off the scale stays beside its error."""
        found = next((e for e in said if e.name == self._name and e.source == "platform"), None)
        if found is None:
            return None
        score = as_number(found.label or "") if found.score is None else found.score
        return found.model_copy(update={"score": score, "error": found.error or self._problem(score, column)})

    def _problem(self, score: float | None, column: str) -> str | None:
        if score is None:
            return f"{column}.{self._name} has neither a score nor a label that is a number"
        return self._scale.problem(score)

    def _row(self, said: EvalMetrics) -> EvalMetrics:
        kept = {"score": None} if said.error else {}
        return said.model_copy(update={"fingerprint": self._fingerprint, "source": "platform", **kept})


def _by_people(explanation: str | None) -> str:
    return f"{explanation} ({_BY_PEOPLE})" if explanation else _BY_PEOPLE
