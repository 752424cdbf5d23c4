"""Causes: what evaluators say is wrong, clause by clause, over all samples that lack some of the best score.

An explanation names several faults, and each fault has several wordings. So explanations are split into clauses, and
clauses that share most of their word stems are one cause. No model is asked.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Final, NamedTuple

from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.value import Value
from sia_dagster.core.text import word_grams

SAME_CAUSE: Final = 0.75
"""Two clauses that share this part of their word stems (of the longer one) say the same."""
COMMON_QUOTE: Final = 3
"""A quoted text of so many samples' explanations is part of the cause (a label, a field); of fewer, of the sample."""
LONGEST_CLAUSE: Final = 400
MOST_CLAUSES: Final = 24
"""Of one explanation: what follows is rarely a further fault, and comparing takes time."""
_CLAUSE_END = re.compile(r"[.!?;:\n\u0964\u3002\uff01\uff1f\uff1b\uff0c\u060c]+|,\s|\s(?:and|but|while|although)\s")
_MARKS = '"\u201c\u201d\u00ab\u00bb`'
_QUOTED = re.compile(rf"[{_MARKS}]([^{_MARKS}\n]{{1,200}})[{_MARKS}]|(?<!\w)'([^'\n]{{1,200}})'(?!\w)")
_ENDINGS = ("ingly", "ing", "edly", "ed", "ies", "es", "ly", "s")
_STOP_WORDS: Final = (
    "a an the this that these those it its is are was were be been being has have had does do did of to in on for "
    "from with by as at or so also there here which who what when where answer answers response reply output "
    "assistant model customer user"
)


class Cause(Value):
    """One fault that an evaluator names in several words."""

    evaluator: str
    text: str
    """The clause that names it most often, as the evaluator wrote it; empty where nothing was explained."""
    stems: frozenset[str]
    samples: tuple[str, ...]
    """Span ids of the samples whose explanations name it, those that lack most of the score first."""
    worth: float
    """The mean score that would be gained over all samples if nothing but this cause were mended, as a share of the
    evaluator's range: what a sample lacks, shared out over its causes."""


class _Clause(NamedTuple):
    text: str
    stems: frozenset[str]


def shortfall(metric: EvalMetrics, constant: EvalConstant) -> float | None:
    """How far below the best the score is, as a share of the evaluator's range; None without a score."""
    return None if metric.score is None else (constant.high - metric.score) / constant.scale


def find_causes(metrics: Mapping[str, EvalMetrics], constant: EvalConstant) -> tuple[Cause, ...]:
    """The causes by what mending them is worth, the largest first; `metrics` are one evaluator's, by span id.

    Any score below the best counts. A clause that well-judged samples have about as often is no cause. Samples without
    an explanation are one cause for each label. Equal metrics in any order give the same causes.
    """
    scored = {
        span: (metric, lacking)
        for span, metric in sorted(metrics.items())
        if (lacking := shortfall(metric, constant)) is not None
    }
    kept = _kept_quotes(metric.explanation or "" for metric, _ in scored.values())
    clauses = {span: _clauses_of(metric, kept) for span, (metric, _) in scored.items()}
    groups = _groups([clause for span, (_, lacking) in scored.items() if lacking > 0 for clause in clauses[span]])
    named: dict[str, list[int]] = {
        span: sorted({place for clause in clauses[span] if (place := _place(clause.stems, groups)) is not None})
        for span in scored
    }
    real = _more_often_in_failures(named, {span: lacking for span, (_, lacking) in scored.items()})
    worth: dict[int, float] = {}
    spans: dict[int, list[str]] = {}
    for span, (_, lacking) in scored.items():
        causes = [place for place in named[span] if place in real] if lacking > 0 else []
        for place in causes:
            worth[place] = worth.get(place, 0.0) + lacking / len(causes) / len(scored)
            spans.setdefault(place, []).append(span)
    found = [
        Cause(
            evaluator=constant.name,
            text=groups[place].text,
            stems=groups[place].stems,
            samples=tuple(sorted(spans[place], key=lambda span: (-scored[span][1], span))),
            worth=worth[place],
        )
        for place in spans
    ]
    return tuple(sorted(found, key=lambda cause: (-round(cause.worth, 9), cause.text)))


def names(metric: EvalMetrics, cause: Cause) -> bool:
    """Whether the evaluator still names the cause in this explanation."""
    if metric.name != cause.evaluator:
        return False
    return any(_same(clause.stems, cause.stems) for clause in _clauses_of(metric, cause.stems))


