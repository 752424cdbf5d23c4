"""The search as Markdown: the sentences that the loop wrote, and the gain on selection beside that on the holdout."""

from collections.abc import Sequence

from sia_dagster.core.records.gate import Look
from sia_dagster.core.records.policy import SentenceOrigin
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.reports import search_figures
from sia_dagster.reports.markdown.tables import CELL, table
from sia_dagster.reports.provenance import origin_notes
from sia_dagster.reports.wording import NOTHING, escape, trimmed


def provenance_markdown(provenance: Sequence[SentenceOrigin]) -> str:
    """Each sentence of the prompt that the loop wrote, with its window, cause, effect and samples."""
    if not provenance:
        return "The loop wrote no sentence of this prompt."
    rows = [
        (
            escape(trimmed(note.text, CELL)),
            escape(note.window),
            escape(note.cause) or NOTHING,
            escape(note.effect),
            ", ".join(map(escape, note.samples)) + (f" and {note.more_samples} more" if note.more_samples else ""),
        )
        for note in origin_notes(provenance)
    ]
    return table(("sentence", "window", "cause", "effect", "samples"), rows)


def gains_markdown(update: PolicyUpdate, report: ValidationReport, looks: Sequence[Look]) -> str:
    """By window, the gain on selection beside the gain on the holdout, as shares of the primary evaluator's range."""
    pairs = search_figures.gain_pairs(update, report, looks)
    if not pairs:
        return "No window has chosen a candidate by a comparison on its selection split."
    rows = [tuple(map(escape, row)) for row in search_figures.gain_rows(pairs)]
    shown = table(search_figures.SELECTION_HEAD, rows, right=(1, 2, 3))
    return f"{shown}\n\n{escape(search_figures.gain_sentence(pairs))}"
