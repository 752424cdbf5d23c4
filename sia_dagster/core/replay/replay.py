"""Replays samples under one or more policies and scores every new output."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from sia_dagster.core.errors import CallFailed
from sia_dagster.core.openinference import call_settings, policy_settings, tool_calls_text
from sia_dagster.core.ports.model import ChatModel, ChatReply, ChatRequest
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.progress import Advance, Progress
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ArmOutcome, ValidationRow
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import Value
from sia_dagster.core.replay.rows import map_rows

Replies = Mapping[tuple[str, int], ArmOutcome]
"""One policy's outcomes by (span id, repeat)."""
_SHOWN = 120
_OF_TOOLS = ("tool_choice", "parallel_tool_calls")
"""Parameters that only have a meaning with tools."""


class ReplayPlan(Value):
    """What is replayed and how often."""

    scope: Literal["probe", "selection", "holdout", "again"]
    """Part of every draw, as is the window: no answer is used for another split or another week. `again` is a second
    draw of held-out answers under one policy."""
    window: str
    """The window's key."""
    windows: dict[str, str] = Field(default_factory=dict)
    """By span id, the key of the earlier window that a sample is from: its draws are those of its own window, so that
    answers from there are not paid for twice."""
    repeats: int = 1
    first_repeat: int = 0
    """The number of the first of these repeats: those before were replayed already."""
    workers: int = 32

    @property
    def what(self) -> str:
        """What the progress calls the rows."""
        return "noise replay" if self.scope == "again" else f"{self.scope} replay"

    def draw(self, sample: Sample, repeat: int) -> str:
        """Names the draw of an answer and of its judgements; the same under every policy."""
        window = self.windows.get(sample.span_id, self.window)
        return f"{self.scope}/{window}/{sample.span_id}/{repeat}"


class _Row(NamedTuple):
    arm: int
    actions: Actions
    sample: Sample
    repeat: int


async def replay(
    samples: Sequence[Sample],
    policies: Sequence[Actions],
    *,
    chat: ChatModel,
    evaluators: Sequence[Evaluator],
    plan: ReplayPlan,
    progress: Progress | None = None,
) -> tuple[Replies, ...]:
    """Answer every sample `plan.repeats` times under every policy, and score the answers; one arm a policy.

    All arms share one pool of workers, and for one sample and repeat the same draw of answer and judgement, so that
    equal requests under two policies tie. Two samples never share a draw, even with the same request: each
    conversation counts as evidence of its own. History, tools, the choice of tools and the answer's form are sent as
    they were recorded. A call that fails, or a sample that lacks a variable of the prompt, is the row's `error`; a
    truncated or filtered answer counts as it came, thoughts in front of its text included, since that is what users
    would get; one that holds thoughts alone is an `error`. Evaluators see the new output
    with everything else as it was recorded, the system prompt included: both arms are measured against one reference.
    Raises EndpointRefused and SpendCapReached.
    """
    judges = replayable(evaluators)
    rows = [
        _Row(arm, actions, sample, repeat)
        for sample in samples
        for repeat in range(plan.first_repeat, plan.first_repeat + plan.repeats)
        for arm, actions in enumerate(policies)
    ]

    async def work(row: _Row) -> ArmOutcome:
        return await _outcome(row, chat, judges, plan.draw(row.sample, row.repeat))

    arms: tuple[dict[tuple[str, int], ArmOutcome], ...] = tuple({} for _ in policies)
    done = failed = 0
    async for index, outcome in map_rows(rows, work, workers=plan.workers):
        row, done = rows[index], done + 1
        arms[row.arm][row.sample.span_id, row.repeat] = outcome
        failed += outcome.error is not None or any(metrics.error for metrics in outcome.evals)
        if progress:
            progress(Advance(done=done, of=len(rows), what=plan.what, failed=failed))
    return arms


