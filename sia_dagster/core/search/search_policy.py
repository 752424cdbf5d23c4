"""The search of one window: strategies work at their desks, and the best candidate goes on to validation."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sia_dagster.core.errors import SearchCapReached
from sia_dagster.core.guard import ContractGuard
from sia_dagster.core.records.comparison import EvaluatorComparison, primary_of
from sia_dagster.core.records.guard import GuardFinding, for_a_person, stops
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.search import Candidate, PolicyUpdate, RaceResult, StrategyRun
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.search.as_good import compared_for_less
from sia_dagster.core.search.asking import ask
from sia_dagster.core.search.causes import shortfall
from sia_dagster.core.search.desk import Desk
from sia_dagster.core.search.provenance import provenance_of
from sia_dagster.core.search.racing import FEWEST_TO_CHOOSE, run_race
from sia_dagster.core.search.search_work import SearchWork, WaitsForBatch
from sia_dagster.core.search.strategy import NEED_FAILURES, SearchStrategy
from sia_dagster.core.text import conversations_in_groups, count

COMMON_PROMPT_SHARE: Final = 0.5
"""Below this share of a window's samples, the commonest prompt of the traces is not taken for a policy to improve."""
STAYS: Final = "the policy stays: "
"""How the reason begins where no candidate goes on to validation."""
MOST_COMPARED: Final = 8
"""Candidates of one strategy that are compared, if it did not compare them itself."""
NO_ANSWERS_YET: Final = "answers that the search depends on come with a batch"


class _Found(NamedTuple):
    """What one strategy came to."""

    run: StrategyRun
    candidates: tuple[Candidate, ...]
    best: Candidate | None


async def search_policy(work: SearchWork, strategies: Mapping[str, SearchStrategy]) -> PolicyUpdate:
    """The candidate that goes on to validation, or the policy in force with the reason why it stays.

    The strategies work one after the other, each from the best policy so far, within one cap. A candidate goes on if
    the guard lets it through and it won its race on the selection split without another evaluator falling beyond its
    margin; in a window with too few conversations to choose by, the first that passes the guard. That is a choice, not
    evidence: the verdict is taken on the held-out split. Without a policy or samples to learn from, no call is made.
    `spend` is left to the caller. Raises EndpointRefused and SpendCapReached.
    """
    state = work.state
    if state.actions is None:
        return _stays(state, "there is no policy in force, and none could be read from the traces")
    if why := nothing_to_learn(state):
        return _stays(state, why)
    perfect = nothing_to_improve(state)
    start, best, found = work.baseline, None, list[_Found]()
    for name, strategy in strategies.items():
        if perfect and name in NEED_FAILURES:
            continue
        try:
            tried = await _searched(strategy, work, Desk(work, start, name), best)
        except WaitsForBatch:
            return _stays(state, NO_ANSWERS_YET)
        found.append(tried)
        if tried.best is not None and tried.best.question == "better":
            best, start = tried.best, tried.best.actions
        elif best is None:
            best = tried.best  # Those after it still look for a gain over the policy in force.
    if not found:
        return _stays(state, perfect)
    return _concluded(work, found, best)


async def _searched(strategy: SearchStrategy, work: SearchWork, desk: Desk, earlier: Candidate | None) -> _Found:
    """One strategy's search, with its candidates checked and compared. Whatever goes wrong in it is its reason.

    `earlier` is what it began with, if that is not the policy in force: its edits are a part of every candidate.
    """
    before = work.chat.usage
    given, problem = await ask(strategy, desk, work)
    offered = [each for each in reversed(desk.offered) if each.actions not in [other.actions for other in given]]
    candidates = [_as_run(each, desk, earlier) for each in (*given, *offered)]
    seen, best = await _best_of(screen(candidates, work.baseline, work.guard, start=desk.start), desk, work)
    used = work.chat.usage.since(before)
    run = StrategyRun(
        strategy=desk.strategy,
        calls={**used.calls},
        cost_usd=used.cost_usd,
        gain=_gain(desk, best) if best else None,
        ended=problem or str(desk.ended),
    )
    return _Found(run, seen, best)


def _gain(desk: Desk, best: Candidate) -> float | None:
    """Over all races that led to it; None where none was run."""
    means = [result.mean for result in desk.won(best.actions) if result.decision == "better"]
    return round(sum(means), 9) if means else None


