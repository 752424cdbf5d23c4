"""What a user sees of a configuration: it loads, or one error names the key, the line and the mend."""

import re
import textwrap
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from sia_dagster.adapters.config import environment
from sia_dagster.adapters.config.file import ConfigFile, find_config, load_config, read_storage
from sia_dagster.adapters.config.init_template import config_text
from sia_dagster.adapters.config.keys import is_secret, nearest_key
from sia_dagster.adapters.config.references import check_references, read_template
from sia_dagster.adapters.config.yaml_lines import read_document
from sia_dagster.core.config.loop import CodeConfig, LLMClassifyConfig, PlatformConfig, ProjectConfig
from sia_dagster.core.config.trace_source import ArizeTracesConfig, LocalTracesConfig, PhoenixTracesConfig, TracesConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster_tests import places
from simulation.loops import loop_config

GOOD = """\
storage: here
llm:
  base_url: http://127.0.0.1:1/v1
loops:
  - name: desk
    traces:
      source: local
      path: traces/
    start: 2026-09-28
    evaluators:
      - name: correctness
        kind: llm_classify
        model: judge
        template: correctness
        rails: {correct: 1, incorrect: 0}
    policy:
      model: optimizer
    validation:
      primary: correctness
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_text(text: str) -> Path:
        path = tmp_path / "sia.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_text


@pytest.fixture
def refused(write: Write) -> Callable[[str], ConfigError]:
    def load(text: str) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            load_config(write(text))
        return caught.value

    return load


Refused = Callable[[str], ConfigError]


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if part in line)


def unset(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        # Set first: only then the test's end takes away again what a `.env` sets.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_a_good_file_loads_with_its_lines_and_folder(write: Write, tmp_path: Path) -> None:
    loaded = load_config(write(GOOD))
    assert loaded.config.loops[0].start == date(2026, 9, 28)
    assert loaded.config.loops[0].evaluators[0].name == "correctness"
    assert loaded.folder == tmp_path
    assert loaded.storage == tmp_path / "here"
    assert loaded.lines["loops.0.validation.primary"] == line_of(GOOD, "primary:")
    assert loaded.lines["loops.0"] == line_of(GOOD, "- name: desk")


def test_relative_paths_are_relative_to_the_file_and_urls_stay(write: Write, tmp_path: Path) -> None:
    loaded = load_config(write(changed("storage: here", "storage: memory://policies")))
    assert loaded.resolve("traces/*.parquet") == str(tmp_path / "traces/*.parquet")
    assert loaded.resolve("/elsewhere") == "/elsewhere"
    assert loaded.resolve("s3://bucket/traces") == "s3://bucket/traces"
    assert str(loaded.storage).startswith("memory://")


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("storage: here", "storrage: here", "storrage", "did you mean `storage`?"),
        ("storage: here", "qqqq: here", "qqqq", "known here: executor, llm, loops, storage"),
        ("start: 2026", "sample_limt: 3\n    start: 2026", "loops.0.sample_limt", "did you mean `sample_limit`?"),
        ("model: judge", "modell: judge\n        model: j", "loops.0.evaluators.0.modell", "did you mean `model`?"),
        ("start: 2026-09-28", "start: 2026-13-28", "loops.0.start", "should be a valid date"),
        ("start: 2026-09-28", "start: 2026-09-28\n    window: yearly", "loops.0.window", "should be 'hourly'"),
        ("start: 2026-09-28", "start: 2026-09-28\n    timezone: Berlin", "loops.0.timezone", "no IANA time zone"),
        ("start: 2026-09-28", "start: 2026-09-28\n    sample_limit: many", "loops.0.sample_limit", "valid integer"),
        ("name: desk", "name: my-desk", "loops.0.name", "letters, digits and underscores"),
        (
            "name: desk",
            f"name: {'d' * 300}",
            "loops.0.name",
            "the name has 300 characters, and files are named after it",
        ),
        ("name: correctness", f"name: {'c' * 121}", "loops.0.evaluators.0.name", "write at most 120"),
        ("name: correctness", "name: a.b", "loops.0.evaluators.0.name", "drop evaluations whose name holds a hyphen"),
        ("kind: llm_classify", "kind: judge", "loops.0.evaluators.0", "no kind 'judge'; write one of 'llm_classify'"),
        ("        kind: llm_classify\n", "", "loops.0.evaluators.0", "`kind` is missing"),
        ("{correct: 1, incorrect: 0}", "{correct: 1}", "loops.0.evaluators.0.rails", "needs at least 2 of them"),
        ("{correct: 1, incorrect: 0}", "7", "loops.0.evaluators.0.rails", "should be a valid dictionary"),
        ("{correct: 1, incorrect: 0}", "{a: 1, b: 1}", "loops.0.evaluators.0", "two different scores"),
        ("{correct: 1, incorrect: 0}", "{a: 1, b: x}", "loops.0.evaluators.0.rails.b", "should be a valid number"),
        ("template: correctness", "template: {input}", "loops.0.evaluators.0.template", "put text that begins with"),
        ("model: judge", "model: 4", "loops.0.evaluators.0.model", "must be text; put it in quotes"),
        ("primary: correctness", "primary: csat", "loops.0.validation.primary", "'csat' is not one of the evaluators"),
        ("      model: optimizer\n", "      candidates: 2\n", "loops.0.policy.model", "is missing; add it"),
        ("policy:\n      model: optimizer", "policy: best", "loops.0.policy", "must hold keys and values"),
        ("start: 2026", "publish: file\n    start: 2026", "loops.0.publish", "must be a list"),
        ("start: 2026", "write_back: true\n    start: 2026", "loops.0.write_back", "local traces are files"),
        ("start: 2026-09-28", "start: 2026-09-29\n    window: monthly", "loops.0.start", "every month has: 1 to 28"),
        ("{correct: 1, incorrect: 0}", "{a: 1, b: .nan}", "loops.0.evaluators.0.rails.b", "should be a finite number"),
        ("{correct: 1, incorrect: 0}", "{a: .inf, b: 0}", "loops.0.evaluators.0.rails.a", "should be a finite number"),
        ("{correct: 1, incorrect: 0}", "[1, nan]", "loops.0.evaluators.0.rails.nan", "should be a finite number"),
        ("primary: corr", "min_effect: .nan\n      primary: corr", "loops.0.validation.min_effect", "finite number"),
        ("storage: here\nllm:", "llm:\n  budget_usd: .inf", "llm.budget_usd", "finite number"),
        ("storage: here\nllm:", "llm:\n  timeout_seconds: .inf", "llm.timeout_seconds", "finite number"),
        ("storage: here\nllm:", "llm:\n  prices: {m: {input: .inf, output: 1}}", "llm.prices.m.input", "finite number"),
        (
            "storage: here\nllm:",
            "llm:\n  stages: {judging: {}}",
            "llm.stages",
            "no stage 'judging'; write one of judge",
        ),
        ("storage: here\nllm:", "llm:\n  stages: {judge: {base_ur: x}}", "llm.stages.judge.base_ur", "`base_url`?"),
        (
            "storage: here\nllm:",
            "llm:\n  stages: {judge: {api_key: sk-1}}",
            "llm.stages.judge.api_key",
            "exactly ${NAME}",
        ),
        ("storage: here\nllm:", "llm:\n  provider: azure", "llm.api_version", "Azure OpenAI needs one"),
        ("storage: here\nllm:", "llm:\n  provider: aws", "llm.provider", "should be 'openai' or 'azure'"),
    ],
)
def test_one_error_names_key_line_and_mend(refused: Refused, old: str, new: str, key: str, says: str) -> None:
    text = changed(old, new)
    error = refused(text)
    assert error.key == key
    assert says in str(error)
    assert str(error).startswith(f"{key}: ")
    assert "more problems" not in str(error)
    name = key.rpartition(".")[2]
    if text.count(f"{name}:") == 1 and "missing" not in says:
        assert error.line == line_of(text, f"{name}:")
    assert str(error).endswith(f"sia.yaml:{error.line}]")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("name: correctness", "name: a.b", "name: a.b"),
        ("      model: optimizer\n", "      candidates: 2\n", "policy:"),
        ("{correct: 1, incorrect: 0}", "{a: 1, b: 1}", "- name: correctness"),
        ("model: judge", "model: 4", "model: 4"),
    ],
)
def test_a_fault_of_a_section_has_the_line_of_the_nearest_key(refused: Refused, old: str, new: str, line: str) -> None:
    text = changed(old, new)
    assert refused(text).line == line_of(text, line)


def test_a_function_must_be_an_address(refused: Refused) -> None:
    extra = "      - {name: short, kind: code, function: checks.short}\n    policy:"
    text = changed("    policy:", extra)
    error = refused(text)
    assert error.key == "loops.0.evaluators.1.function"
    assert "'checks.short' is not the address of a function; write package.module:function" in str(error)
    assert error.line == line_of(text, "checks.short")


@pytest.mark.parametrize("kind", ["kind: platform", "kind: code, function: 'json:loads'"])
@pytest.mark.parametrize(
    ("fields", "key", "says"),
    [
        ("low: 1", "high", "1 is not above low, 1; write the evaluator's whole range"),
        ("low: 5, high: 1", "high", "1 is not above low, 5"),
        ("low: -.inf", "low", "should be a finite number"),
        ("high: .nan", "high", "should be a finite number"),
    ],
)
def test_a_range_is_finite_and_has_a_width(refused: Refused, kind: str, fields: str, key: str, says: str) -> None:
    text = changed("    policy:", f"      - {{name: csat, {kind}, {fields}}}\n    policy:")
    error = refused(text)
    assert error.key == f"loops.0.evaluators.1.{key}"
    assert says in str(error)
    assert error.line == line_of(text, "name: csat")


@pytest.mark.parametrize("day", [1, 28])
def test_monthly_windows_begin_on_any_day_that_every_month_has(write: Write, day: int) -> None:
    text = changed("start: 2026-09-28", f"start: 2026-09-{day:02}\n    window: monthly")
    assert load_config(write(text)).config.loops[0].start.day == day


@pytest.mark.parametrize("rails", ["1..3", "[1, 2, 3]", "{1: 1, 2: 2, 3: 3}"])
def test_rails_are_a_range_a_list_or_labels(write: Write, rails: str) -> None:
    judge = load_config(write(changed("{correct: 1, incorrect: 0}", rails))).config.loops[0].evaluators[0]
    assert isinstance(judge, LLMClassifyConfig)
    assert judge.rails == {"1": 1.0, "2": 2.0, "3": 3.0}


def test_names_are_given_once_and_a_platform_score_cannot_decide(refused: Refused) -> None:
    again = "      - {name: correctness, kind: platform}\n    policy:"
    assert "['correctness'] are named twice" in str(refused(changed("    policy:", again)))
    score = "      - {name: csat, kind: platform}\n    policy:"
    text = changed("    policy:", score).replace("primary: correctness", "primary: csat")
    assert "which a replayed output cannot have" in str(refused(text))
    twice = GOOD + GOOD[GOOD.index("  - name: desk") :]
    assert "loops: ['desk'] are named twice" in str(refused(twice))


def test_several_problems_name_the_first_and_count_the_rest(refused: Refused) -> None:
    text = (
        changed("storage: here", "storrage: here")
        .replace("window", "w")
        .replace("primary: corr", "alpha: 7\n      p: ")
    )
    error = refused(text)
    assert error.key == "storrage"
    assert error.line == 1
    assert "more problems: " in str(error)
    assert f"loops.0.validation.alpha (line {line_of(text, 'alpha')})" in str(error)


def test_many_problems_are_not_all_listed(refused: Refused) -> None:
    text = "".join(f"bad{number}: 1\n" for number in range(9)) + GOOD
    assert "8 more problems: " in str(refused(text))
    assert str(refused(text)).count("(line ") == 5


@pytest.mark.parametrize("text", ["", "# only a comment\n", "- a\n- list\n", "just words\n", "loops:\n  - 3\n"])
def test_a_file_that_holds_no_configuration_says_what_it_must_hold(refused: Refused, text: str) -> None:
    error = refused(text)
    assert "must hold keys and values" in str(error)
    assert error.line is not None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("loops:\n\t- name: a\n", 2),
        ("llm: {a: 1\nloops: []\n", 2),
        ("storage: a\nloops: *nothing\n", 2),
        ("storage: a\n---\nstorage: b\n", 2),
        ("storage: !!python/object:os.system x\n", 1),
        ("<<: 3\nstorage: a\n", 1),
    ],
)
def test_broken_yaml_names_the_line(refused: Refused, text: str, line: int) -> None:
    error = refused(text)
    assert "invalid YAML: " in str(error)
    assert error.line == line


def test_control_characters_and_other_encodings_are_said(write: Write, refused: Refused) -> None:
    assert "control character" in str(refused("storage: \x01\n"))
    path = write("")
    path.write_bytes("storage: a\nllm: ü\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8") as caught:
        load_config(path)
    assert caught.value.line == 2


LAUGHS = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30))])
MERGES = "\n".join(
    ["a0: &a0 {k: 1}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 30))]
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LAUGHS, "its aliases, written out, come to more than 100,000 values"),
        (MERGES, "its aliases, written out, come to more than 100,000 values"),
        ("a: " + "[" * 10_000 + "]" * 10_000, "nests values too deeply"),
        ("a: " + "{a: " * 10_000, "nests values too deeply"),
        ("\n".join(" " * n + "a:" for n in range(1_200)), "nests values too deeply"),
        ("# " + "x" * 1_000_000, "larger than 1,000,000 bytes"),
        ("storage: x\n\tloops: []", "'\\t' that cannot start any token"),
        ("storage: " + "9" * 5_000, "1 more problems: storage (line 1)"),
        ("loops: []\nllm: !!timestamp 9999", "problems"),
        ("loops: !!int abc", "not a value of its kind"),
        ("loops: !!bool maybe", "not a value of its kind"),
        ('storage: "\\UFFFFFFFF"', "an escape is too large; write it as plain text"),
        ('storage: "\\U00110000"', "an escape is too large; write it as plain text"),
        ("%YAML 1." + "9" * 5_000 + "\n--- a", "a number or an escape is too large"),
        ('loops: "\\ud800"', "half a character"),
        ('"\\ud800": 1\nloops: []', "a key must be one word"),
        ("loops: [" + "1," * 100_001 + "]", "the file holds more than 20,000 values, so it is no configuration"),
        ("loops:\n" + "- name: a\n  x: 1\n" * 20_000, "the file holds more than 20,000 values"),
        ("".join(f"key{n}: 1\n" for n in range(60_000)), "the file holds more than 20,000 values"),
        ("loops: [&a {name: x}, " + "*a, " * 19_000 + "]", "more problems: loops.0.policy (line 1), "),
        ("".join(f"key{n}: 1\n" for n in range(9_000)), "; 9000 more problems: "),
        ("key: 1\n" * 9_000, "; 8999 more problems: "),
        ("? " + "x" * 100_000 + "\n: 1\n", "xxx [...] xxx"),
        ("storage: *" + "x" * 100_000, "xxx [...] xxx"),
        ("loops: []\nllm:\n  ? " + "x" * 100_000 + "\n  : 1", "1 more problems: llm.xxx"),
    ],
)
def test_a_bomb_is_one_sentence(refused: Refused, text: str, says: str) -> None:
    # The suite's time limit is an assertion, too: some of these took minutes.
    error = str(refused(text))
    assert says in error
    assert "alias" not in error or "*" in text
    assert len(error) < 3000


def test_a_byte_order_mark_is_no_part_of_the_first_key(write: Write) -> None:
    path = write("")
    path.write_bytes(GOOD.encode("utf-8-sig"))
    assert load_config(path).config.storage == "here"


def test_a_key_that_stands_twice_is_refused(refused: Refused) -> None:
    text = changed("    start: 2026-09-28", "    start: 2026-09-28\n    start: 2026-10-05")
    error = refused(text)
    assert error.key == "loops.0.start"
    assert error.line == line_of(text, "2026-10-05")
    assert f"is already in line {line_of(text, '2026-09-28')}" in str(error)


def test_a_key_that_is_no_word_is_refused(refused: Refused) -> None:
    assert "a key must be one word" in str(refused("? [a, b]\n: 1\n" + GOOD))


def test_an_alias_inside_itself_is_refused(refused: Refused) -> None:
    assert "alias is inside of what it refers to" in str(refused(changed("storage: here", "storage: &a [*a]")))


def test_anchors_and_merges_share_what_loops_have_in_common(write: Write) -> None:
    second = "  - <<: *desk\n    name: second\n"
    loaded = load_config(write(changed("- name: desk", "- &desk\n    name: desk") + second))
    assert [loop.name for loop in loaded.config.loops] == ["desk", "second"]
    assert loaded.config.loops[1].policy == loaded.config.loops[0].policy


def test_labels_stay_as_they_are_written(write: Write) -> None:
    loaded = load_config(write(changed("{correct: 1, incorrect: 0}", "{yes: 1, no: 0.5, 3: 0}")))
    judge = loaded.config.loops[0].evaluators[0]
    assert isinstance(judge, LLMClassifyConfig)
    assert judge.rails == {"yes": 1.0, "no": 0.5, "3": 0.0}


def test_numbers_and_booleans_are_what_they_look_like(write: Write) -> None:
    text = changed("start: 2026", "sample_limit: 50\n    start: 2026")
    text = text.replace("rails:", "provide_explanation: false\n        rails:")
    loop = load_config(write(text)).config.loops[0]
    assert loop.sample_limit == 50
    judge = loop.evaluators[0]
    assert isinstance(judge, LLMClassifyConfig)
    assert judge.provide_explanation is False


def test_variables_are_filled_in(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOT", "/srv")
    monkeypatch.setenv("TEAM", "a${ROOT}b")
    monkeypatch.setenv("LIMIT", "17")
    text = changed("storage: here", "storage: ${ROOT}/x/${TEAM}/$${ROOT}/$5")
    text = text.replace("    start:", "    sample_limit: ${LIMIT}\n    start:")
    config = load_config(write(text)).config
    assert config.storage == "/srv/x/a${ROOT}b/${ROOT}/$5"
    assert config.loops[0].sample_limit == 17


@given(value=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1))
def test_a_variable_stands_as_it_is(value: str) -> None:
    document = read_document(b"storage: <${X}>\n", file="sia.yaml", variable=lambda _: value)
    assert document.value == {"storage": f"<{value}>"}
    assert document.problems == []


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_variable_names_key_line_and_what_to_export(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    unset(monkeypatch, "NOT_THERE")
    if value is not None:
        monkeypatch.setenv("NOT_THERE", value)
    text = changed("path: traces/", "path: a/${NOT_THERE}/b")
    error = refused(text)
    assert error.key == "loops.0.traces.path"
    assert error.line == line_of(text, "NOT_THERE")
    assert "export NOT_THERE=... or put it in .env" in str(error)
    assert "more problems" not in str(error)


def test_a_missing_variable_in_a_checked_value_is_one_problem(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    unset(monkeypatch, "NOT_THERE")
    error = refused(changed("name: desk", "name: ${NOT_THERE}"))
    assert "NOT_THERE is not set" in str(error)
    assert "more problems" not in str(error)


@pytest.mark.parametrize("text", ["${A-B}", "${}", "${OPEN", "${1}"])
def test_what_is_no_variable_is_said(refused: Refused, text: str) -> None:
    error = refused(changed("storage: here", f"storage: '{text}'"))
    assert error.key == "storage"
    assert "`$${` writes it" in str(error)


def test_no_error_holds_the_value_of_a_variable(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVATE", "s3cr3t-value")
    monkeypatch.setenv("TINY", "q-q")
    for old, new in (
        ("name: desk", "name: ${PRIVATE}"),
        ("name: desk", "name: x-${PRIVATE}"),
        ("kind: llm_classify", "kind: ${PRIVATE}"),
        ("primary: correctness", "primary: ${PRIVATE}"),
        ("start: 2026-09-28", "start: ${PRIVATE}"),
        ("start: 2026", "timezone: ${PRIVATE}\n    start: 2026"),
        ("name: desk", "name: ${TINY}"),
    ):
        error = refused(changed(old, new))
        assert "s3cr3t-value" not in str(error)
        assert "'q-q'" not in str(error)
        assert error.__cause__ is None
        assert error.__suppress_context__
    assert "'${TINY}' must be letters" in str(refused(changed("name: desk", "name: ${TINY}")))


def test_an_env_file_beside_the_configuration_fills_in_what_is_not_set(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unset(monkeypatch, "FROM_FILE", "QUOTED", "SINGLE", "EXPORTED", "EMPTY")
    monkeypatch.setenv("ALREADY", "kept")
    (tmp_path / ".env").write_text(
        "# comment\n\nFROM_FILE=one#1  # note\nQUOTED=\"two # 2\"\nSINGLE='three'\nexport EXPORTED = four \n"
        "ALREADY=lost\nEMPTY=\n",
        encoding="utf-8",
    )
    load_config(write(GOOD))
    values = [environment.read(n) for n in ("FROM_FILE", "QUOTED", "SINGLE", "EXPORTED", "ALREADY", "EMPTY")]
    assert values == ["one#1", "two # 2", "three", "four", "kept", None]


@pytest.mark.parametrize(("text", "line"), [("# fine\nsk-forgotten-key\n", 2), ('A=1\n\n\nKEY="forgotten\n', 4)])
def test_a_broken_env_file_names_the_line_without_its_text(write: Write, tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="no `NAME=value`") as caught:
        load_config(write(GOOD))
    assert caught.value.line == line
    assert "forgotten" not in str(caught.value)


def test_a_required_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    unset(monkeypatch, "NOT_THERE")
    monkeypatch.setenv("THERE", "x")
    assert environment.require("THERE") == "x"
    with pytest.raises(ConfigError, match=r"llm\.api_key: the environment variable NOT_THERE is not set"):
        environment.require("NOT_THERE", key="llm.api_key")


def test_secrets_are_kept_as_names(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    monkeypatch.setenv("MY_HOOK", "https://hooks.example.com/T0/secret")
    text = changed("llm:", "llm:\n  api_key: ${MY_KEY}") + "    notify: {webhook: '${MY_HOOK}'}\n"
    loaded = load_config(write(text))
    assert loaded.config.llm.api_key == "MY_KEY"
    assert loaded.config.loops[0].notify.webhook == "MY_HOOK"
    assert "sk-secret" not in loaded.model_dump_json()
    assert "hooks.example.com" not in loaded.model_dump_json()


def test_an_endpoint_may_have_no_key(write: Write) -> None:
    assert load_config(write(changed("llm:", "llm:\n  api_key:"))).config.llm.api_key is None


@pytest.mark.parametrize("literal", ["sk-abc123", "Bearer ${MY_KEY}", "${MY-KEY}", "$MY_KEY", "12345"])
def test_a_literal_secret_is_refused_without_repeating_it(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, literal: str
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    error = refused(changed("llm:", f"llm:\n  api_key: {literal}"))
    assert error.key == "llm.api_key"
    assert error.line == 3
    assert "write `api_key: ${OPENAI_API_KEY}`" in str(error)
    assert literal not in str(error)


def test_the_variable_of_a_secret_must_be_set(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    unset(monkeypatch, "MY_HOOK")
    error = refused(GOOD + "    notify:\n      webhook: ${MY_HOOK}\n")
    assert error.key == "loops.0.notify.webhook"
    assert "export MY_HOOK=..." in str(error)


def test_the_file_is_found_by_variable_then_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unset(monkeypatch, "SIA_CONFIG")
    monkeypatch.chdir(tmp_path)
    assert find_config() is None
    with pytest.raises(ConfigError, match="`sia init` writes one"):
        load_config()
    (tmp_path / "sia.yaml").write_text(GOOD, encoding="utf-8")
    assert find_config() == tmp_path / "sia.yaml"
    assert load_config().config.storage == "here"
    monkeypatch.setenv("SIA_CONFIG", str(tmp_path / "other.yaml"))
    assert find_config() == tmp_path / "other.yaml"
    with pytest.raises(ConfigError, match=r"no such file.*other\.yaml"):
        load_config()


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


def test_the_storage_alone_needs_nothing_else_of_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    unset(monkeypatch, "NOT_THERE")
    assert read_storage(write("storage: there\nllm: {api_key: '${NOT_THERE}'}\n")) == "there"
    assert read_storage(write("loops: []\n")) == ".sia"
    assert read_storage(write("- list\n")) == ".sia"
    with pytest.raises(ConfigError, match="NOT_THERE"):
        read_storage(write("storage: ${NOT_THERE}\n"))


def with_code(function: str) -> str:
    return changed("    policy:", f"      - name: short\n        kind: code\n        function: {function}\n    policy:")


def loaded_with_code(write: Write, function: str) -> ConfigFile:
    return load_config(write(with_code(function)))


def test_a_function_beside_the_configuration_is_importable(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path.parent))
    (tmp_path / "desk_checks_beside.py").write_text("def short(sample):\n    return True\n", encoding="utf-8")
    loaded = loaded_with_code(write, "desk_checks_beside:short")
    check_references(loaded)
    check_references(loaded)


@pytest.mark.parametrize("function", ["no_such_module:short", "json:no_such_function", "json.decoder:NaN"])
def test_an_unimportable_function_names_key_and_line(
    write: Write, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    monkeypatch.syspath_prepend("unused")
    with pytest.raises(ConfigError) as caught:
        check_references(loaded_with_code(write, function))
    assert caught.value.key == "loops.0.evaluators.1.function"
    assert caught.value.line == line_of(with_code(function), function)
    assert function.split(":")[0] in str(caught.value)


def test_templates_are_a_file_a_built_in_judge_or_the_text(write: Write, tmp_path: Path) -> None:
    (tmp_path / "judge.md").write_text("Judge {output}", encoding="utf-8")
    assert read_template("judge.md", tmp_path) == "Judge {output}"
    assert read_template("Is {output} good?", tmp_path) == "Is {output} good?"
    assert "{output}" in read_template("correctness", tmp_path)
    check_references(load_config(write(changed("template: correctness", "template: judge.md"))))


@pytest.mark.parametrize("template", ["prompts/missing.md", "'Judge {outptu}'", "'Judge {input}'"])
def test_a_template_that_cannot_be_used_names_key_and_line(
    write: Write, monkeypatch: pytest.MonkeyPatch, template: str
) -> None:
    monkeypatch.syspath_prepend("unused")
    text = changed("template: correctness", f"template: {template}")
    with pytest.raises(ConfigError) as caught:
        check_references(load_config(write(text)))
    assert caught.value.key == "loops.0.evaluators.0.template"
    assert caught.value.line == line_of(text, template)


@pytest.mark.parametrize(
    ("template", "rails", "refused"),
    [
        ("correctness", "{correct: 0, incorrect: 1}", True),
        ("correctness", "{Incorrect: 1, Correct: 0.5}", True),
        ("toxicity", "{toxic: 1, non_toxic: 0}", True),
        ("faithfulness", "{unfaithful: 1, faithful: 0}", True),
        ("format", "{malformed: 1, well_formed: -1}", True),
        ("helpfulness", "{helpful: 1, partly_helpful: 0, unhelpful: 0.5}", True),
        ("copied.md", "{correct: 0, incorrect: 1}", True),
        ("helpfulness", "{helpful: 1, partly_helpful: 1, unhelpful: 0}", False),
        ("correctness", "{incorrect: -1, correct: 5}", False),
        ("correctness", "{yes: 0, no: 1}", False),
        ("own.md", "{correct: 0, incorrect: 1}", False),
    ],
)
def test_inverted_rails_of_a_built_in_judge_are_an_error_on_load(
    write: Write, tmp_path: Path, template: str, rails: str, *, refused: bool
) -> None:
    (tmp_path / "copied.md").write_text(read_template("correctness", tmp_path) + "\n", encoding="utf-8")
    (tmp_path / "own.md").write_text("Is it wrong? {output}", encoding="utf-8")
    text = changed("template: correctness", f"template: {template}").replace("{correct: 1, incorrect: 0}", rails)
    if not refused:
        check_references(load_config(write(text)))
        return
    with pytest.raises(ConfigError, match="a higher score is better: write rails: ") as caught:
        check_references(load_config(write(text)))
    assert caught.value.key == "loops.0.evaluators.0.rails"
    assert caught.value.line == line_of(text, rails)


def test_platform_scores_point_at_nothing(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend("unused")
    check_references(load_config(write(changed("    policy:", "      - {name: csat, kind: platform}\n    policy:"))))


def test_an_error_about_a_configuration_without_a_file_has_no_line() -> None:
    loaded = ConfigFile(config=load_text(GOOD), folder=Path())
    error = loaded.error("wrong", "loops.0.name")
    assert (error.line, error.file) == (None, "")


def load_text(text: str) -> ProjectConfig:
    return ProjectConfig.model_validate(read_document(text.encode(), file="", variable=lambda _: None).value)


def test_what_init_writes_loads_and_points_at_what_is_there(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.syspath_prepend("unused")
    text = config_text(date(2026, 11, 26), lambda name: None)
    loaded = load_config(write(text))
    check_references(loaded)
    assert loaded.config.loops[0].start == date(2026, 9, 28)
    assert "@" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_init_is_filled_from_the_environment_but_for_secrets() -> None:
    given = {
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OPENAI_API_KEY": "sk-secret",
        "SIA_JUDGE_MODEL": "small",
        "SIA_OPTIMIZER_MODEL": "large",
    }
    text = config_text(date(2026, 11, 23), given.get)
    assert "base_url: http://127.0.0.1:9/v1" in text
    assert "model: small" in text
    assert "model: large" in text
    assert "sk-secret" not in text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"ARIZE_SPACE_ID": "U3BhY2U6MQ==", "ARIZE_MODEL_ID": "desk", "PHOENIX_BASE_URL": "http://127.0.0.1:6006"},
            ArizeTracesConfig(source="arize", space_id="U3BhY2U6MQ==", project="desk"),
        ),
        (
            {"PHOENIX_BASE_URL": "http://127.0.0.1:9"},
            PhoenixTracesConfig(source="phoenix", base_url="http://127.0.0.1:9"),
        ),
        ({"ARIZE_SPACE_ID": "a space without a project"}, LocalTracesConfig(source="local", path="traces/")),
    ],
)
def test_init_names_the_trace_store_that_the_environment_names(
    given: dict[str, str], expected: TracesConfig, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    text = config_text(date(2026, 11, 23), given.get)
    assert load_config(write(text)).config.loops[0].traces == expected
    more = re.sub(r"^( *)# (?=write_back:|publish:)", r"\1", text, flags=re.M)
    assert load_config(write(more)).config.loops[0].write_back == (expected.source != "local")
    assert max(map(len, text.splitlines())) <= 120


PLATFORMS = {
    "arize": "source: arize\n      project: desk\n      space_id: s",
    "phoenix": "source: phoenix",
    "local": "source: local\n      path: traces",
}


@pytest.mark.parametrize(
    ("source", "more", "key", "said"),
    [
        ("local", "write_back: true", "loops.0.write_back", "local traces are files"),
        ("local", "publish: [file, arize_prompt_hub]", "loops.0.publish", "traces.source: arize, and this loop's is"),
        ("phoenix", "publish: [arize_experiments]", "loops.0.publish", "traces.source: arize"),
        ("arize", "publish: [phoenix_prompts]", "loops.0.publish", "traces.source: phoenix"),
        ("phoenix", "publish: [phoenix_prompts]\n    prompt_name: My Desk!", "loops.0.prompt_name", "small letters"),
    ],
)
def test_what_goes_back_to_a_platform_needs_that_platform(
    source: str, more: str, key: str, said: str, refused: Refused
) -> None:
    error = refused(changed("source: local\n      path: traces/", PLATFORMS[source] + f"\n    {more}"))
    assert error.key == key
    assert said in str(error)


@pytest.mark.parametrize("source", ["arize", "phoenix"])
def test_a_platforms_loop_loads_with_all_that_it_can_give_back(source: str, write: Write) -> None:
    target = {"arize": "arize_prompt_hub, arize_experiments", "phoenix": "phoenix_prompts"}[source]
    more = f"{PLATFORMS[source]}\n    write_back: true\n    publish: [file, {target}]"
    loop = load_config(write(changed("source: local\n      path: traces/", more))).config.loops[0]
    assert loop.traces.source == source
    assert loop.prompt == loop.name


def test_a_key_of_the_trace_store_is_a_variables_name(refused: Refused) -> None:
    told = str(refused(changed("source: local\n      path: traces/", PLATFORMS["arize"] + "\n      api_key: ak-12345")))
    assert "ak-12345" not in told
    assert "loops.0.traces.api_key" in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source: arise", "there is no source 'arise'; write one of 'local', 'arize', 'phoenix'"),
        ("path: traces/", "`source` is missing; write source: arize, phoenix or local"),
        ("source: arize\n      space_id: s", "loops.0.traces.project: this key is missing"),
        ("source: phoenix\n      base_url: http://me:pw@127.0.0.1:6006", "write the secret as api_key"),
        ("source: arize\n      project: p\n      space_id: s\n      spaceid: s", "did you mean `space_id`?"),
    ],
)
def test_a_wrong_trace_store_is_told_by_its_key(text: str, said: str, refused: Refused) -> None:
    assert said in str(refused(changed("source: local\n      path: traces/", text)))


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("base_url: http://127.0.0.1:1/v1", "base_url: https://me:wq7wq7@example.com/v1", "llm.base_url"),
        ("base_url: http://127.0.0.1:1/v1", "base_url: https://wq7wq7@example.com/v1", "llm.base_url"),
        (
            "base_url: http://127.0.0.1:1/v1",
            "stages: {judge: {base_url: 'https://me:wq7wq7@example.com/v1'}}",
            "llm.stages.judge.base_url",
        ),
        ("storage: here", "storage: sftp://me:wq7wq7@example.com/sia", "storage"),
        ("storage: here", "storage: ${SIA_SECRET_STORAGE}", "storage"),
    ],
)
def test_a_password_in_an_address_is_refused_before_anything_shows_it(
    old: str, new: str, key: str, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIA_SECRET_STORAGE", "sftp://me:wq7wq7@example.com/sia")
    error = refused(changed(old, new))
    assert error.key == key
    assert "which would be shown" in str(error)
    assert "wq7wq7" not in str(error)


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket/a@b:c",
        "abfs://sia@account.dfs.core.windows.net/sia",
        "sftp://me@example.com/sia",
        "a@b:c/d",
        "sftp://[me:pw@example.com/sia",
    ],
)
def test_a_storage_without_a_password_is_taken(address: str) -> None:
    assert ProjectConfig(storage=address, loops=(loop_config(),)).storage == address
    with pytest.raises(ValidationError) as caught:
        ProjectConfig(storage="sftp://me:wq7wq7@example.com/sia", loops=(loop_config(),))
    assert "wq7wq7" not in str(caught.value)


def test_every_optional_key_of_the_written_file_can_be_uncommented(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv("SIA_WEBHOOK", "https://hooks.example.com")
    text = re.sub(r"^( *)# (?=  |- |[a-z_]+:)", r"\1", config_text(date(2026, 11, 23), lambda name: None), flags=re.M)
    config = load_config(write(text)).config
    assert [e.kind for e in config.loops[0].evaluators] == ["llm_classify", "code", "platform"]
    assert config.llm.prices["my-model"].output == 0.4
    assert config.loops[0].notify.webhook == "SIA_WEBHOOK"
    assert config.loops[0].traces.where == "name = 'ChatCompletion'"


DOCS = places.DOCS / "configuration.md"
ROW = re.compile(r"^\| `([^`]+)` \|(.*)\|$", re.M)


def documented() -> dict[str, list[str]]:
    rows = ROW.findall(DOCS.read_text(encoding="utf-8"))
    return {key: [cell.strip() for cell in cells.split(" | ")] for key, cells in rows if not key.isupper()}


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Each key as `loops[].validation.alpha`; `[]` stands for an item, `*` for a free name."""
    for name, field in model.model_fields.items():
        yield prefix + name
        text = str(field.annotation)
        between = "[]." if "tuple[" in text.lower() else ".*." if "dict[" in text.lower() else "."
        for section in models_in(field.annotation):
            yield from keys_of(section, f"{prefix}{name}{between}")


