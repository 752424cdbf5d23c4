"""What a trace says stays text: in the UI's Markdown, in a terminal, in a report."""

import json
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from sia_dagster.cli import run_command
from sia_dagster.cli.policy.policy_text import promotion_text
from sia_dagster.core.gate.criteria import CriteriaInput, no_slice_loses
from sia_dagster.core.openinference.tools import read_tools
from sia_dagster.core.progress import Advance
from sia_dagster.core.records.comparison import SliceComparison
from sia_dagster.core.records.registry import Promotion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import Message
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.statistics.compare import ComparisonRule
from sia_dagster.core.traffic.dimensions import dimensions_of
from sia_dagster.defs.claims import CANDIDATE_IS_BETTER
from sia_dagster.defs.verdicts import verdict_metadata
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster.demo.server import SimulatedProvider
from sia_dagster.demo.spans import SimulatedCall, llm_span, table
from sia_dagster.demo.traffic import WeekPlan, write_traffic
from sia_dagster.reports.limitations import limitations
from sia_dagster.reports.wording import visible
from sia_dagster.wiring.loop_session import StageResult
from sia_dagster_tests.reports.test_markdown import ADDRESS, kinds
from sia_dagster_tests.worlds import gate_cases as gate
from sia_dagster_tests.worlds import report_cases as cases
from sia_dagster_tests.worlds import verdicts
from sia_dagster_tests.worlds.cli_world import FIRST, Sia, caller, configure, enter
from sia_dagster_tests.worlds.verdicts import BETTER
from simulation.loops import NAME, WEEKS, Desk, failure, materialization

TAG = "![vip](http://127.0.0.1/p.png) [/x] \x1b[2J\u202e <b>now</b>"
"""As an application may tag a call, or name its model."""


@pytest.fixture
def sia(capsys: pytest.CaptureFixture[str]) -> Sia:
    return caller(capsys)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter(tmp_path, monkeypatch)


def tagged() -> ValidationReport:
    """A verdict whose reason names a part of the traffic as its traces tag it."""
    lost = SliceComparison(dimension="tag", value=TAG, share=0.3, finding="loses", comparison=BETTER)
    evidence = CriteriaInput(
        comparisons=(BETTER,), rule=ComparisonRule(), conversations=60, candidate_changed=True, slices=(lost,)
    )
    reasons = tuple(finding.sentence for finding in no_slice_loses(evidence))
    assert any(TAG in reason for reason in reasons)
    return gate.report().model_copy(update={"verdict": "reject", "reasons": reasons, "slices": (lost,)})


def test_the_reasons_in_the_ui_hold_no_picture_link_or_tag(tmp_path: Path) -> None:
    outcome = StageResult(tagged(), {}, Advance(done=1, of=1, what="rows"))
    shown = verdict_metadata(outcome, gate.state(), cases.update(), tmp_path / "r.html")
    for name in ("reasons", "summary"):
        text = str(shown[name].value)
        assert not kinds(text) & {"image", "link_open", "html_inline", "html_block"}, name
        assert not ADDRESS.search(text), name
        assert "\x1b" not in text, name


def test_checks_and_failures_hold_no_hidden_character(tmp_path: Path) -> None:
    """Dagster writes both to the log of the run."""
    told = CANDIDATE_IS_BETTER.holds(False, f"reject: {TAG}").description or ""
    assert "[/x] ⟨U+001B⟩[2J⟨U+202E⟩" in told
    verdicts.store(tmp_path, verdicts.report(WEEKS[0], BASE_POLICY, BASE_POLICY, loop=NAME))
    with dg.DagsterInstance.ephemeral() as instance:
        found = Desk(tmp_path, "http://127.0.0.1:9/v1", instance=instance)
        other = f"{NAME}\x1b[2J"
        file = found.file("validation_results")
        file.write_text(file.read_text(encoding="utf-8").replace(f'"{NAME}"', json.dumps(other)), encoding="utf-8")
        assert "loop desk⟨U+001B⟩[2J" in failure(found.run(WEEKS[0].key, "promoted_policy"))[1]


def test_a_terminal_is_told_and_not_spoken_to() -> None:
    facts = {
        "loop": "desk",
        "window": "w",
        "verdict": "reject",
        "reasons": tagged().reasons,
        "samples_needed": None,
        "report": "r.html",
        "examined_in": None,
        "approve": None,
        "not_promoted": "",
        "search": "",
    }
    refused = Promotion(loop="desk", window=cases.WINDOW, reason=f"the verdict is reject: {TAG}")
    for told in (run_command._text(facts), promotion_text(refused)):
        assert "[/x] ⟨U+001B⟩[2J⟨U+202E⟩ <b>now</b>" in told
        assert "\x1b" not in told


def test_an_error_that_quotes_a_trace_does_not_speak_to_the_terminal(sia: Sia, folder: Path) -> None:
    refused = sia("run", "--loop", "\x1b[2Jdesk", "--window", FIRST.key)
    assert refused.code == 1
    refused = sia("policy", "promote", "--loop", "message_desk", "--window", "\x1b]0;gone\x07")
    assert "⟨U+001B⟩]0;gone⟨U+0007⟩" in refused.err
    assert "\x1b" not in refused.err


