"""Which train samples can be examples, and in which order they are taken: for coverage and for difference."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Final

from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.policy import Actions, Example
from sia_dagster.core.records.report import ArmOutcome
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import Value
from sia_dagster.core.search.causes import shortfall
from sia_dagster.core.search.desk import Desk
from sia_dagster.core.text import word_grams
from sia_dagster.core.traffic import group_conversations

NEW_ANSWER: Final = 0.1
"""What is left of an example's coverage where its answer is that of another one."""


class Shown(Value):
    """A well-judged sample as an example, or one that the policy has already."""

    span_id: str = ""
    """Empty for one that the policy has."""
    example: Example
    invented: bool = False
    """Whether names and numbers in it are not those of the sample."""


class Pool(Value):
    """What can be an example, and why the rest cannot."""

    shown: tuple[Shown, ...]
    left_out: Mapping[str, int]
    """Samples by reason, as the end of a sentence."""


def pool_of(desk: Desk, answers: Mapping[str, ArmOutcome]) -> Pool:
    """The samples with the best score of the primary evaluator that no other evaluator scores below its own median.

    `answers` have the outputs and scores by span id. One of each group of conversations (of one user, or with nearly
    the same request), and none that the policy shows already. A sample is left out if its chat is more than one text of
    a user, if tools were offered, or if its answer uses words of a variable's value: an example would not show what the
    answer rests on.
    """
    found, left_out = dict[str, Shown](), Counter[str]()
    usual, shown_before = _medians(answers.values()), {each.input.strip() for each in desk.start.examples}
    groups = group_conversations(desk.train).grouping.group_of
    for sample in sorted(desk.train, key=lambda each: each.span_id):
        answer = answers.get(sample.span_id)
        group = groups.get(sample.conversation_id, sample.conversation_id)
        reason = _ill_judged(answer, desk.constants[0], usual) or _unfit(sample, answer, desk.start)
        if not reason and (group in found or sample.request.strip() in shown_before):
            reason = "repeat another example"
        if reason or answer is None:
            left_out[reason] += 1
        else:
            example = Example(input=sample.request, output=answer.output or "")
            found[group] = Shown(span_id=sample.span_id, example=example)
    return Pool(shown=tuple(found.values()), left_out=left_out)


def _ill_judged(answer: ArmOutcome | None, primary: EvalConstant, usual: Mapping[str, float]) -> str:
    """Why an answer is none to show; empty if it is one."""
    if answer is None:
        return "have no score"
    if any(shortfall(metric, primary) for metric in answer.evals if metric.name == primary.name):
        return f"lack some of {primary.name}"
    below = (m.name for m in answer.evals if m.score is not None and m.score < usual[m.name])
    return f"are below the median of {name}" if (name := next(below, "")) else ""


def _unfit(sample: Sample, answer: ArmOutcome | None, policy: Actions) -> str:
    """Why a sample cannot be an example, whatever its scores; empty if it can."""
    only = sample.messages[0] if len(sample.messages) == 1 else None
    if only is None or only.role != "user" or only.parts or only.tool_calls or sample.tools:
        return "are more than one text of a user (several turns, tools, pictures)"
    output = (answer.output if answer else "") or ""
    if not sample.request.strip() or not output.strip():
        return "have no request or no answer"
    filled = {word for name in policy.variables for word in words_of(sample.variables.get(name, ""))}
    if filled & (words_of(output) - words_of(sample.request) - words_of(policy.system_prompt)):
        return "rest on the value of a variable"
    return ""


def _medians(answers: Iterable[ArmOutcome]) -> dict[str, float]:
    scores: dict[str, list[float]] = {}
    for metric in (metric for answer in answers for metric in answer.evals):
        if metric.score is not None:
            scores.setdefault(metric.name, []).append(metric.score)
    return {name: median(found) for name, found in scores.items()}


class Coverage:
    """How much the requests of a window are like those that are shown already (facility location)."""

    def __init__(self, requests: Mapping[str, str], weights: Mapping[str, float]) -> None:
        """Texts and weights by span id; a word counts the more the fewer requests have it."""
        self._words = {span: words_of(text) for span, text in requests.items()}
        self._weights, used = weights, Counter(word for words in self._words.values() for word in words)
        self._rarity = {word: math.log(1 + len(requests) / uses) for word, uses in used.items()}
        self._covered = dict.fromkeys(requests, 0.0)
        self._outputs: list[frozenset[str]] = []

    def best_of(self, left: Sequence[Shown]) -> Shown:
        """The one that covers most of what is not covered, less where its answer is like one that is shown.

        Of equals the first.
        """
        return max(left, key=self._gain)

    def take(self, shown: Shown) -> None:
        """It is shown from now on."""
        self._covered = {span: max(known, self._like(shown, span)) for span, known in self._covered.items()}
        self._outputs.append(words_of(shown.example.output))

    def _gain(self, shown: Shown) -> float:
        covers = math.fsum(
            self._weights[span] * max(0.0, self._like(shown, span) - known) for span, known in self._covered.items()
        )
        output = words_of(shown.example.output)
        return covers * (1 + NEW_ANSWER - max((alike(output, other, {}) for other in self._outputs), default=0.0))

    def _like(self, shown: Shown, span: str) -> float:
        return alike(words_of(shown.example.input), self._words[span], self._rarity)


def words_of(text: str) -> frozenset[str]:
    """The different words of two letters or more, in any script."""
    return frozenset(word_grams(text, 2))


def alike(one: frozenset[str], other: frozenset[str], rarity: Mapping[str, float]) -> float:
    """The share of their words that both have (Jaccard), weighted by `rarity`; 1 where both are empty."""
    both, either = (math.fsum(rarity.get(word, 1.0) for word in words) for words in (one & other, one | other))
    return both / either if either else 1.0