def models_in(annotation: Any) -> tuple[type[BaseModel], ...]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    return tuple(model for part in get_args(annotation) for model in models_in(part))


def test_the_documentation_names_every_key_and_no_other() -> None:
    assert set(documented()) - {"SIA_CONFIG", "SIA_STORAGE"} == set(keys_of(ProjectConfig))


def defaults_of(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        if field.is_required():
            yield prefix + name, "required"
        elif isinstance(field.default, str | float | int) and field.default != "":
            yield prefix + name, f"`{field.default}`"


def test_the_documentation_gives_the_defaults() -> None:
    rows = documented()
    models: list[tuple[type[BaseModel], str]] = [(ProjectConfig, "")]
    models += [(kind, "loops[].evaluators[].") for kind in (LLMClassifyConfig, CodeConfig, PlatformConfig)]
    fields = ProjectConfig.model_fields["loops"].annotation
    loop = fields.__args__[0]  # type: ignore[union-attr]  # tuple[LoopConfig, ...]
    models.append((loop, "loops[]."))
    models += [(loop.model_fields[s].annotation, f"loops[].{s}.") for s in ("policy", "validation", "notify")]
    models += [(kind, "loops[].traces.") for kind in (LocalTracesConfig, PhoenixTracesConfig)]
    models.append((ArizeTracesConfig, "loops[].traces."))
    for model, prefix in models:
        for key, default in defaults_of(model, prefix):
            assert default in " ".join(rows[key]), key


def test_the_example_in_the_documentation_is_what_is_said(refused: Refused) -> None:
    shown = re.search(r"^loops\.0\.sample_limt: .*(?= \[)", DOCS.read_text(encoding="utf-8"), re.M)
    assert shown is not None
    assert shown[0] in str(refused(changed("start: 2026", "sample_limt: 3\n    start: 2026")))


def test_secrets_are_known_by_their_place() -> None:
    assert is_secret(("llm", "api_key"))
    assert is_secret(("llm", "completions"))
    assert is_secret(("llm", "stages", "judge", "api_key"))
    assert not is_secret(("llm", "stages", "judge", "base_url"))
    assert is_secret(("loops", 3, "notify", "webhook"))
    assert is_secret(("loops", 0, "traces", "api_key"))
    assert not is_secret(("llm", "base_url"))
    assert (
        nearest_key("exact", ("llm", "prices", "some-model"))
        == "known here: batch_discount, cached_input, input, output"
    )


def test_a_template_may_be_a_block_of_text(write: Write) -> None:
    block = textwrap.indent("Judge this:\n{output}\n", " " * 10)
    loaded = load_config(write(changed("template: correctness", f"template: |\n{block}")))
    judge = loaded.config.loops[0].evaluators[0]
    assert isinstance(judge, LLMClassifyConfig)
    assert judge.template == "Judge this:\n{output}\n"
