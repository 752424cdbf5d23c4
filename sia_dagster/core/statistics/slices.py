"""Slices of the traffic under the primary evaluator: a gain on the whole may hide a loss in one of them."""

import math
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
"""The values of a dimension that are slices of their own, by conversations; the rest is one slice."""

OTHERS: Final = "(others)"

SliceFinding = Literal["loses", "holds", "not_shown", "too_few"]


class _Slice(NamedTuple):
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
    """Every slice of the traffic that is not all of it, in the order of `dimensions`, the largest first.

    A conversation belongs to a slice if any of its samples does, and only those samples are compared; so it may stand
    in several slices. With fewer than `minimum` groups of conversations that are scored under both policies a slice is
    `too_few`. `loses`: the interval's upper end is below 0 at `rule.guardrail_alpha` divided by the number of slices
    that are tested (Bonferroni: the probability of any false `loses` is at most that level). `holds`: the lower
    end at `rule.guardrail_alpha` is above minus the margin (all that hold must, so no correction: intersection-union).
    The comparison is at the level of its finding. It is not post-stratified, since the mix hardly varies
    within a slice. `samples` are by span id.
    """
    values_of = {span_id: dimensions_of(samples[span_id]) for span_id in dict.fromkeys(row.span_id for row in rows)}
    parts = [part for dimension in dimensions for part in _parts(rows, values_of, dimension)]
    compared = [_compared(part, constant, rule, 1) for part in parts]
    enough = [comparison.n >= minimum for comparison in compared]
    everyone = len({row.conversation_id for row in rows})
    fewest = _fewest_that_hold(rows, constant, rule)
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
                must_hold=tested and fewest is not None and comparison.n >= fewest,
                comparison=strict if finding == "loses" else comparison,
            )
        )
    return tuple(found)


def _parts(
    rows: Sequence[ValidationRow],
    values_of: Mapping[str, Mapping[SliceDimension, tuple[str, ...]]],
    dimension: SliceDimension,
) -> Iterator[_Slice]:
    """The slices of one dimension; none where all samples are of one value."""
    values = dict.fromkeys(value for values in values_of.values() for value in values[dimension])
    parts = [_part(rows, values_of, dimension, {value}, value) for value in values]
    parts.sort(key=lambda part: (-part.conversations, part.value))
    if rest := {part.value for part in parts[MOST_VALUES:]}:
        parts = [*parts[:MOST_VALUES], _part(rows, values_of, dimension, rest, OTHERS)]
    yield from (part for part in parts if len(part.rows) < len(rows))


def _part(
    rows: Sequence[ValidationRow],
    values_of: Mapping[str, Mapping[SliceDimension, tuple[str, ...]]],
    dimension: SliceDimension,
    values: set[str],
    name: str,
) -> _Slice:
    return _Slice(dimension, name, tuple(row for row in rows if values & set(values_of[row.span_id][dimension])))


def _compared(part: _Slice, constant: EvalConstant, rule: ComparisonRule, tested: int) -> EvaluatorComparison:
    """The primary evaluator in the role of a guardrail: no slice must gain, and none may lose."""
    own = {"guardrail_alpha": rule.guardrail_alpha / tested, "seed": f"{rule.seed}/{part.dimension}/{part.value}"}
    return compare(part.rows, constant, role="guardrail", rule=rule.model_copy(update=own))


def _fewest_that_hold(rows: Sequence[ValidationRow], constant: EvalConstant, rule: ComparisonRule) -> int | None:
    """How many groups a slice has that must be shown to hold: so many show it with 80 % power if nothing was lost.

    None where no slice must. The spread of the differences is that of the whole traffic: a slice that loses spreads
    more by itself, and must not seem too small for that.
    """
    if rule.question == "better":
        return None
    whole = compare(rows, constant, role="guardrail", rule=rule)
    needed, (conversations, groups) = whole.conversations_needed, whole.counted
    return None if needed is None or not groups else math.ceil(needed * groups / conversations)


def _fell(comparison: EvaluatorComparison) -> bool:
    return comparison.difference is not None and comparison.difference < 0


def _finding(comparison: EvaluatorComparison, strict: EvaluatorComparison) -> SliceFinding:
    """The finding of a slice with enough conversations: `comparison` at the level of one test, `strict` of all."""
    if strict.ci_high is not None and strict.ci_high < 0:
        return "loses"
    margin = (comparison.margin or 0.0) * comparison.scale
    return "holds" if comparison.ci_low is not None and comparison.ci_low > -margin else "not_shown"
