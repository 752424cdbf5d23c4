"""One request to an endpoint before a run pays for anything: is it up, does it accept the key, which models has it."""

import asyncio
import json

from sia_dagster.adapters.engine.calls.chat_endpoint import Endpoint, _shown
from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import CallFailed

PROBE_SECONDS = 10.0
"""How long the endpoint may take to answer, whatever the timeout of a model call is."""

_LISTS_NOTHING = {403, 404, 405, 501}


async def list_models(config: LLMConfig, *, api_key: str | None) -> tuple[str, ...] | None:
    """The names of the models at GET `<base_url>/models`, sorted; None where the endpoint keeps no list for this key.

    Azure lists all models, not the deployments that calls name: None, after the same request.

    One attempt of at most PROBE_SECONDS. Raises ConfigError for an invalid address or key, EndpointRefused where the
    key is not accepted, CallFailed where there is no usable answer, with what to check.
    """
    seconds = min(PROBE_SECONDS, config.timeout_seconds)
    probe = _Probe(config.model_copy(update={"timeout_seconds": seconds}), api_key=api_key)
    try:
        answer = await probe.ask()
    finally:
        await probe.close()
    if not isinstance(answer, Failure):
        return None if config.provider == "azure" else answer
    if answer.bad_key or answer.no_quota:
        raise probe.refused(answer, "")
    if answer.kind == "no_rights" or answer.status in _LISTS_NOTHING:
        return None
    status = f" (status {answer.status})" if answer.status else ""
    raise CallFailed(
        f"{public_address(config)} gives no usable answer{status}: {answer.message}; check llm.base_url, and that the "
        "endpoint runs and can be reached from here",
        attempts=1,
        status=answer.status,
    )


def public_address(config: LLMConfig) -> str:
    """The endpoint's address without a user, a password or a query, which may be secrets."""
    return _shown(config.base_url)


class _Probe(Endpoint):
    """The client of the model calls, for the endpoint's list of models."""

    async def ask(self) -> tuple[str, ...] | Failure:
        import aiohttp
        import openai

        try:
            async with asyncio.timeout(self._config.timeout_seconds):
                text = await self._opened().get("/models", cast_to=str, options=self._options())
            return _names(text)
        except openai.APIStatusError as error:
            return self._refusal(error)
        except (openai.APIConnectionError, aiohttp.ClientError, OSError) as error:
            return self._broken(error)
        except (ValueError, KeyError, TypeError):
            what = "the reply is no list of models, as an OpenAI-compatible API gives it"
            return self._safe(Failure(message=what, status=200))


def _names(text: str) -> tuple[str, ...]:
    """The ids in the reply; raises ValueError, KeyError or TypeError where it is something else (a web page, say)."""
    return tuple(sorted(str(entry["id"]) for entry in json.loads(text)["data"]))
