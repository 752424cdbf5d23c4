"""The Batch API of an OpenAI-compatible endpoint: files of requests in, files of answers out."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sia_dagster.adapters.engine.batches.lines import Line, outcome_of, written_line
from sia_dagster.adapters.engine.calls.chat_endpoint import Endpoint, _shown
from sia_dagster.adapters.engine.calls.refusals import Refusals
from sia_dagster.adapters.engine.calls.unsupported_parameters import forms_of, refused_by, without_refused
from sia_dagster.adapters.engine.wire.completions import body_of
from sia_dagster.adapters.engine.wire.failures import Failure, action_after
from sia_dagster.adapters.engine.wire.retries import attempts_of, retrying_async
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import CallFailed, EndpointRefused
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.records.value import JsonObject, Value

if TYPE_CHECKING:
    from openai.types import Batch


Result = TypeVar("Result")

Sleep = Callable[[float], Awaitable[object]]

FILE_SECONDS = 600.0
"""The time limit of an upload or a download, whatever the timeout of a model call is."""

GONE_AFTER = 3 * 86400.0
"""Seconds after which a batch or file that the endpoint does not find is gone; before that, the key is wrong."""

_LABEL = "sia_batch"
"""The name of a batch's token in its metadata at the endpoint."""

_CLOCKS_APART = 86400.0
"""Seconds by which the endpoint's clock may be behind; the search for a batch stops at older ones."""

_ENDED = {"completed", "expired", "cancelled", "failed"}


class BatchState(Value):
    """The state of a batch at the endpoint."""

    ended: bool
    files: tuple[str, ...] = ()
    """Ids of the files with answers and with errors."""
    done: int = 0
    """Requests that are answered or failed."""
    of: int = 0
    problem: str = ""
    """Why the endpoint refused it, where it gives a reason."""


