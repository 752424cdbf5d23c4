"""Causes: what evaluators say is wrong, over all samples that lack some of the best score.

An explanation names several faults, and each fault has several wordings. Clauses that share most of their words are one
statement; where a judge words freely, a model is asked once which statements name the same fault (`naming.py`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.search.clauses import Clause, Lexicon

HEADING = 0.95
"""Share of the failing samples."""
Wordings = tuple[frozenset[str], ...]
"""The word stems of each clause that names one fault."""


@dataclass(frozen=True)
class Cause:
    """One fault that an evaluator names."""

    evaluator: str
    text: str
    """How the evaluator names it most often; empty where nothing was explained."""
    wordings: Wordings
    samples: tuple[str, ...]
    """Span ids of the samples whose explanations name it, those that lack most of the score first."""
    worth: float
    """The mean score that would be gained over all samples if nothing but this cause were mended, as a share of the
    evaluator's range: what a sample lacks, shared out over its causes."""
    lexicon: Lexicon


@dataclass(frozen=True)
class Statement:
    """Clauses that say the same by their words."""

    clause: Clause
    """The most frequent wording."""
    samples: tuple[str, ...]
    """Span ids of the failing samples that it was said of."""


@dataclass
class Complaints:
    """What one evaluator says of a window's train samples, and what is known of which statements belong together."""

    constant: EvalConstant
    lexicon: Lexicon
    faults: list[tuple[str, Wordings]] = field(default_factory=list)
    """Statements that a model put together as one fault, with the text of one of them."""
    asides: list[frozenset[str]] = field(default_factory=list)
    """Statements that name no fault."""

    @classmethod
    def of(cls, metrics: Mapping[str, EvalMetrics], constant: EvalConstant) -> "Complaints":
        """With the words of these explanations; `metrics` are by span id."""
        return cls(constant, Lexicon.of(metric.explanation or "" for _, metric in sorted(metrics.items())))

    def statements(self, metrics: Mapping[str, EvalMetrics]) -> list[Statement]:
        """What is said of failing samples at least twice as often as of those with the best score, as a share."""
        leaders: dict[frozenset[str], Clause] = {}
        bad: dict[frozenset[str], list[str]] = {}
        good: Counter[frozenset[str]] = Counter()
        failures = perfect = 0
        for span, metric in sorted(metrics.items()):
            lacking = shortfall(metric, self.constant)
            if lacking is None:
                continue
            failures, perfect = failures + (lacking > 0), perfect + (lacking <= 0)
            for clause in self.lexicon.clauses(metric.explanation or "", metric.label):
                known = next((stems for stems in leaders if self.lexicon.same(stems, clause.stems)), None)
                stems = clause.stems if known is None else known
                leaders.setdefault(stems, clause)
                if lacking > 0:
                    bad.setdefault(stems, []).append(span)
                else:
                    good[stems] += 1
        return [
            Statement(leaders[stems], tuple(dict.fromkeys(spans)))
            for stems, spans in bad.items()
            if len(spans) * perfect >= 2 * good[stems] * failures
        ]

    def unknown(self, statements: Sequence[Statement]) -> list[Statement]:
        """Those of which it is not known whether they name a fault, and which."""
        return [each for each in statements if not self._faults(each.clause.stems) and not self._is_aside(each)]

    def causes(self, metrics: Mapping[str, EvalMetrics]) -> tuple[Cause, ...]:
        """The causes by what mending them is worth, the largest first.

        Any score below the best counts; without an explanation the label stands for one. Equal metrics in any order
        give the same causes.
        """
        statements = [each for each in self.statements(metrics) if not self._is_aside(each)]
        named: dict[Wordings, list[Statement]] = {}
        for each in statements:
            for wordings in self._faults(each.clause.stems) or [(each.clause.stems,)]:
                named.setdefault(wordings, []).append(each)
        causes_of: dict[str, list[Wordings]] = {}
        for wordings, group in named.items():
            for span in {span for each in group for span in each.samples}:
                causes_of.setdefault(span, []).append(wordings)
        scored = [span for span, metric in metrics.items() if metric.score is not None]
        lacking = {span: shortfall(metrics[span], self.constant) or 0.0 for span in causes_of}
        found = [self._cause(wordings, group, causes_of, lacking, len(scored)) for wordings, group in named.items()]
        headings = {cause.text for cause in found if _is_heading(cause, causes_of)}
        return tuple(sorted(found, key=lambda cause: (cause.text in headings, -round(cause.worth, 9), cause.text)))

    def _cause(
        self,
        wordings: Wordings,
        group: Sequence[Statement],
        causes_of: Mapping[str, Sequence[Wordings]],
        lacking: Mapping[str, float],
        scored: int,
    ) -> Cause:
        spans = {span for each in group for span in each.samples}
        return Cause(
            evaluator=self.constant.name,
            text=max(group, key=lambda each: (len(each.samples), each.clause.text)).clause.text,
            wordings=wordings,
            samples=tuple(sorted(spans, key=lambda span: (-lacking[span], span))),
            worth=sum(lacking[span] / len(causes_of[span]) for span in sorted(spans)) / scored,
            lexicon=self.lexicon,
        )

    def _faults(self, stems: frozenset[str]) -> list[Wordings]:
        return [wordings for _, wordings in self.faults if _in(stems, wordings, self.lexicon)]

    def _is_aside(self, statement: Statement) -> bool:
        return _in(statement.clause.stems, self.asides, self.lexicon)


