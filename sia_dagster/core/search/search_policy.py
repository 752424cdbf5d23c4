"""The search of one window: candidates proposed from train, guarded, and compared on the selection split."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.guard import GuardLimits, check_contract
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.ports.roles import Evaluator, PolicyUpdater
from sia_dagster.core.progress import Progress
from sia_dagster.core.records.comparison import EvaluatorComparison, primary_of
from sia_dagster.core.records.guard import GuardFinding, for_a_person, stops
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.search import Candidate, PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import Value
from sia_dagster.core.replay import ReplayPlan, constants_of, pair, replay
from sia_dagster.core.search.failed_samples import FAILURE_SHORTFALL, find_failed_samples
from sia_dagster.core.statistics import ComparisonRule, compare_all
from sia_dagster.core.text import conversations_in_groups, count
from sia_dagster.core.traffic import group_conversations

COMMON_PROMPT_SHARE: Final = 0.5
"""Below this share of a window's samples, the commonest prompt of the traces is not taken for a policy to improve."""
STAYS: Final = "the policy stays: "
"""How the reason begins where no candidate goes on to validation."""


class SearchRules(Value):
    """The limits of a candidate, and how candidates are compared."""

    limits: GuardLimits = GuardLimits()
    rule: ComparisonRule = ComparisonRule()
    workers: int = 32

    @classmethod
    def of(cls, loop: LoopConfig, *, workers: int, limits: GuardLimits | None = None) -> "SearchRules":
        """The rules of a configured loop; without `limits` a longer prompt is not priced."""
        unpriced = GuardLimits(max_prompt_tokens=loop.policy.max_prompt_tokens, protected=loop.policy.protected)
        return cls(limits=limits or unpriced, rule=ComparisonRule.of(loop), workers=workers)


class _TriedCandidate(NamedTuple):
    """One candidate that was compared with the policy in force on the selection split."""

    candidate: Candidate
    gain: float
    """Of the primary evaluator, in its own units; 0 where nothing was scored under both policies."""
    objection: str
    """Why it cannot be chosen; empty if it can."""


async def search_policy(
    state: StateActions,
    *,
    updater: PolicyUpdater,
    chat: ChatModel,
    evaluators: Sequence[Evaluator],
    rules: SearchRules,
    progress: Progress | None = None,
) -> PolicyUpdate:
    """The candidate that goes on to validation, or the policy in force with the reason why it stays.

    Of the candidates under which no other evaluator falls beyond its margin on the selection split, the one with the
    largest gain of the primary evaluator above 0 is chosen, the one proposed first of equals. That is a choice, not
    evidence: the verdict is taken on the held-out split. Only in a window without selection samples does the first
    candidate that passes the guard go on. Without a policy, samples or failures to learn from, no call is made.
    `spend` is left to the caller. Raises EndpointRefused and SpendCapReached.
    """
    baseline = state.actions
    if baseline is None:
        return _stays(state, "there is no policy in force, and none could be read from the traces")
    if why := nothing_to_learn(state):
        return _stays(state, why)
    candidates = screen(await updater.propose(state), baseline, state, rules)
    live = {place: c for place, c in enumerate(candidates) if c.status == "not_chosen" and not c.reasons}
    if not live:
        return _stays(state, _none_left(candidates), candidates)
    selection = state.of("selection")
    if not selection:
        return _without_selection(state, candidates, next(iter(live)))
    policies = [baseline, *(candidate.actions for candidate in live.values())]
    plan = ReplayPlan(scope="selection", window=state.window.key, workers=rules.workers)
    arms = await replay(selection, policies, chat=chat, evaluators=evaluators, plan=plan, progress=progress)
    rule = rules.rule.model_copy(update={"seed": f"{state.loop}/{state.window.key}/selection"})
    trials, group_of = {}, group_conversations(selection).grouping.group_of
    for (place, candidate), arm in zip(live.items(), arms[1:], strict=True):
        compared = compare_all(pair(selection, arms[0], arm, None, group_of), constants_of(evaluators), rule)
        trials[place] = _try(candidate, compared, rule)
    return _choose(state, candidates, trials)