class BatchEndpoint(Endpoint):
    """The client of the model calls, for batches. Each step is tried `max_attempts` times.

    Every step raises EndpointRefused where no batch can succeed, and CallFailed, with what to do, where the endpoint
    gives no usable answer.
    """

    def __init__(self, config: LLMConfig, *, api_key: str | None, refusals: Refusals, sleep: Sleep) -> None:
        """Nothing is opened yet. `refusals` is shared with the direct calls; `sleep` waits between two tries."""
        super().__init__(config, api_key=api_key, refusals=refusals)
        self._known, self._sleep = refusals, sleep
        # Azure names its path without the version, which the SDK's type does not know.
        self._path: Any = "/chat/completions" if config.provider == "azure" else "/v1/chat/completions"

    def line(self, key: str, request: ChatRequest) -> Line | Failure:
        """The request without the parameters that the endpoint refuses, or its refusal of what cannot be left out."""
        asked, refused = body_of(request), self._known.of(request.model)
        if form := next((form for form in forms_of(asked) if form in refused), None):
            return Failure(message=refused[form], status=400, code="unsupported_value")
        body, left_out = without_refused(asked, refused)
        try:
            return Line(text=written_line(key, body, path=self._path), left_out=left_out)
        except ValueError as error:
            return self._not_sent(error)

    def learns(self, request: ChatRequest, failure: Failure) -> bool:
        """Whether the request can be repeated in another form after it failed so."""
        asked = body_of(request)
        if what := refused_by(failure, asked):
            self._known.learn(request.model, what, failure.message)
            return without_refused(asked, {what: ""})[0] != asked
        return False

    async def submit(self, path: Path, token: str, since: float) -> str | Failure:
        """Upload a file of requests and start its batch; returns its id, or why the endpoint does not request it.

        Where the answer to the start was lost, the endpoint is asked for the batch before it is started again.
        """
        file = await self._tried(lambda: self._upload(path, token))
        if isinstance(file, Failure):
            return file
        return await self._tried(lambda: self._start(file, token), before_again=lambda: self.find(token, since))

    async def find(self, token: str, since: float) -> str | None:
        """The id of the batch that was submitted under `token` after `since`; None where there is none."""
        found = await self._tried(lambda: self._look_for(token, since), may_miss=True)
        return found if isinstance(found, str) and found else None

    async def state(self, batch: str, *, age: float) -> BatchState:
        """The state of a batch that was submitted `age` seconds ago."""
        found = await self._tried(lambda: self._look_at(batch), may_miss=True)
        if isinstance(found, BatchState):
            return found
        if age > GONE_AFTER:
            return BatchState(ended=True, problem="the endpoint no longer has it")
        raise self._missing(f"the batch {batch}", found)

    async def download(self, file: str, path: Path, *, age: float) -> None:
        """Write a file of the endpoint to `path`; an empty one where it is gone `age` seconds after the submission."""
        found = await self._tried(lambda: self._fetch(file, path), may_miss=True)
        if isinstance(found, Failure):
            if age <= GONE_AFTER:
                raise self._missing(f"the file {file} of a batch", found)
            path.write_bytes(b"")

    def outcome(self, entry: JsonObject, *, estimated_prompt: int) -> ChatReply | Failure:
        """The outcome of a request, from its line in a file of answers."""
        found = outcome_of(entry, estimated_prompt=estimated_prompt)
        return found if isinstance(found, ChatReply) else self._safe(found)

    async def _tried(
        self,
        step: Callable[[], Awaitable[Result]],
        *,
        before_again: Callable[[], Awaitable[Result | None]] | None = None,
        may_miss: bool = False,
    ) -> Result | Failure:
        """What `step` returns, or a failure that another attempt would meet again.

        With `may_miss` the step asks for a batch or file that may not exist: a 404 is returned, any other failure is
        raised. Without, a 404 means that the endpoint has no Batch API. Raises what stops every batch.
        """

        async def once() -> Result | Failure:
            if before_again and attempts_of(loop) > 1 and (found := await before_again()) is not None:
                return found
            return await self._outcome(step)

        loop = retrying_async("batch", self._config.max_attempts, self._sleep)
        outcome: Result | Failure = await loop(once)
        if not isinstance(outcome, Failure) or (may_miss and outcome.status == 404):
            return outcome
        what = action_after(outcome)
        if (what == "stop" or outcome.status in (405, 501)) and not (may_miss and what == "row"):
            raise self._no_batches(outcome)
        if what == "row" and not may_miss:
            return outcome
        raise self._unanswered(outcome, attempts_of(loop))

    async def _outcome(self, step: Callable[[], Awaitable[Result]]) -> Result | Failure:
        import aiohttp
        import httpx2
        import openai

        try:
            return await step()
        except openai.APIStatusError as error:
            return self._refusal(error)
        except (openai.APIConnectionError, aiohttp.ClientError, httpx2.TransportError, OSError) as error:
            return self._broken(error)
        except (openai.APIResponseValidationError, TypeError, AttributeError) as error:
            what = f"the reply is not that of a Batch API ({type(error).__name__})"
            return self._safe(Failure(message=what, status=501))

    def _no_batches(self, failure: Failure) -> EndpointRefused:
        if failure.status in (404, 405, 501):
            where = _shown(self._config.base_url)
            return EndpointRefused(
                f"{where} has no Batch API (status {failure.status}: {failure.message}): write `mode: direct` in llm "
                "or in llm.stages; then run the window again."
            )
        return self.refused(failure, "of the batch")

    def _missing(self, what: str, failure: Failure) -> CallFailed:
        return CallFailed(
            f"{_shown(self._config.base_url)} does not return {what} that was submitted there ({failure.message}): "
            "check that llm.api_key is of the same project, then run the window again",
            attempts=1,
            status=failure.status,
        )

    def _unanswered(self, failure: Failure, attempts: int) -> CallFailed:
        status = "" if failure.status is None else f" (status {failure.status})"
        where = _shown(self._config.base_url)
        return CallFailed(
            f"the Batch API of {where} gives no usable answer after {attempts} attempts{status}: "
            f"{failure.message.rstrip('.')}. Batches under way are kept: run the window again to continue",
            attempts=attempts,
            status=failure.status,
        )

    async def _upload(self, path: Path, token: str) -> str:
        with path.open("rb") as file:
            content = (f"{token}.jsonl", file, "application/jsonl")
            found = await self._opened().files.create(
                file=content, purpose="batch", timeout=FILE_SECONDS, **self._headers()
            )
        return found.id

    async def _start(self, file: str, token: str) -> str:
        found = await self._opened().batches.create(
            input_file_id=file,
            endpoint=self._path,
            completion_window="24h",
            metadata={_LABEL: token},
            **self._headers(),
        )
        return found.id

    async def _look_for(self, token: str, since: float) -> str:
        """The batch's id; "" where there is no such batch."""
        async for found in self._opened().batches.list(limit=100, **self._headers()):
            if (found.metadata or {}).get(_LABEL) == token:
                return found.id
            if found.created_at < since - _CLOCKS_APART:
                break
        return ""

    async def _look_at(self, batch: str) -> BatchState:
        found = await self._opened().batches.retrieve(batch, **self._headers())
        problems = (found.errors.data if found.errors else None) or ()
        message = "; ".join(str(problem.message) for problem in problems if problem.message)
        return _state(found).model_copy(update={"problem": self._safe(Failure(message=message)).message})

    async def _fetch(self, file: str, path: Path) -> None:
        files = self._opened().files.with_streaming_response
        reply: AbstractAsyncContextManager[Any] = files.content(file, timeout=FILE_SECONDS, **self._headers())
        async with reply as response:
            with path.open("wb") as target:
                async for chunk in response.iter_bytes():
                    target.write(chunk)

    def _headers(self) -> Any:
        options = self._options()
        return {"extra_headers": options["headers"]} if options else {}


def _state(found: "Batch") -> BatchState:
    counts = found.request_counts
    return BatchState(
        ended=found.status in _ENDED,
        files=tuple(file for file in (found.output_file_id, found.error_file_id) if file),
        # Some servers count only at the end, whatever the SDK's types say.
        done=(counts.completed or 0) + (counts.failed or 0) if counts else 0,
        of=(counts.total or 0) if counts else 0,
    )