def test_a_models_name_is_no_markup(sia: Sia, folder: Path) -> None:
    with SimulatedProvider() as provider:
        configure(folder, provider.base_url)
        policy = BASE_POLICY.model_copy(update={"model": "[/x][red]large\x1b[31m"})
        write_traffic(folder / "traces", FIRST, policy, WeekPlan(conversations=20))
        seen = sia("check", "--window", FIRST.key)
    assert "estimated cost" in seen.out
    assert "([/x][red]large⟨U+001B⟩[31m)" in "".join(seen.out.split())
    assert "\x1b" not in seen.out


NAMES = [f"model {n} {'x' * 5000}" for n in range(60)]


def test_any_number_of_models_of_any_length_makes_one_short_sentence() -> None:
    state = gate.state()
    samples = [state.samples[0].model_copy(update={"model": name}) for name in NAMES]
    sentences = limitations(state.model_copy(update={"samples": samples}), gate.report())
    (sentence,) = [each for each in sentences if "model 0" in each]
    assert "and 54 more models, which produced 100 % of the window's samples" in sentence
    assert len(sentence) < 1000
    (part,) = dimensions_of(samples[0].model_copy(update={"model": f"a\n{NAMES[0]}"}))["model"]
    assert (part[:10], len(part)) == ("a model 0 ", 80)


def test_any_number_of_models_of_any_length_makes_a_short_table(tmp_path: Path) -> None:
    hello, start = (Message(role="user", content="hello"),), WEEKS[0].start + timedelta(hours=1)
    spans = [
        llm_span(
            SimulatedCall(user=f"u{n}", session=f"s{n}", trace=f"t{n}", span=f"{n:016x}", start=start, history=hello),
            BASE_POLICY.model_copy(update={"model": name}),
        )[0]
        for n, name in enumerate(NAMES)
    ]
    (tmp_path / "traces").mkdir()
    pq.write_table(table(spans), tmp_path / "traces" / "calls.parquet")
    with dg.DagsterInstance.ephemeral() as instance:
        found = Desk(tmp_path, "http://127.0.0.1:9/v1", instance=instance).run(WEEKS[0].key, "traces")
    shown = materialization(found, "traces").metadata["models"].value
    assert isinstance(shown, dg.TableMetadataValue)
    assert [len(str(record.data["model"])) <= 80 for record in shown.records] == [True] * 21
    assert shown.records[-1].data == {"model": "40 more", "calls": 40}


REMOTE = {
    "type": "mcp",
    "server_label": "orders",
    "server_url": "https://mcp.example.com",
    "allowed_tools": ["look_up"],
}


@pytest.mark.parametrize("name", [{}, {"name": "orders"}], ids=["without a name", "with a name"])
@pytest.mark.parametrize(
    "secret",
    [
        {"authorization": "wq7wq7"},
        {"headers": {"Authorization": "Bearer wq7wq7", "X-Desk": "wq7wq7"}},
        {"connection": {"api_key": "wq7wq7", "kind": "http"}},
        {"access_token": "wq7wq7"},
        {"clientSecret": "wq7wq7"},
    ],
)
def test_what_opens_a_remote_tool_comes_into_no_policy(secret: JsonObject, name: JsonObject) -> None:
    tool = {**REMOTE, **name, **secret}
    (read,) = read_tools([{"tool.json_schema": json.dumps(tool)}])
    assert read.items() >= {**REMOTE, **name}.items()
    assert "wq7wq7" not in json.dumps(read)


def test_a_functions_own_schema_stays_whole() -> None:
    schema = {"type": "object", "properties": {"token": {"type": "string"}, "headers": {"type": "object"}}}
    function = {"type": "function", "function": {"name": "send", "parameters": schema}}
    assert read_tools([function]) == (function,)
    assert read_tools([{"type": "function", "name": "send", "parameters": schema}]) == (function,)
    search = {"type": "web_search", "search_context_size": "low", "user_location": {"type": "approximate"}}
    assert read_tools([search]) == (search,)


@pytest.mark.parametrize(
    "character",
    ["\u200e", "\u200f", "\u206a", "\u206f", "\u034f", "\u115f", "\u17b4", "\u180b", "\u2800", "\u3164", "\uffa0",
     "\ufff0", "\U0001bca0", "\U0001d173", "\U000e0041", "\U000e0101"],
)  # fmt: skip
def test_every_character_that_hides_or_turns_text_is_written_out(character: str) -> None:
    assert visible(f"a{character}b") == f"a⟨U+{ord(character):04X}⟩b"


@pytest.mark.parametrize("text", ["می\u200cبینم", "👩\u200d💻", "❤\ufe0f", "e\u0301", "क्ष"])
def test_ordinary_writing_stays_as_it_is(text: str) -> None:
    assert visible(text) == text
