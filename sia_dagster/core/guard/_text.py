"""What of a policy is text, in the form in which rules look at it."""

import re
import unicodedata
from collections.abc import Iterator

from sia_dagster.core.models import Actions, Sample

SHOWN = 60
"""Characters of a culprit that a reason shows."""
JOINERS = "\u200c\u200d"
"""Invisible, yet part of ordinary writing: Persian and Indic words, joined emoji."""
_UNUSUAL = re.compile(r"[^\t\n\r -~]")


def raw_text(actions: Actions) -> str:
    """Everything of a policy that a model reads as prose: the prompt and the examples."""
    return "\n".join([actions.system_prompt, *(f"{e.input}\n{e.output}" for e in actions.examples)])


def said_in(sample: Sample) -> Iterator[str]:
    """Everything that was said in a sample, by anyone but the policy."""
    for message in sample.messages:
        yield message.content or ""
        yield from (call.arguments for call in message.tool_calls)
    yield sample.output
    yield from sample.variables.values()


def plain(text: str) -> str:
    """Text in one form: compatibility characters unified, invisible ones gone, so that neither hides a word."""
    if not _UNUSUAL.search(text):
        return text
    return "".join(c for c in unicodedata.normalize("NFKC", text) if not _is_unseen(c))


def plain_text(actions: Actions) -> str:
    """`raw_text` in the form of `plain`."""
    return plain(raw_text(actions))


def is_invisible(character: str) -> bool:
    """Whether a character neither shows nor breaks a line: control and format characters, half a surrogate pair."""
    return character not in "\n\t\r" + JOINERS and unicodedata.category(character) in {"Cc", "Cf", "Cs"}


def _is_unseen(character: str) -> bool:
    return character in JOINERS or is_invisible(character)


def new_matches(pattern: re.Pattern[str], candidate: Actions, baseline: Actions) -> Iterator[re.Match[str]]:
    """Matches in the candidate's text whose wording (letter case aside) is not in the baseline's."""
    known = plain_text(baseline).casefold()
    for match in pattern.finditer(plain_text(candidate)):
        if match[0].casefold() not in known:
            yield match


def shown(culprit: str) -> str:
    """A culprit as a reason quotes it: one line, cut."""
    line = " ".join(culprit.split())
    return repr(line if len(line) <= SHOWN else line[: SHOWN - 1] + "…")


def masked(culprit: str, keep: int = 3) -> str:
    """A culprit that may not be repeated: its first characters and its length."""
    return f"'{culprit[:keep]}…' ({len(culprit)} characters)"
