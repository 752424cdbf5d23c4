"""Builds what the search starts from: the window's samples under the policy in force."""

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
    """The samples of a window that the loop can learn from, and what was left out."""

    samples: tuple[Sample, ...]
    """Samples of this loop's call with everything that a replay needs; oldest first."""
    left_out: dict[str, int]
    """Samples by reason."""
    sentences: tuple[str, ...]
    """Why each of them was left out, one sentence a span."""
    refusal: str | None
    """Why too few samples are left; None if there are enough."""


def build_baseline(
    loop: str,
    window: TimeWindow,
    spans: MappedSpans,
    evals: Mapping[str, tuple[EvalMetrics, ...]],
    constants: Sequence[EvalConstant],
    registry: Sequence[PolicyVersion] = (),
) -> StateActions:
    """The window's state: its samples, oldest first, with their evaluations, and the policy in force.

    The policy is the newest of `registry` at the window's end, else the one that produced most samples
    (`policy_from_traces`); later versions are ignored. `evals` are by span id and replace those of the traces. Samples
    of another call of the application, and samples that cannot be replayed under this policy, are left out, counted and
    named. The result does not depend on the order of the samples.
    """
    known = [version for version in registry if version.at < window.end]
    in_force = max(known, key=lambda version: version.version, default=None)
    attributed = attribute(sorted(spans.samples, key=lambda s: (s.start_time, s.span_id)), known, in_force)
    actions = in_force.actions if in_force else policy_from_traces(attributed.samples)
    usable = samples_of_the_call(attributed, actions)
    scored = [sample.model_copy(update={"evals": evals.get(sample.span_id, ())}) for sample in usable.samples]
    kept, set_aside = set_near_duplicates_aside(scored)
    return StateActions(
        loop=loop,
        window=window,
        actions=actions,
        policy_version=in_force.version if in_force else None,
        provenance=in_force.provenance if in_force else (),
        policy_share=policy_share(attributed.samples, actions) if actions else None,
        policies=attributed.policies,
        samples=kept,
        eval_constants=tuple(constants),
        set_aside=set_aside,
        skipped=(*spans.skipped, *usable.sentences),
        left_out=usable.left_out,
        refusal=usable.refusal,
    )


def policy_from_traces(samples: Sequence[Sample]) -> Actions | None:
    """The commonest prompt (the template where it is known) with its commonest model, parameters and tools.

    Settings that belong to the call, such as its response format, stay with the samples. Ties go to the smaller
    fingerprint. None without samples.
    """
    if not samples:
        return None
    prompt = commonest(_prompt(s) for s in samples)
    own = [s for s in samples if _prompt(s) == prompt]
    model, parameters = commonest((s.model, policy_settings(s.parameters)) for s in own)
    names = {name for s in own if s.template is not None for name in placeholders(prompt, s.variables)}
    return Actions(
        system_prompt=prompt,
        model=model,
        parameters=parameters,
        tools=commonest(s.tools for s in own),
        variables=tuple(sorted(names)),
    )


def policy_share(samples: Sequence[Sample], actions: Actions) -> float | None:
    """The share of the samples whose recorded prompt is exactly what `actions` gives. None without samples."""
    return sum(_is_rendered_by(s, actions) for s in samples) / len(samples) if samples else None


def samples_of_the_call(attributed: Attribution, actions: Actions | None) -> CallSamples:
    """The samples that can be replayed faithfully under `actions`, the policy in force.

    Left out, in this order: samples of another call, since their requests make no sense under this prompt; those that
    lack a variable of the policy; those whose recovered variables are ambiguous, since another prompt would be filled
    with a guess; and what `replayability` leaves out. `refusal` counts this call's samples alone.
    """
    places = zip(attributed.samples, attributed.places, strict=True)
    ours = [(s, attributed.policies[place].same_call) for s, place in places]
    why = {s.span_id: ("another_call", _ANOTHER_CALL) for s, same in ours if not same}
    chats = [_as_recorded_under(sample, actions) for sample, same in ours if same]
    for sample in chats:
        if reason := _variables_unknown(sample, actions, attributed.ambiguous):
            why[sample.span_id] = reason
    found = replayability([sample for sample in chats if sample.span_id not in why])
    return CallSamples(
        samples=found.replayable,
        left_out=dict(sorted((Counter(reason for reason, _ in why.values()) + Counter(found.left_out)).items())),
        sentences=(*(f"span {span_id}: {sentence}" for span_id, (_, sentence) in why.items()), *found.sentences),
        refusal=too_little_left(len(found.replayable), len(chats)) if chats else None,
    )


_ANOTHER_CALL = (
    "its prompt has no text in common with the policy in force, so it is another call of the application; narrow "
    "`traces.where` to this loop's call (`sia check` lists the calls of a window)"
)

_GUESSED = (
    "its prompt can be read in several ways, so its variables would be a guess; record "
    "llm.prompt_template.variables to use such calls"
)


def _variables_unknown(sample: Sample, actions: Actions | None, ambiguous: Iterable[str]) -> tuple[str, str] | None:
    """The reason's name and sentence, if the policy cannot be filled in for this sample."""
    if missing := _missing(sample, actions):
        return "variables_unknown", (
            f"the policy in force needs the variables {missing}, which the trace does not hold; record "
            "llm.prompt_template.variables to use such calls"
        )
    if actions is not None and actions.variables and sample.span_id in ambiguous:
        return "variables_ambiguous", _GUESSED
    return None


def _is_rendered_by(sample: Sample, actions: Actions) -> bool:
    return not _missing(sample, actions) and actions.render(sample.variables) == sample.system_prompt


def _as_recorded_under(sample: Sample, actions: Actions | None) -> Sample:
    """The sample without the policy's examples at the head of its chat: a replay adds those of its own policy."""
    shown = [] if actions is None else actions.model_copy(update={"system_prompt": "", "variables": ()}).messages()
    head = [message.to_openai() for message in sample.messages[: len(shown)]]
    return sample.model_copy(update={"messages": sample.messages[len(shown) :]}) if shown and head == shown else sample


def _missing(sample: Sample, actions: Actions | None) -> list[str]:
    """The policy's variables that the sample lacks."""
    return sorted(set(actions.variables if actions else ()) - set(sample.variables))


def _prompt(sample: Sample) -> str:
    return sample.template if sample.template is not None else sample.system_prompt
