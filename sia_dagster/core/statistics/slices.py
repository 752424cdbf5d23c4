"""Parts of the traffic under the primary evaluator: a gain on the whole may hide a loss in one of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from sia_dagster.core.config.validation import SliceDimension
from sia_dagster.core.records.comparison import EvaluatorComparison, SliceComparison
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.report import ValidationRow
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.statistics.compare import ComparisonRule, compare
from sia_dagster.core.traffic import dimensions_of

MOST_VALUES: Final = 12
"""Of a dimension so many values are parts of their own, those of the most conversations; the rest is one part."""


OTHERS: Final = "(others)"


Finding = Literal["loses", "holds", "not_shown", "too_few"]


class _Part(NamedTuple):
    dimension: SliceDimension
    value: str
    rows: tuple[ValidationRow, ...]

    @property
    def conversations(self) -> int:
        return len({row.conversation_id for row in self.rows})


def compare_slices(
    rows: Sequence[ValidationRow],
    samples: Mapping[str, Sample],
    constant: EvalConstant,
    *,
    rule: ComparisonRule,
    dimensions: Sequence[SliceDimension],
    minimum: int,
) -> tuple[SliceComparison, ...]:
    """Every part of the traffic that is not all of it, in the order of `dimensions`, the largest first.

    A conversation belongs to a part if any of its samples does, and those of its samples that do are compared; so it
    may stand in several parts. With fewer than `minimum` conversations that are scored under both policies a part is
    `too_few`. `loses`: the interval's upper end is below 0 at `rule.guardrail_alpha` divided by the number of parts
    that are tested (Bonferroni: all parts together accuse wrongly with that probability at most). `holds`: the lower
    end at `rule.guardrail_alpha` is above minus the margin (all that hold must, so no correction: intersection-union).
    The comparison is at the level of its finding. It is not post-stratified, since within a part the mix is nearly its
    own. `samples` are by span id.
    """
    kinds = {span_id: dimensions_of(samples[span_id]) for span_id in dict.fromkeys(row.span_id for row in rows)}
    parts = [part for dimension in dimensions for part in _parts(rows, kinds, dimension)]
    compared = [_compared(part, constant, rule, 1) for part in parts]
    enough = [comparison.n >= minimum for comparison in compared]
    everyone = len({row.conversation_id for row in rows})
    found = []
    for part, comparison, tested in zip(parts, compared, enough, strict=True):
        strict = _compared(part, constant, rule, sum(enough)) if tested and _fell(comparison) else comparison
        finding = _finding(comparison, strict) if tested else "too_few"
        found.append(
            SliceComparison(
                dimension=part.dimension,
                value=part.value,
                share=part.conversations / everyone,
                finding=finding,
                comparison=strict if finding == "loses" else comparison,
            )
        )
    return tuple(found)


def _parts(
    rows: Sequence[ValidationRow],
    kinds: Mapping[str, Mapping[SliceDimension, tuple[str, ...]]],
    dimension: SliceDimension,
) -> Iterator[_Part]:
    """The parts of one dimension; none where all samples are of one value."""
    values = dict.fromkeys(value for kind in kinds.values() for value in kind[dimension])
    parts = [_part(rows, kinds, dimension, {value}, value) for value in values]
    parts.sort(key=lambda part: (-part.conversations, part.value))
    if rest := {part.value for part in parts[MOST_VALUES:]}:
        parts = [*parts[:MOST_VALUES], _part(rows, kinds, dimension, rest, OTHERS)]
    yield from (part for part in parts if len(part.rows) < len(rows))


def _part(
    rows: Sequence[ValidationRow],
    kinds: Mapping[str, Mapping[SliceDimension, tuple[str, ...]]],
    dimension: SliceDimension,
    values: set[str],
    name: str,
) -> _Part:
    return _Part(dimension, name, tuple(row for row in rows if values & set(kinds[row.span_id][dimension])))


def _compared(part: _Part, constant: EvalConstant, rule: ComparisonRule, tested: int) -> EvaluatorComparison:
    """Under the primary evaluator as under a guardrail: no part need gain, and none may lose."""
    own = {
        "guardrail_alpha": rule.guardrail_alpha / tested,
        "seed": f"{rule.seed}/{part.dimension}/{part.value}",
    }
    return compare(part.rows, constant, role="guardrail", rule=rule.model_copy(update=own))


def _fell(comparison: EvaluatorComparison) -> bool:
    return comparison.difference is not None and comparison.difference < 0


def _finding(comparison: EvaluatorComparison, strict: EvaluatorComparison) -> Finding:
    """Of a part with enough conversations, at the level of one test and at that of all of them together."""
    if strict.ci_high is not None and strict.ci_high < 0:
        return "loses"
    margin = (comparison.margin or 0.0) * comparison.scale
    return "holds" if comparison.ci_low is not None and comparison.ci_low > -margin else "not_shown"
