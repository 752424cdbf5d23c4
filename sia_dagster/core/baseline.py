"""Where the search starts from: the window's samples under the policy in force."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sia_dagster.core.models import Actions, EvalConstant, EvalMetrics, Sample, StateActions, TimeWindow, fingerprint
from sia_dagster.core.openinference.samples import MappedSpans, placeholders
from sia_dagster.core.results import PolicyVersion
from sia_dagster.core.splits import set_near_duplicates_aside


def build_baseline(
    loop: str,
    window: TimeWindow,
    spans: MappedSpans,
    evals: Mapping[str, tuple[EvalMetrics, ...]],
    constants: Sequence[EvalConstant],
    in_force: PolicyVersion | None,
) -> StateActions:
    """The window's state: its samples, oldest first, with their evaluations, and the policy in force.

    The policy is the registry's, else the one that most samples speak under (`policy_from_traces`). `evals` are by
    span id and replace what the traces carry. Samples that this policy cannot be replayed on are skipped and named.
    The same arguments give the same bytes, in whatever order the samples come.
    """
    ordered = sorted(spans.samples, key=lambda s: (s.start_time, s.span_id))
    actions = in_force.actions if in_force else policy_from_traces(ordered)
    share = policy_share(ordered, actions) if actions else None
    chats = [_as_recorded_under(sample, actions) for sample in ordered]
    fit = [s for s in chats if not _missing(s, actions)]
    kept, set_aside = set_near_duplicates_aside([s.model_copy(update={"evals": evals.get(s.span_id, ())}) for s in fit])
    return StateActions(
        loop=loop,
        window=window,
        actions=actions,
        policy_version=in_force.version if in_force else None,
        policy_share=share,
        samples=kept,
        eval_constants=tuple(constants),
        set_aside=set_aside,
        skipped=(*spans.skipped, *_cannot_be_replayed(chats, actions)),
    )


def policy_from_traces(samples: Sequence[Sample]) -> Actions | None:
    """The commonest prompt (the template where it is recorded) with its commonest model, parameters and tools.

    Ties go to the smaller fingerprint. None without samples.
    """
    if not samples:
        return None
    prompt = _commonest(_prompt(s) for s in samples)
    speakers = [s for s in samples if _prompt(s) == prompt]
    model, parameters = _commonest((s.model, s.parameters) for s in speakers)
    names = {name for s in speakers if s.template is not None for name in placeholders(prompt, s.variables)}
    return Actions(
        system_prompt=prompt,
        model=model,
        parameters=parameters,
        tools=_commonest(s.tools for s in speakers),
        variables=tuple(sorted(names)),
    )


def policy_share(samples: Sequence[Sample], actions: Actions) -> float | None:
    """The share of the samples whose recorded prompt is exactly what `actions` gives. None without samples."""
    return sum(_spoke_under(s, actions) for s in samples) / len(samples) if samples else None


def _spoke_under(sample: Sample, actions: Actions) -> bool:
    return not _missing(sample, actions) and actions.render(sample.variables) == sample.system_prompt


def _as_recorded_under(sample: Sample, actions: Actions | None) -> Sample:
    """Without the policy's own examples at the head of the chat: a replay adds those of the policy it tries."""
    shown = [] if actions is None else actions.model_copy(update={"system_prompt": "", "variables": ()}).messages()
    head = [message.to_openai() for message in sample.messages[: len(shown)]]
    return sample.model_copy(update={"messages": sample.messages[len(shown) :]}) if shown and head == shown else sample


def _missing(sample: Sample, actions: Actions | None) -> list[str]:
    """The policy's variables that the trace did not record."""
    return sorted(set(actions.variables if actions else ()) - set(sample.variables))


def _cannot_be_replayed(samples: Iterable[Sample], actions: Actions | None) -> Iterable[str]:
    for sample in samples:
        if missing := _missing(sample, actions):
            yield (
                f"span {sample.span_id}: the policy in force needs the variables {missing}, which the trace did not "
                "record; record llm.prompt_template.variables to use such calls"
            )


def _prompt(sample: Sample) -> str:
    return sample.template if sample.template is not None else sample.system_prompt


def _commonest(values: Iterable[Any]) -> Any:
    """The value that comes most often; of equally common ones the one with the smallest fingerprint."""
    first: dict[str, Any] = {}
    counts: Counter[str] = Counter()
    for value in values:
        key = fingerprint(value)
        first.setdefault(key, value)
        counts[key] += 1
    return first[min(counts, key=lambda key: (-counts[key], key))]