def _is_heading(cause: Cause, causes_of: Mapping[str, Sequence[Wordings]]) -> bool:
    """Whether it is said of nearly all failing samples beside something else: more likely a heading than a fault."""
    alone = sum(len(causes_of[span]) == 1 for span in cause.samples)
    return not alone and len(cause.samples) >= HEADING * len(causes_of)


def shortfall(metric: EvalMetrics, constant: EvalConstant) -> float | None:
    """How far below the best the score is, as a share of the evaluator's range; None without a score."""
    return None if metric.score is None else (constant.high - metric.score) / constant.scale


def names(metric: EvalMetrics, cause: Cause) -> bool:
    """Whether the evaluator names the cause in this explanation."""
    if metric.name != cause.evaluator:
        return False
    clauses = cause.lexicon.clauses(metric.explanation or "", metric.label)
    return any(_in(clause.stems, cause.wordings, cause.lexicon) for clause in clauses)


def same_cause(one: Cause, other: Cause) -> bool:
    """Whether both are the same fault, found at different times."""
    shared = any(_in(stems, other.wordings, other.lexicon) for stems in one.wordings)
    return one.evaluator == other.evaluator and shared


def clauses_about(metric: EvalMetrics, causes: Sequence[Cause]) -> str:
    """What the explanation says of `causes`, in its own words; all of it where it says nothing that was recognised."""
    about = [
        clause.text
        for cause in causes
        for clause in cause.lexicon.clauses(metric.explanation or "", metric.label)
        if clause.text and _in(clause.stems, cause.wordings, cause.lexicon)
    ]
    return f"{'. '.join(dict.fromkeys(about))}." if about else metric.explanation or ""


def without_causes(metric: EvalMetrics, causes: Sequence[Cause], constant: EvalConstant) -> EvalMetrics:
    """What the evaluator would say if `causes` were mended: their clauses go, with their part of what is missing."""
    lacking = shortfall(metric, constant) or 0.0
    if lacking <= 0 or not any(names(metric, cause) for cause in causes):
        return metric
    lexicon = causes[0].lexicon
    clauses = lexicon.clauses(metric.explanation or "", metric.label)
    left = [clause for clause in clauses if not any(_in(clause.stems, c.wordings, lexicon) for c in causes)]
    score = constant.high - lacking * constant.scale * len(left) / len(clauses)
    return metric.model_copy(update={"score": score, "explanation": ". ".join(each.text for each in left)})


def _in(stems: frozenset[str], wordings: Sequence[frozenset[str]], lexicon: Lexicon) -> bool:
    return any(lexicon.same(stems, wording) for wording in wordings)
