"""The judge over a DataFrame: the field's signature, our habits."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sia_dagster.core.errors import ConfigError, EndpointRefused
from sia_dagster.core.prompting.quoting import quote
from sia_dagster.runners.llm_classify import llm_classify
from sia_dagster_tests.worlds.evaluation_samples import classified, says
from simulation.servers import Body, Reply, ScriptedServer, completion, refusal

FRAME = pd.DataFrame({"question": ["2+2?", "3+3?"], "answer": ["4", "7"]}, index=["x", "y"])
TEMPLATE = "Q: {question}\nA: {answer}"


def by_answer(body: Body, _: int) -> Reply | Body:
    return completion(classified("right" if quote("4", "answer") in body["messages"][-1]["content"] else "wrong"))


def test_the_result_has_the_rows_of_the_frame() -> None:
    with ScriptedServer(by_answer) as server:
        result = llm_classify(FRAME, TEMPLATE, "judge", {"right": 1, "wrong": 0}, base_url=server.base_url)
    assert list(result.index) == ["x", "y"]
    assert list(result.columns) == ["label", "score", "explanation", "error"]
    assert result["label"].tolist() == ["right", "wrong"]
    assert result["score"].tolist() == [1.0, 0.0]
    assert result["explanation"].tolist() == ["Because."] * 2
    assert result["error"].isna().all()


def test_rails_without_scores_give_labels_and_numbers_their_own() -> None:
    with ScriptedServer(by_answer) as server:
        result = llm_classify(FRAME, TEMPLATE, "judge", ["right", "wrong"], base_url=server.base_url)
    assert result["label"].tolist() == ["right", "wrong"]
    assert result["score"].isna().all()
    with ScriptedServer(says(classified("4"))) as server:
        result = llm_classify(FRAME, TEMPLATE, "judge", ["4", "5"], base_url=server.base_url)
    assert result["score"].tolist() == [4.0, 4.0]


def test_a_row_that_fails_stands_beside_those_that_do_not() -> None:
    def answer(body: Body, _: int) -> Reply | Body:
        right = quote("4", "answer") in body["messages"][-1]["content"]
        return completion(classified("right")) if right else refusal(422, "no")

    with ScriptedServer(answer) as server:
        result = llm_classify(FRAME, TEMPLATE, "judge", ["right", "wrong"], base_url=server.base_url, concurrency=1)
    assert result["label"].tolist() == ["right", None]
    assert "422" in result["error"]["y"]


@pytest.mark.parametrize("empty", [None, float("nan"), pd.NA, pd.NaT])
def test_a_cell_with_nothing_in_it_is_not_asked_about(empty: Any) -> None:
    frame = pd.DataFrame({"text": pd.Series([empty], dtype=object)})
    with ScriptedServer(says(classified("a"))) as server:
        result = llm_classify(frame, "{text}", "judge", ["a", "b"], base_url=server.base_url)
        assert server.requests == []
    assert result["error"].tolist() == ["the row has no value in text, which the template names"]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("plain", "plain"),
        (7, "7"),
        ([{"role": "user"}], '[{"role": "user"}]'),
        ({"n": np.int64(3)}, '{"n": 3}'),
        (np.array(["é", "b"]), '["é", "b"]'),
        (pd.Timestamp("2026-09-28"), '"2026-09-28 00:00:00"'),
    ],
)
def test_columns_with_dots_and_cells_that_are_not_text(cell: Any, text: str) -> None:
    name = "attributes.llm.input_messages"
    frame = pd.DataFrame({name: pd.Series([cell], dtype=object), "other": [1]})
    with ScriptedServer(says(classified("a"))) as server:
        llm_classify(frame, f"{{{name}}}", "judge", ["a", "b"], False, base_url=server.base_url)
        assert quote(text, "messages") in server.requests[0]["messages"][-1]["content"]
        assert "explanation" not in str(server.requests[0]["response_format"])


def test_a_stored_answer_is_not_paid_for_again(tmp_path: Path) -> None:
    def classify() -> pd.DataFrame:
        store = tmp_path / "answers.sqlite"
        return llm_classify(FRAME, TEMPLATE, "judge", ["right", "wrong"], base_url=server.base_url, store=store)

    with ScriptedServer(by_answer) as server:
        first, again = classify(), classify()
        assert len(server.requests) == 2
    pd.testing.assert_frame_equal(first, again)


def test_it_works_inside_a_running_loop_as_in_a_notebook() -> None:
    async def cell() -> pd.DataFrame:
        return llm_classify(FRAME, TEMPLATE, "judge", ["right", "wrong"], base_url=server.base_url)

    with ScriptedServer(by_answer) as server:
        assert asyncio.run(cell())["label"].tolist() == ["right", "wrong"]


@pytest.mark.parametrize("given", ["argument", "environment"])
def test_the_key_is_the_argument_or_the_usual_variable(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-environment")
    key = "key-of-argument" if given == "argument" else None
    with ScriptedServer(by_answer) as server:
        llm_classify(FRAME, TEMPLATE, "judge", ["right", "wrong"], base_url=server.base_url, api_key=key)
        assert {headers["authorization"] for headers in server.headers} == {f"Bearer key-of-{given}"}


def test_a_refused_model_stops_the_call() -> None:
    missing = refusal(404, "The model does not exist.", code="model_not_found")
    with ScriptedServer(lambda body, n: missing) as server, pytest.raises(EndpointRefused):
        llm_classify(FRAME, TEMPLATE, "judge", ["right", "wrong"], base_url=server.base_url)


@pytest.mark.parametrize(
    ("template", "message"),
    [("{anwser}", "Did you mean {answer}?"), ("Two\nlines", "names no column"), ("nofile.md", "nofile.md")],
)
def test_a_template_that_does_not_fit_the_frame_is_refused_before_any_call(template: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        llm_classify(FRAME, template, "judge", ["right", "wrong"])
    assert message in str(raised.value)


def test_a_template_may_be_a_file_and_a_frame_may_be_empty(tmp_path: Path) -> None:
    (tmp_path / "judge.md").write_text(TEMPLATE)
    result = llm_classify(FRAME.head(0), str(tmp_path / "judge.md"), "judge", ["right", "wrong"])
    assert (len(result), str(result["score"].dtype)) == (0, "float64")
