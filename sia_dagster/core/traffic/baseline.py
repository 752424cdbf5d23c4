"""Where the search starts from: the window's samples under the policy in force."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sia_dagster.core.attribution import Attribution, attribute, commonest
from sia_dagster.core.openinference import MappedSpans, placeholders, policy_settings
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.sample import Sample, TimeWindow
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.traffic.near_duplicates import set_near_duplicates_aside
from sia_dagster.core.traffic.replayable import replayability, too_little_left


class CallSamples(NamedTuple):
    """What can be learned from of a window's samples, and what was left out."""

    samples: tuple[Sample, ...]
    """Of this loop's call, with all that a replay needs; oldest first."""
    left_out: dict[str, int]
    sentences: tuple[str, ...]
    """Why each of the others was left out, one sentence a span."""
    refusal: str | None
    """Why too little is left."""


def build_baseline(
    loop: str,
    window: TimeWindow,
    spans: MappedSpans,
    evals: Mapping[str, tuple[EvalMetrics, ...]],
    constants: Sequence[EvalConstant],
    registry: Sequence[PolicyVersion] = (),
) -> StateActions:
    """The window's state: its samples, oldest first, with their evaluations, and the policy in force.

    The policy is the newest of `registry` at the window's end, else the one that most samples speak under
    (`policy_from_traces`); later versions are not looked at. `evals` are by span id and replace what the traces
    carry. Samples of another call of the application, and such as cannot be replayed under this policy, are left
    out, counted and named. The same arguments give the same bytes, in whatever order the samples come.
    """
    known = [version for version in registry if version.at < window.end]
    in_force = max(known, key=lambda version: version.version, default=None)
    spoken = attribute(sorted(spans.samples, key=lambda s: (s.start_time, s.span_id)), known, in_force)
    actions = in_force.actions if in_force else policy_from_traces(spoken.samples)
    usable = samples_of_the_call(spoken, actions)
    scored = [sample.model_copy(update={"evals": evals.get(sample.span_id, ())}) for sample in usable.samples]
    kept, set_aside = set_near_duplicates_aside(scored)
    return StateActions(
        loop=loop,
        window=window,
        actions=actions,
        policy_version=in_force.version if in_force else None,
        policy_share=policy_share(spoken.samples, actions) if actions else None,
        policies=spoken.policies,
        samples=kept,
        eval_constants=tuple(constants),
        set_aside=set_aside,
        skipped=(*spans.skipped, *usable.sentences),
        left_out=usable.left_out,
        refusal=usable.refusal,
    )


def policy_from_traces(samples: Sequence[Sample]) -> Actions | None:
    """The commonest prompt (the template where it is known) with its commonest model, parameters and tools.

    Settings that belong to the call, such as its response format, travel with the samples and are no part of it. Ties
    go to the smaller fingerprint. None without samples.
    """
    if not samples:
        return None
    prompt = commonest(_prompt(s) for s in samples)
    speakers = [s for s in samples if _prompt(s) == prompt]
    model, parameters = commonest((s.model, policy_settings(s.parameters)) for s in speakers)
    names = {name for s in speakers if s.template is not None for name in placeholders(prompt, s.variables)}
    return Actions(
        system_prompt=prompt,
        model=model,
        parameters=parameters,
        tools=commonest(s.tools for s in speakers),
        variables=tuple(sorted(names)),
    )


def policy_share(samples: Sequence[Sample], actions: Actions) -> float | None:
    """The share of the samples whose recorded prompt is exactly what `actions` gives. None without samples."""
    return sum(_spoke_under(s, actions) for s in samples) / len(samples) if samples else None


def samples_of_the_call(spoken: Attribution, actions: Actions | None) -> CallSamples:
    """The samples that a replay under `actions`, the policy in force, would be faithful to.

    Left out, in this order: another call's, since its requests make no sense under this prompt; those that lack a
    variable of the policy; those whose variables were read back in one of several ways, since another prompt would be
    filled with a guess; and what `replayability` leaves out. `refusal` is about this call's samples alone.
    """
    places = zip(spoken.samples, spoken.spoke, strict=True)
    ours = [(s, spoken.policies[place].same_call) for s, place in places]
    why = {s.span_id: ("another_call", _ANOTHER_CALL) for s, same in ours if not same}
    chats = [_as_recorded_under(sample, actions) for sample, same in ours if same]
    for sample in chats:
        if reason := _variables_unknown(sample, actions, spoken.ambiguous):
            why[sample.span_id] = reason
    found = replayability([sample for sample in chats if sample.span_id not in why])
    return CallSamples(
        samples=found.replayable,
        left_out=dict(sorted((Counter(reason for reason, _ in why.values()) + Counter(found.left_out)).items())),
        sentences=(*(f"span {span_id}: {told}" for span_id, (_, told) in why.items()), *found.sentences),
        refusal=too_little_left(len(found.replayable), len(chats)) if chats else None,
    )


_ANOTHER_CALL = (
    "its prompt has no text in common with the policy in force, so it is another call of the application; narrow "
    "`traces.where` to this loop's call (`sia check` lists the calls of a window)"
)

_GUESSED = (
    "its prompt can be read in several ways, so what its variables were is a guess; record "
    "llm.prompt_template.variables to use such calls"
)


def _variables_unknown(sample: Sample, actions: Actions | None, ambiguous: Iterable[str]) -> tuple[str, str] | None:
    """Why the policy cannot be filled in for this sample: the reason's name and its sentence."""
    if missing := _missing(sample, actions):
        return "variables_unknown", (
            f"the policy in force needs the variables {missing}, which the trace did not record; record "
            "llm.prompt_template.variables to use such calls"
        )
    if actions is not None and actions.variables and sample.span_id in ambiguous:
        return "variables_ambiguous", _GUESSED
    return None


def _spoke_under(sample: Sample, actions: Actions) -> bool:
    return not _missing(sample, actions) and actions.render(sample.variables) == sample.system_prompt


def _as_recorded_under(sample: Sample, actions: Actions | None) -> Sample:
    """Without the policy's own examples at the head of the chat: a replay adds those of the policy it tries."""
    shown = [] if actions is None else actions.model_copy(update={"system_prompt": "", "variables": ()}).messages()
    head = [message.to_openai() for message in sample.messages[: len(shown)]]
    return sample.model_copy(update={"messages": sample.messages[len(shown) :]}) if shown and head == shown else sample


def _missing(sample: Sample, actions: Actions | None) -> list[str]:
    """The policy's variables that are not known of the sample."""
    return sorted(set(actions.variables if actions else ()) - set(sample.variables))


def _prompt(sample: Sample) -> str:
    return sample.template if sample.template is not None else sample.system_prompt
