"""A prompt that a model rewrote as a whole, turned into edits: the same rules then hold for it as for edits."""

import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Final, NamedTuple

from sia_dagster.core.records.search import Edit
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.search.reflection.edits import EditError, apply_edits

PROMPT_KEYS: Final = (
    "system_prompt",
    "new_system_prompt",
    "updated_system_prompt",
    "revised_system_prompt",
    "improved_system_prompt",
    "rewritten_system_prompt",
    "prompt",
    "new_prompt",
    "updated_prompt",
    "revised_prompt",
    "improved_prompt",
    "rewritten_prompt",
)
"""Fields of an answer that can only mean a whole prompt."""
WHY: Final = "part of a prompt that was rewritten as a whole"
KEPT_SHARE: Final = 0.5
"""A text that keeps this share of the prompt's sentences is taken for a new version of it."""
_FENCE_LINE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.M)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_SENTENCE = re.compile(r"[^\n.!?\u0964\u3002\uff01\uff1f]*(?:[.!?\u0964\u3002\uff01\uff1f]+[ \t]*\n?|\n|$)")
_MOST_PIECES = 2000
"""Of a prompt that is compared piece by piece: the time grows with their square."""
_THOUGHTS_END = "</think>"


class _Hunk(NamedTuple):
    """The pieces `old[a:b]` become `new[c:d]`."""

    a: int
    b: int
    c: int
    d: int


def rewritten_prompt(content: JsonObject | None, text: str, prompt: str) -> str | None:
    """The whole new prompt that an answer holds in place of edits; None where that is not beyond doubt.

    `content` is the answer's JSON object, `text` the answer that is none. Beyond doubt are a field that is named after
    the prompt, and a text that keeps half of the prompt's sentences: as the only edit, or in the answer's only code
    fence.
    """
    found = _fenced(text) if content is None else _field(content)
    if found is not None:
        return found if content is not None or keeps(found, prompt) else None
    return _only_edit(content, prompt) if content is not None else None


def keeps(text: str, prompt: str) -> bool:
    """Whether `text` holds at least half of the prompt's sentences, so that it is a new version of it."""
    sentences = {piece.strip() for piece in _sentences(_plain(prompt))} - {""}
    theirs = {piece.strip() for piece in _sentences(_plain(text))}
    return bool(sentences) and len(sentences & theirs) >= KEPT_SHARE * len(sentences)


def edits_between(prompt: str, rewritten: str) -> tuple[Edit, ...]:
    """Edits of single sentences, else of lines, else of all, that make the new prompt of `prompt`; none if it is that.

    The white space around the prompt and its line ends stay as they are. Every `find` is in the prompt once.
    """
    old = _plain(prompt)
    head, tail = old[: len(old) - len(old.lstrip())], old[len(old.rstrip()) :]
    new = f"{head}{_plain(rewritten).strip()}{tail}"
    if new == old or not new.strip():
        return ()
    for cut in (_sentences, _LINE.findall):
        edits = _edits(old, new, cut)
        if edits and _makes(old, edits, new):
            return edits
    return (Edit(operation="replace", find=old.strip(), text=new.strip(), why=WHY),)


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n")


def _sentences(text: str) -> list[str]:
    """The sentences with the white space and line end after them; joined, they give the text back."""
    return [piece for piece in _SENTENCE.findall(text) if piece]


def _fenced(text: str) -> str | None:
    """What the only code fence of an answer holds."""
    plain = text.rpartition(_THOUGHTS_END)[2]
    lines = list(_FENCE_LINE.finditer(plain))
    return plain[lines[0].end() + 1 : lines[1].start()] if len(lines) == 2 else None


def _field(content: JsonObject) -> str | None:
    """The prompt in the one field of this answer that is named after it."""
    if isinstance(content.get("edits"), list) and content["edits"]:
        return None
    named = [content[key] for key in PROMPT_KEYS if isinstance(content.get(key), str) and content[key].strip()]
    return named[0] if len(named) == 1 else None


def _only_edit(content: JsonObject, prompt: str) -> str | None:
    """The text of the answer's only edit where that is a new version of the whole prompt."""
    edits = content.get("edits")
    if isinstance(edits, str):
        return edits if keeps(edits, prompt) else None
    if not (isinstance(edits, list) and len(edits) == 1 and isinstance(edits[0], dict)):
        return None
    find, text = (_plain(str(edits[0].get(name) or "")) for name in ("find", "text"))
    of_all = not find.strip() or find.strip() == _plain(prompt).strip()
    return text if of_all and text.strip() and keeps(text, prompt) else None


def _edits(old: str, new: str, cut: Callable[[str], list[str]]) -> tuple[Edit, ...]:
    """An edit for each stretch of pieces that differs, with so many of those around it that it stands there once.

    None where there are too many pieces.
    """
    before, after = cut(f"{old}\n"), cut(f"{new}\n")  # So the last line is like the others.
    if max(len(before), len(after)) > _MOST_PIECES:
        return ()
    codes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    hunks = [_Hunk(a, b, c, d) for kind, a, b, c, d in codes if kind != "equal"]
    while (wider := _widened(hunks, before, after, old)) != hunks:
        hunks = wider
    return tuple(_edit(hunk, before, after) for hunk in hunks)


def _widened(hunks: Sequence[_Hunk], before: Sequence[str], after: Sequence[str], old: str) -> list[_Hunk]:
    """Each hunk that does not stand alone with one more piece, and hunks that touch by then as one."""
    found: list[_Hunk] = []
    for hunk in hunks:
        if not _stands_alone(hunk, before, after, old):
            hunk = _wider(hunk, len(before))
        if found and hunk.a <= found[-1].b:
            last = found.pop()
            hunk = _Hunk(last.a, max(last.b, hunk.b), last.c, max(last.d, hunk.d))
        found.append(hunk)
    return found


def _wider(hunk: _Hunk, pieces: int) -> _Hunk:
    """With the piece before it, else the one after it: both sides of it are equal in the old and the new text."""
    if hunk.a:
        return hunk._replace(a=hunk.a - 1, c=hunk.c - 1)
    return hunk._replace(b=hunk.b + 1, d=hunk.d + 1) if hunk.b < pieces else hunk


def _stands_alone(hunk: _Hunk, before: Sequence[str], after: Sequence[str], old: str) -> bool:
    """Whether the hunk can be an edit: its old text is in the prompt once, and its new text is not blank."""
    find, text = "".join(before[hunk.a : hunk.b]).strip("\n"), "".join(after[hunk.c : hunk.d])
    once = bool(find.strip()) and old.find(find) == old.rfind(find) and old.count(find) == 1
    return once and (hunk.c == hunk.d or bool(text.strip()))


def _edit(hunk: _Hunk, before: Sequence[str], after: Sequence[str]) -> Edit:
    find, text = "".join(before[hunk.a : hunk.b]), "".join(after[hunk.c : hunk.d])
    if not text:
        return Edit(operation="delete", find=find.strip("\n"), why=WHY)
    added = text.removeprefix(find)
    if find.endswith("\n") and added != text:
        return Edit(operation="add", find=find.strip("\n"), text=added.removesuffix("\n"), why=WHY)
    ends = len(find) - len(find.rstrip("\n"))
    if ends and text.endswith("\n" * ends):
        return Edit(operation="replace", find=find[:-ends], text=text[:-ends], why=WHY)
    return Edit(operation="replace", find=find, text=text, why=WHY)


def _makes(old: str, edits: Sequence[Edit], new: str) -> bool:
    try:
        return apply_edits(old, edits) == new
    except EditError:
        return False