def nothing_to_learn(state: StateActions) -> str:
    """Why these samples do not allow a search for a better policy; empty if they do."""
    train, primary = state.of("train"), state.primary
    if primary is None:
        return "no evaluator is the primary one, so no score decides which policy is better"
    if why := _nothing_to_start_from(state):
        return why
    if not train:
        return f"none of the window's {len(state.samples)} samples is in the train split{_set_aside_of(state)}"
    scored = [sample for sample in train if sample.score(primary.name) is not None]
    if not scored:
        return f"{primary.name} scored none of the {count(len(train), 'sample')} of the train split: see their errors"
    if not find_failed_samples(scored, primary):
        return (
            f"{primary.name}: none of the {count(len(scored), 'scored sample')} of the train split is below the best "
            f"score by {FAILURE_SHORTFALL:.0%} of its range or more, so there is nothing to improve"
        )
    return ""


def _nothing_to_start_from(state: StateActions) -> str:
    """Why the samples as a whole, or the policy that the search starts from, do not allow one; empty if they do."""
    if state.refusal:
        return state.refusal
    if not state.samples:
        return "the window has no samples to learn from"
    if state.actions is not None and not state.actions.model:
        return (
            "the policy in force names no model, and the traces record no model (`llm.model_name`), so nothing can be "
            "replayed: let the application's instrumentation record it, or promote a policy that names one"
        )
    if state.policy_version is None and state.policy_share is not None and state.policy_share < COMMON_PROMPT_SHARE:
        return (
            f"the commonest prompt of the traces produced {state.policy_share:.1%} of the samples, so it may be one "
            "call's prompt and not the policy: record `llm.prompt_template.template` and "
            "`llm.prompt_template.variables` with each call, narrow `traces.where` to one call (`sia check` lists "
            "them), or promote a policy"
        )
    return ""


def _set_aside_of(state: StateActions) -> str:
    if not state.set_aside:
        return ", so there is nothing to learn"
    return (
        f": {state.set_aside} more were left out, because samples of another split repeat their requests or are other "
        "turns of the same chat; if these are turns of chats, record `session.id`, so that a chat is one conversation"
    )


def screen(
    proposed: Sequence[Candidate], baseline: Actions, state: StateActions, rules: SearchRules, *, carried: bool = False
) -> tuple[Candidate, ...]:
    """The candidates, with reasons on those that are dropped: they change nothing, repeat one, or break a rule.

    What a person must look at is in `concerns`. A `carried` candidate brings its own from the window that found it,
    and its edits are not known.
    """
    screened: list[Candidate] = []
    for candidate in proposed:
        twin = next((c.name for c in screened if c.status != "unusable" and c.actions == candidate.actions), None)
        if candidate.status == "unusable":
            screened.append(candidate)
        elif candidate.actions == baseline:
            screened.append(_set_aside(candidate, "it leaves the policy as it is"))
        elif twin:
            screened.append(_set_aside(candidate, f"it is the same policy as {twin}"))
        else:
            edits = None if carried else candidate.edits
            found = check_contract(candidate.actions, baseline, state.samples, limits=rules.limits, edits=edits)
            screened.append(_with_findings(candidate, found))
    return tuple(screened)


def _with_findings(candidate: Candidate, found: Sequence[GuardFinding]) -> Candidate:
    """The candidate with the reasons why it is stopped, and what a person must look at, added to what it had."""
    reasons = tuple(finding.reason for finding in stops(found))
    concerns = tuple(dict.fromkeys((*candidate.concerns, *for_a_person(found))))
    status = "stopped_by_guard" if reasons else "not_chosen"
    return candidate.model_copy(update={"status": status, "reasons": reasons, "concerns": concerns})


def _try(candidate: Candidate, comparisons: Sequence[EvaluatorComparison], rule: ComparisonRule) -> _TriedCandidate:
    """The candidate with its comparisons, its gain and the objection to it."""
    tried = candidate.model_copy(update={"selection": tuple(comparisons)})
    primary = primary_of(comparisons)
    if primary is None or primary.difference is None:
        return _TriedCandidate(tried, 0.0, "no sample of the selection split was scored under both policies")
    objections = [
        f"{_moves(c)}, beyond its margin of {rule.margin(c.evaluator) * c.scale:.2f}"
        for c in comparisons
        if c.role != "primary" and (c.difference or 0.0) < -rule.margin(c.evaluator) * c.scale
    ]
    objections += [
        f"{c.evaluator} falls in {count(len(c.fallen), 'sample')}, and it vetoes" for c in comparisons if c.fallen
    ]
    if primary.difference <= 0:
        objections.insert(0, f"{_moves(primary)}, which is no gain")
    return _TriedCandidate(tried, primary.difference, "; ".join(objections))


