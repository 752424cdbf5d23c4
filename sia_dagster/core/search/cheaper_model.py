"""The strategy `model`: the same prompt under the models and parameters of `policy.models`."""

from collections.abc import Sequence

from sia_dagster.core.config.loop import ModelChoice
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.search import Candidate
from sia_dagster.core.search.desk import Desk


class CheaperModel:
    """A cheaper model has to be as good, a dearer one (or one of unknown cost) to be better, which comes first.

    It begins with the policy in force alone: beside another change of the window nobody could tell what did what.
    """

    async def search(self, desk: Desk) -> Sequence[Candidate]:
        """The models that cost no less in the order of the configuration, then the others, the cheapest first."""
        if desk.start != desk.baseline:
            desk.ended = "a better policy was found before, and one change is tested at a time"
            return ()
        if not desk.config.models:
            desk.ended = "policy.models names no model to try"
        tried = [_candidate(desk.baseline, choice) for choice in desk.config.models]
        saved = [await _saving(each, desk) for each in tried]
        cheapest_first = sorted(zip(saved, tried, strict=True), key=lambda pair: -max(pair[0], 0.0))
        dearer = [each for share, each in cheapest_first if share <= 0]
        cheaper = [each.model_copy(update={"question": "not_worse"}) for share, each in cheapest_first if share > 0]
        return (*dearer, *cheaper)


async def _saving(candidate: Candidate, desk: Desk) -> float:
    """0 where it is not known, and where no call is to be spent on the candidate, which the search will set aside."""
    found = desk.guard(candidate.actions, candidate.edits, "not_worse")
    stopped = any(finding.action == "stop" for finding in found)
    return 0.0 if stopped or candidate.actions == desk.baseline else await desk.saving(candidate.actions) or 0.0


def _candidate(baseline: Actions, choice: ModelChoice) -> Candidate:
    """The policy in force under another model; parameters that are not given stay, and null takes one away."""
    parameters = {name: value for name, value in (baseline.parameters | choice.parameters).items() if value is not None}
    actions = baseline.model_copy(update={"model": choice.model, "parameters": parameters})
    given = ", ".join(f"{name} {value}" for name, value in choice.parameters.items())
    return Candidate(name=f"{choice.model} ({given})" if given else choice.model, actions=actions, status="not_chosen")
