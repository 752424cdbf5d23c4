"""Explanations cut into clauses, and which clauses say the same by their words."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, NamedTuple

from sia_dagster.core.text import word_grams

SAME: Final = 0.75
"""Two clauses say the same if they share this part of the weight of their word stems (of the heavier one)."""
COMMON_QUOTE: Final = 2
"""A quoted word of so many explanations is a matter of its own (a label, a field); of fewer, a detail of the sample."""
LONGEST_CLAUSE: Final = 400
MOST_CLAUSES: Final = 24
"""Of one explanation: what follows is rarely a further fault, and comparing takes time."""
_LONGEST_EXPLANATION: Final = 8_000
_CLAUSE_END = re.compile(r"[.!?]+(?=\s|$|\()|[:\n\u0964\u3002\uff01\uff1f\uff1b\uff1a]+\s*|,?\s+but\s|,\s+and\s")
_ITEM_END = re.compile(r";\s*|,\s+(?=\S)")
_NUMBERING = re.compile(r"^\W*(?:\d{1,2}|[a-z])[.)]\s*|^[-*\u2022]\s+")
_ASIDE = re.compile(r"\([^()]{0,200}\)")
_MARKS = '"\u201c\u201d\u00ab\u00bb`'
_QUOTED = re.compile(rf"[{_MARKS}]([^{_MARKS}\n]{{1,200}})[{_MARKS}]|(?<!\w)'([^'\n]{{1,200}})'(?!\w)")
_ONE_WORD = re.compile(r"[^\W\d]\w*(?:[-_.][^\W\d]\w*)*")
_ENDINGS = ("ingly", "ing", "edly", "ed", "ies", "es", "ly", "s")
_STOP_WORDS: Final = (
    "a an the this that these those it its is are was were be been being has have had does do did of to in on for "
    "from with by as at or and so also there here which who what when where answer answers response reply output "
    "assistant model"
)


class Clause(NamedTuple):
    """One statement of an explanation."""

    text: str
    stems: frozenset[str]


@dataclass(frozen=True)
class Lexicon:
    """How much each word of a window's explanations distinguishes, and which quoted words are part of what is said."""

    weights: Mapping[str, float]
    """By stem, the logarithm of how rare it is among the explanations."""
    quotes: frozenset[str]

    @classmethod
    def of(cls, explanations: Iterable[str]) -> "Lexicon":
        """Of all explanations of one evaluator."""
        texts = [text[:_LONGEST_EXPLANATION] for text in explanations]
        quotes = Counter(quote for text in texts for quote in {_word(match) for match in _QUOTED.finditer(text)} - {""})
        kept = frozenset(quote for quote, count in quotes.items() if count >= COMMON_QUOTE or "_" in quote)
        found = Counter(
            stem for text in texts for stem in {stem for clause in _clauses(text, kept) for stem in clause.stems}
        )
        return cls({stem: math.log((len(texts) + 1) / count) for stem, count in found.items()}, kept)

    def clauses(self, explanation: str, label: str | None = None) -> tuple[Clause, ...]:
        """The clauses with at least one word; without any, one that stands for the label."""
        found = _clauses(explanation[:_LONGEST_EXPLANATION], self.quotes)
        return found or (Clause("", frozenset({f"label:{label or ''}"})),)

    def same(self, one: frozenset[str], other: frozenset[str]) -> bool:
        """Whether two clauses say the same."""
        if one == other:
            return True
        heavier = max(self._weight(one), self._weight(other))
        return heavier > 0 and self._weight(one & other) >= SAME * heavier

    def _weight(self, stems: Iterable[str]) -> float:
        rarest = math.log(len(self.weights) + 2)
        return math.fsum(self.weights.get(stem, rarest) for stem in sorted(stems))


@lru_cache(maxsize=8192)
def _clauses(explanation: str, kept: frozenset[str]) -> tuple[Clause, ...]:
    plain = unicodedata.normalize("NFC", explanation)
    quotes: list[str] = []

    def fold(match: re.Match[str]) -> str:
        quotes.append(match[0])
        return f"\x00{len(quotes) - 1}\x00"  # So that a quote is not cut at a full stop of its own.

    def shown(text: str) -> str:
        return re.sub(r"\x00(\d+)\x00", lambda match: quotes[int(match[1])], text)

    def counted(match: re.Match[str]) -> str:
        quoted = _QUOTED.fullmatch(quotes[int(match[1])])
        word = _word(quoted) if quoted else ""
        return word if word in kept else " "

    found: dict[frozenset[str], Clause] = {}
    for piece in _CLAUSE_END.split(_QUOTED.sub(fold, plain.replace("\x00", " "))):
        for part in _items(_NUMBERING.sub("", piece)):
            stems = _stems(re.sub(r"\x00(\d+)\x00", counted, _ASIDE.sub(" ", part)))
            if stems and len(found) < MOST_CLAUSES:
                found.setdefault(stems, Clause(shown(part).strip()[:LONGEST_CLAUSE], stems))
    return tuple(found.values())


def _items(piece: str) -> list[str]:
    """The items of a list of three or more (`a is wrong; b is missing; c ...`) or of bare names, else the piece.

    Two parts of a sentence may be one statement (`it says a; it should say b`).
    """
    items = [item for item in _ITEM_END.split(piece) if item.strip()]
    parts = [part for part in piece.split(";") if part.strip()]
    if len(items) > 1 and all(len(item.split()) <= 3 for item in items):
        return items
    return parts if len(parts) > 2 else [piece]


def _word(match: re.Match[str]) -> str:
    """The quoted text if it is one word, in small letters; else nothing."""
    text = (match[1] or match[2]).strip().casefold()
    return text if _ONE_WORD.fullmatch(text) else ""


def _stems(text: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in word_grams(text, 2) if word not in _unsaid())


@cache
def _unsaid() -> frozenset[str]:
    return frozenset(_STOP_WORDS.split())


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