def replayable(evaluators: Sequence[Evaluator]) -> tuple[Evaluator, ...]:
    """The evaluators that can score a new output, the primary first; a platform's score is of the logged one only."""
    able = (evaluator for evaluator in evaluators if evaluator.constant.kind != "platform")
    return tuple(sorted(able, key=lambda evaluator: not evaluator.constant.primary))


def constants_of(evaluators: Sequence[Evaluator]) -> tuple[EvalConstant, ...]:
    """The constants of the evaluators that are compared after a replay, the primary first."""
    return tuple(evaluator.constant for evaluator in replayable(evaluators))


def pair(
    samples: Sequence[Sample],
    baseline: Replies,
    candidate: Replies,
    windows: Mapping[str, str] | None = None,
    group_of: Mapping[str, str] | None = None,
) -> tuple[ValidationRow, ...]:
    """Both arms side by side, ordered by span id, then repeat. A sample that only one arm holds is left out.

    `windows` names, by span id, the earlier window that a sample is from; `group_of`, by conversation id, its group
    where that is another.
    """
    known = {sample.span_id: sample for sample in samples}
    return tuple(
        ValidationRow(
            span_id=span_id,
            conversation_id=known[span_id].conversation_id,
            group_id=(group_of or {}).get(known[span_id].conversation_id, ""),
            repeat=repeat,
            request=known[span_id].request,
            window=(windows or {}).get(span_id, ""),
            baseline=baseline[span_id, repeat],
            candidate=candidate[span_id, repeat],
        )
        for span_id, repeat in sorted(baseline.keys() & candidate.keys())
        if span_id in known
    )


async def judge_replies(
    sample: Sample, output: str, evaluators: Sequence[Evaluator], draw: str
) -> tuple[EvalMetrics, ...]:
    """Every evaluator's result for a new output, all else as the sample recorded it. Raises as `replay`."""
    answered = sample.model_copy(update={"output": output, "evals": (), "annotations": ()})
    return tuple([await each.score(answered, draw) for each in evaluators])


async def _outcome(row: _Row, chat: ChatModel, evaluators: Sequence[Evaluator], draw: str) -> ArmOutcome:
    try:
        request = _request(row, draw)
    except KeyError as error:
        return ArmOutcome(error=f"span {row.sample.span_id} cannot be replayed: {error.args[0]}")
    try:
        reply = await chat.complete(request)
    except CallFailed as error:
        return ArmOutcome(error=str(error))
    output = _text(reply)
    if not output.strip() and reply.reasoning and reply.finish_reason == "stop":
        return ArmOutcome(error=f"the answer holds thoughts alone, no text: {reply.reasoning[:_SHOWN]!r}")
    return ArmOutcome(
        output=output,
        evals=await judge_replies(row.sample, output, evaluators, draw),
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        cost_usd=reply.cost_usd,
    )


def _request(row: _Row, draw: str) -> ChatRequest:
    """The sample's call under the policy. Raises KeyError where the sample lacks a variable of the prompt.

    The policy decides prompt, examples, model and sampling parameters; history, tools and the answer's form are the
    call's. A policy's own `response_format` and `tool_choice` are used where the sample recorded none.
    """
    actions, sample = row.actions, row.sample
    # Endpoints refuse a choice of tools without tools with status 400.
    unusable = () if sample.tools else _OF_TOOLS
    chosen = call_settings(actions.parameters) | call_settings(sample.parameters)
    parameters = policy_settings(actions.parameters) | {n: chosen[n] for n in chosen if n not in unusable}
    return ChatRequest(
        model=actions.model,
        messages=tuple(actions.messages(sample.variables if actions.variables else None, sample.messages)),
        response_format=parameters.pop("response_format", None),
        parameters=parameters,
        tools=sample.tools,
        draw=draw,
        stage="replay",
    )


def _text(reply: ChatReply) -> str:
    """What the application would have used: the text, else the tool calls, written as those of a logged answer."""
    return reply.text if reply.text or not reply.tool_calls else tool_calls_text(reply.tool_calls)
