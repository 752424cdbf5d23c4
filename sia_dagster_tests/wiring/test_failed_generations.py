"""A window in which every fourth replay is a failed generation: nothing false is stored, decided or paid twice."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.adapters.files.gate_files import GateFiles
from sia_dagster.core.gate import Gate
from sia_dagster.core.records.gate import HeldOut
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.demo.simulation_rules import APPLICATION, ELEMENTS
from sia_dagster.wiring.loop_session import LoopSession
from sia_dagster.wiring.stages import gated_validation
from sia_dagster_tests.corpora.failed_generations import FAILED, STUB
from simulation.loops import FIRST, NAME, WEEKS, Desk, desk, simulated
from simulation.servers import Body, Reply, ScriptedServer

RULES = {"primary": "correctness", "guardrail_margin": 0.2, "repeats": 1, "noise_conversations": 0, "looks": 1}


class Provider:
    """The demo's models; while `failure` is set, every fourth request to the application's model fails so."""

    def __init__(self) -> None:
        self.failure: Body | Reply | None = None
        self.failed, self.good = Counter[str](), Counter[str]()

    def __call__(self, body: Body, _: int) -> Body | Reply:
        asked = json.dumps(body, sort_keys=True)
        fourth = hashlib.sha256(asked.encode()).digest()[0] % 4 == 0
        if self.failure is not None and fourth and body["model"] == APPLICATION:
            self.failed[asked] += 1
            return self.failure
        self.good[asked] += 1
        return simulated(body)


class Window:
    """One window with a candidate, decided through the gate over a store and a log of its own each time."""

    def __init__(self, found: Desk, server: ScriptedServer, provider: Provider) -> None:
        self.found, self.server, self.provider = found, server, provider
        found.write(conversations=60)
        assert found.run(FIRST, "traces", "eval_results", "baseline_state_actions").success
        self.state = found.document("baseline_state_actions", StateActions)
        assert self.state.actions is not None
        better = " ".join([self.state.actions.system_prompt, *(element.firm for element in ELEMENTS)])
        candidate = self.state.actions.model_copy(update={"system_prompt": better})
        self.update = PolicyUpdate(
            loop=NAME,
            window=self.state.window,
            baseline=self.state.actions,
            candidate=candidate,
            changed=True,
            reason="by hand",
        )

    def store(self, name: str) -> Path:
        return self.found.folder / name / "completions.sqlite"

    def decide(self, name: str) -> ValidationReport:
        """Run the validation with the store and the log of this name."""
        endpoint = (self.found.definitions.resources or {})[f"{NAME}__model"].settings()
        llm = endpoint.llm.model_copy(update={"max_attempts": 1})
        chat = endpoint.model_copy(update={"completions": self.store(name), "llm": llm})
        session = LoopSession(loop=self.found.loop, window=WEEKS[0], chat=chat, folder=self.found.folder)
        held = HeldOut(samples=self.state.of("holdout"), windows={}, pooled=())
        log = GateFiles(self.found.folder / name, NAME)
        gate = Gate(log=log, at=self.state.window.end, held_out=lambda: held)
        return asyncio.run(gated_validation(session, self.state, self.update, gate)).value

    def texts(self, name: str) -> list[str]:
        with closing(SqliteStore(self.store(name))) as store:
            return [answer.reply.text for answer in store.answers()]


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    provider = Provider()
    with desk(tmp_path_factory.mktemp("window"), provider, validation=RULES) as (found, server):
        yield Window(found, server, provider)


@pytest.fixture(scope="module")
def undisturbed(window: Window) -> ValidationReport:
    return window.decide("undisturbed")


def test_undisturbed_the_candidate_is_accepted(undisturbed: ValidationReport) -> None:
    assert undisturbed.verdict == "accept"


@pytest.mark.parametrize("form", FAILED)
def test_nothing_false_is_stored_or_decides_and_the_repaired_endpoint_gives_the_same_verdict(
    form: str, window: Window, undisturbed: ValidationReport, record_property: Any
) -> None:
    provider = window.provider
    provider.failed.clear()
    provider.good.clear()
    provider.failure = FAILED[form]
    disturbed = window.decide(form)
    failed, paid = sum(provider.failed.values()), sum(provider.good.values())
    assert 0.15 < failed / (2 * len(disturbed.rows)) < 0.35
    assert disturbed.verdict == "inconclusive"
    assert [text for text in window.texts(form) if text.strip() in ("", STUB)] == []

    provider.failure = None
    repaired = window.decide(form)
    assert (repaired.verdict, repaired.rows) == (undisturbed.verdict, undisturbed.rows)
    assert repaired.comparisons == undisturbed.comparisons
    assert max(provider.good.values()) == 1
    record_property(
        form,
        f"{failed} of {2 * len(repaired.rows)} replays failed: {disturbed.verdict}, then {repaired.verdict}; "
        f"paid {paid} + {sum(provider.good.values()) - paid}, twice 0",
    )
