"""Tables and diffs as Markdown for the Dagster UI, which renders GitHub's dialect without raw HTML.

Text from traces, models and prompts never becomes a link, an image, HTML or a heading: inline it is escaped, and whole
prompts stand in fences that they cannot close.
"""

import re
from collections.abc import Iterable, Sequence

from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ArmOutcome, ValidationReport, ValidationRow
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import Edit, PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.text import count, number_in_groups
from sia_dagster.reports import changes, policy_shares, prompt_diff, sample_pairs
from sia_dagster.reports.wording import (
    NOTHING,
    STATUSES,
    capped,
    escape,
    interval,
    left_out,
    number,
    p_value,
    share,
    signed,
    trimmed,
    visible,
)

CELL = 160
"""Characters of a request or an output in a table."""


def fenced(text: str, language: str = "text") -> str:
    """Untrusted text in a code block whose fence is longer than any run of backticks in it."""
    shown = visible(capped(text))
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table of cells that are Markdown already; the columns at the positions `right` are aligned right."""
    rule = ("---:" if index in right else "---" for index in range(len(head)))
    lines = [head, tuple(rule), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def prompt_diff_markdown(old: str, new: str) -> str:
    """What changed between two prompts as a coloured diff; an unchanged prompt as it is."""
    if old == new:
        return "Unchanged.\n\n" + fenced(new) if new else "Unchanged: there is no system prompt."
    return fenced("\n".join(prompt_diff.unified_lines(old, new)), "diff")


def comparison_table(report: ValidationReport) -> str:
    """Both policies by evaluator, in the evaluator's own units; says so where nothing was compared."""
    if not report.comparisons:
        return "Nothing was compared in this window."
    head = ("evaluator", "role", "conversations", "old", "new", "difference", "p", "smallest detectable")
    rows = [
        (
            escape(c.evaluator),
            c.role,
            number_in_groups(*c.counted) + (f" ({'; '.join(omitted)})" if (omitted := left_out(c)) else ""),
            number(c.baseline_mean, c.scale),
            number(c.candidate_mean, c.scale),
            f"**{signed(c.difference, c.scale)}** {escape(interval(c.ci_low, c.ci_high, c.scale))}".rstrip(),
            escape(p_value(c.p_value)),
            signed(c.minimum_detectable_effect, c.scale) + (" (more than can be gained)" if c.is_too_small else ""),
        )
        for c in report.comparisons
    ]
    return table(head, rows, right=(2, 3, 4, 5, 6, 7))


def samples_table(rows: Sequence[ValidationRow], primary: str, *, which: sample_pairs.Which, limit: int = 5) -> str:
    """Held-out samples before and after, by the evaluator `primary`; see `sample_pairs.pick` for the order.

    An empty `primary` says that nothing was compared.
    """
    if not primary:
        return "Nothing was compared in this window."
    found = sample_pairs.pick(sample_pairs.paired(rows, primary), which, limit)
    if not found:
        return f"No sample is {which.replace('_', ' ')} by {escape(primary)}."
    head = ("span", escape(primary), "request", "old output", "new output", "why")
    return table(
        head,
        [
            (
                escape(pair.row.span_id),
                f"{number(pair.old)} → {number(pair.new)}",
                _cell(pair.row.request),
                _cell(pair.row.baseline.output or pair.row.baseline.error or ""),
                _cell(pair.row.candidate.output or pair.row.candidate.error or ""),
                _cell(_explanation(pair.row.candidate, primary)),
            )
            for pair in found
        ],
    )


def logged_samples_table(samples: Sequence[Sample], evaluator: str, *, limit: int = 5) -> str:
    """The logged outputs that `evaluator` scored lowest, ties by span; says so where it scored none."""
    scored = [(s.score(evaluator), s) for s in samples]
    lowest = sorted(((score, s.span_id, s) for score, s in scored if score is not None), key=lambda item: item[:2])
    if not lowest:
        return f"No logged output has a score by {escape(evaluator)}."
    rows = []
    for score, span_id, sample in lowest[:limit]:
        why = next((e.explanation or e.label or "" for e in sample.evals if e.name == evaluator), "")
        rows.append((escape(span_id), number(score), _cell(sample.request), _cell(sample.output), _cell(why)))
    return table(("span", escape(evaluator), "request", "output", "why"), rows, right=(1,))


def edits_markdown(update: PolicyUpdate) -> str:
    """The edits of the chosen candidate, each with its reason and the samples that call for it.

    The update's `reason`, shown beside this, says why there are none.
    """
    if not update.edits:
        return "No edits."
    return "\n\n".join(_edit(edit) for edit in update.edits)