def same_cause(one: Cause, other: Cause) -> bool:
    """Whether both are the same fault, found at different times."""
    return one.evaluator == other.evaluator and _same(one.stems, other.stems)


def clauses_about(metric: EvalMetrics, causes: Sequence[Cause]) -> str:
    """What the explanation says of `causes`, in its own words; all of it where it says nothing that was recognised."""
    kept = frozenset(stem for cause in causes for stem in cause.stems)
    about = [
        clause.text for clause in _clauses_of(metric, kept) if any(_same(clause.stems, cause.stems) for cause in causes)
    ]
    return f"{'. '.join(dict.fromkeys(about))}." if about else metric.explanation or ""


def without_causes(metric: EvalMetrics, causes: Sequence[Cause], constant: EvalConstant) -> EvalMetrics:
    """What the evaluator would say if `causes` were mended: their clauses go, with their part of what is missing."""
    lacking = shortfall(metric, constant) or 0.0
    kept = frozenset(stem for cause in causes for stem in cause.stems)
    clauses = _clauses_of(metric, kept)
    left = [each for each in clauses if not any(_same(each.stems, cause.stems) for cause in causes)]
    if lacking <= 0 or len(left) == len(clauses):
        return metric
    score = constant.high - lacking * constant.scale * len(left) / len(clauses)
    return metric.model_copy(update={"score": score, "explanation": ". ".join(each.text for each in left)})


def _more_often_in_failures(named: Mapping[str, Sequence[int]], lacking: Mapping[str, float]) -> set[int]:
    """The groups of clauses whose share among failures is at least twice that among samples with the best score."""
    bad = Counter(place for span, places in named.items() if lacking[span] > 0 for place in places)
    good = Counter(place for span, places in named.items() if lacking[span] <= 0 for place in places)
    failures = sum(each > 0 for each in lacking.values())
    perfect = len(lacking) - failures
    return {place for place in bad if bad[place] * perfect >= 2 * good[place] * failures}


def _groups(clauses: Sequence[_Clause]) -> list[_Clause]:
    """One clause for each cause, the most frequent wording; a rarer one joins the first that says the same."""
    counts = Counter(clauses)
    leaders: list[_Clause] = []
    for clause, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0].text)):
        if not any(_same(clause.stems, leader.stems) for leader in leaders):
            leaders.append(clause)
    return leaders


def _place(stems: frozenset[str], groups: Sequence[_Clause]) -> int | None:
    return next((place for place, group in enumerate(groups) if _same(stems, group.stems)), None)


def _same(one: frozenset[str], other: frozenset[str]) -> bool:
    longer = max(len(one), len(other))
    return one == other or (longer > 0 and len(one & other) >= SAME_CAUSE * longer)


def _clauses_of(metric: EvalMetrics, kept: frozenset[str]) -> tuple[_Clause, ...]:
    """The clauses with at least one word; without any, one that stands for the label."""
    found = _clauses(metric.explanation or "", kept)
    return found or (_Clause("", frozenset({f"label:{metric.label or ''}"})),)


@lru_cache(maxsize=4096)
def _clauses(explanation: str, kept: frozenset[str]) -> tuple[_Clause, ...]:
    quotes: list[str] = []

    def fold(match: re.Match[str]) -> str:
        quotes.append(match[0])
        return f"\x00{len(quotes) - 1}\x00"  # So that a quote is not cut at a full stop of its own.

    found = []
    for piece in _CLAUSE_END.split(_QUOTED.sub(fold, explanation))[: 2 * MOST_CLAUSES]:
        text = re.sub(r"\x00(\d+)\x00", lambda match: quotes[int(match[1])], piece).strip()
        plain = re.sub(r"\x00(\d+)\x00", lambda match: _if_kept(quotes[int(match[1])], kept), piece)
        if stems := _stems(plain):
            found.append(_Clause(text[:LONGEST_CLAUSE], stems))
    return tuple(dict.fromkeys(found))[:MOST_CLAUSES]


def _if_kept(quote: str, kept: frozenset[str]) -> str:
    stems = _stems(quote)
    return quote if stems and stems <= kept else " "


def _kept_quotes(explanations: Iterable[str]) -> frozenset[str]:
    """The stems of quotes that many explanations have: names of labels and fields, not of the sample."""
    counts = Counter(
        stem
        for explanation in explanations
        for stem in {s for match in _QUOTED.finditer(explanation) for s in _stems(match[1] or match[2])}
    )
    return frozenset(stem for stem, count in counts.items() if count >= COMMON_QUOTE)


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
