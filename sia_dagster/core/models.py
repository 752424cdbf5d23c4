"""The values of the loop, under the seed's names. All are frozen; change is by copy."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from sia_dagster.core.spending import Spend as Spend
from sia_dagster.core.values import JsonObject as JsonObject
from sia_dagster.core.values import Value as Value
from sia_dagster.core.values import fingerprint as fingerprint

Split = Literal["train", "selection", "holdout"]
EvaluatorKind = Literal["llm_classify", "code", "platform"]


class TimeWindow(Value):
    """`[start, end)`, both aware. `key` is the partition key: the window's start."""

    key: str
    start: datetime
    end: datetime


class ToolCall(Value):
    """One call of a tool that an assistant message asks for."""

    id: str = ""
    name: str
    arguments: str = ""
    """JSON text, as the model wrote it."""


class Message(Value):
    """One message of a chat, in the terms of OpenInference."""

    role: str
    content: str | None = None
    """The text; of a multimodal message the joined text of its parts."""
    parts: tuple[JsonObject, ...] = ()
    """The parts of a multimodal message in the wire form of chat completions; empty for plain text."""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None

    def to_openai(self) -> JsonObject:
        """The message in the wire form of chat completions."""
        wire: JsonObject = {"role": self.role, "content": list(self.parts) if self.parts else self.content}
        if self.name:
            wire["name"] = self.name
        if self.tool_call_id:
            wire["tool_call_id"] = self.tool_call_id
        if self.tool_calls:
            wire["tool_calls"] = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
                for c in self.tool_calls
            ]
        return wire


class EvalMetrics(Value):
    """What one evaluator said of one output. Without a score there is an `error`, never a guess."""

    name: str
    label: str | None = None
    score: float | None = None
    """Higher is better; within the evaluator's range (`EvalConstant.low` .. `high`)."""
    explanation: str | None = None
    error: str | None = None
    fingerprint: str = ""
    source: EvaluatorKind = "code"
    attempts: int = 0
    """Model calls made for this answer, retries included; 0 where no model was asked."""
    cost_usd: float | None = None
    """None where the model's price is unknown or no model was asked."""


class EvalConstant(Value):
    """What stays the same about an evaluator while policies change: what it measures and on which scale."""

    name: str
    kind: EvaluatorKind
    fingerprint: str
    """Of template, rails, model and code: two scores compare only under one fingerprint."""
    criteria: str = ""
    """The judge's template, the function's docstring, or where the platform's score comes from."""
    rails: dict[str, float] = Field(default_factory=dict)
    low: float = 0.0
    high: float = 1.0
    primary: bool = False


class Sample(Value):
    """One call of the application: what it was given, what it answered and what evaluators said of it."""

    span_id: str
    trace_id: str
    conversation_id: str
    """Session, else user, else trace: the unit that is split and counted."""
    start_time: datetime
    split: Split
    system_prompt: str = ""
    """As it was sent, filled in; the leading system and developer messages joined by a blank line."""
    messages: tuple[Message, ...] = ()
    """The chat history without the leading system messages, oldest first."""
    output: str = ""
    variables: dict[str, str] = Field(default_factory=dict)
    """What the template was filled with, where the trace recorded it."""
    template: str | None = None
    """The system prompt before filling in, only where filling it in gives `system_prompt` exactly."""
    name: str = ""
    """The span's name, such as `ChatCompletion`."""
    model: str = ""
    parameters: JsonObject = Field(default_factory=dict)
    tools: tuple[JsonObject, ...] = ()
    tags: tuple[str, ...] = ()
    """What the application tagged the call with (`tag.tags`), in its order."""
    evals: tuple[EvalMetrics, ...] = ()
    annotations: tuple[EvalMetrics, ...] = ()
    """What people said of the logged output in the trace store."""

    def score(self, evaluator: str) -> float | None:
        """The evaluator's score of the logged output; None where it gave none."""
        return next((e.score for e in self.evals if e.name == evaluator), None)

    @property
    def request(self) -> str:
        """The last user message's text: what people read to see what was asked."""
        return next((m.content or "" for m in reversed(self.messages) if m.role == "user"), "")


class Example(Value):
    """One demonstration that a policy shows the model before the chat."""

    input: str
    output: str


