"""The report of a window as one HTML file: no script, no external resource, every text escaped."""

import base64
import functools
import hashlib
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sia_dagster.core.cost import PromptLength
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.gate import Look
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.spend import Spend, total
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.text import count, number_in_groups, short_in_groups
from sia_dagster.reports import changes, policy_shares, prompt_diff, sample_pairs, search_figures, summary, wording
from sia_dagster.reports.figures import scores as figures
from sia_dagster.reports.funnel_table import funnel_rows
from sia_dagster.reports.html.gate_tables import gate_tables
from sia_dagster.reports.human_agreement import human_agreements
from sia_dagster.reports.provenance import origin_notes, passages

if TYPE_CHECKING:
    import jinja2


SHOWN = 5
"""Samples of each kind."""
EVIDENCE_SHOWN = 4
"""Samples shown with an edit; the others are listed by id."""
OPERATIONS = {"add": "Add", "replace": "Replace", "delete": "Delete"}


def render_report(
    state: StateActions,
    update: PolicyUpdate,
    report: ValidationReport,
    *,
    spend: Mapping[str, Spend] | None = None,
    looks: Sequence[Look] = (),
    lengths: Sequence[PromptLength] = (),
) -> str:
    """One window's report as a self-contained HTML page; the same values give the same text.

    `spend` is by stage (or by stage and model, `judge gpt-4o-mini`); by default that of `update` and `report`. `looks`
    are those of the looks ledger up to this window, for the figure of the remaining error budget and the gains of
    earlier windows. `lengths` are those of the prompt's versions. Works for an empty window and for a policy that
    stays. The text can always be encoded as UTF-8.
    """
    spent = dict(spend) if spend is not None else {"search": update.spend, "validation": report.spend}
    style = _text("report.css")
    content = {"state": state, "update": update, "report": report, "pairs": _pairs(report), "facts": _facts(state)}
    content |= _verdict(state, update, report, tuple(spent)) | _scores(state, report) | _policy(state, update, report)
    content |= _evidence(report, looks) | _search(update, report, looks) | _origins(update, lengths)
    content |= {"spend": spent, "total": total(spent.values()), "people": human_agreements(state)}
    template = _environment().get_template("report.html.j2")
    return template.render(style=_trusted(style), csp=_policy_of(style), **content) + "\n"


def _verdict(
    state: StateActions, update: PolicyUpdate, report: ValidationReport, spent: tuple[str, ...]
) -> dict[str, Any]:
    """The top of the page: the verdict's reasons, and the summary for the person who decides."""
    reason, *more = report.reasons or (update.reason or "No reason was recorded.",)
    return {
        "reason": reason,
        "more_reasons": more,
        "summary": summary.decision_summary(state, update, report),
        "window": wording.window_text(report.window),
        "simulated": changes.simulated_names(state, update, report, spent),
    }


def _evidence(report: ValidationReport, looks: Sequence[Look]) -> dict[str, Any]:
    """The evidence for the verdict besides the scores."""
    found = gate_tables(report, looks)
    figures_ = {name: _trusted(getattr(found, name)) for name in ("noise_figure", "budget_figure")}
    levels = sorted({c.alpha if c.alpha is not None else report.alpha for c in report.comparisons}, reverse=True)
    return {"tables": found, **figures_, "confidence": " or ".join(dict.fromkeys(map(wording.confidence, levels)))}


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
    """The prompt diff, the other settings, the edits with the samples that motivate them, the candidates."""
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
        "primary": sample_pairs.primary_name(report) or (state.primary.name if state.primary else ""),
        "operations": OPERATIONS,
        "statuses": wording.STATUSES,
    }


def _search(update: PolicyUpdate, report: ValidationReport, looks: Sequence[Look]) -> dict[str, Any]:
    """What the strategies used, and the gain on selection beside that on the holdout."""
    gains = search_figures.gain_pairs(update, report, looks)
    return {
        "search": {
            "strategy_head": _head(search_figures.STRATEGY_HEAD),
            "strategies": search_figures.strategy_rows(update),
            "gain_head": _head(search_figures.SELECTION_HEAD),
            "gains": search_figures.gain_rows(gains),
            "gain_sentence": search_figures.gain_sentence(gains),
        }
    }


def _origins(update: PolicyUpdate, lengths: Sequence[PromptLength]) -> dict[str, Any]:
    """The candidate's prompt with a note on each sentence that the loop wrote, and how long the prompt has grown."""
    return {
        "passages": passages(update.candidate.system_prompt if update.candidate else "", update.provenance),
        "origins": origin_notes(update.provenance),
        "length_head": _head(search_figures.LENGTH_HEAD),
        "lengths": search_figures.length_rows(lengths),
        "length_sentence": search_figures.length_sentence(lengths),
    }


def _head(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name[:1].upper()}{name[1:]}" for name in names)


def _pairs(report: ValidationReport) -> list[dict[str, Any]]:
    """The groups of samples before and after, each with its heading; empty groups are left out but the first."""
    every = sample_pairs.paired(report.rows, sample_pairs.primary_name(report))
    groups = (
        ("Scored lower under the new policy", sample_pairs.lost(every, len(every)), SHOWN),
        ("Most improved", sample_pairs.pick(every, "most_improved", len(every)), SHOWN),
        ("Unchanged, lowest first", sample_pairs.pick(every, "unchanged", len(every)), 3),
        ("Could not be compared", sample_pairs.pick(every, "unscored", len(every)), 3),
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
    return {
        "splits": splits,
        "funnel": funnel_rows(state.funnel),
        "failed": {c.name: _failed(state, c) for c in state.eval_constants},
        "policies": policy_shares.policy_rows(state.policies, state.actions),
        "left_out": policy_shares.left_out_sentence(state) if state.left_out else "",
    }


def _failed(state: StateActions, constant: EvalConstant) -> int:
    of_evaluator = [e for s in state.samples for e in s.evals if e.name == constant.name]
    return sum(e.score is None and not e.not_applicable for e in of_evaluator)


@functools.cache
def _environment() -> "jinja2.Environment":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("number", "signed", "interval", "p_value", "share", "usd", "trimmed", "capped", "left_out"):
        environment.filters[name] = getattr(wording, name)
    environment.filters["count"] = count
    environment.filters["race"] = search_figures.race_sentence
    environment.filters["short_in_groups"] = lambda comparison: short_in_groups(*comparison.counted)
    environment.filters["in_groups"] = lambda comparison: number_in_groups(*comparison.counted)
    environment.filters["json"] = functools.partial(json.dumps, ensure_ascii=False, indent=1, sort_keys=True)
    return environment


def _shown(value: object) -> object:
    """Applied to every plain text of the template, so that no hidden character reaches a reader."""
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
