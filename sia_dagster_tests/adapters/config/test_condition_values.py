"""Variables of `traces.where` stay names in the configuration and are values in the query alone."""

from pathlib import Path

import pytest

from sia_dagster.adapters.config.condition_values import ConditionValues, condition_values
from sia_dagster.adapters.config.file import load_config
from sia_dagster.core.errors import ConfigError, TraceError

VALUES = {
    "TENANT": "acme-7081",
    "LEAST": "-1.5",
    "WHOLE": "12",
    "SHORT": "ab",
    "QUOTE": "x' OR 'a' = 'a",
    "LINE": "a\nb",
}
FILE = """
loops:
  - name: desk
    traces: {source: local, path: traces/, where: "%s"}
    start: 2026-09-28
    evaluators: [{name: correctness, kind: llm_classify, model: judge, template: correctness,
                  rails: {correct: 1, incorrect: 0}}]
    policy: {model: optimizer}
    validation: {primary: correctness}
"""


def read(where: str) -> ConditionValues:
    return condition_values(where, VALUES.get)


@pytest.mark.parametrize(
    ("where", "filled"),
    [
        ("", ""),
        ("name = 'x'", "name = 'x'"),
        ("tenant = '${TENANT}' AND size > ${LEAST}", "tenant = 'acme-7081' AND size >  -1.5"),
        (
            "tenant = '${TENANT}-${SHORT}' OR tenant = \"${TENANT}\"",
            "tenant = 'acme-7081-ab' OR tenant = \"acme-7081\"",
        ),
        ("size -${LEAST} < ${WHOLE}", "size - -1.5 < 12"),
        ("a = 'it''s' AND b = '${SHORT}'", "a = 'it''s' AND b = 'ab'"),
        ("name = '$${TENANT}' AND sia_variable = '${SHORT}'", "name = '${TENANT}' AND sia_variable = 'ab'"),
    ],
)
def test_a_text_or_a_number_is_filled_in(where: str, filled: str) -> None:
    assert read(where).plain() == filled


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("tenant = ${TENANT}", r"\$\{TENANT\} stands outside of quotes, where its value must be a plain number"),
        ("${TENANT} = 'x'", r"\$\{TENANT\} stands outside of quotes"),
        ("a.${LEAST}x = 'x'", r"\$\{LEAST\} may only stand"),
        ("tenant = '${QUOTE}'", "the value of QUOTE holds a quote"),
        ("tenant = '${LINE}'", "the value of LINE holds a quote, a backslash or a control character"),
        ("tenant = '${NOBODY}'", "the environment variable NOBODY is not set"),
        ("tenant = '${not a name}'", "begins the name of an environment variable"),
    ],
)
def test_what_cannot_be_filled_in_is_refused_by_the_variables_name(where: str, says: str) -> None:
    with pytest.raises(TraceError, match=f"traces.where cannot be used: .*{says}") as refused:
        read(where).plain()
    assert not any(value in str(refused.value) for value in VALUES.values() if len(value) > 2)


@pytest.mark.parametrize(
    "reason",
    [
        "failed to parse filter tenant = 'acme-7081'",
        "near ... ME-70 ...",
        r"{\"filter\": \"tenant = 'acme\\-7081'\"}",
        "tenant%20%3D%20%27acme%2D7081%27",
        "failed at 'AB'",
    ],
)
def test_a_reason_that_holds_a_piece_of_a_value_is_not_shown(reason: str) -> None:
    shown = read("tenant = '${TENANT}' OR tenant = '${SHORT}'").shown(reason)
    assert shown.startswith("the reason is not shown, since it quotes the value of ${")
    assert read("tenant = '${TENANT}'").shown("no column tenant near the end") == "no column tenant near the end"
    assert read("name = 'x'").shown(reason) == reason


def test_the_configuration_keeps_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANT", "acme-7081")
    path = tmp_path / "sia.yaml"
    path.write_text(FILE % "tenant = '${TENANT}' AND name <> '$${X}'", encoding="utf-8")
    loaded = load_config(path)
    assert loaded.config.loops[0].traces.where == "tenant = '${TENANT}' AND name <> '$${X}'"
    assert "acme" not in loaded.model_dump_json()


@pytest.mark.parametrize("reference", ["${NOBODY_SETS_THIS}", "${not a name}", "${OPEN"])
def test_a_reference_to_nothing_is_a_fault_of_the_file(tmp_path: Path, reference: str) -> None:
    path = tmp_path / "sia.yaml"
    path.write_text(FILE % f"tenant = '{reference}'", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    assert (refused.value.key, refused.value.line) == ("loops.0.traces.where", 4)