class Actions(Value):
    """A policy: everything about the call that the loop may choose, and the contract that it must keep."""

    system_prompt: str = ""
    model: str = ""
    parameters: JsonObject = Field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    tools: tuple[JsonObject, ...] = ()
    variables: tuple[str, ...] = ()
    """Names that stand in the prompt as `{name}` or `{{name}}` and are filled in at each call."""

    @property
    def fingerprint(self) -> str:
        """Of the whole policy; equal policies have equal fingerprints."""
        return fingerprint(self.model_dump(mode="json"))

    def render(self, variables: Mapping[str, str] | None = None) -> str:
        """The system prompt filled in. Values are text: a value that holds `{name}` is not filled again.

        Raises KeyError with the missing names.
        """
        given = variables or {}
        if missing := sorted(set(self.variables) - set(given)):
            raise KeyError(f"the policy's prompt needs the variables {missing}")
        if not self.variables:
            return self.system_prompt
        names = "|".join(re.escape(name) for name in sorted(self.variables, key=len, reverse=True))
        pattern = re.compile(r"\{\{\s*(" + names + r")\s*\}\}|\{(" + names + r")\}")
        return pattern.sub(lambda m: str(given[m.group(1) or m.group(2)]), self.system_prompt)

    def messages(self, variables: Mapping[str, str] | None = None, history: Sequence[Message] = ()) -> list[JsonObject]:
        """The chat in wire form: system prompt, examples, then `history`. Raises KeyError as `render`."""
        prompt = self.render(variables)
        head: list[JsonObject] = [{"role": "system", "content": prompt}] if prompt else []
        for example in self.examples:
            head += [
                {"role": "user", "content": example.input},
                {"role": "assistant", "content": example.output},
            ]
        return head + [message.to_openai() for message in history]


class PolicyShare(Value):
    """One prompt that spoke in a window, and how much of the window's samples it gave."""

    system_prompt: str
    """Its template where it is known, else the text as it was sent."""
    variables: tuple[str, ...] = ()
    origin: Literal["registry", "recorded", "recovered", "as_sent"]
    """How the samples were attributed: to a version of the registry, by the template that the spans record, by a
    template recovered from the filled prompts, or by the text itself."""
    version: int | None = None
    """The registry's version with this prompt, the newest of several."""
    in_force: bool = False
    """Whether this is the prompt of the policy that the loop starts from."""
    same_call: bool = True
    """Whether it is a version of the prompt in force; another call of the application is not this loop's to improve."""
    samples: int
    share: float
    """Of the window's readable samples, 0..1."""
    names: dict[str, int] = Field(default_factory=dict)
    """Samples by the span's name."""
    models: dict[str, int] = Field(default_factory=dict)
    """Samples by model."""
    first: datetime
    last: datetime


class StateActions(Value):
    """A window's samples under the policy in force: where the search starts from."""

    loop: str
    window: TimeWindow
    actions: Actions | None = None
    """The policy in force; None for a window without usable traffic and no policy promoted before it."""
    policy_version: int | None = None
    """The registry's version of `actions`; None where they were read from the traces."""
    policy_share: float | None = None
    """The share of the window's samples that `actions` produced; None without samples."""
    policies: tuple[PolicyShare, ...] = ()
    """All prompts that spoke, the one in force first, then by share."""
    calls: int = 0
    """All LLM calls of the window, of which the samples are some."""
    samples: tuple[Sample, ...] = ()
    eval_constants: tuple[EvalConstant, ...] = ()
    set_aside: int = 0
    """Samples left out of train and selection since a near-duplicate of theirs is in another split."""
    skipped: tuple[str, ...] = ()
    """Why spans could not be used, one sentence a span."""
    left_out: dict[str, int] = Field(default_factory=dict)
    """Readable samples that were left out, by reason: another call's, or not to be replayed faithfully."""
    refusal: str | None = None
    """Why nothing may be learned from this window, where too little of it is left."""

    def of(self, split: Split) -> tuple[Sample, ...]:
        """The samples of one split, in order."""
        return tuple(s for s in self.samples if s.split == split)

    @property
    def primary(self) -> EvalConstant | None:
        """The evaluator that decides."""
        return next((e for e in self.eval_constants if e.primary), None)
