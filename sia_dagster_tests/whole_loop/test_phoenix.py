"""The closed loop: an instrumented application, its spans in Phoenix, a better prompt, and the application under it."""

from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from sia_dagster import load_policy
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.state import StateActions
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster_tests.fakes.instrumented_application import application
from sia_dagster_tests.fakes.phoenix_server import Phoenix, PhoenixProject
from simulation.loops import FIRST, NAME, SECOND, WEEKS, Desk, checks, desk, failure

CONVERSATIONS = 100


def serve_a_week(found: Desk, project: PhoenixProject, week: int, policy: Actions) -> None:
    with application(found.base_url, project, WEEKS[week].start) as app:
        app.serve(WEEKS[week], policy, conversations=CONVERSATIONS)
    project.wait_for((week + 1) * CONVERSATIONS)


def score(found: Desk, window: str) -> float:
    """What the loop's judge says of what the application answered in that week."""
    scores = [row["score"] for row in found.rows("eval_results", window) if row["evaluator"] == "correctness"]
    return fmean(scores)


def run(found: Desk, window: str) -> None:
    result = found.run(window)
    assert result.success, failure(result)
    claims = checks(result)
    assert claims["evaluations_are_back"].passed, claims["evaluations_are_back"].metadata


def annotations(project: PhoenixProject, found: Desk, window: str) -> dict[tuple[str, str], tuple[str, float]]:
    ids = [row["span_id"] for row in found.rows("traces", window) if row["sampled"]]
    said = project.client.spans.get_span_annotations(span_ids=ids, project_identifier=project.name, timeout=60)
    return {(one["span_id"], one["name"]): (one["annotator_kind"], one["result"]["score"]) for one in said}


@pytest.mark.timeout(400)
def test_an_application_under_the_promoted_policy_is_recognised_and_better(
    phoenix: Phoenix, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    project = phoenix.project("desk")
    traces = {
        "source": "phoenix",
        "base_url": project.base_url,
        "project": project.name,
        "where": "name == 'ChatCompletion'",
    }
    changes: dict[str, Any] = {
        "traces": traces,
        "write_back": True,
        "publish": ["file", "phoenix_prompts"],
        "prompt_name": project.name,
    }
    with desk(tmp_path, sample_limit=200, **changes) as (found, _):
        storage = str(tmp_path / ".sia")
        first = load_policy(NAME, storage, default=BASE_POLICY)
        serve_a_week(found, project, 0, first)
        run(found, FIRST)
        assert found.document("validation_results", ValidationReport).verdict == "accept"

        promoted = load_policy(NAME, storage)
        assert promoted.system_prompt != first.system_prompt
        serve_a_week(found, project, 1, promoted)
        run(found, SECOND)

        before, after = score(found, FIRST), score(found, SECOND)
        request.node.user_properties.append(("the application's score", f"{before:.2f} before, {after:.2f} after"))
        assert after > before + 0.1

        state = found.document("baseline_state_actions", StateActions, SECOND)
        assert (state.policy_version, state.policy_share) == (1, 1.0)
        assert state.actions == promoted
        assert len(found.rows("traces", SECOND)) == CONVERSATIONS

        written = annotations(project, found, SECOND)
        judged = {
            (row["span_id"], row["evaluator"]): ("LLM" if row["source"] == "llm_classify" else "CODE", row["score"])
            for row in found.rows("eval_results", SECOND)
        }
        assert written == judged

        hub = project.client.prompts
        newest = load_policy(NAME, storage)
        in_production = hub.get(prompt_identifier=project.name, tag="production")
        assert list(in_production.format(sdk="openai").messages) == newest.messages()

        contents, versions = found.contents(SECOND), found.versions
        run(found, SECOND)
        assert (found.contents(SECOND), found.versions) == (contents, versions)
        assert annotations(project, found, SECOND) == written
        assert hub.get(prompt_identifier=project.name).id == in_production.id
