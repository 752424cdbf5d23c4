"""A prompt that a model rewrote as a whole, turned into edits: the same rules then hold for it as for edits."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Final, NamedTuple

from sia_dagster.core.records.search import Edit
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.search.edits.apply import EditError, apply_edits
from sia_dagster.core.text import word_grams

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
NO_VERSION: Final = (
    f"the answer's whole prompt keeps less than {KEPT_SHARE:.0%} of the present one's sentences, so it is not taken "
    "for a new version of it"
)
_SAME_WORDS = 0.6
"""Two sentences that have this share of their words in common are versions of one another."""
_MOST_COMPARED = 100_000
"""Pairs of sentences whose words are compared; in longer texts only equal sentences are kept ones."""
_FENCE_LINE = re.compile(r"^[ \t]*(?:```|~~~)(.*)$", re.M)
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#-]*")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_SENTENCE = re.compile(r"[^\n.!?\u0964\u3002\uff01\uff1f]*(?:[.!?\u0964\u3002\uff01\uff1f]+[ \t]*\n?|\n|$)")
_MOST_PIECES = 2000
"""Of a prompt that is compared piece by piece: the time grows with their square."""
_MOST_EQUAL = 20
"""A piece that stands in the new prompt more often is matched only beside others: else the time grows with the cube."""
_MOST_HUNKS = 200
_MOST_ROUNDS = 50
"""In which a stretch grows until it stands in the prompt once: where lines repeat, no small one does."""
_THOUGHTS_END = "</think>"


class _Hunk(NamedTuple):
    """The pieces `old[a:b]` become `new[c:d]`."""

    a: int
    b: int
    c: int
    d: int


def rewritten_prompt(content: JsonObject | None, text: str, prompt: str) -> str | None:
    """The whole new prompt that an answer holds in place of edits; None where that is not beyond doubt.

    `content` is the answer's JSON object, `text` the answer that is none. Beyond doubt is a text that keeps half of the
    prompt's sentences: in a field that is named after the prompt, as the only edit, or in the answer's only code fence.
    A remark in such a place ("unchanged", "see below") is no prompt.
    """
    if content is None:
        found = _fenced(text, prompt)
    else:
        field = prompt_field(content)
        found = _only_edit(content, prompt) if field is None else field
    return found if found is not None and keeps(found, prompt) else None


def prompt_field(content: JsonObject) -> str | None:
    """The text of the one field of an answer without edits that is named after the prompt."""
    if isinstance(content.get("edits"), list) and content["edits"]:
        return None
    named = [content[key] for key in PROMPT_KEYS if isinstance(content.get(key), str) and content[key].strip()]
    return named[0] if len(named) == 1 else None


def keeps(text: str, prompt: str) -> bool:
    """Whether `text` holds at least half of the prompt's sentences, as they are or in mostly the same words."""
    sentences = {piece.strip() for piece in _sentences(_plain(prompt))} - {""}
    theirs = {piece.strip() for piece in _sentences(_plain(text))} - {""}
    kept, changed = len(sentences & theirs), sentences - theirs
    if kept < KEPT_SHARE * len(sentences) and len(changed) * len(theirs) <= _MOST_COMPARED:
        versions = [words_of(sentence) for sentence in theirs - sentences]
        kept += sum(any(_same_words(words_of(each), version) for version in versions) for each in changed)
    return bool(sentences) and kept >= KEPT_SHARE * len(sentences)


def words_of(text: str) -> frozenset[str]:
    """The words of three letters or more, in any script."""
    return frozenset(word_grams(text, 3))


def _same_words(old: frozenset[str], new: frozenset[str]) -> bool:
    return 2 * len(old & new) >= _SAME_WORDS * (len(old) + len(new)) and bool(old)


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


def _fenced(text: str, prompt: str) -> str | None:
    """What the only code fence of an answer holds; None where its first line may be more than a language's name."""
    plain = text.rpartition(_THOUGHTS_END)[2]
    lines = list(_FENCE_LINE.finditer(plain))
    if len(lines) != 2:
        return None
    language, (first, *_) = lines[0][1].strip(), _plain(prompt).strip().split("\n")
    is_language = _LANGUAGE.fullmatch(language) and language != first.strip()
    return plain[lines[0].end() + 1 : lines[1].start()] if is_language or not language else None


def _only_edit(content: JsonObject, prompt: str) -> str | None:
    """The text of the answer's only edit where that is a new version of the whole prompt."""
    edits = content.get("edits")
    if isinstance(edits, str):
        return edits
    if not (isinstance(edits, list) and len(edits) == 1 and isinstance(edits[0], dict)):
        return None
    find, text = (_plain(str(edits[0].get(name) or "")) for name in ("find", "text"))
    of_all = not find.strip() or find.strip() == _plain(prompt).strip()
    return text if of_all and text.strip() else None


def _edits(old: str, new: str, cut: Callable[[str], list[str]]) -> tuple[Edit, ...]:
    """An edit for each stretch of pieces that differs, with so many of those around it that it stands there once.

    None where that would take too long.
    """
    before, after = cut(f"{old}\n"), cut(f"{new}\n")  # So the last line is like the others.
    hunks = _hunks(before, after)
    for _ in range(_MOST_ROUNDS if len(hunks) <= _MOST_HUNKS else 0):
        wider = _widened(hunks, before, after, old)
        if wider == hunks:
            return tuple(_edit(hunk, before, after) for hunk in hunks)
        hunks = wider
    return ()


def _hunks(before: Sequence[str], after: Sequence[str]) -> list[_Hunk]:
    """The stretches that differ; none where the pieces are too many."""
    if max(len(before), len(after)) > _MOST_PIECES:
        return []
    counts = Counter(after)
    matcher = SequenceMatcher(lambda piece: counts[piece] > _MOST_EQUAL, before, after, autojunk=False)
    return [_Hunk(a, b, c, d) for kind, a, b, c, d in matcher.get_opcodes() if kind != "equal"]


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
