"""Templates fill in what they name, built-in judges fit their rails, and trace text stays in its quotes."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.errors import ConfigError, EvaluatorError
from sia_dagster.core.evaluators.judge.judge_template import (
    SAMPLE_PLACEHOLDERS,
    parse_judge_template,
    parse_template,
    sample_texts,
)
from sia_dagster.core.prompting.prompts import BUILTIN_JUDGES, load_prompt
from sia_dagster.core.prompting.quoting import quote
from sia_dagster.core.records.sample import Message, ToolCall
from sia_dagster_tests.places import DOCS
from sia_dagster_tests.worlds.evaluation_samples import sample

CHAT = sample(
    "It comes on Friday.",
    messages=(
        Message(role="user", content="Where is it?"),
        Message(role="assistant", tool_calls=(ToolCall(name="track", arguments='{"id": 7}'),)),
        Message(role="tool", content="in Köln", tool_call_id="1"),
        Message(role="user", content="And when?"),
    ),
    variables={"tone": "warm"},
    template="Be {tone}.",
    parameters={"max_tokens": 50},
)


@pytest.mark.parametrize("name", BUILTIN_JUDGES)
def test_a_built_in_judge_is_a_template_that_explains_its_rails(name: str) -> None:
    text = load_prompt(name)
    assert "output" in parse_judge_template(text).names
    assert all(f"\n- {rail}: " in text for rail in BUILTIN_JUDGES[name])
    assert max(BUILTIN_JUDGES[name].values()) == 1.0
    assert min(BUILTIN_JUDGES[name].values()) == 0.0


@pytest.mark.parametrize("name", ["nothing", "../judges", "Correctness", ""])
def test_an_unknown_prompt_is_named_with_those_there_are(name: str) -> None:
    with pytest.raises(ConfigError, match="correctness, edits, faithfulness, format"):
        load_prompt(name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("input", "And when?"),
        ("output", "It comes on Friday."),
        ("system_prompt", "Answer briefly."),
        ("messages", 'user: Where is it?\nassistant: [calls track({"id": 7})]\ntool: in Köln\nuser: And when?'),
        ("variables.tone", "warm"),
        ("attributes.input.value", "And when?"),
        ("attributes.output.value", "It comes on Friday."),
        ("attributes.llm.model_name", "application"),
        ("attributes.llm.output_messages", '[{"role": "assistant", "content": "It comes on Friday."}]'),
        ("attributes.llm.invocation_parameters", '{"max_tokens": 50}'),
        ("attributes.llm.tools", "[]"),
        ("attributes.llm.prompt_template.template", "Be {tone}."),
        ("attributes.llm.prompt_template.variables", '{"tone": "warm"}'),
        ("attributes.llm.prompt_template.variables.tone", "warm"),
    ],
)
def test_a_placeholder_stands_for_its_part_of_the_sample(name: str, text: str) -> None:
    template = parse_template(f"{{{name}}}", SAMPLE_PLACEHOLDERS)
    texts = sample_texts(CHAT, template.names)
    assert texts == {name: text}
    assert text in template.fill(texts)


def test_input_messages_are_the_whole_chat_as_it_was_sent() -> None:
    name = "attributes.llm.input_messages"
    messages = json.loads(sample_texts(CHAT, [name])[name])
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "tool", "user"]
    bare = json.loads(sample_texts(CHAT.model_copy(update={"system_prompt": ""}), [name])[name])
    assert [m["role"] for m in bare] == ["user", "assistant", "tool", "user"]


def test_without_a_template_the_prompt_as_sent_stands_for_it() -> None:
    name = "attributes.llm.prompt_template.template"
    assert sample_texts(sample(), [name]) == {name: "Answer briefly."}


@pytest.mark.parametrize("name", ["variables.mood", "attributes.llm.prompt_template.variables.mood"])
def test_a_variable_that_was_not_recorded_is_named_with_the_span(name: str) -> None:
    with pytest.raises(EvaluatorError, match=r"span s1: .*mood.*recorded: tone"):
        sample_texts(CHAT, [name])
    with pytest.raises(EvaluatorError, match="recorded: none"):
        sample_texts(sample(), [name])


@pytest.mark.parametrize(
    ("template", "advice"),
    [
        ("{outptu}", "{outptu}, which nothing fills in. Did you mean {output}?"),
        ("{output} {attributes.llm.input_mesages}", "Did you mean {attributes.llm.input_messages}?"),
        ("{output} {x}", "Known are {input}, {output}, {system_prompt}, {messages}"),
        ("{output} {x}", "doubled: {{x}}"),
        ("{output} {variables.}", "{variables.}"),
        ("Judge {input}.", "write {output}"),
        ("Judge {{output}}.", "write {output} (single braces)"),
    ],
)
def test_a_template_that_cannot_work_is_refused_with_advice(template: str, advice: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_judge_template(template)
    assert advice in str(raised.value)


@pytest.mark.parametrize("name", ["output", "attributes.output.value", "attributes.llm.output_messages"])
def test_the_output_is_quoted_as_output_under_any_of_its_names(name: str) -> None:
    filled = parse_judge_template(f"{{{name}}}").fill({name: "text"})
    assert filled == quote("text", "output")


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ('Answer {"label": "x", "n": {"m": 1}}', 'Answer {"label": "x", "n": {"m": 1}}'),
        ('Answer {{"label": "x"}}', 'Answer {"label": "x"}'),
        ("{{output}} is literal", "{output} is literal"),
        ("{} {1} {a b} { x } }{", "{} {1} {a b} { x } }{"),
        ("", ""),
    ],
)
def test_other_braces_are_text(template: str, filled: str) -> None:
    assert parse_template(template, ["output"]).fill({}) == filled


def test_quotes_stand_on_lines_of_their_own_and_text_is_kept() -> None:
    filled = parse_template("A: {a}, b:\n{b}\n{a}{b}.", ["a", "b"]).fill({"a": "1", "b": "2"})
    one, two = quote("1", "a"), quote("2", "b")
    assert filled == f"A: \n{one}\n, b:\n{two}\n{one}\n{two}\n."


HOSTILE = st.text(alphabet=st.sampled_from("<>{}\n output0aé")) | st.text()


@given(HOSTILE, HOSTILE)
def test_no_value_ends_its_quote_or_is_filled_in_again(request: str, output: str) -> None:
    filled = parse_template("{input}\nthen\n{output}\nend", ["input", "output"]).fill(
        {"input": request, "output": output}
    )
    assert filled == f"{quote(request, 'input')}\nthen\n{quote(output, 'output')}\nend"
    tag = quote(output, "output").removeprefix("<<<output ")[:12]
    assert tag not in output


@given(st.text(alphabet=st.sampled_from("{}ab. \n\"':1")))
def test_any_text_is_parsed_or_refused_and_never_breaks(text: str) -> None:
    try:
        template = parse_template(text, ["a", "b"])
    except ConfigError:
        return
    assert set(template.names) <= {"a", "b"}
    assert template.fill({"a": "", "b": ""}).count("<<<") == sum(part.placeholder for part in template.parts)


def test_judges_are_read_without_heavy_imports() -> None:
    code = (
        "import sys, sia_dagster.core.evaluators.judge, sia_dagster.core.evaluators, sia_dagster.runners;"
        "print(sorted({'openai','pandas','numpy','scipy','pyarrow','duckdb','dagster'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_the_page_on_evaluators_names_every_placeholder_and_the_rails_of_every_judge() -> None:
    page = (DOCS / "evaluators.md").read_text(encoding="utf-8")
    assert [name for name in SAMPLE_PLACEHOLDERS if f"{{{name.replace('*', 'NAME')}}}" not in page] == []
    for name, rails in BUILTIN_JUDGES.items():
        written = ", ".join(f"{label}: {score:g}" for label, score in rails.items())
        assert f"| `{name}` | `{{{written}}}` |" in page
