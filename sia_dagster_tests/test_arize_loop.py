"""The whole loop over Arize's wire: spans in, evaluations back, a prompt version with its label, an experiment."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sia_dagster.core.models import Actions, StateActions
from sia_dagster.core.results import ValidationReport
from sia_dagster.core.write_back import WriteReport
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster.demo.traffic import WeekPlan, write_traffic
from sia_dagster_tests.arize_flight import KEY, PROJECT, ArizeFlight
from sia_dagster_tests.arize_rest import SPACE, ArizeRest
from sia_dagster_tests.loops import FIRST, SECOND, WEEKS, Desk, checks, desk, failure, metadata

TRACES = {"source": "arize", "project": PROJECT, "space_id": SPACE, "where": "name = 'ChatCompletion'"}


@dataclass
class Platform:
    """Both halves of the store, and a loop that is configured for all that it offers."""

    spans: ArizeFlight
    rest: ArizeRest
    desk: Desk
    folder: Path

    def receive(self, week: int, actions: Actions) -> None:
        """Let the application's week arrive."""
        file = write_traffic(self.folder / "sent", WEEKS[week], actions, WeekPlan(conversations=90))
        assert file is not None
        self.spans.add_table(pq.read_table(file))

    def run(self, window: str) -> Any:
        result = self.desk.run(window)
        assert result.success, failure(result)
        return result


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    everything: dict[str, Any] = {
        "traces": TRACES,
        "sample_limit": 200,
        "write_back": True,
        "publish": ["file", "arize_prompt_hub", "arize_experiments"],
    }
    with (
        ArizeFlight(space=SPACE, now=WEEKS[1].end) as spans,
        ArizeRest(key=KEY) as rest,
        desk(tmp_path, **everything) as (found, _),
    ):
        for name, value in {**spans.environment, **rest.environment, "ARIZE_API_KEY": KEY}.items():
            monkeypatch.setenv(name, value)
        yield Platform(spans, rest, found, tmp_path)


def judged(found: Desk, window: str) -> dict[str, dict[str, Any]]:
    """What the loop's own evaluators said, by span, in the columns of the store."""
    said: dict[str, dict[str, Any]] = {}
    for row in found.rows("eval_results", window):
        columns = {f"eval.{row['evaluator']}.{name}": row[name] for name in ("label", "score", "explanation")}
        said.setdefault(row["span_id"], {}).update({k: v for k, v in columns.items() if v is not None})
    return said


def test_the_loop_reads_from_arize_and_gives_back_what_it_learned(platform: Platform) -> None:
    found, rest = platform.desk, platform.rest
    platform.receive(0, BASE_POLICY)
    result = platform.run(FIRST)

    report = found.document("validation_results", ValidationReport)
    assert report.verdict == "accept", report.reasons
    written = {
        span: {k: v for k, v in said.items() if v is not None} for span, said in platform.spans.evaluations.items()
    }
    assert written == judged(found, FIRST)
    back = found.document("written_evaluations", WriteReport)
    assert (back.offered, back.updated, back.complete) == (len(found.rows("eval_results")),) * 2 + (True,)
    assert metadata(result, "written_evaluations")["evaluations_updated"] == back.updated

    prompt = rest.prompts[found.loop.name]
    version = prompt.versions[-1]
    assert version["messages"][0]["content"] == found.versions[-1].actions.system_prompt
    assert "production" in rest.version(version["id"])["labels"]
    for told in (FIRST, "accept", "correctness"):
        assert told in version["commit_message"]
    assert rest.experiments
    assert all(claim.passed for name, claim in checks(result).items() if name.startswith(("evaluations", "published")))


def test_twice_changes_nothing_here_and_there(platform: Platform) -> None:
    found = platform.desk
    platform.receive(0, BASE_POLICY)
    platform.run(FIRST)
    before, versions = found.contents(FIRST), found.versions
    evaluations = {span: dict(said) for span, said in platform.spans.evaluations.items()}
    report, changes = found.file("written_evaluations").read_bytes(), list(platform.rest.changes)

    platform.run(FIRST)
    # The evaluations now are columns of the export as well; the loop's own are not read as the platform's.
    assert found.contents(FIRST) == before
    assert found.versions == versions
    assert platform.spans.evaluations == evaluations
    assert found.file("written_evaluations").read_bytes() == report
    assert platform.rest.changes == changes


def test_the_next_window_recognises_the_promoted_policy_as_its_own(platform: Platform) -> None:
    found = platform.desk
    platform.receive(0, BASE_POLICY)
    platform.run(FIRST)
    platform.receive(1, found.versions[-1].actions)
    platform.run(SECOND)
    state = found.document("baseline_state_actions", StateActions, SECOND)
    assert (state.policy_version, state.policy_share) == (1, 1.0)
