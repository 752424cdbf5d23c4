"""How records of each tool are read: one file a form. A new form is a file here and a row of `FORMS`."""

from sia_dagster.adapters.local.forms import chat_log, langfuse, langsmith, mlflow, other_platforms, otlp, span_rows
from sia_dagster.adapters.local.forms.span import BAD_SHAPES, Form, FormError, Span
from sia_dagster.core.records.value import JsonObject

FORMS: tuple[Form, ...] = (
    mlflow.FORM,
    otlp.FORM,
    other_platforms.BRAINTRUST,
    span_rows.FORM,
    langfuse.OBSERVATIONS,
    langfuse.ALONE,
    langsmith.FORM,
    other_platforms.OPIK,
    chat_log.INVOCATIONS,
    chat_log.PAIRS,
    chat_log.LOG,
)
"""Asked in this order; the first that recognises a record reads it."""

__all__ = ["BAD_SHAPES", "FORMS", "Form", "FormError", "Span", "form_of"]


def form_of(record: JsonObject) -> Form | None:
    """The form of a record; None if it is of none that is read."""
    for form in FORMS:
        if form.recognises(record):
            return form
    return None
