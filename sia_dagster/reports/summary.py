"""The summary for the person who decides: the change, for whom, the gain, the cost, and what is not shown."""

from collections.abc import Iterator, Sequence

from sia_dagster.core.cost import calls_a_week
from sia_dagster.core.records.comparison import EvaluatorComparison, SliceComparison
from sia_dagster.core.records.gate import Grouping
from sia_dagster.core.records.guard import GuardFinding
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import Edit, PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import Value
from sia_dagster.core.text import count
from sia_dagster.reports.changes import change_sentence
from sia_dagster.reports.limitations import limitations, part_name
from sia_dagster.reports.sample_pairs import paired
from sia_dagster.reports.wording import confidence, dollars, escape, number, share, signed, trimmed

EDITS = 3
"""Edits in the summary; the report lists all of them below."""
CENT = 0.01
QUOTED = 160
"""Characters of an edit's text."""


class SummaryPart(Value):
    """One part of the summary, under its heading."""

    term: str
    sentences: tuple[str, ...]
    commands: tuple[str, ...] = ()
    """Commands to type as they are."""


def decision_summary(state: StateActions, update: PolicyUpdate, report: ValidationReport) -> tuple[SummaryPart, ...]:
    """The parts in reading order; those that do not apply are left out."""
    if report.candidate is None:
        parts = [SummaryPart(term="What would change", sentences=(_changed(update),))]
        known = {*report.reasons[:1], ""}
        parts += [SummaryPart(term="Why", sentences=(update.reason,))] if update.reason not in known else []
        return (*parts, _next_step(update, report))
    parts = [
        SummaryPart(term="What would change", sentences=(_changed(update), *edit_sentences(update.edits))),
        SummaryPart(term="A person must look", sentences=concern_sentences(report.concerns)),
        SummaryPart(term="For whom", sentences=tuple(_for_whom(state, report))),
        SummaryPart(term="What it gains", sentences=tuple(_gains(report)))
        if report.question == "better"
        else SummaryPart(term="What it saves, and keeps", sentences=tuple(_keeps(report))),
        SummaryPart(term="What it costs", sentences=(_cost(report),)),
        SummaryPart(term="Not shown", sentences=limitations(state, report)),
        _next_step(update, report),
    ]
    return tuple(part for part in parts if part.sentences or part.commands)


def summary_markdown(state: StateActions, update: PolicyUpdate, report: ValidationReport) -> str:
    """The same for the Dagster UI, below the verdict and its first reason."""
    reason = report.reasons[0] if report.reasons else update.reason
    lines = [f"**{report.verdict.capitalize()}.** {escape(reason)}", ""]
    for part in decision_summary(state, update, report):
        first, *more = [escape(sentence) for sentence in part.sentences] or [""]
        lines.append(f"- **{part.term}:** {first}")
        lines += [f"  - {sentence}" for sentence in more]
        lines += [f"  - `{command}`" for command in part.commands]
    return "\n".join(lines)


def edit_sentences(edits: tuple[Edit, ...]) -> tuple[str, ...]:
    """Each of the first edits in a sentence with its reason, and how many more there are."""
    sentences = [_edit(edit) for edit in edits[:EDITS]]
    more = len(edits) - EDITS
    return (*sentences, *([f"And {count(more, 'more edit')}, below."] if more > 0 else []))


def concern_sentences(concerns: Sequence[GuardFinding]) -> tuple[str, ...]:
    """What the contract guard was not sure of, each with where it comes from."""
    return tuple(f"{finding.reason[0].upper()}{finding.reason[1:]}." for finding in concerns)


def _edit(edit: Edit) -> str:
    old, new = (f"“{trimmed(text, QUOTED)}”" for text in (edit.find, edit.text))
    text = {"add": f"Added: {new}", "replace": f"{old} becomes {new}", "delete": f"Deleted: {old}"}[edit.operation]
    why = f" Why: {trimmed(edit.why, QUOTED)}" if edit.why else ""
    return f"{text}{'' if text.endswith(('.”', '!”', '?”')) else '.'}{why}"


def _changed(update: PolicyUpdate) -> str:
    return change_sentence(update.baseline, update.candidate)


