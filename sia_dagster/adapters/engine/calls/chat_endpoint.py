"""One attempt at an OpenAI-compatible endpoint: an answer, or the failure as a value."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from sia_dagster.adapters.engine.calls.refusals import Refusals
from sia_dagster.adapters.engine.calls.unsupported_parameters import forms_of, refused_by, without_refused
from sia_dagster.adapters.engine.wire.completions import BadReply, body_of, parse_completion
from sia_dagster.adapters.engine.wire.error_bodies import read_error
from sia_dagster.adapters.engine.wire.failures import UNREACHABLE, Failure, retry_after
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import ConfigError, EndpointRefused
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.records.value import JsonObject, fingerprint

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI


_LONGEST_MESSAGE = 300

_MOST_READ = 4000
"""Characters of a message by which it is recognised."""


_ADVICE: Final[dict[str, str]] = {
    "no_quota": "the account has no quota left. Add credit, or set {named} to a key that has some",
    "bad_key": "the key is not accepted. Set {named} to a valid key for llm.base_url",
    "no_rights": "the key may not use model {model!r}. Give it access, set {named} to another, or change the model",
    "no_model": (
        "there is no model {model!r}. Check its name in the configuration, and llm.base_url; for a name that was "
        "recorded in the traces, write the endpoint's own name in llm.model_names"
    ),
    "no_api": "there is no API of chat completions. Check llm.base_url",
}

_UNREACHABLE = (
    "check llm.base_url (name, port, http or https, its certificate), and that the server runs and can be reached from "
    "here. All answers are kept: run the window again then."
)


class Endpoint:
    """The client, opened at the first attempt: a window that is answered from the store loads no SDK."""

    def __init__(
        self,
        config: LLMConfig,
        *,
        api_key: str | None,
        on_headers: Callable[[Mapping[str, str]], None] = lambda headers: None,
        refusals: Refusals | None = None,
    ) -> None:
        """Raises ConfigError where `base_url` is no address, or the key contains characters that no header can carry.

        `on_headers` is called with the headers of every reply, whatever its status, before the attempt returns.
        `refusals` holds what the endpoint is known to refuse and learns more; by default it starts empty.
        """
        self._on_headers = on_headers
        self._refusals = refusals or Refusals(None, endpoint=config.base_url)
        self._config, self._api_key = config, (api_key or "").strip()
        _check_address(config.base_url)
        if not (self._api_key.isascii() and self._api_key.isprintable()):
            name = config.api_key or "the key"
            raise ConfigError(
                f"the value of {name} is no API key: it contains control or non-ASCII characters", key="llm.api_key"
            )
        if config.provider == "azure" and not self._api_key:
            raise ConfigError("Azure OpenAI needs a key; write ${AZURE_OPENAI_API_KEY}", key="llm.api_key")
        self._client: AsyncOpenAI | None = None
        self._answered: set[tuple[str, str]] = set()
        """The forms in which models answered in this session."""

    async def close(self) -> None:
        """Close the connections; the next attempt opens them again."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def attempt(self, request: ChatRequest, *, estimated_prompt: int) -> ChatReply | Failure:
        """Ask once, within `timeout_seconds` from connecting to the last byte.

        Where the endpoint refuses a parameter, the request is repeated without it within this attempt. Once that is
        answered, later calls of this model are sent without it at once; not where the refusal came as a 5xx, which may
        have passed by itself. An answer form that it is known to refuse is refused here, with the endpoint's message.
        """
        asked, met = body_of(request), dict[str, Failure]()
        while True:
            refused = self._refused(request.model, met)
            if form := next((form for form in forms_of(asked) if form in refused), None):
                return Failure(message=refused[form], status=400, code="unsupported_value")
            body, left_out = without_refused(asked, refused)
            outcome = await self._once(body, estimated_prompt)
            if not isinstance(outcome, Failure):
                self._learn(request.model, met)
                return outcome.model_copy(update={"left_out": left_out}) if left_out else outcome
            if what := refused_by(outcome, body):
                met[what] = outcome
                # Of a refused form the caller asks in another; what was met before it was not refused again.
                self._learn(request.model, met if what in forms_of(asked) else {})
            # Another call may have learnt more meanwhile.
            if without_refused(asked, self._refused(request.model, met))[0] == body:
                return outcome

    def _refused(self, model: str, met: Mapping[str, Failure]) -> dict[str, str]:
        """What is refused in calls of this model, and what one call met beside it."""
        return {what: failure.message for what, failure in met.items()} | dict(self._refusals.of(model))

    def _learn(self, model: str, met: Mapping[str, Failure]) -> None:
        for what, failure in met.items():
            if (failure.status or 0) < 500:
                self._refusals.learn(model, what, failure.message)

    def ignores_form(self, request: ChatRequest) -> bool:
        """Whether calls of this model in the form of `request` are known to be answered in another."""
        known = self._refusals.of(request.model)
        return any(f"ignored {form}" in known and f"answers {form}" not in known for form in _exact_forms(request))

    def learn_form(self, request: ChatRequest) -> None:
        """Remember that they are answered in that form: one row's odd answer does not count against it any more."""
        for form in _exact_forms(request):
            self._answered.add((request.model, form))
            if f"ignored {form}" in self._refusals.of(request.model):
                self._refusals.learn(request.model, f"answers {form}", "")

    def learn_ignored_form(self, request: ChatRequest) -> None:
        """Remember that they are not. Unlike a refused form it is still asked for where a recorded call had it."""
        for form in _exact_forms(request):
            if (request.model, form) not in self._answered:
                self._refusals.learn(request.model, f"ignored {form}", "answers in another form")

    async def _once(self, body: JsonObject, estimated_prompt: int) -> ChatReply | Failure:
        import aiohttp
        import openai

        try:
            async with asyncio.timeout(self._config.timeout_seconds):
                text = await self._post(body)
            return parse_completion(text, estimated_prompt=estimated_prompt)
        except openai.APIStatusError as error:
            return self._refusal(error, body)
        except (openai.APIConnectionError, aiohttp.ClientError, OSError) as error:
            return self._broken(error)
        except BadReply as error:
            return self._safe(error.failure, body)
        except (ValueError, RecursionError) as error:
            return self._not_sent(error)

    def refused(self, failure: Failure, model: str) -> EndpointRefused:
        """The error for a failure that every further call would meet, with advice."""
        answer = f"{failure.status}: {failure.message}" if failure.message else str(failure.status)
        where, key = _shown(self._config.base_url), self._config.api_key
        named = f"the environment variable {key}" if key else "llm.api_key (`${OPENAI_API_KEY}`) and that variable"
        if failure.status is None:
            return EndpointRefused(f"{where} cannot be reached ({failure.message}): {_UNREACHABLE}")
        advice = _ADVICE.get(failure.kind, _ADVICE["no_model"]).format(named=named, model=model)
        return EndpointRefused(f"{where} refused the call ({answer}): {advice}; then run the window again.")

    async def _post(self, body: JsonObject) -> str:
        client = self._opened()
        # Not chat.completions.create: its typed parameters and its parsed result double the CPU of a call.
        return await client.post("/chat/completions", body=body, cast_to=str, options=self._options())

    def _opened(self) -> "AsyncOpenAI":
        if self._client is None:
            from openai import DefaultAioHttpClient

            http = DefaultAioHttpClient(event_hooks={"response": [self._on_response]})
            self._client = self._made(max_retries=0, timeout=self._config.timeout_seconds, http_client=http)
        return self._client

    def _made(self, **settings: Any) -> "AsyncOpenAI":
        from openai import AsyncAzureOpenAI, AsyncOpenAI

        if self._config.provider == "azure":
            return AsyncAzureOpenAI(
                azure_endpoint=self._config.base_url,
                api_version=self._config.api_version,
                api_key=self._api_key,
                **settings,
            )
        # Without a key the SDK would take OPENAI_API_KEY and send it to whatever endpoint this is.
        return AsyncOpenAI(base_url=self._config.base_url, api_key=self._api_key or "none", **settings)

    async def _on_response(self, response: Any) -> None:
        # JSON is UTF-8, whatever a header says: `charset=hex` would be an error of the client.
        response.encoding = "utf-8"
        self._on_headers(response.headers)

    def _options(self) -> Any:
        from openai import Omit

        if self._config.provider == "azure":
            # Set here, since the SDK would send AZURE_OPENAI_AD_TOKEN instead where that is set.
            return {"headers": {"Authorization": Omit(), "api-key": self._api_key}}
        return {} if self._api_key else {"headers": {"Authorization": Omit()}}

    def _refusal(self, error: "APIStatusError", sent: JsonObject | None = None) -> Failure:
        try:
            found = read_error(json.loads(error.response.text))
        except (ValueError, RecursionError):
            found = read_error(error.response.text)
        message = found.message or error.response.reason_phrase
        wait = retry_after(error.response.headers)
        facts = {"code": found.code, "param": found.param, "retry_after": found.retry_after if wait is None else wait}
        return self._safe(Failure(message=message, status=error.status_code, **facts), sent)

    def _not_sent(self, error: Exception) -> Failure:
        """The failure of a request that is no JSON."""
        surrogate = "contains half of a surrogate pair, which is no text"
        reason = surrogate if isinstance(error, UnicodeEncodeError) else f"is no JSON ({error})"
        return self._safe(Failure(message=f"not sent: the request {reason}", status=422))

    def _broken(self, error: BaseException) -> Failure:
        cause = _root(error)
        if isinstance(cause, TimeoutError):
            return self._safe(Failure(message=f"no reply within {self._config.timeout_seconds:g} seconds"))
        message = f"the connection failed ({type(cause).__name__}: {cause})"
        return self._safe(Failure(message=message, code=UNREACHABLE if _is_unreachable(error) else ""))

    def _safe(self, failure: Failure, sent: JsonObject | None = None) -> Failure:
        """The failure with a message of one trimmed line without the key, which some endpoints echo.

        It is recognised by the endpoint's own words, without those of the request that was sent.
        """
        text = failure.message.replace(self._api_key, "***") if self._api_key else failure.message
        text = " ".join(text.encode("utf-8", "replace").decode()[:_MOST_READ].split())
        return failure.model_copy(update={"message": text}).shortened(_LONGEST_MESSAGE, sent)


