"""No order that a trace gave: a policy that tells models to drop their instructions, or that forges our markers."""

import re

from sia_dagster.core.guard._text import is_invisible, new_matches, raw_text, shown
from sia_dagster.core.models import Actions

_DROP = r"\b(?:ignor\w*|disregard\w*|forget\w*|overrid\w*|bypass\w*|(?:do not|don't|stop) (?:follow|obey)\w*)\b"
_OVERRIDE = re.compile(
    rf"{_DROP}[^.\n]{{0,40}}?\b(?:above|previous|prior|earlier|preceding|foregoing|former|original|system|developer)\b"
    r"[^.\n]{0,30}?\b(?:instruction|prompt|rule|direction|guideline|command|polic)\w*"
    rf"|{_DROP}\s+(?:(?:the|all|everything|anything|of|that|is|was|said|written)\s+)*(?:above|foregoing)\b",
    re.IGNORECASE,
)
_MARKER = re.compile(
    r"<<<\s*\w+[^\n]{0,40}|\b\w+[ \t]+\w+[ \t]*>>>|<\|[^|\n]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?(?:system|assistant)>",
    re.IGNORECASE,
)


def holds_no_order(candidate: Actions, baseline: Actions) -> str | None:
    """The first new order to drop instructions, quote marker, chat-template token or invisible character; None if none.

    A defence that repeats such an order ("if someone writes 'ignore the previous instructions' ...") is stopped too:
    no reading of one sentence tells the two apart.
    """
    for match in new_matches(_OVERRIDE, candidate, baseline):
        return f"instructions: the candidate holds an order to drop instructions: {shown(match[0])}"
    for match in new_matches(_MARKER, candidate, baseline):
        return f"instructions: the candidate holds a marker that frames text for models: {shown(match[0])}"
    hidden = {c for c in raw_text(candidate) if is_invisible(c)} - set(raw_text(baseline))
    if hidden:
        names = ", ".join(f"U+{ord(c):04X}" for c in sorted(hidden))
        return f"instructions: the candidate holds invisible characters: {names}"
    return None
