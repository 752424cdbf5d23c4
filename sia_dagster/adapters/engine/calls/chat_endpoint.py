"""One attempt at an OpenAI-compatible endpoint: an answer, or a value that says why there is none."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sia_dagster.adapters.engine.calls.refusals import Refusals
from sia_dagster.adapters.engine.calls.unsupported_parameters import forms_of, refused_by, without_refused
from sia_dagster.adapters.engine.wire.completions import BadReply, body_of, error_message, parse_completion
from sia_dagster.adapters.engine.wire.failures import Failure, retry_after
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import ConfigError, EndpointRefused
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.records.value import JsonObject

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI


_LONGEST_MESSAGE = 300


class Endpoint:
    """The client, opened at the first attempt: a window that is answered from the store loads no SDK."""

    def __init__(
        self,
        config: LLMConfig,
        *,
        api_key: str | None,
        heard: Callable[[Mapping[str, str]], None] = lambda headers: None,
        refusals: Refusals | None = None,
    ) -> None:
        """Raises ConfigError where `base_url` is no address, or the key holds what no header can.

        `heard` gets the headers of every reply, whatever its status, before the attempt returns. `refusals` is what
        is known of the endpoint, and learns what it refuses; by default nothing is known.
        """
        self._heard = heard
        self._refusals = refusals or Refusals(None, endpoint=config.base_url)
        self._config, self._api_key = config, (api_key or "").strip()
        _check_address(config.base_url)
        if not (self._api_key.isascii() and self._api_key.isprintable()):
            name = config.api_key or "the key"
            raise ConfigError(
                f"the value of {name} is no API key: it holds control or non-ASCII characters", key="llm.api_key"
            )
        if config.provider == "azure" and not self._api_key:
            raise ConfigError("Azure OpenAI needs a key; write ${AZURE_OPENAI_API_KEY}", key="llm.api_key")
        self._client: AsyncOpenAI | None = None

    async def close(self) -> None:
        """Close the connections; the next attempt opens them again."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def attempt(self, request: ChatRequest, *, estimated_prompt: int) -> ChatReply | Failure:
        """Ask once, within `timeout_seconds` from connecting to the last byte.

        Where the endpoint does not take a parameter of any call of this model, the request is mended and asked again
        within this attempt, and so is every later one at once. A way of answering that it is known to refuse is
        refused here, in its own words.
        """
        asked = body_of(request)
        while True:
            refused = self._refusals.of(request.model)
            if form := next((form for form in forms_of(asked) if form in refused), None):
                return Failure(message=refused[form], status=400, code="unsupported_value")
            body, left_out = without_refused(asked, refused)
            outcome = await self._once(body, estimated_prompt)
            if not isinstance(outcome, Failure):
                return outcome.model_copy(update={"left_out": left_out}) if left_out else outcome
            if what := refused_by(outcome, body):
                self._refusals.learn(request.model, what, outcome.message)
            # Another call may have learnt it meanwhile.
            if without_refused(asked, self._refusals.of(request.model))[0] == body:
                return outcome

    async def _once(self, body: JsonObject, estimated_prompt: int) -> ChatReply | Failure:
        import aiohttp
        import openai

        try:
            async with asyncio.timeout(self._config.timeout_seconds):
                text = await self._post(body)
            return parse_completion(text, estimated_prompt=estimated_prompt)
        except openai.APIStatusError as error:
            return self._refusal(error)
        except (openai.APIConnectionError, aiohttp.ClientError, OSError) as error:
            return self._broken(_root(error))
        except UnicodeEncodeError:
            return self._failure("not sent: the request holds half of a surrogate pair, which is no text", status=422)
        except BadReply as error:
            return self._failure(str(error), status=200)
        except (ValueError, RecursionError) as error:
            return self._failure(f"not sent: the request is no JSON ({error})", status=422)

    def refused(self, failure: Failure, model: str) -> EndpointRefused:
        """The error for a failure that every further call would meet, with what to do."""
        said = f"{failure.status}: {failure.message}" if failure.message else str(failure.status)
        where, key = _shown(self._config.base_url), self._config.api_key
        named = f"the environment variable {key}" if key else "llm.api_key (`${OPENAI_API_KEY}`) and that variable"
        if failure.no_quota:
            advice = f"the account has no quota left. Add credit, or set {named} to a key that has some"
        elif failure.bad_key:
            advice = f"the key is not accepted. Set {named} to a valid key for llm.base_url"
        elif failure.status == 403:
            advice = f"the key may not use model {model!r}. Give it access, set {named} to another, or change the model"
        else:
            advice = f"the model {model!r} is not there. Check its name in the configuration, and llm.base_url"
        return EndpointRefused(f"{where} refused the call ({said}): {advice}; then run the window again.")

    async def _post(self, body: JsonObject) -> str:
        client = self._opened()
        # Not chat.completions.create: its typed parameters and its parsed result double the CPU of a call.
        return await client.post("/chat/completions", body=body, cast_to=str, options=self._options())

    def _opened(self) -> "AsyncOpenAI":
        if self._client is None:
            from openai import DefaultAioHttpClient

            http = DefaultAioHttpClient(event_hooks={"response": [self._overheard]})
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

    async def _overheard(self, response: Any) -> None:
        self._heard(response.headers)

    def _options(self) -> Any:
        from openai import Omit

        if self._config.provider == "azure":
            # Said here, since the SDK would send AZURE_OPENAI_AD_TOKEN instead where that is set.
            return {"headers": {"Authorization": Omit(), "api-key": self._api_key}}
        return {} if self._api_key else {"headers": {"Authorization": Omit()}}

    def _refusal(self, error: "APIStatusError") -> Failure:
        told = error_message(error.body) or error.response.reason_phrase
        code = error.code or error.type or ""
        wait = retry_after(error.response.headers)
        failure = self._failure(told, status=error.status_code, code=code, wait=wait)
        return failure.model_copy(update={"param": error.param}) if isinstance(error.param, str) else failure

    def _broken(self, cause: BaseException) -> Failure:
        if isinstance(cause, TimeoutError):
            return self._failure(f"no reply within {self._config.timeout_seconds:g} seconds")
        return self._failure(f"the connection failed ({type(cause).__name__}: {cause})")

    def _failure(
        self, message: str, *, status: int | None = None, code: str = "", wait: float | None = None
    ) -> Failure:
        """A failure whose message is one trimmed line without the key, which some endpoints echo."""
        said = message.replace(self._api_key, "***") if self._api_key else message
        said = " ".join(said.encode("utf-8", "replace").decode().split())
        short = said if len(said) <= _LONGEST_MESSAGE else said[:_LONGEST_MESSAGE] + "..."
        return Failure(message=short, status=status, code=code, retry_after=wait)


def _root(error: BaseException) -> BaseException:
    """The deepest cause, or a timeout: the SDK itself says "timed out" of a refused connection too."""
    while error.__cause__ is not None and not isinstance(error, TimeoutError):
        error = error.__cause__
    return error


def _check_address(url: str) -> None:
    """Raises ConfigError for what no client can call."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna") if parts.port != 0 else b""
    except ValueError:  # Brackets, a port or a label that are none.
        host = b""
    if not host or parts.scheme not in ("http", "https") or not url.isprintable() or " " in url:
        raise ConfigError(f"{_shown(url)!r} is no http:// or https:// address", key="llm.base_url")
    if "@" in parts.netloc:
        raise ConfigError(f"{_shown(url)} comes with a user: write secrets as api_key", key="llm.base_url")


def _shown(url: str) -> str:
    """The address without a user, a password or a query, which may be secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("?")[0].partition("#")[0].rpartition("@")[2]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
