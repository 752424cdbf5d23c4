"""Text between the slots of a recovered template may be part of the values: it stays as it is."""

import re
from typing import Final

from sia_dagster.core.guard._case import Case
from sia_dagster.core.guard._text import shown
from sia_dagster.core.records.policy import Actions

_FEW: Final = 3
"""Text of no more words between two slots looks like data: a date's dashes, the keys of a JSON value."""
_RECOVERED: Final = re.compile(r"value\d*_\d+")
"""How a recovered template names what it does not know the names of."""


def keeps_islands(case: Case) -> str | None:
    """Why the candidate may write into what the application fills in; None if it does not.

    A template recovered from filled prompts can be finer than the application's own: what is the same in all values
    is taken for its text. So the few words or signs between two slots stay, with both slots around them. Of templates
    that were recorded the names of the variables are known, and the text is the template's.
    """
    variables = case.baseline.variables
    if not variables or not all(_RECOVERED.fullmatch(name) for name in variables):
        return None
    lost = next((text for text in _islands(case.baseline) if text not in case.candidate.system_prompt), None)
    return None if lost is None else f"template variables: the candidate parts or changes {shown(lost)}"


def _islands(actions: Actions) -> list[str]:
    """Each run of slots with only a few words between them, as it stands in the prompt."""
    names = "|".join(re.escape(name) for name in sorted(actions.variables, key=len, reverse=True))
    pieces = re.split(r"(\{\{(?:" + names + r")\}\}|\{(?:" + names + r")\})", actions.system_prompt)
    runs: list[list[str]] = []
    for between, slot in zip(pieces[::2], pieces[1::2], strict=False):
        if runs and len(re.findall(r"\w+", between)) <= _FEW:
            runs[-1] += [between, slot]
        else:
            runs.append([slot])
    return ["".join(run) for run in runs if len(run) > 1]
