"""The words of a text in the form in which copies are looked for: no way of writing hides a shared word."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, kana, Han."""
_INDIC: Final = "\u0900-\u0963\u0966-\u0dff"
"""Its vowel signs are no letters for `re`, yet parts of words."""
_TOKEN: Final = re.compile(rf"[{UNSPACED}]+|(?:[^\W_{UNSPACED}{_INDIC}]|[{_INDIC}])+")
_IS_UNSPACED: Final = re.compile(f"[{UNSPACED}]")
_HUMPS: Final = re.compile(r"(?<=[a-z\u00df-\u00ff])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a word begins in `alwaysOfferARefund`."""
_ACCENTS: Final = re.compile("[\u0300-\u036f\u0591-\u05c7\u0640\u064b-\u0652\u0670]")
_SIGN_IN_WORD: Final = re.compile(r"(?<=[^\W\d_])[@$](?=[^\W\d_])")
_LEET: Final = str.maketrans("01345789@$", "oleastbgas")
"""Digits and signs for letters; a one reads as an l or an i, which are the same then."""
GLUED: Final = 3
"""Letters in a row that stand alone are one word whose letters were written apart."""
Words = tuple[str, ...]


def words_of(text: str) -> list[str]:
    """Folded words; each run of an unspaced script is one, and so are letters written apart."""
    tokens = [token if token.isalpha() else _letters(token) for token in _TOKEN.findall(_folded(text))]
    return list(_glued(tokens)) if any(len(token) == 1 for token in tokens) else tokens


def content_words(text: str) -> list[str]:
    """The same without words that have no content of their own (`stop_words.txt`)."""
    stop = stop_words()
    return [word for word in words_of(text) if word not in stop and (len(word) > 1 or not word.isascii())]


@cache
def stop_words() -> frozenset[str]:
    """Words without content in some twenty languages, folded."""
    text = files("sia_dagster.core.guard").joinpath("stop_words.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(word for line in lines for word in _TOKEN.findall(_folded(line)))


def runs(items: Sequence[str], length: int) -> Iterator[Words]:
    """Each run of `length` items in a row."""
    return zip(*(items[start:] for start in range(length)), strict=False)


def is_unspaced(word: str) -> bool:
    """Whether a word of `words_of` is a run of an unspaced script."""
    return _IS_UNSPACED.match(word) is not None


def _folded(text: str) -> str:
    """Small letters without accents, words of camel case apart, hiragana for katakana."""
    split = _HUMPS.sub(" ", _SIGN_IN_WORD.sub(lambda sign: sign[0].translate(_LEET), text))
    bare = split.casefold() if split.isascii() else _bare(split.casefold())
    return bare.translate(_HIRAGANA)


def _bare(text: str) -> str:
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", text)))


_HIRAGANA: Final = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}


def _letters(word: str) -> str:
    """A word of letters and digits, with digits read as letters, unless it is mostly digits."""
    if not word.isascii():
        return word
    digits = sum(map(str.isdigit, word))
    return word.translate(_LEET).replace("i", "l") if 2 * digits <= len(word) else word


def _glued(tokens: Iterable[str]) -> Iterator[str]:
    single: list[str] = []
    for token in tokens:
        if len(token) == 1 and token.isalpha() and not is_unspaced(token):
            single.append(token)
            continue
        yield from _together(single)
        single = []
        yield token
    yield from _together(single)


def _together(letters: Sequence[str]) -> Sequence[str]:
    return ["".join(letters)] if len(letters) >= GLUED else letters
