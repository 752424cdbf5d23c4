"""The language that a text is written in."""

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

UNKNOWN: Final = "unknown"
"""Where no language is sure enough: a greeting, a number, code."""
SURE: Final = 0.5
"""The smallest probability of a language that is taken for the text's."""
MOST_CHARACTERS: Final = 2000
"""So much of a text is looked at: more makes it no surer, and slower."""
_NO_LANGUAGE: Final = "zxx"


@lru_cache(maxsize=4096)
def language_of(text: str) -> str:
    """The ISO 639 code of the text's language (`de`, `pt`), or `UNKNOWN`. The same text gives the same code.

    By the naive Bayes model over byte n-grams of Lui and Baldwin (langid.py, ACL 2012 system demonstrations), as
    py3langid retrained it for 139 languages. Of short requests few are sure: "cancel order" could be several languages.
    """
    code, probability = _identifier().classify(text[:MOST_CHARACTERS])
    return str(code) if probability >= SURE and code != _NO_LANGUAGE else UNKNOWN


@cache
def _identifier() -> "LanguageIdentifier":
    """The model; reading it takes most of a second, so it is read once and where it is first needed."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
