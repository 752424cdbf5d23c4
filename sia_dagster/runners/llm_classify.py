"""A judge over a DataFrame, with the common signature of evaluation libraries."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sia_dagster.adapters.config.environment import read
from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.evaluators import resolve_template
from sia_dagster.core.evaluators.judge import Judge, JudgeSpec, JudgeTemplate, parse_template
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.replay import map_rows
from sia_dagster.core.text import as_number
from sia_dagster.runners.frames import EVALUATION_FIELDS

if TYPE_CHECKING:
    import pandas as pd

Result = TypeVar("Result")
Rails = Sequence[str] | Mapping[str, float]
OPENAI = "https://api.openai.com/v1"


def llm_classify(  # noqa: PLR0913  the signature that users of the field's libraries know
    dataframe: "pd.DataFrame",
    template: str,
    model: str,
    rails: Rails,
    provide_explanation: bool = True,
    *,
    base_url: str = OPENAI,
    api_key: str | None = None,
    concurrency: int = 32,
    store: str | Path | None = None,
) -> "pd.DataFrame":
    """Classify each row; a DataFrame of the same index with `label`, `score`, `explanation` and `error`.

    `template` is a built-in judge, a file or the text, and names columns as `{column}`, dots included; what a cell
    holds is quoted. `rails` are labels, or labels with their scores; without scores a label that is a number is
    its own. A row that fails, or that lacks a cell the template names, has an `error` and neither label nor score.

    `api_key` defaults to the variable OPENAI_API_KEY where that is set. `store` is a file that keeps every answer,
    so that a second run pays for none of them again; without it answers are kept for this call alone. Works inside
    a running event loop (a notebook). Raises ConfigError before the first call for a template or rails that cannot
    be used, and EndpointRefused where no call can succeed.
    """
    text = resolve_template(template, lambda name: Path(name).read_text(encoding="utf-8"))
    spec = JudgeSpec(
        name="llm_classify", model=model, template=text, rails=_scored(rails), provide_explanation=provide_explanation
    )
    parsed = _parsed(text, dataframe)
    llm = LLMConfig(base_url=base_url, max_concurrency=concurrency)
    with TemporaryDirectory() as temporary:
        completions = Path(store) if store else Path(temporary) / "completions.sqlite"
        session = _Session(llm, api_key or read("OPENAI_API_KEY"), completions)
        records = dataframe[list(parsed.names)].to_dict("records")
        rows = run_to_end(lambda: _classify(records, spec, parsed, session))
    return _table(rows, dataframe.index)


def run_to_end(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """The result of `work()`, also where an event loop runs already: then it has a loop in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


class _Session(NamedTuple):
    """Where the calls go, and where their answers are kept."""

    llm: LLMConfig
    api_key: str | None
    completions: Path

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenAIChat]:
        from sia_dagster.adapters.engine.store.sqlite import SqliteStore  # It loads SQLAlchemy.

        scope = LedgerScope(loop="llm_classify", window="")
        with closing(SqliteStore(self.completions)) as store:
            async with OpenAIChat(self.llm, api_key=self.api_key, store=store, scope=scope) as chat:
                yield chat


async def _classify(
    records: Sequence[Mapping[Any, Any]], spec: JudgeSpec, template: JudgeTemplate, session: _Session
) -> list[EvalMetrics]:
    async with session.open() as chat:
        judge = Judge(spec, chat)

        async def work(record: Mapping[Any, Any]) -> EvalMetrics:
            empty = [name for name in template.names if _is_empty(record[name])]
            if empty:
                return judge.failed(f"the row has no value in {', '.join(empty)}, which the template names")
            return await judge.classify(template.fill({name: _text(record[name]) for name in template.names}), draw="0")

        rows = [row async for row in map_rows(records, work, workers=session.llm.max_concurrency)]
    return [metrics for _, metrics in sorted(rows, key=lambda row: row[0])]


def _parsed(text: str, dataframe: "pd.DataFrame") -> JudgeTemplate:
    template = parse_template(text, [str(column) for column in dataframe.columns])
    if not template.names:
        raise ConfigError("the template names no column: write {column} where a row's text belongs")
    return template


def _scored(rails: Rails) -> dict[str, float | None]:
    if isinstance(rails, Mapping):
        return {str(label): float(score) for label, score in rails.items()}
    return {str(label): as_number(str(label)) for label in rails}


def _is_empty(cell: Any) -> bool:
    missing = type(cell).__name__ in {"NAType", "NaTType"}
    return cell is None or missing or (isinstance(cell, float) and math.isnan(cell))


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False, default=_plain)


def _plain(cell: Any) -> Any:
    """For values that JSON lacks: arrays and scalars of numpy as lists and numbers, anything else as its text."""
    return cell.tolist() if hasattr(cell, "tolist") else str(cell)


def _table(rows: Sequence[EvalMetrics], index: "pd.Index[Any]") -> "pd.DataFrame":
    import pandas as pd

    records = [row.model_dump(include=set(EVALUATION_FIELDS)) for row in rows]
    table = pd.DataFrame(records, index=index, columns=list(EVALUATION_FIELDS))
    return table.astype({"score": "float64"})
