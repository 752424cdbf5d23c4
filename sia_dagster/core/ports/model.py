"""The port of a language model: request, reply, and the role that answers."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pydantic import Field

from sia_dagster.core.records.sample import ToolCall
from sia_dagster.core.records.spend import Spend
from sia_dagster.core.records.value import JsonObject, Value


class ChatRequest(Value):
    """One chat completion. All fields but `stage` identify the answer."""

    model: str
    messages: tuple[JsonObject, ...]
    parameters: JsonObject = Field(default_factory=dict)
    """`temperature`, `max_tokens`, `tool_choice` and the like, passed through."""
    tools: tuple[JsonObject, ...] = ()
    response_format: JsonObject | None = None
    draw: str = "0"
    """Which draw of the answer this is (`logged/0`, `holdout/1`): a repeat is a new draw, never a cache hit."""
    stage: str = ""
    """The stage that the spend ledger counts the call for: `judge`, `replay`, `update`. What follows a slash
    (`replay/probe`) is counted by itself, at the endpoint of the stage before it."""


class ChatReply(Value):
    """A complete answer, with the same fields whether it was just paid for or stored earlier."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    """The model's visible thoughts, kept only where there is no text: some servers put a whole answer there."""
    finish_reason: str = "stop"
    """`stop`, `length` (truncated), `tool_calls`, `content_filter`."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Those of `prompt_tokens` that the endpoint had in its cache and bills as cached."""
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    """Those of `completion_tokens` that the model spent on hidden reasoning."""
    cost_usd: float | None = None
    attempts: int = 1
    """Attempts when it was paid for; requests that only showed which parameters the endpoint refuses do not count."""
    seconds: float = 0.0
    left_out: tuple[str, ...] = ()
    """Parameters that were not sent, since the endpoint refuses them for this model."""
    cached: bool = False
    """Whether the answer came from the completion store."""


class ChatModel(Protocol):
    """A model behind an OpenAI-compatible endpoint, with retries, limits and the store applied."""

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Answer once: from the completion store, else from the endpoint, within attempts and budget.

        Raises CallFailed (this row only), EndpointRefused or SpendCapReached (stop the stage).
        A request that the endpoint refuses as malformed (400, 422) is CallFailed with `status`.
        """

    async def stored(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply | None]:
        """The stored answer to each, looked up at once; None where there is none. Nothing is counted in `spend`."""

    def ignores_form(self, request: ChatRequest) -> bool:
        """Whether the endpoint is known to answer this model's requests in another form than `request` asks for."""

    def learn_form(self, request: ChatRequest) -> None:
        """Remember, for later runs too, that the endpoint answers in the form that `request` asks for."""

    def learn_ignored_form(self, request: ChatRequest) -> None:
        """Remember, for later runs too, that the endpoint gives no answer of the form that `request` asks for."""

    def withdraw(self, request: ChatRequest, reply: ChatReply) -> None:
        """No longer count a reply in `spend` that was of no use: a run that finds the right one does not ask for it.

        The window has paid for it all the same.
        """

    @property
    def pending(self) -> int:
        """The requests that wait for a batch: what depends on their answers has to wait, too."""

    @property
    def spend(self) -> Mapping[str, Spend]:
        """The spend so far, by `stage` and model (`judge gpt-4o-mini`)."""


def endpoint_stage(stage: str) -> str:
    """The stage whose endpoint answers: `replay` for `replay/probe`."""
    return stage.partition("/")[0]
