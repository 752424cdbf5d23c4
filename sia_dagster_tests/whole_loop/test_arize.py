"""The whole loop over Arize's wire: spans in, evaluations back, a prompt version with its label, an experiment."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sia_dagster.cli import cli
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.span_evaluations import WriteReport
from sia_dagster.core.records.state import StateActions
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster.demo.traffic import WeekPlan, write_traffic
from sia_dagster_tests.fakes.arize_rest import SPACE, ArizeRest
from simulation.arize_flight import KEY, PROJECT, ArizeFlight
from simulation.loops import FIRST, SECOND, WEEKS, Desk, checks, desk, failure, metadata

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
        self.spans.receive(write_traffic(self.folder / "sent", WEEKS[week], actions, WeekPlan(conversations=90)))

    def run(self, window: str) -> Any:
        result = self.desk.run(window)
        assert result.success, failure(result)
        return result


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A store that has the first week."""
    everything: dict[str, Any] = {
        "traces": TRACES,
        "sample_limit": 200,
        "write_back": True,
        "publish": ["file", "arize_prompt_hub", "arize_experiments"],
    }
    folder = tmp_path_factory.mktemp("arize")
    with (
        ArizeFlight(space=SPACE, now=WEEKS[1].end) as spans,
        ArizeRest(key=KEY) as rest,
        desk(folder, **everything) as (found, _),
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in {**spans.environment, **rest.environment, "ARIZE_API_KEY": KEY}.items():
            patch.setenv(name, value)
        platform = Platform(spans, rest, found, folder)
        platform.receive(0, BASE_POLICY)
        yield platform


@pytest.fixture(scope="module")
def first(platform: Platform) -> Any:
    """The first window's run. What a later test does to the store does not change what this window gave it."""
    return platform.run(FIRST)


def judged(found: Desk, window: str) -> dict[str, dict[str, Any]]:
    """What the loop's own evaluators said, by span, in the columns of the store."""
    said: dict[str, dict[str, Any]] = {}
    for row in found.rows("eval_results", window):
        columns = {f"eval.{row['evaluator']}.{name}": row[name] for name in ("label", "score", "explanation")}
        said.setdefault(row["span_id"], {}).update({k: v for k, v in columns.items() if v is not None})
    return said


def test_the_loop_reads_from_arize_and_gives_back_what_it_learned(platform: Platform, first: Any) -> None:
    found, rest = platform.desk, platform.rest
    report = found.document("validation_results", ValidationReport)
    assert report.verdict == "accept", report.reasons
    written = {
        span: {k: v for k, v in said.items() if v is not None} for span, said in platform.spans.evaluations.items()
    }
    assert written == judged(found, FIRST)
    back = found.document("written_evaluations", WriteReport)
    assert (back.offered, back.updated, back.complete) == (len(found.rows("eval_results")),) * 2 + (True,)
    assert metadata(first, "written_evaluations")["evaluations_updated"] == back.updated

    prompt = rest.prompts[found.loop.name]
    version = prompt.versions[-1]
    assert version["messages"][0]["content"] == found.versions[-1].actions.system_prompt
    assert "production" in rest.version(version["id"])["labels"]
    for told in (FIRST, "accept", "correctness"):
        assert told in version["commit_message"]
    assert rest.experiments
    assert all(claim.passed for name, claim in checks(first).items() if name.startswith(("evaluations", "published")))


@pytest.mark.usefixtures("first")
def test_twice_changes_nothing_here_and_there(platform: Platform) -> None:
    found = platform.desk
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


@pytest.mark.usefixtures("first")
def test_the_next_window_recognises_the_promoted_policy_as_its_own(platform: Platform) -> None:
    found = platform.desk
    platform.receive(1, found.versions[-1].actions)
    platform.run(SECOND)
    state = found.document("baseline_state_actions", StateActions, SECOND)
    assert (state.policy_version, state.policy_share) == (1, 1.0)


def check(found: Desk, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """`sia check` of the first window, as a person runs it."""
    config = found.config.model_dump(mode="json", exclude_none=True)
    for loop in config["loops"]:
        loop["traces"]["api_key"] = "${ARIZE_API_KEY}"
    path = found.folder / "sia.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setenv("SIA_CONFIG", str(path))
    done = CliRunner().invoke(cli, ["check", "--window", FIRST, "--json"])
    return done.exit_code, done.output


def test_check_finds_the_project_its_spans_and_its_calls(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    code, told = check(platform.desk, monkeypatch)
    found = {one["check"]: one["result"] for one in json.loads(told)["checks"]}
    assert code == 0, told
    assert {found[f"desk: {what}"] for what in ("trace store", "spans", "samples", "calls")} == {"pass"}


@pytest.mark.parametrize(
    ("changes", "environment", "said"),
    [
        ({}, {"ARIZE_API_KEY": "ak-wrong"}, "ARIZE_API_KEY"),
        ({}, {"ARIZE_API_KEY": ""}, "ARIZE_API_KEY is not set"),
        ({"space_id": "nowhere"}, {}, "ARIZE_SPACE_ID"),
        ({"project": "unknown"}, {}, "may not be indexed yet"),
        ({"where": "name ~ 'x'"}, {}, "traces.where"),
        ({}, {"ARIZE_FLIGHT_PORT": "1"}, "cannot be reached"),
        ({}, {"ARIZE_FLIGHT_SCHEME": "grpc+tls"}, "TLS"),
    ],
    ids=["bad key", "no key", "no space", "unknown project", "bad filter", "no network", "TLS refused"],
)
def test_check_and_the_asset_say_what_is_wrong_and_what_to_set(
    changes: dict[str, str], environment: dict[str, str], said: str, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = platform.desk.with_loop(traces={**TRACES, "max_attempts": 1, "timeout_seconds": 20, **changes})
    code, told = check(found, monkeypatch)
    failed = [one["found"] for one in json.loads(told.split("\nError")[0])["checks"] if one["result"] == "fail"]
    stage, reason = failure(found.run(FIRST, "traces"))
    assert (code, stage) == (1, "traces")
    for text in (" ".join(failed), reason):
        assert said in text
        assert "ak-wrong" not in text
