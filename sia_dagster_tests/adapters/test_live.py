"""Real endpoints, off by default: `python -m pytest -m live` after setting what the test names.

- llama.cpp in this process: `SIA_LLAMA_MODEL` is a GGUF file, and the package `xllamacpp` is installed.
- Any OpenAI-compatible endpoint: `SIA_LIVE_BASE_URL`, `SIA_LIVE_MODEL`, and the key in `OPENAI_API_KEY` if it has one.
"""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest

from sia_dagster.adapters.config.environment import read, require
from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.evaluators.judge.llm_judge import LLMClassify
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster_tests.worlds.evaluation_samples import sample, spec

pytestmark = pytest.mark.live


OUTPUTS = [f"The parcel number {number} arrives on Monday." for number in range(6)]


@pytest.fixture
def llama() -> Iterator[str]:
    """The address of a llama.cpp server that ends with the test."""
    vendor = import_module("xllamacpp")
    settings = vendor.CommonParams()
    settings.model.path, settings.n_ctx, settings.n_parallel = require("SIA_LLAMA_MODEL"), 8192, 2
    server = vendor.Server(settings)
    yield f"{server.listening_address}/v1"
    del server


def judge(config: LLMConfig, model: str, file: Path) -> tuple[list[EvalMetrics], int]:
    """What the judge says of each output, and how many answers were paid for."""

    async def ask(store: SqliteStore) -> tuple[list[EvalMetrics], int]:
        scope, key = LedgerScope(loop="live", window="now"), read("OPENAI_API_KEY")
        async with OpenAIChat(config, api_key=key, store=store, scope=scope) as chat:
            evaluator = LLMClassify(spec(model=model, provide_explanation=False), chat)
            said = await asyncio.gather(*(evaluator.score(sample(output), "logged/0") for output in OUTPUTS))
            return list(said), sum(line.paid_calls for line in chat.spend.values())

    with closing(SqliteStore(file)) as store:
        return asyncio.run(ask(store))


def check(base_url: str, model: str, folder: Path) -> None:
    """Every row has a result, most of them a label on the rails, and nothing is paid for again."""
    config = LLMConfig(base_url=base_url, max_concurrency=2, max_attempts=2)
    first, paid = judge(config, model, folder / "completions.sqlite")
    assert paid > 0, first
    assert all((row.score is None) == (row.error is not None) for row in first)
    assert sum(row.label in {"correct", "incorrect"} for row in first) > len(OUTPUTS) / 2, first
    assert judge(config, model, folder / "completions.sqlite") == (first, 0)


def test_a_llama_cpp_server_judges(llama: str, tmp_path: Path) -> None:
    check(llama, "local", tmp_path)


def test_a_configured_endpoint_judges(tmp_path: Path) -> None:
    check(require("SIA_LIVE_BASE_URL"), require("SIA_LIVE_MODEL"), tmp_path)