def _for_whom(state: StateActions, report: ValidationReport) -> Iterator[str]:
    calls = calls_a_week(state)
    produced = f"the policy in force produced {share(state.policy_share)} of the window's samples"
    yield f"About {calls:,.0f} calls a week; {produced}." if calls else f"{produced[0].upper()}{produced[1:]}."
    yield _tested(report)
    parts = [_part(part) for part in report.slices if part.finding == "holds"]
    if parts:
        yield f"Shown not to lose: {', '.join(parts)}."
    lost = [_part(part) for part in report.slices if part.finding == "loses"]
    if lost:
        yield f"Shown to lose: {', '.join(lost)}."


def _tested(report: ValidationReport) -> str:
    used = [window for window in report.pooled if window.used]
    pooled = sum(window.used for window in used)
    groups = _in_groups(report.grouping)
    where = f", {pooled:,} of them from {count(len(used), 'earlier window')}" if pooled else ""
    times = f", each replayed {report.repeats} times" if report.repeats > 1 else ""
    last = report.interim_analyses[-1] if report.interim_analyses else None
    early = ""
    if last and len(report.interim_analyses) == 1 and last.conversations < report.conversations:
        end = "stop for futility" if last.outcome == "futile" else "decide"
        early = f"; {last.conversations:,} of them were enough to {end}"
    compared = f"Compared on {count(report.conversations, 'held-out conversation')}{groups}{where}{times}{early}."
    if report.carried is None:
        return compared
    tries = count(report.carried.times, "window")
    return f"{compared} The candidate is from window {report.carried.window}; {tries} before left it undecided."


def _in_groups(grouping: Grouping | None) -> str:
    if grouping is None or grouping.groups == grouping.conversations:
        return ""
    return f" of {count(grouping.groups, 'group')} (those of one user, or with the same request, count once)"


def _part(part: SliceComparison) -> str:
    return f"{part_name(part)} ({share(part.share)} of the conversations)"


def _gains(report: ValidationReport) -> Iterator[str]:
    primary = report.primary
    if primary is None or primary.difference is None:
        yield "Nothing was compared, so no gain is known."
        return
    yield f"{_moved(primary)}{_promise(primary, report.alpha)}"
    if report.rows:
        yield _by_sample(report, primary.evaluator)
    for comparison in report.comparisons:
        if comparison.role != "primary" and comparison.difference is not None:
            yield f"{_moved(comparison)}{_guarded(comparison, report)}"


def _keeps(report: ValidationReport) -> Iterator[str]:
    """Of a candidate that is to be as good for less money."""
    yield _saved(report)
    for comparison in report.comparisons:
        if comparison.difference is not None:
            yield f"{_moved(comparison)}{_guarded(comparison, report)}"
    if report.primary and report.rows:
        yield _by_sample(report, report.primary.evaluator)


def _saved(report: ValidationReport) -> str:
    found = report.saving
    if found is None or found.share is None:
        return "Whether it costs less is not known: neither prices nor tokens of the replayed calls are."
    if found.unit == "usd":
        cost = f"1,000 calls cost {dollars(1000 * found.baseline)} → {dollars(1000 * found.candidate)}"
    else:
        cost = f"A call takes {found.baseline:,.0f} → {found.candidate:,.0f} tokens, and a price is missing"
    if found.low is None or found.high is None:
        return f"{cost}; too few conversations to distinguish it from chance."
    level = confidence(found.alpha)
    if found.is_shown:
        return f"{cost}: it saves at least {share(found.low)}, with {level} confidence ({share(found.share)} observed)."
    ends = f"the interval of what it saves is {share(found.low)} to {share(found.high)}"
    return f"{cost}; {ends}, so no saving is shown."


def _by_sample(report: ValidationReport, primary: str) -> str:
    """How many answers scored higher, and how many lower, which a mean hides."""
    changes = [pair.change for pair in paired(report.rows, primary)]
    known = [change for change in changes if change is not None]
    counts = (
        f"Of {count(len(changes), 'answer')}, {sum(c > 0 for c in known):,} scored higher, "
        f"{sum(c < 0 for c in known):,} lower, {sum(c == 0 for c in known):,} the same"
    )
    return f"{counts}." if len(known) == len(changes) else f"{counts}; {len(changes) - len(known):,} without a score."


def _moved(c: EvaluatorComparison) -> str:
    means = f"from {number(c.baseline_mean, c.scale)} to {number(c.candidate_mean, c.scale)}"
    return f"{c.evaluator}: {means} ({signed(c.difference, c.scale)})"