def _as_run(candidate: Candidate, desk: Desk, earlier: Candidate | None) -> Candidate:
    """As it came of the search: what is chosen, and by which race, is not for a strategy to say."""
    return candidate.model_copy(
        update={
            "strategy": desk.strategy,
            "status": "not_chosen" if candidate.status == "chosen" else candidate.status,
            "edits": (*(earlier.edits if earlier else ()), *candidate.edits),
            "race": desk.raced(candidate.actions),
            "selection": (),
        }
    )


async def _best_of(
    candidates: Sequence[Candidate], desk: Desk, work: SearchWork
) -> tuple[tuple[Candidate, ...], Candidate | None]:
    """All candidates with how they compare, and the first that is better than the policy that the desk began with."""
    seen, best, compared = list(candidates), None, 0
    for place, candidate in enumerate(candidates):
        if candidate.status != "not_chosen" or candidate.reasons or best is not None:
            continue
        if compared >= MOST_COMPARED:
            seen[place] = _set_aside(candidate, f"only the first {MOST_COMPARED} candidates of a strategy are compared")
            continue
        compared += 1
        try:
            result = await _compared(candidate, desk, work)
        except SearchCapReached as error:
            seen[place] = _set_aside(candidate, str(error))
            continue
        raced = candidate.model_copy(update={"race": result, "selection": work.compared(candidate.actions)})
        if objection := _objection(result, raced.selection, desk):
            seen[place] = _set_aside(raced, objection)
        else:
            best = seen[place] = raced
    for place, candidate in enumerate(seen):
        if best is not None and candidate is not best and candidate.status == "not_chosen" and not candidate.reasons:
            seen[place] = _set_aside(candidate, f"{best.name} was found better first")
    return tuple(seen), best


async def _compared(candidate: Candidate, desk: Desk, work: SearchWork) -> RaceResult:
    if candidate.question == "not_worse":
        return await compared_for_less(work, candidate.actions)
    return next(reversed(desk.won(candidate.actions)), None) or await run_race(work, candidate.actions, desk.start)


def _objection(result: RaceResult, comparisons: Sequence[EvaluatorComparison], desk: Desk) -> str:
    if result.decision == "as_good" or (result.decision in ("better", "too_small") and not result.objection):
        return ""
    primary, found = primary_of(comparisons), "no gain" if result.decision == "worse" else "too uncertain"
    if result.objection:
        return result.objection
    if desk.start != desk.baseline:
        over = "over the policy that an earlier strategy has found"
        return f"the gain {over} is {result.mean:+.3f} of the range ({count(result.groups, 'group')}), which is {found}"
    moves = _moves(primary) if primary and primary.difference is not None else "nothing was scored under both policies"
    return f"{moves}, which is {found}"


def _concluded(work: SearchWork, found: Sequence[_Found], best: Candidate | None) -> PolicyUpdate:
    """The outcome of all strategies."""
    state = work.state
    candidates = tuple(candidate for each in found for candidate in each.candidates)
    runs = tuple(each.run for each in found)
    answered, unscored = work.failures()
    counted = {"strategies": runs, "answered": answered, "unscored": unscored}
    if best is None:
        reason = _none_left(candidates, runs)
        if unscored > work.rules.rule.max_unscored_share * answered:
            reason = (
                f"{unscored} of {count(answered, 'answer')} could not be scored: replays or judges failed; {reason}"
            )
        return _stays(state, reason, candidates).model_copy(update=counted)
    place = next(place for place, candidate in enumerate(candidates) if candidate is best)
    others = [
        _set_aside(c, f"{best.name} came after it, and gains more") if c.status == "not_chosen" and not c.reasons else c
        for c in candidates
    ]
    others[place] = best
    return _goes_on(state, others, place, _why(best, work)).model_copy(update=counted)


def _why(best: Candidate, work: SearchWork) -> str:
    primary = primary_of(best.selection)
    if best.race is not None and best.race.decision == "too_small":
        groups = count(len(work.selection_groups), "conversation")
        return (
            f"{best.name} goes on to validation without a comparison: the selection split has {groups}, and fewer than "
            f"{FEWEST_TO_CHOOSE} would choose by chance"
        )
    moves = _moves(primary) if primary is not None and primary.difference is not None else "it won its race"
    if best.race is not None and best.race.saved is not None:
        moves = f"it saves {best.race.saved:.0%} of a call's cost, and {moves}"
    return f"{best.name} goes on to validation: {moves} on the selection split"


