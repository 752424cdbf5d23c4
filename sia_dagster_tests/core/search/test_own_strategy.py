"""The strategy that the page on searches shows: it runs as it stands there, and is bound by the same rules."""

import re
from pathlib import Path

import pytest
import yaml

from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.search import MeteredChat, SearchRules, SearchWork, search_policy
from sia_dagster.wiring.endpoint import strategies_of
from sia_dagster_tests.places import DOCS
from sia_dagster_tests.worlds.search_world import (
    ASK_FOR_ORDER,
    BASELINE,
    PROMPT,
    Shop,
    asked,
    evaluators,
    in_shop,
    state,
)
from simulation.servers import ScriptedServer

PAGE = DOCS / "policy_search.md"


def from_the_page(folder: Path) -> PolicyConfig:
    """The class is written to the folder, and the configuration that names it is read."""
    section = PAGE.read_text(encoding="utf-8").partition("## A search of your own")[2]
    (code,) = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    (settings,) = re.findall(r"^```yaml\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    name = re.match(r"# (\w+\.py), beside sia.yaml\n", code)
    assert name
    (folder / name[1]).write_text(code, encoding="utf-8")
    return PolicyConfig.model_validate(yaml.safe_load(settings)["policy"] | {"model": "optimizer"})


@pytest.mark.parametrize("calls", [240, 8])
def test_the_strategy_of_the_page_finds_the_sentence_that_helps(tmp_path: Path, calls: int) -> None:
    (tmp_path / "project").mkdir()
    config = from_the_page(tmp_path / "project").model_copy(update={"search_calls": calls})

    async def work(chat: ChatModel) -> PolicyUpdate:
        metered = MeteredChat(chat, config)
        desks = SearchWork(state(selection=12), metered, evaluators(metered), SearchRules(workers=4), config)
        return await search_policy(desks, strategies_of(config, tmp_path / "project"))

    with ScriptedServer(Shop()) as server:
        update = in_shop(server, tmp_path, work)
    assert not asked(server, "optimizer")
    assert len(server.requests) <= calls
    if calls == 8:
        assert "the search's cap is reached" in update.reason
        return
    assert update.candidate == BASELINE.model_copy(update={"system_prompt": f"{PROMPT}\n{ASK_FOR_ORDER}"})
    assert [each.why for each in update.edits] == ["the support team asks for it"]
    assert [run.ended for run in update.strategies] == ["3 of 3 sentences could be tried"]