def _exact_forms(request: ChatRequest) -> tuple[str, ...]:
    """The answer forms of a request, each with its schema: an endpoint may ignore one schema and not another."""
    body: JsonObject = {"response_format": request.response_format, **({"tools": 1} if request.tools else {})}
    schema = fingerprint([request.response_format, request.tools])
    return tuple(f"{form} {schema}" for form in forms_of(body))


def _is_unreachable(error: BaseException) -> bool:
    """Whether no connection came about, rather than one that broke: no name, nothing listens, a refused certificate."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorError | ConnectionRefusedError):
        return True
    return error.__cause__ is not None and _is_unreachable(error.__cause__)


def _root(error: BaseException) -> BaseException:
    """The deepest cause, or a timeout: the SDK itself reports "timed out" for a refused connection too."""
    while error.__cause__ is not None and not isinstance(error, TimeoutError):
        error = error.__cause__
    return error


def _check_address(url: str) -> None:
    """Raises ConfigError for an address that no client can call."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna") if parts.port != 0 else b""
    except ValueError:  # Invalid brackets, port or label.
        host = b""
    if not host or parts.scheme not in ("http", "https") or not url.isprintable() or " " in url:
        raise ConfigError(f"{_shown(url)!r} is no http:// or https:// address", key="llm.base_url")
    if "@" in parts.netloc:
        raise ConfigError(f"{_shown(url)} contains a user: write secrets as api_key", key="llm.base_url")


def _shown(url: str) -> str:
    """The address without a user, a password or a query, which may be secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("?")[0].partition("#")[0].rpartition("@")[2]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