def nothing_to_learn(state: StateActions) -> str:
    """Why these samples do not allow a search for a better policy; empty if they do."""
    train, primary = state.of("train"), state.primary
    if primary is None:
        return "no evaluator is the primary one, so no score decides which policy is better"
    if why := _nothing_to_start_from(state):
        return why
    if not train:
        return f"none of the window's {len(state.samples)} samples is in the train split{_set_aside_of(state)}"
    if all(sample.score(primary.name) is None for sample in train):
        return f"{primary.name} scored none of the {count(len(train), 'sample')} of the train split: see their errors"
    return ""


def nothing_to_improve(state: StateActions) -> str:
    """Why no prompt can score better on the train split; empty if one could."""
    primary = state.primary
    metrics = [m for s in state.of("train") for m in s.evals if primary is not None and m.name == primary.name]
    if primary is None or any((shortfall(metric, primary) or 0.0) > 0 for metric in metrics):
        return ""
    return (
        f"{primary.name}: all {count(len(metrics), 'scored sample')} of the train split have the best score, so there "
        "is nothing to improve"
    )


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
    proposed: Sequence[Candidate],
    baseline: Actions,
    guard: ContractGuard,
    *,
    start: Actions | None = None,
    carried: bool = False,
) -> tuple[Candidate, ...]:
    """The candidates, with reasons on those that are dropped: they change nothing, repeat one, or break a rule.

    They leave the policy as it is where they equal `baseline`, or `start`, which an earlier strategy has found. What a
    person must look at is in `concerns`. A `carried` candidate brings its own from the window that found it, and its
    edits are not known.
    """
    screened: list[Candidate] = []
    for candidate in proposed:
        live = (c for c in screened if c.status == "not_chosen" and not c.reasons)
        twin = next((c.name for c in live if c.actions == candidate.actions), None)
        if candidate.status != "not_chosen" or candidate.reasons:
            screened.append(candidate)  # It was dropped before, with the reason.
        elif candidate.actions in (baseline, start):
            screened.append(_set_aside(candidate, "it leaves the policy as it is"))
        elif twin:
            screened.append(_set_aside(candidate, f"it is the same policy as {twin}"))
        else:
            edits = None if carried else candidate.edits
            screened.append(_with_findings(candidate, guard.check(candidate.actions, edits, candidate.question)))
    return tuple(screened)


def _with_findings(candidate: Candidate, found: Sequence[GuardFinding]) -> Candidate:
    """The candidate with the reasons why it is stopped, and what a person must look at, added to what it had."""
    reasons = tuple(finding.reason for finding in stops(found))
    concerns = tuple(dict.fromkeys((*candidate.concerns, *for_a_person(found))))
    status = "stopped_by_guard" if reasons else "not_chosen"
    return candidate.model_copy(update={"status": status, "reasons": reasons, "concerns": concerns})


def _moves(c: EvaluatorComparison) -> str:
    difference = c.difference or 0.0
    old, new = f"{c.baseline_mean or 0.0:.2f}", f"{c.candidate_mean or 0.0:.2f}"
    change = f"{'rises' if difference > 0 else 'falls'} from {old} to {new}" if difference else f"stays at {new}"
    return f"{c.evaluator} {change} ({difference:+.2f}, {conversations_in_groups(*c.counted)})"


def _set_aside(candidate: Candidate, why: str) -> Candidate:
    return candidate.model_copy(update={"status": "not_chosen", "reasons": (why,)})


def _none_left(candidates: Sequence[Candidate], runs: Sequence[StrategyRun]) -> str:
    ended = "; ".join(f"{run.strategy}: {run.ended}" for run in runs if run.ended)
    if not candidates:
        return f"no candidate was proposed ({ended})" if ended else "no candidate was proposed"
    reasons = "; ".join(f"{c.name}, {c.status.replace('_', ' ')}: {', '.join(c.reasons)}" for c in candidates)
    if all(c.status == "unusable" for c in candidates):
        what = "no answer of the proposing model could be used"
    elif all(c.status in ("unusable", "stopped_by_guard") for c in candidates):
        what = "no proposed candidate can be tried"
    else:
        what = "no candidate is good enough for validation"
    return f"{what} ({reasons}{f'; {ended}' if ended else ''})"


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
        question=chosen.question if chosen else "better",
        thoughts=chosen.thoughts if chosen else "",
        reason=reason,
        edits=chosen.edits if chosen else (),
        provenance=provenance_of(state, candidates, chosen),
        concerns=chosen.concerns if chosen else (),
        candidates=tuple(candidates),
    )
