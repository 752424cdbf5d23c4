"""The roles the loop depends on. Adapters play them; core knows no vendor."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from sia_dagster.core.evidence import Look
from sia_dagster.core.models import (
    Actions,
    EvalConstant,
    EvalMetrics,
    JsonObject,
    Sample,
    Spend,
    StateActions,
    TimeWindow,
    ToolCall,
    Value,
)
from sia_dagster.core.results import Candidate, PolicyDecision, PolicyVersion
from sia_dagster.core.watch_results import Anchors, WatchRecord

if TYPE_CHECKING:
    import pyarrow as pa

    from sia_dagster.core.write_back import SpanEvaluation, WriteReport


class Advance(Value):
    """How far a stage is."""

    done: int
    of: int
    what: str
    """`evaluations`, `selection replay`."""
    failed: int = 0
    """Those of `done` that have an error instead of a result."""
    spent: Spend | None = None
    """What the stage used so far; None where nobody counts it."""


Progress = Callable[[Advance], None]
"""Called as rows complete."""


class SpanQuery(Value):
    """Which spans of a trace store a loop reads."""

    window: TimeWindow
    where: str = ""
    """A condition in the store's own columns (`name = 'ChatCompletion'`)."""
    sample_limit: int = 200
    """At most this many calls carry their text (`sampled`), chosen by a hash of the span's id."""
    recorded: tuple[str, ...] | None = None
    """Whose scores are read that the store's own evaluations gave (`eval.<name>.*`); None: all. A loop reads those of
    its platform evaluators alone: what it wrote back itself must not change what it reads."""
    annotated: tuple[str, ...] | None = None
    """Under which names people's annotations are read (`annotation.<name>.*`); None: all."""


class TraceSource(Protocol):
    """Where the application's spans are."""

    def spans(self, query: SpanQuery) -> "Iterator[pa.RecordBatch]":
        """Yield the LLM spans that started in `[window.start, window.end)`, oldest first.

        Batches have the schema `core.openinference.schema.SPAN_SCHEMA`. Raises TraceError.
        """

    def unreadable(self) -> "Mapping[str, int]":
        """How many records stand in no window, since they do not say which span they are or when it started.

        By file or by what else names the place. Raises TraceError.
        """


class EvaluationStore(Protocol):
    """Where a window's evaluations go back to: the trace store that the spans came from."""

    def write(self, evaluations: "Sequence[SpanEvaluation]", *, now: datetime) -> "WriteReport":
        """Put the evaluations on their spans and read what was taken. The same call again changes nothing.

        `now` tells spans that are too old to be updated from unknown ones. Evaluations that the store cannot take are
        cut or left out, and named in the report. Raises WriteBackError where nothing could be sent at all.
        """


class HubVersion(Value):
    """One version of a prompt as a platform knows it."""

    id: str
    message: str = ""
    """Commit message or description."""
    labels: tuple[str, ...] = ()
    """Labels or tags that stand on it now."""


class PromptHub(Protocol):
    """A platform's registry of prompts."""

    def versions(self, prompt: str) -> Sequence[HubVersion]:
        """All versions, oldest first; none where there is no such prompt. Raises PublishError."""

    def create(self, prompt: str, actions: Actions, message: str) -> str:
        """Store a version and return its id. Raises PublishError for what the platform cannot hold faithfully."""

    def set_label(self, prompt: str, version_id: str, label: str) -> None:
        """Move `label` to that version. Raises PublishError."""


class ChatRequest(Value):
    """One chat completion to ask for. All but `stage` identifies the answer."""

    model: str
    messages: tuple[JsonObject, ...]
    parameters: JsonObject = Field(default_factory=dict)
    """`temperature`, `max_tokens`, `tool_choice` and the like, passed through."""
    tools: tuple[JsonObject, ...] = ()
    response_format: JsonObject | None = None
    draw: str = "0"
    """Which draw of the answer this is (`logged/0`, `holdout/1`): a repeat is a new draw, never a cache hit."""
    stage: str = ""
    """What the ledger books the call under: `judge`, `replay`, `update`."""