def candidates_markdown(update: PolicyUpdate) -> str:
    """Every candidate with its status, its reasons and its gain on the selection split."""
    if not update.candidates:
        return "No candidate."
    rows = []
    for candidate in update.candidates:
        gains = (f"{escape(c.evaluator)} {signed(c.difference, c.scale)}" for c in candidate.selection)
        looks = (f"a person must look: {finding.reason}" for finding in candidate.concerns)
        reasons = escape(" ".join(f"{reason.rstrip('.')}." for reason in (*candidate.reasons, *looks)))
        rows.append((escape(candidate.name), STATUSES[candidate.status], ", ".join(gains) or NOTHING, reasons))
    return table(("candidate", "status", "on the selection split", "reasons"), rows)


def state_markdown(state: StateActions) -> str:
    """The policy in force in readable form, with its origin."""
    if state.actions is None:
        return "No policy: the window has no usable traffic, and none was promoted before it."
    origin = (
        "read from the traces; nothing was promoted before this window"
        if state.policy_version is None
        else f"version {state.policy_version} of the registry"
    )
    facts = [
        ("origin", origin),
        ("share of the window's samples", share(state.policy_share)),
        ("fingerprint", state.actions.fingerprint),
        *_settings(state.actions),
    ]
    prompt = fenced(state.actions.system_prompt) if state.actions.system_prompt else "No system prompt."
    shown = table(("policy in force", ""), [(name, escape(value)) for name, value in facts])
    return "\n\n".join([shown, prompt, *_prompt_shares(state)])


def _prompt_shares(state: StateActions, limit: int = 8) -> list[str]:
    """The prompts of the window with their shares, and the samples left out; empty where one prompt gave all."""
    parts = []
    if len(state.policies) > 1:
        rows = policy_shares.policy_rows(state.policies, state.actions)
        cells = [(_cell(r.prompt), escape(r.origin), r.role, str(r.samples), escape(r.share)) for r in rows[:limit]]
        parts.append(table(("prompt", "origin", "role", "samples", "share"), cells, right=(3, 4)))
        parts += [f"And {count(len(rows) - limit, 'more prompt')}."] if len(rows) > limit else []
    if state.left_out:
        parts.append(escape(policy_shares.left_out_sentence(state)))
    return parts


def change_markdown(update: PolicyUpdate) -> str:
    """What the candidate changes: a sentence, the prompt's diff, and every other setting before and after."""
    parts = [escape(changes.change_sentence(update.baseline, update.candidate))]
    old, new = update.baseline, update.candidate
    if old is not None and new is not None:
        parts.append(prompt_diff_markdown(old.system_prompt, new.system_prompt))
    settings = [(c.name, _cell(c.old), _cell(c.new)) for c in changes.settings_changes(old, new)]
    if settings:
        parts.append(table(("setting", "policy in force", "candidate"), settings))
    return "\n\n".join(parts)


def skipped_markdown(skipped: Sequence[str], *, limit: int = 20) -> str:
    """How many spans were skipped, and the first `limit` reasons."""
    if not skipped:
        return "No span was skipped."
    lines = [f"{count(len(skipped), 'span')} skipped:", ""]
    lines += [f"- {escape(trimmed(sentence, 300))}" for sentence in skipped[:limit]]
    if len(skipped) > limit:
        lines.append(f"- and {len(skipped) - limit:,} more")
    return "\n".join(lines)


def _edit(edit: Edit) -> str:
    lines = [f"-{line}" for line in edit.find.split("\n")] if edit.find and edit.operation != "add" else []
    lines += [f" {line}" for line in edit.find.split("\n")] if edit.find and edit.operation == "add" else []
    lines += [f"+{line}" for line in edit.text.split("\n")] if edit.text else []
    spans = ", ".join(escape(span) for span in edit.samples)
    called = f"\n\nMotivated by {spans}" if spans else ""
    why = f" {escape(edit.why)}" if edit.why else ""
    return f"**{edit.operation.capitalize()}.**{why}\n\n{fenced(chr(10).join(lines), 'diff')}{called}"


def _settings(actions: Actions) -> list[tuple[str, str]]:
    facts = [("model", actions.model or NOTHING)]
    facts += [(name, str(value)) for name, value in sorted(actions.parameters.items())]
    facts += [("variables", ", ".join(actions.variables))] if actions.variables else []
    facts += [("examples", str(len(actions.examples)))] if actions.examples else []
    facts += [("tools", str(len(actions.tools)))] if actions.tools else []
    return [(escape(name), value) for name, value in facts]


def _explanation(arm: ArmOutcome, evaluator: str) -> str:
    metrics = next((e for e in arm.evals if e.name == evaluator), None)
    return (metrics.explanation or metrics.error or metrics.label or "") if metrics else arm.error or ""


def _cell(text: str) -> str:
    return escape(trimmed(visible(text), CELL)) or NOTHING
