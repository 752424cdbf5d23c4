"""The estimate of a window before it runs: calls, tokens and USD by stage, from its samples alone."""

from collections.abc import Callable, Iterable, Sequence
from itertools import cycle, islice
from math import ceil

from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.config.loop import LLMClassifyConfig, LoopConfig
from sia_dagster.core.cost.call_sizes import Work, guarding, judge_spec, judging, replaying, updating
from sia_dagster.core.gate import ValidationRules
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.spend import Spend, total
from sia_dagster.core.records.value import Value
from sia_dagster.core.traffic import policy_from_traces, set_near_duplicates_aside

NEXT_REPLAYS = 3
"""Most policies that the next window replays: the candidate, the policy it was to replace and the loop's first one."""

PROPOSED_SHARE = 0.05
"""Of a search's answers, those that propose; measured, one of twenty to one of thirty."""

CostOf = Callable[[str, str, Spend], float | None]
"""The USD for the tokens of a spend, by model and stage of the ledger (`judge`, `replay`, `update`); None: unknown."""


class StageEstimate(Value):
    """The model calls of one kind that one stage makes."""

    stage: str
    """The asset that makes the calls."""
    work: str
    """`judge <evaluator>`, `replay`, `update` or `update guard`."""
    model: str
    spend: Spend

    @property
    def caller(self) -> str:
        """The ledger's stage of the calls: `judge`, `replay` or `update`."""
        return self.work.partition(" ")[0]


class Estimate(Value):
    """The model calls of a window if all of its stages run, in their order."""

    lines: tuple[StageEstimate, ...] = ()

    @property
    def total(self) -> Spend:
        """The sum; `cost_usd` is None as soon as one model's price is unknown."""
        return total(line.spend for line in self.lines)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The models whose price is unknown."""
        return tuple(sorted({line.model for line in self.lines if line.spend.cost_usd is None}))


def estimate(
    loop: LoopConfig,
    samples: Sequence[Sample],
    cost_of: CostOf,
    *,
    policy: Actions | None = None,
    read_file: Callable[[str], str] | None = None,
    in_batches: bool = False,
) -> Estimate:
    """The model calls of a window with these samples; empty without samples.

    `policy` is the one in force, by default that of the traces; `read_file` reads judges' templates that are files;
    `in_batches` says that answers come in batches, which all looks' requests are sent in at once.

    The estimate is an upper bound for a window that runs to the end: judges are watched, the candidate of the window
    before is replayed on this one, the search uses all of `policy.search_calls`, and its candidate is replayed on the
    holdout. The holdout is filled from earlier windows, assumed to be like this one, no interim
    look stops it early, and a second draw measures noise. Tokens are those of `estimate_tokens` plus MESSAGE_TOKENS a
    message; logged outputs stand for future replies; judges explain in EXPLANATION_TOKENS; FAILING_SHARE of the train
    split scores low and is shown to the updater, which answers in UPDATE_TOKENS; a candidate's prompt is GROWTH_TOKENS
    longer. A window that stops early takes less, and so does one whose policies answer alike, since equal requests are
    one call. Model calls of code evaluators are not included. Raises ConfigError for a template.
    """
    actions = policy or policy_from_traces(samples)
    if actions is None:
        return Estimate()
    specs = [judge_spec(each, read_file or _no_file) for each in loop.evaluators if isinstance(each, LLMClassifyConfig)]
    judges = [judging(spec, samples) for spec in specs]
    kept, _ = set_near_duplicates_aside([sample for sample in samples if _fits(sample, actions)])
    train, selection, holdout = (_of(kept, split) for split in ("train", "selection", "holdout"))
    replay = replaying(kept, actions)
    lines = _lines("eval_results", judges, samples)
    lines += _lines("judge_watch", judges, _like(samples, _watched(loop, len(samples))))
    lines += _lines("next_window_results", [replay, *judges], holdout * (NEXT_REPLAYS * (loop.validation.repeats or 1)))
    if train:
        lines += _search_lines(loop, [updating(loop, actions, train, specs), replay, *judges], [*train, *selection])
        lines += _lines("updated_policy", guarding(loop, actions, train, specs), train[:1])
    lines += _validation_lines(loop, replay, judges, holdout, in_batches=in_batches)
    return Estimate(lines=tuple(_priced(line, cost_of) for line in lines))


def _validation_lines(
    loop: LoopConfig, replay: Work, judges: list[Work], holdout: list[Sample], *, in_batches: bool
) -> list[StageEstimate]:
    """Both policies on the filled holdout, and the second draw that measures noise."""
    both = _like(holdout, _compared(loop, holdout, in_batches=in_batches)) * 2
    noise = _like(holdout, _noisy(loop, holdout))
    # The first answers are judged again, and so are the second ones.
    judged = _lines("validation_results", judges, both + noise * 2)
    return _lines("validation_results", [replay], both + noise) + judged


def _search_lines(loop: LoopConfig, work: Sequence[Work], samples: list[Sample]) -> list[StageEstimate]:
    """As many answers as the search's cap allows: PROPOSED_SHARE of them propose, the others replay and judge."""
    proposing, *replaying_and_judging = work
    proposals = ceil(loop.policy.search_calls * PROPOSED_SHARE)
    rows = (loop.policy.search_calls - proposals) // len(replaying_and_judging)
    lines = _lines("updated_policy", [proposing], samples[:1] * proposals)
    return lines + _lines("updated_policy", replaying_and_judging, _like(samples, rows))