def _promise(c: EvaluatorComparison, alpha: float) -> str:
    if c.ci_low is None or c.ci_high is None:
        return "; too few conversations to distinguish it from chance."
    level = confidence(c.alpha if c.alpha is not None else alpha)
    if c.ci_low > 0:
        return f"; it promises at least {signed(c.ci_low, c.scale)}, with {level} confidence."
    if c.ci_high < 0:
        return f"; it is worse: at best {signed(c.ci_high, c.scale)}, with {level} confidence."
    return f"; the interval is {signed(c.ci_low, c.scale)} to {signed(c.ci_high, c.scale)}, so no gain is shown."


def _guarded(c: EvaluatorComparison, report: ValidationReport) -> str:
    if c.role == "safety":
        return f", a safety evaluator: {count(len(c.fallen), 'sample')} scored lower." if c.samples else "."
    margin = c.margin if c.margin is not None else report.guardrail_margin
    role = "the primary evaluator" if c.role == "primary" else "a guardrail"
    if margin is None or c.ci_low is None or c.ci_high is None:
        return f", {role}."
    allowed = signed(-margin * c.scale, c.scale)
    if c.ci_low > -margin * c.scale:
        return f", {role}: at worst {signed(c.ci_low, c.scale)}, and {allowed} is allowed."
    return f", {role}: a fall beyond the allowed {allowed} is not excluded."


def _cost(report: ValidationReport) -> str:
    cost = report.cost
    if cost is None:
        return "Not known: the window's calls or the replays' tokens were not counted."
    prompt = f"reads {cost.baseline_prompt_tokens:,.0f} → {cost.candidate_prompt_tokens:,.0f} tokens"
    answer = f"writes {cost.baseline_completion_tokens:,.0f} → {cost.candidate_completion_tokens:,.0f}"
    usage = f"at {cost.calls_a_week:,.0f} calls a week; a call {prompt} and {answer}."
    if cost.baseline_usd is None or cost.candidate_usd is None:
        return f"In USD it is not known, since a price is missing; {usage}"
    more = cost.candidate_usd - cost.baseline_usd
    sign = "more" if more > 0 else "less"
    amount = f"About {dollars(abs(more))}" if abs(more) >= CENT else "Less than a cent"
    change = f"{amount} a week {sign}" if more else "The same"
    return f"{change} ({dollars(cost.baseline_usd)} → {dollars(cost.candidate_usd)}), {usage}"


def _next_step(update: PolicyUpdate, report: ValidationReport) -> SummaryPart:
    if report.verdict != "accept":
        return SummaryPart(term="What to do", sentences=(_stays(update, report),))
    where = f"--loop {report.loop} --window {report.window.key} --by YOU"
    note = " --note WHY" if report.concerns else ""
    by_itself = (
        "It does not come into force by itself, since a person must look: approve it by name and with a note."
        if report.concerns
        else "Where promotion is automatic, the job puts the candidate in force unless somebody rejected it."
    )
    return SummaryPart(
        term="What to do",
        sentences=(
            f"{_to_read(report)}, then approve or reject; the asset promoted_policy does both in the UI. {by_itself}",
        ),
        commands=(f"sia policy promote {where}{note}", f"sia policy reject {where} --note WHY"),
    )


def _to_read(report: ValidationReport) -> str:
    pairs = paired(report.rows, report.primary.evaluator) if report.primary else ()
    lower = any((pair.change or 0.0) < 0 for pair in pairs)
    return "Read the samples that scored lower" if lower else "No sample scored lower: read the changed prompt"


def _stays(update: PolicyUpdate, report: ValidationReport) -> str:
    if report.verdict == "reject":
        return "Nothing. The policy in force stays, and the next window starts from it again."
    if report.carries_on:
        return f"Nothing. The policy in force stays; the next window tries the candidate again{_needed(report)}."
    if report.samples_needed and report.candidate is not None:
        return f"Nothing. The policy in force stays{_needed(report)}."
    if update.candidate is None:
        return "Nothing to approve: the loop begins with the first window that has traffic."
    return "The policy in force stays. " + ("More traffic may decide it." if update.changed else "Nothing to approve.")


def _needed(report: ValidationReport) -> str:
    if not report.samples_needed:
        return ""
    return (
        f". To decide, it would take about {report.samples_needed:,} held-out conversations; this window had "
        f"{report.conversations:,}"
    )
