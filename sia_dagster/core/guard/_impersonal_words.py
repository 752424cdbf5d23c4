"""Words in the names of things: two capitalised words with one of them name neither a person nor an address.

The list is a file of English words by theme, with greetings of seven languages. Surnames, first names and words for
streets are not in it, even where they are things, too (Bill, Price, Drive).
"""

from functools import cache
from importlib.resources import files


def is_impersonal(word: str) -> bool:
    """Whether a word, in small letters, is in the list, in the singular or with an s."""
    return word in _impersonal_words() or word.removesuffix("s") in _impersonal_words()


@cache
def _impersonal_words() -> frozenset[str]:
    text = files("sia_dagster.core.guard").joinpath("impersonal_words.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())
