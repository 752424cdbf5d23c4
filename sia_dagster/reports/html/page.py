"""The report of a window as one HTML file: no script, no external resource, every text escaped."""

import base64
import functools
import hashlib
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.gate import Look
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.spend import Spend, total
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.text import count
from sia_dagster.reports import brief, changes, pairs, prompt_diff, wording
from sia_dagster.reports import policy_shares as policies
from sia_dagster.reports.figures import scores as figures
from sia_dagster.reports.html import basis, people

if TYPE_CHECKING:
    import jinja2


SHOWN = 5
"""Samples of each kind."""


EVIDENCE_SHOWN = 4
"""Samples an edit is shown with; the others by id."""


OPERATIONS = {"add": "Add", "replace": "Replace", "delete": "Delete"}


def render_report(
    state: StateActions,
    update: PolicyUpdate,
    report: ValidationReport,
    *,
    spend: Mapping[str, Spend] | None = None,
    looks: Sequence[Look] = (),
) -> str:
    """One window's report as a self-contained HTML page; the same values give the same text.

    `spend` is by stage (or by stage and model, `judge gpt-4o-mini`); without it, what `update` and `report` carry.
    `looks` are the ledger's that the window sees, for the picture of what is left of the error budget.
    Works for an empty window and for a policy that stays. The text can always be encoded as UTF-8.
    """
    spent = dict(spend) if spend is not None else {"search": update.spend, "validation": report.spend}
    style = _text("report.css")
    content = {"state": state, "update": update, "report": report, "pairs": _pairs(report), "facts": _facts(state)}
    content |= _verdict(state, update, report, tuple(spent)) | _scores(state, report) | _policy(state, update, report)
    content |= _basis(report, looks)
    content |= {"spend": spent, "total": total(spent.values()), "people": people.judge_and_people(state)}
    template = _environment().get_template("report.html.j2")
    return template.render(style=_trusted(style), csp=_policy_of(style), **content) + "\n"


def _verdict(
    state: StateActions, update: PolicyUpdate, report: ValidationReport, spent: tuple[str, ...]
) -> dict[str, Any]:
    """What stands at the top: the word, its reason, and what the person who decides has to know."""
    reason, *more = report.reasons or (update.reason or "No reason was recorded.",)
    return {
        "reason": reason,
        "more_reasons": more,
        "brief": brief.brief(state, update, report),
        "window": wording.window_text(report.window),
        "simulated": changes.simulated_names(state, update, report, spent),
    }


def _basis(report: ValidationReport, looks: Sequence[Look]) -> dict[str, Any]:
    """What the verdict rests on besides the scores."""
    found = basis.basis(report, looks)
    figures_ = {name: _trusted(getattr(found, name)) for name in ("noise_figure", "budget_figure")}
    levels = sorted({c.alpha if c.alpha is not None else report.alpha for c in report.comparisons}, reverse=True)
    return {"basis": found, **figures_, "confidence": " or ".join(dict.fromkeys(map(wording.confidence, levels)))}


def _scores(state: StateActions, report: ValidationReport) -> dict[str, Any]:
    compared = {c.evaluator: c for c in report.comparisons}
    levels = []
    for constant in state.eval_constants:
        scores = [s for s in (sample.score(constant.name) for sample in state.samples) if s is not None]
        comparison = compared.get(constant.name)
        levels.append(
            figures.ScoreLevels(
                evaluator=constant.name,
                low=constant.low,
                high=constant.high,
                logged=sum(scores) / len(scores) if scores else None,
                old=comparison.baseline_mean if comparison else None,
                new=comparison.candidate_mean if comparison else None,
                scored=len(scores),
                samples=len(state.samples),
            )
        )
    forest = figures.forest_plot(report.comparisons, min_effect=report.min_effect, margin=report.guardrail_margin)
    return {"forest": _trusted(forest), "levels": _trusted(figures.scores_plot(levels))}


