"""Text as tokens: a run of letters, a run of digits, or one other character. Joined, they are the text again."""

import re
from collections.abc import Sequence
from typing import Final

_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
"""Scripts that set no space between words (or glue particles to them): each letter is a token."""
_TOKEN: Final = re.compile(rf"[{_UNSPACED}]|[^\W\d_{_UNSPACED}]+|\d+|.", re.DOTALL)
Shingle = tuple[str, ...]


def tokenize(text: str) -> list[str]:
    """The tokens, in order; `"".join` gives the text back."""
    return _TOKEN.findall(text)


def is_word(token: str) -> bool:
    """Whether it is a run of letters or digits."""
    return token[0].isalnum()


def touches(token: str) -> bool:
    """Whether it would run on into a letter or digit beside it, as a letter of an unspaced script does not."""
    return is_word(token) and not "\u0e00" <= token[0] <= "\uffff"


def words(text: str) -> list[str]:
    """The runs of letters and digits, in order."""
    return [token for token in _TOKEN.findall(text) if token[0].isalnum()]


def shingles(found: Sequence[str], size: int) -> list[Shingle]:
    """All runs of `size` words, in order, with repeats; none where there are fewer words."""
    return list(zip(*(found[start:] for start in range(size)), strict=False))