def _choose(
    state: StateActions, candidates: Sequence[Candidate], trials: Mapping[int, _TriedCandidate]
) -> PolicyUpdate:
    """The largest gain without an objection, the earliest of equals; else the policy stays."""
    good = [place for place, trial in trials.items() if not trial.objection]
    best = max(good, key=lambda place: trials[place].gain, default=None)
    seen = list(candidates)
    for place, trial in trials.items():
        lost = f"{trials[best].candidate.name} gains as much or more" if best is not None else ""
        seen[place] = _set_aside(trial.candidate, trial.objection or lost)
    if best is None:
        objections = "; ".join(f"{trial.candidate.name}: {trial.objection}" for trial in trials.values())
        return _stays(state, f"no candidate is good enough for validation ({objections})", seen)
    seen[best] = trials[best].candidate
    primary = next(c for c in seen[best].selection if c.role == "primary")
    reason = f"{seen[best].name} goes on to validation: {_moves(primary)} on the selection split"
    return _goes_on(state, seen, best, reason)


def _moves(c: EvaluatorComparison) -> str:
    difference = c.difference or 0.0
    old, new = f"{c.baseline_mean or 0.0:.2f}", f"{c.candidate_mean or 0.0:.2f}"
    change = f"{'rises' if difference > 0 else 'falls'} from {old} to {new}" if difference else f"stays at {new}"
    return f"{c.evaluator} {change} ({difference:+.2f}, {conversations_in_groups(*c.counted)})"


def _set_aside(candidate: Candidate, why: str) -> Candidate:
    return candidate.model_copy(update={"status": "not_chosen", "reasons": (why,)})


def _none_left(candidates: Sequence[Candidate]) -> str:
    if not candidates:
        return "the updater proposed no candidate"
    reasons = "; ".join(f"{c.name}, {c.status.replace('_', ' ')}: {', '.join(c.reasons)}" for c in candidates)
    unusable = all(c.status == "unusable" for c in candidates)
    what = "no answer of the updater could be used" if unusable else "no proposed candidate can be tried"
    return f"{what} ({reasons})"


def _without_selection(state: StateActions, candidates: Sequence[Candidate], place: int) -> PolicyUpdate:
    name = candidates[place].name
    why = f"{name} was proposed before it, and there is no selection split to choose by"
    seen = [_set_aside(c, why) if c.status == "not_chosen" and not c.reasons else c for c in candidates]
    seen[place] = candidates[place]
    unseen = "no sample is in the selection split, so none was compared"
    return _goes_on(state, seen, place, f"{name} goes on to validation as the updater's first candidate: {unseen}")


def _goes_on(state: StateActions, candidates: Sequence[Candidate], place: int, reason: str) -> PolicyUpdate:
    seen = list(candidates)
    seen[place] = chosen = seen[place].model_copy(update={"status": "chosen", "reasons": (reason,)})
    return concluded(state, reason, seen, chosen)


def _stays(state: StateActions, reason: str, candidates: Sequence[Candidate] = ()) -> PolicyUpdate:
    return concluded(state, f"{STAYS}{reason}", candidates)


def concluded(
    state: StateActions, reason: str, candidates: Sequence[Candidate], chosen: Candidate | None = None
) -> PolicyUpdate:
    """The outcome of a search: `chosen` goes on to validation; without it the policy stays."""
    return PolicyUpdate(
        loop=state.loop,
        window=state.window,
        baseline=state.actions,
        candidate=chosen.actions if chosen else state.actions,
        changed=chosen is not None,
        thoughts=chosen.thoughts if chosen else "",
        reason=reason,
        edits=chosen.edits if chosen else (),
        concerns=chosen.concerns if chosen else (),
        candidates=tuple(candidates),
    )
