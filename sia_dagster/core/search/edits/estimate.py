"""What the first question of a search will look like: an estimate of its cost counts it."""

from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.search.causes import Complaints
from sia_dagster.core.search.edits.prompt import Evidence, build_prompt
from sia_dagster.core.search.edits.strategy import CAUSES_A_CALL


def first_prompt(state: StateActions, config: PolicyConfig) -> tuple[JsonObject, ...]:
    """The messages that ask for edits for the largest causes of the train split."""
    primary = state.primary
    constants = tuple(sorted(state.eval_constants, key=lambda constant: not constant.primary))
    train = {sample.span_id: sample for sample in state.of("train")}
    metrics = {
        span: metric
        for span, sample in train.items()
        for metric in sample.evals
        if primary is not None and metric.name == primary.name and metric.score is not None
    }
    causes = Complaints.of(metrics, primary).causes(metrics)[:CAUSES_A_CALL] if primary else ()
    evidence = Evidence(samples=train, metrics=metrics, constants=constants)
    policy = state.actions.system_prompt if state.actions else ""
    return build_prompt(policy, causes, evidence, config).messages
