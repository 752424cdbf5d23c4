"""Text as tokens: a run of letters, a run of digits, or one other character. Joined, they give the text back."""

import re
from collections.abc import Sequence
from typing import Final

_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
"""Scripts without spaces between words, or with particles attached to words: each letter is a token."""
_TOKEN: Final = re.compile(rf"[{_UNSPACED}]|[^\W\d_{_UNSPACED}]+|\d+|.", re.DOTALL)
Shingle = tuple[str, ...]


def tokenize(text: str) -> list[str]:
    """The tokens, in order; `"".join` gives the text back."""
    return _TOKEN.findall(text)


def is_word(token: str) -> bool:
    """Whether the token is a run of letters or digits."""
    return token[0].isalnum()


def touches(token: str) -> bool:
    """Whether the token would merge with a letter or digit beside it; letters of unspaced scripts do not."""
    return is_word(token) and not "\u0e00" <= token[0] <= "\uffff"


def words(text: str) -> list[str]:
    """The runs of letters and digits, in order."""
    return [token for token in _TOKEN.findall(text) if token[0].isalnum()]


def shingles(found: Sequence[str], size: int) -> list[Shingle]:
    """All runs of `size` words, in order, with repeats; empty if there are fewer words."""
    return list(zip(*(found[start:] for start in range(size)), strict=False))