class ChatReply(Value):
    """A complete answer. The same fields come back, whether it was just paid for or stored earlier."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = ""
    """`stop`, `length` (truncated), `tool_calls`, `content_filter`."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Those of `prompt_tokens` that the endpoint had in its cache, and bills as such."""
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    """Those of `completion_tokens` that went into thoughts which the answer does not show."""
    cost_usd: float | None = None
    attempts: int = 1
    """Attempts it took when it was paid for; requests that only taught what the endpoint refuses do not count."""
    seconds: float = 0.0
    left_out: tuple[str, ...] = ()
    """Parameters of the request that were not sent, since the endpoint refuses them for this model."""
    cached: bool = False
    """Whether the completion store answered."""


class ChatModel(Protocol):
    """A model behind an OpenAI-compatible endpoint, with the engine's policy already applied."""

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Answer once: from the completion store, else from the endpoint, within attempts and budget.

        Raises CallFailed (this row only), EndpointRefused or BudgetReached (stop the stage).
        A request that the endpoint refuses as malformed (400, 422) is CallFailed with `status`.
        """

    @property
    def spend(self) -> Mapping[str, Spend]:
        """What was used so far, by `stage` and model (`judge gpt-4o-mini`)."""


class Evaluator(Protocol):
    """Scores one output."""

    @property
    def constant(self) -> EvalConstant:
        """What it measures, and its fingerprint."""

    async def score(self, sample: Sample, draw: str) -> EvalMetrics:
        """Score `sample.output`. A failure of this row is a value with `error` and no score.

        Raises only what must stop the stage (EndpointRefused, BudgetReached).
        """


class PolicyUpdater(Protocol):
    """Proposes policies from what went wrong on the train split."""

    async def propose(self, state: StateActions) -> Sequence[Candidate]:
        """Candidates in order of preference; `status` is `not_chosen` or `unusable`, never `chosen`.

        Sees `state.of("train")` only. Raises EndpointRefused or BudgetReached.
        """


class PolicyStore(Protocol):
    """The append-only registry of one loop's policies."""

    def versions(self) -> Sequence[PolicyVersion]:
        """All entries, oldest first."""

    def in_force(self, before: datetime | None = None) -> PolicyVersion | None:
        """The latest entry with `at < before` (of all, without `before`); None where there is none."""

    def append(self, entry: PolicyVersion) -> PolicyVersion:
        """Store `entry` under the next version number and return it as stored.

        `entry.parent` is what its author saw in force. A promotion of one policy by one window is written once, and a
        rollback if it is not the newest entry. Raises PromotionRefused if another version, or a newer one, is in force.
        """


class DecisionStore(Protocol):
    """What people decided about candidates, beside the registry; append-only."""

    def decisions(self, before: datetime | None = None) -> Sequence[PolicyDecision]:
        """All with `at < before` (all, without `before`), oldest first. Raises PolicyError."""

    def append(self, decision: PolicyDecision) -> PolicyDecision:
        """Store it under the next number and return it as stored. Raises PolicyError."""


class GateLog(Protocol):
    """What the gate remembers between windows. Of every record the first stands; all reads name a cut-off.

    A window reads with `before` its own end: what was recorded later, by whatever window, does not exist for it. So
    windows give the same bytes in any order, and a repeated one does, too. All raise GateLogError.
    """

    def looks(self, before: datetime) -> Sequence[Look]:
        """The looks recorded before that, by the end of their windows."""

    def look(self, window: str) -> Look | None:
        """The look that this window's holdout was used for, whenever it was taken."""

    def record_look(self, look: Look) -> Look:
        """Keep it, if the window has none yet; return the one that stands."""

    def anchors(self, evaluator: str, fingerprint: str, before: datetime) -> Anchors | None:
        """The newest anchors of this evaluator's fingerprint that were frozen before that."""

    def freeze(self, anchors: Anchors) -> None:
        """Keep them. First anchors (`by` empty) are kept only where the fingerprint has none, or its last no scores."""

    def watches(self, before: datetime) -> Sequence[WatchRecord]:
        """What the anchors said in windows recorded before that, by the end of their windows."""

    def record_watch(self, record: WatchRecord) -> None:
        """Keep it, if this window has none of this evaluator's fingerprint yet."""


class Notifier(Protocol):
    """Tells people that something waits for them."""

    def notify(self, title: str, facts: Mapping[str, Any]) -> None:
        """Deliver, or raise SiaError with what to check."""