def _no_file(name: str) -> str:
    raise FileNotFoundError(f"{name!r} is not looked for")


def _of(samples: Iterable[Sample], split: str) -> list[Sample]:
    return [sample for sample in samples if sample.split == split]


def _fits(sample: Sample, actions: Actions) -> bool:
    """Whether the policy can be replayed on the sample: one without its variables is left out of the search."""
    return set(actions.variables) <= set(sample.variables)


def _watched(loop: LoopConfig, samples: int) -> int:
    """Judgements of one judge: its anchors once more, twice when they are frozen, and both probes."""
    anchors, probes = min(loop.watch.anchors, samples), min(loop.watch.probes, samples)
    return max(loop.watch.anchors, 2 * anchors) + 2 * probes if samples else 0


def _compared(loop: LoopConfig, holdout: Sequence[Sample], *, in_batches: bool) -> int:
    """Most answers of one policy, over all sizes of the filled holdout, with its repeats."""
    given, own = loop.validation, _conversations(holdout)
    if not own:
        return 0
    rules = ValidationRules(
        repeats=given.repeats, looks=given.looks, max_conversations=given.max_conversations, in_batches=in_batches
    )
    filled = max(own, min(given.max_conversations, own * (1 + given.pool_windows)))
    rows = max(conversations * rules.most_repeats(conversations) for conversations in range(own, filled + 1))
    return ceil(rows * len(holdout) / own)


def _noisy(loop: LoopConfig, holdout: Sequence[Sample]) -> int:
    """Answers that the policy in force gives a second time."""
    own = _conversations(holdout)
    return ceil(min(loop.validation.noise_conversations, own) * len(holdout) / own) if own else 0


def _conversations(samples: Iterable[Sample]) -> int:
    return len({sample.conversation_id for sample in samples})


def _like(samples: Sequence[Sample], count: int) -> list[Sample]:
    """`count` samples, taken in turn: other samples are assumed to be like these."""
    return list(islice(cycle(samples), count))


def _lines(stage: str, work: Sequence[Work], samples: Sequence[Sample]) -> list[StageEstimate]:
    """One line for each kind of call that is made, not yet priced; repeated samples count repeatedly."""
    lines = []
    for what, model, known in work:
        calls = [known[sample.span_id] for sample in samples if sample.span_id in known]
        prompt, completion = sum(call.prompt for call in calls), sum(call.completion for call in calls)
        spend = Spend(calls=len(calls), prompt_tokens=prompt, completion_tokens=completion)
        lines += [StageEstimate(stage=stage, work=what, model=model, spend=spend)] if calls else []
    return lines


def _priced(line: StageEstimate, cost_of: CostOf) -> StageEstimate:
    cost = cost_of(line.model, line.caller, line.spend)
    spend = line.spend.model_copy(update={"cost_usd": None if cost is None else round(cost, 9)})
    return line.model_copy(update={"spend": spend})


def estimate_sentence(expected: Estimate, llm: LLMConfig, *, prices_source: str) -> str:
    """`up to about 480 model calls and 210,000 tokens, 0.04 USD`, and `prices_source` where it gave a list price."""
    spend = expected.total
    sentence = f"up to about {spend.calls} model calls and {spend.prompt_tokens + spend.completion_tokens:,} tokens"
    if spend.cost_usd is None:
        return f"{sentence}; the price of {', '.join(expected.unpriced)} is unknown, and so is the cost"
    sentence += f", {spend.cost_usd:.{2 if spend.cost_usd >= 0.1 else 4}f} USD"
    listed = any(llm.called(line.model) not in llm.at(line.caller).prices for line in expected.lines)
    return f"{sentence} (list prices of {prices_source})" if listed else sentence
