"""What the reflecting model is shown, and how its answer is read."""

import pytest

from sia_dagster.adapters.gepa.reflection import build_reflection, read_reflection
from sia_dagster.core.prompting.structured_answer import Answer
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.report import ArmOutcome
from sia_dagster.core.search.edits import apply_edits
from sia_dagster_tests.worlds.search_world import BREVITY, CORRECTNESS, POLICY, PROMPT, said, sample

LONG_WINDED = EvalMetrics(name="is_brief", score=0.0, explanation="It rambles.")
BRIEF = EvalMetrics(name="is_brief", score=1.0, explanation="Short enough.")


def question(*evals: EvalMetrics, **outcome: str) -> str:
    pairs = [(sample(0, "train"), ArmOutcome.model_validate({"evals": evals} | outcome))]
    return str(build_reflection(PROMPT, pairs, (CORRECTNESS, BREVITY), POLICY)[-1]["content"])


def answered(**content: object) -> Answer:
    return Answer(content={"thoughts": "t", "samples": [], "system_prompt": ""} | content)


def read(policy: str, **content: object) -> tuple[str, str]:
    """The new prompt, or the policy as it is, and the problem."""
    found = read_reflection(answered(**content), policy, [(sample(0, "train"), ArmOutcome())])
    return apply_edits(policy, found.edits), found.problem


def test_the_question_has_the_answer_under_this_version_and_what_is_wrong_with_it() -> None:
    text = question(said("incorrect", "No order."), LONG_WINDED, output="Soon, and so on.")
    for part in (
        "Sample train-00 (correctness: incorrect)",
        "parcel 0",
        "Soon, and so on.",
        "No order.",
        "It rambles.",
    ):
        assert part in text
    assert "Short enough" not in question(said("correct", "Fine."), BRIEF, output="Soon.")


def test_a_sample_without_an_answer_is_shown_as_one() -> None:
    text = question(error="the endpoint said: secret")
    assert "Sample train-00 (correctness: no score)" in text
    assert "there was no answer to evaluate" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("policy", "written", "expected"),
    [
        (
            "Be kind.\r\nBe brief.\r\n",
            "Be kind.\nName the order.\nBe brief.",
            "Be kind.\r\nName the order.\r\nBe brief.\r\n",
        ),
        ("", "Be kind.", "Be kind."),
        ("Be kind.", "Something else altogether.", "Something else altogether."),
    ],
)
def test_a_new_prompt_keeps_the_line_ends_of_the_old_one(policy: str, written: str, expected: str) -> None:
    assert read(policy, system_prompt=written) == (expected, "")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"system_prompt": " "}, "the answer has no prompt"),
        ({"system_prompt": ["Be kind."]}, "the answer has no prompt"),
        ({"system_prompt": f"{PROMPT}\n"}, "the answer leaves the prompt as it is"),
        ({"system_prompt": "Be kind.", "samples": ["train-00", "train-01"]}, "were not shown (1 of 2)"),
    ],
)
def test_an_answer_that_cannot_be_used_says_why(content: dict[str, object], problem: str) -> None:
    prompt, found = read(PROMPT, **content)
    assert prompt == PROMPT
    assert problem in found
