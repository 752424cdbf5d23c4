"""Decides where a slot ends: text beside a slot that looks like a part of the value goes to the slot.

This can only make a template fit more prompts. A value's first digits that happen to be equal in the whole window must
not become fixed text.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from sia_dagster.core.template_recovery.alignment import Piece
from sia_dagster.core.template_recovery.tokenizing import is_word, tokenize, touches

_GLUE: Final = frozenset("-_/.@:+%#&~'\u2019")
"""Signs that occur within dates, amounts, addresses and names."""
_FEW: Final = 8
"""With fewer prompts, letters that touch a slot go to the value."""
_SIGNS: Final = frozenset(".!?…。-*•$€£¥")
_SOME: Final = 120
"""With fewer prompts, signs that values often begin or end with go to the value."""
_JSON_VALUE: Final = 40
"""The most characters of a JSON text beside a slot that are searched for its quotes."""
_KEY: Final = '": "'


def fixed_texts(pieces: Sequence[Piece], prompts: int) -> tuple[str, ...]:
    """The fixed texts around the slots of an alignment, one more than there are slots.

    `prompts` is how many prompts were aligned. Where a text between two slots goes to the values, the slots become one.
    """
    texts = list(_around(pieces))
    kept = [text for i, text in enumerate(texts) if i in (0, len(texts) - 1) or _stands_alone(text)]
    trimmed: list[str | None] = []
    for i, text in enumerate(kept):
        last = i == len(kept) - 1
        text = text if last else _trim_end(text, prompts)
        text = _trim_start(text, prompts) if i else text
        trimmed.append(text if i == 0 or last or text.strip() else None)
    return _outside_json_values([text for text in trimmed if text is not None])


def _around(pieces: Sequence[Piece]) -> Iterator[str]:
    """The texts before, between and after the slots; empty where a slot begins or ends the prompt."""
    if not pieces or pieces[0] is None:
        yield ""
    yield from (piece for piece in pieces if piece is not None)
    if pieces and pieces[-1] is None:
        yield ""


def _stands_alone(island: str) -> bool:
    """Whether a text between two slots is fixed text: it has three words, or a word and white space."""
    count = sum(is_word(token) for token in tokenize(island))
    return count > 2 or (count > 0 and any(map(str.isspace, island)))


def _trim_end(text: str, prompts: int) -> str:
    tokens = tokenize(text)
    return "".join(tokens[: len(tokens) - _of_value(tokens[::-1], prompts)])


def _trim_start(text: str, prompts: int) -> str:
    tokens = tokenize(text)
    return "".join(tokens[_of_value(tokens, prompts) :])


def _of_value(outward: Sequence[str], prompts: int) -> int:
    """How many tokens, from the slot outward, belong to the value: touching digits, and letters if prompts are few.

    `2026-11-` before a slot goes to the value; so does `INV-` with fewer than 8 prompts, and a full stop or a `$` with
    fewer than 120.
    """
    taken = _signs(outward) if prompts < _SOME else 0
    for place, token in enumerate(outward[taken:], start=taken):
        if not (touches(token) or token in _GLUE):
            break
        few = prompts < _FEW and (place == 0 or outward[place - 1] != ":")
        if token.isdigit() or (few and touches(token)):
            taken = place + 1
    return taken


def _signs(outward: Sequence[str]) -> int:
    """How many tokens from the slot to the last of the signs beside it, white space between them included."""
    beside = next((i for i, token in enumerate(outward) if not (token in _SIGNS or token.isspace())), len(outward))
    return max((i + 1 for i in range(beside) if outward[i] in _SIGNS), default=0)


def _outside_json_values(texts: Sequence[str]) -> tuple[str, ...]:
    """The fixed texts, with each slot inside a JSON text value widened to the whole value."""
    widened = list(texts)
    for i in range(len(texts) - 1):
        before, after = widened[i], widened[i + 1]
        opened, closed = before.rfind(_KEY) + len(_KEY), after.find('"')
        inside, rest = before[opened:], after[: max(closed, 0)]
        if opened < len(_KEY) or closed < 0 or '"' in inside or "\n" in inside + rest:
            continue
        if len(inside) <= _JSON_VALUE and len(rest) <= _JSON_VALUE:
            widened[i], widened[i + 1] = before[:opened], after[closed:]
    return tuple(widened)
