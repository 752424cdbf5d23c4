"""Text between the placeholders of a recovered template may be part of the values: it stays as it is."""

import re
from typing import Final

from sia_dagster.core.guard._guard_input import GuardInput
from sia_dagster.core.guard._text import shown
from sia_dagster.core.records.policy import Actions

_FEW: Final = 3
"""Text of no more words between two placeholders looks like data: a date's dashes, the keys of a JSON value."""
_RECOVERED: Final = re.compile(r"value\d*_\d+")
"""The names of variables in a recovered template, which does not know the application's own."""


def keeps_text_between_slots(case: GuardInput) -> str | None:
    """Why the candidate may write into what the application fills in; None if it does not.

    A template recovered from filled prompts can be finer than the application's own: what all values have in common
    is taken for its text. So the few words or signs between two placeholders stay, with both placeholders around
    them. In templates that were recorded, the variables' names are known and the text is the template's.
    """
    variables = case.baseline.variables
    if not variables or not all(_RECOVERED.fullmatch(name) for name in variables):
        return None
    lost = next((text for text in _joined_slots(case.baseline) if text not in case.candidate.system_prompt), None)
    return None if lost is None else f"template variables: the candidate splits or changes {shown(lost)}"


def _joined_slots(actions: Actions) -> list[str]:
    """Each run of placeholders with only a few words between them, as it stands in the prompt."""
    names = "|".join(re.escape(name) for name in sorted(actions.variables, key=len, reverse=True))
    pieces = re.split(r"(\{\{(?:" + names + r")\}\}|\{(?:" + names + r")\})", actions.system_prompt)
    runs: list[list[str]] = []
    for between, placeholder in zip(pieces[::2], pieces[1::2], strict=False):
        if runs and len(re.findall(r"\w+", between)) <= _FEW:
            runs[-1] += [between, placeholder]
        else:
            runs.append([placeholder])
    return ["".join(run) for run in runs if len(run) > 1]
