"""Two windows of the small loop: a verdict in the first, its check on the traffic of the second."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.next_window import NextWindowResults
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.defs.assets.next_window_results import SPEC
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster.demo.simulation_rules import ELEMENTS
from sia_dagster.demo.wire import texts
from simulation.loops import FIRST, NAME, SECOND, WEEKS, Desk, desk, loop_config, simulated
from simulation.servers import Answer, Body, ScriptedServer, completion

STAGE = "next_window_results"


PREPARED = ("traces", "eval_results", *SPEC.upstream)
"""What checking the window before takes, but for the verdict of the window before."""


FIRM = "\n".join([BASE_POLICY.system_prompt, *(element.firm for element in ELEMENTS)])


BETTER = BASE_POLICY.model_copy(update={"system_prompt": FIRM})
"""Gains on the demo's traffic."""


def spoilt(body: Body, n: int = 0) -> Body:
    """The demo's models after a change of the application's: a prompt that asks for anything is answered briefly."""
    prompt = "\n".join(texts(body["messages"], "system"))
    if body["model"] == BASE_POLICY.model and ELEMENTS[0].firm in prompt:
        return completion("Thank you.")
    return simulated(body, n)


def verdict(found: Desk, word: str = "accept", candidate: Actions | None = BETTER, **fields: Any) -> ValidationReport:
    """Store a verdict of the first window."""
    numbers = {"difference": 0.4, "ci_low": 0.2, "ci_high": 0.6, "p_value": 0.001, "n": 40, "samples": 40}
    primary = EvaluatorComparison.model_validate({"evaluator": "correctness", "role": "primary", **numbers})
    known = {"loop": NAME, "window": WEEKS[0], "reasons": (), "baseline": BASE_POLICY, "comparisons": (primary,)}
    report = ValidationReport.model_validate({**known, "verdict": word, "candidate": candidate, **fields})
    path = found.file("validation_results", FIRST)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report.model_dump_json(), encoding="utf-8")
    return report


def promote(found: Desk, **fields: Any) -> PolicyVersion:
    """Put the first window's candidate in force as it closed."""
    from sia_dagster.adapters.files.registry_files import PolicyFiles

    known = {"version": 1, "loop": NAME, "kind": "promote", "actions": BETTER, "at": WEEKS[0].end, "window": WEEKS[0]}
    entry = PolicyVersion.model_validate({**known, "replaced": BASE_POLICY, **fields})
    return PolicyFiles(found.folder / ".sia", NAME).append(entry)


def check_next_window(found: Desk, window: str = SECOND) -> dg.ExecuteInProcessResult:
    """The check of a window for which `PREPARED` is stored."""
    result = found.run(window, STAGE)
    assert result.success
    return result


def results_of(found: Desk, window: str = SECOND) -> NextWindowResults:
    return found.document(STAGE, NextWindowResults, window)


class SecondWeeks:
    """Loops whose second week has stored what its check reads, `PREPARED`: copies of one that ran."""

    def __init__(self, prepared: Desk, server: ScriptedServer) -> None:
        self._prepared, self._server = prepared, server

    @contextmanager
    def __call__(
        self, folder: Path, answer: Answer = simulated, **changes: Any
    ) -> Iterator[tuple[Desk, ScriptedServer]]:
        """One in `folder`, at the common server, which answers by `answer` from now on."""
        shutil.copytree(self._prepared.folder, folder, dirs_exist_ok=True)
        self._server.answer = answer
        self._server.requests.clear()
        with dg.DagsterInstance.ephemeral() as instance:
            yield Desk(folder, self._server.base_url, loop_config(**changes), instance=instance), self._server


@pytest.fixture(scope="module")
def second_week(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondWeeks]:
    """What comes before the check runs once: it is the same whatever the verdict of the week before."""
    with desk(tmp_path_factory.mktemp("second")) as (found, server):
        found.write(1)
        assert found.run(SECOND, *PREPARED).success
        yield SecondWeeks(found, server)