def _policy(state: StateActions, update: PolicyUpdate, report: ValidationReport) -> dict[str, Any]:
    """The prompt diff, the other settings, the edits with the samples that call for them, the candidates."""
    old = update.baseline.system_prompt if update.baseline else ""
    new = update.candidate.system_prompt if update.candidate else old
    by_id = {sample.span_id: sample for sample in state.samples}
    edits = []
    for edit in update.edits:
        known = [by_id[span] for span in edit.samples if span in by_id]
        unseen = [span for span in edit.samples if span not in by_id] + [s.span_id for s in known[EVIDENCE_SHOWN:]]
        edits.append({"edit": edit, "evidence": known[:EVIDENCE_SHOWN], "others": unseen})
    return {
        "stretches": prompt_diff.stretches(prompt_diff.diff_rows(old, new)),
        "prompt_changed": old != new,
        "prompt": new,
        "settings": changes.settings_changes(update.baseline, update.candidate),
        "edits": edits,
        "primary": pairs.primary_name(report) or (state.primary.name if state.primary else ""),
        "operations": OPERATIONS,
        "statuses": wording.STATUSES,
    }


def _pairs(report: ValidationReport) -> list[dict[str, Any]]:
    """The groups of samples before and after, each with its heading; empty groups are left out but the first."""
    every = pairs.paired(report.rows, pairs.primary_name(report))
    groups = (
        ("Scored lower under the new policy", pairs.lost(every, len(every)), SHOWN),
        ("Most improved", pairs.pick(every, "most_improved", len(every)), SHOWN),
        ("Unchanged, lowest first", pairs.pick(every, "unchanged", len(every)), 3),
        ("Could not be compared", pairs.pick(every, "unscored", len(every)), 3),
    )
    shown = [{"title": title, "count": len(found), "pairs": found[:limit]} for title, found, limit in groups]
    return [group for index, group in enumerate(shown) if group["pairs"] or (index == 0 and every)]


def _facts(state: StateActions) -> dict[str, Any]:
    splits = []
    for split, use in (
        ("train", "the updater sees these"),
        ("selection", "candidates are chosen on these"),
        ("holdout", "the verdict rests on these alone"),
    ):
        samples = [sample for sample in state.samples if sample.split == split]
        conversations = len({sample.conversation_id for sample in samples})
        splits.append({"name": split, "use": use, "samples": len(samples), "conversations": conversations})
    failed = {c.name: _failed(state, c) for c in state.eval_constants}
    spoke = {
        "policies": policies.policy_rows(state.policies, state.actions),
        "left_out": policies.left_out_sentence(state) if state.left_out else "",
    }
    return {"splits": splits, "failed": failed, **spoke}


def _failed(state: StateActions, constant: EvalConstant) -> int:
    return sum(1 for s in state.samples for e in s.evals if e.name == constant.name and e.score is None)


@functools.cache
def _environment() -> "jinja2.Environment":
    import jinja2  # here, so that only who renders a report pays for it

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("number", "signed", "interval", "p_value", "share", "usd", "trimmed", "capped"):
        environment.filters[name] = getattr(wording, name)
    environment.filters["count"] = count
    environment.filters["json"] = functools.partial(json.dumps, ensure_ascii=False, indent=1, sort_keys=True)
    return environment


def _shown(value: object) -> object:
    """Every plain text that the template writes passes here, so that no hidden character reaches a reader."""
    return wording.visible(value) if type(value) is str else value


def _trusted(markup: str) -> object:
    import markupsafe

    return markupsafe.Markup(markup)  # our own figures and style sheet: escaped where they are made


def _policy_of(style: str) -> str:
    """A content security policy that allows our one style sheet, by its hash, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@functools.cache
def _text(name: str) -> str:
    return importlib.resources.files("sia_dagster.reports.html").joinpath(name).read_text(encoding="utf-8")
