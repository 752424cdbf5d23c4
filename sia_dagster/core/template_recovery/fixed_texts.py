"""Where a slot ends: what looks like a part of the value beside it is given to the slot.

Doing so can only make a template fit more prompts: a value's first digits that happened to be the same in the whole
window must not become fixed text.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from sia_dagster.core.template_recovery.alignment import Piece
from sia_dagster.core.template_recovery.tokenizing import is_word, tokenize, touches

_GLUE: Final = frozenset("-_/.@:+%#&~'\u2019")
"""Signs within dates, amounts, addresses and names."""
_FEW: Final = 8
"""Below so many prompts, letters glued to a slot are the value's."""
_SIGNS: Final = frozenset(".!?…。-*•$€£¥")
_SOME: Final = 120
"""Below so many prompts, signs that values often begin or end with are the value's."""
_JSON_VALUE: Final = 40
"""Characters of a JSON text beside a slot that are looked through for its quotes."""
_KEY: Final = '": "'


def fixed_texts(pieces: Sequence[Piece], prompts: int) -> tuple[str, ...]:
    """The fixed texts around the slots of an alignment of so many prompts, one more than slots.

    Slots on both sides of a text that is given to them become one.
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
    """One text before, between and after the slots; empty where a slot begins or ends the prompt."""
    if not pieces or pieces[0] is None:
        yield ""
    yield from (piece for piece in pieces if piece is not None)
    if pieces and pieces[-1] is None:
        yield ""


def _stands_alone(island: str) -> bool:
    """Whether a text between two slots is more than a joint: it has a word, and white space or three words."""
    count = sum(is_word(token) for token in tokenize(island))
    return count > 2 or (count > 0 and any(map(str.isspace, island)))


def _trim_end(text: str, prompts: int) -> str:
    tokens = tokenize(text)
    return "".join(tokens[: len(tokens) - _of_value(tokens[::-1], prompts)])


def _trim_start(text: str, prompts: int) -> str:
    tokens = tokenize(text)
    return "".join(tokens[_of_value(tokens, prompts) :])


def _of_value(outward: Sequence[str], prompts: int) -> int:
    """How many tokens, from the slot outward, belong to the value: glued digits, and glued letters if prompts are few.

    `2026-11-` before a slot goes with it; so does `INV-` where fewer than eight prompts say that it is always there,
    and a full stop or a `$` where fewer than fifty do.
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
    """How many tokens lie between the slot and the last of the signs beside it, white space between them included."""
    beside = next((i for i, token in enumerate(outward) if not (token in _SIGNS or token.isspace())), len(outward))
    return max((i + 1 for i in range(beside) if outward[i] in _SIGNS), default=0)


def _outside_json_values(texts: Sequence[str]) -> tuple[str, ...]:
    """With each slot inside a JSON text value widened to the whole value."""
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
