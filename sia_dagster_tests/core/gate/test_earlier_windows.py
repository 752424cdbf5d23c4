"""Earlier windows fill the holdout: their held-out calls under the policy in force now, wherever they are read from."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sia_dagster.adapters.files.span_table import place, stage_spans, stored_in
from sia_dagster.adapters.local.local_traces import LocalTraces
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.errors import TraceError, TracesUnavailable
from sia_dagster.core.gate.earlier_windows import EarlierWindows, holdout_of_earlier
from sia_dagster.core.openinference.samples import MappedSpans, samples_from_rows
from sia_dagster.core.openinference.schema import SPAN_SCHEMA
from sia_dagster.core.ports.trace_store import SpanQuery, TraceSource, span_query
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.funnel import FunnelCount
from sia_dagster.core.records.gate import HeldOut
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import Message, Sample, TimeWindow, split_of
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.traffic.baseline import build_baseline
from sia_dagster.wiring.loop_session import ChatSettings, LoopSession
from simulation.loops import WEEKS, desk, failure

START = datetime(2026, 9, 28, tzinfo=UTC)


WEEK = timedelta(weeks=1)


WINDOWS = tuple(
    TimeWindow(key=f"{START + n * WEEK:%Y-%m-%d}", start=START + n * WEEK, end=START + (n + 1) * WEEK) for n in range(4)
)


NOW = WINDOWS[3]


BEFORE = WINDOWS[2::-1]


PROMPT = "You answer the customers of a shop in one short and friendly sentence, and you never promise a date."


POLICY = Actions(system_prompt=PROMPT, model="app")


WORDS = "abcdefghij"


def call(window: TimeWindow, number: int, system: str = PROMPT, **columns: Any) -> dict[str, Any]:
    """One call as Arize exports it, its question spelled so that no two are near-duplicates."""
    spelled = "".join(WORDS[int(digit)] for digit in f"{number:03}")
    values: dict[str, Any] = {
        "context.span_id": f"{window.key}/{number:03}",
        "context.trace_id": f"{window.key}/trace-{number}",
        "name": "ChatCompletion",
        "start_time": (window.start + timedelta(minutes=number)).isoformat(),
        "status_code": "OK",
        "attributes.openinference.span.kind": "LLM",
        "attributes.llm.model_name": "app",
        "attributes.session.id": f"{window.key}/session-{number}",
        "attributes.llm.input_messages": [
            {"message.role": "system", "message.content": system},
            {"message.role": "user", "message.content": f"Where is parcel {spelled} of {window.key}?"},
        ],
        "attributes.llm.output_messages": [{"message.role": "assistant", "message.content": "Soon."}],
        "eval.csat.score": 1.0,
    }
    return values | columns


def write(folder: Path, count: int = 40, windows: Sequence[TimeWindow] = WINDOWS, **columns: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for window in windows:
        rows = [call(window, number, **columns) for number in range(count)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{window.key}.jsonl").write_text(text, encoding="utf-8")
    return folder


def loop(folder: Path, **validation: Any) -> LoopConfig:
    return LoopConfig.model_validate(
        {
            "name": "desk",
            "traces": {"source": "local", "path": str(folder)},
            "start": WINDOWS[0].key,
            "evaluators": [
                {"name": "brief", "kind": "code", "function": "sia_dagster_tests.worlds.search_world:is_brief"}
            ],
            "policy": {"model": "optimizer"},
            "validation": {"primary": "brief", **validation},
        }
    )


def session(config: LoopConfig, folder: Path) -> LoopSession:
    chat = ChatSettings(llm=LLMConfig(base_url="http://127.0.0.1:9/v1"), completions=folder / "completions.sqlite")
    return LoopSession(loop=config, window=NOW, chat=chat, folder=folder)


def spans(source: TraceSource, config: LoopConfig, window: TimeWindow) -> MappedSpans:
    rows = [row for batch in source.spans(span_query(config, window)) for row in batch.to_pylist() if row["sampled"]]
    return samples_from_rows(rows)


def state_of(source: TraceSource, config: LoopConfig, *registry: PolicyVersion) -> StateActions:
    return build_baseline("desk", NOW, spans(source, config, NOW), {}, (), registry)


def nothing_stored(_: str) -> None:
    return None


def filled(
    folder: Path,
    *registry: PolicyVersion,
    source: TraceSource | None = None,
    stored: Any = nothing_stored,
    learned_in: str | None = None,
    **rules: Any,
) -> HeldOut:
    """What the holdout of `NOW` is filled with from the traces in `folder`."""
    config, local = loop(folder, **rules), LocalTraces(folder)
    state = state_of(local, config, *registry)
    reads = local if source is None else source
    earlier = EarlierWindows(BEFORE, registry, reads, stored)
    return earlier.held_out(config, state, learned_in=learned_in)


def version(number: int, actions: Actions, at: datetime) -> PolicyVersion:
    return PolicyVersion(version=number, loop="desk", kind="promote", actions=actions, at=at)


def window_of(sample: Sample) -> str:
    return sample.span_id.split("/")[0]


class Watched:
    """A real source that remembers what it was asked, and does not find what is older than it keeps."""

    def __init__(self, source: TraceSource, *, keeps_from: datetime = START, silent_on: str = "") -> None:
        self.source, self.keeps_from, self.silent_on = source, keeps_from, silent_on
        self.asked: list[SpanQuery] = []

    def spans(self, query: SpanQuery, funnel: FunnelCount | None = None) -> Iterator[pa.RecordBatch]:
        self.asked.append(query)
        if query.window.key == self.silent_on:
            raise TracesUnavailable("no route to host")
        if query.window.start < self.keeps_from:
            raise TraceError("spans are kept for 14 days")
        yield from self.source.spans(query, funnel)


def test_the_holdout_is_filled_from_the_windows_before_the_newest_first(tmp_path: Path) -> None:
    found = filled(write(tmp_path / "traces"), max_conversations=50)
    order = sorted({window_of(sample) for sample in found.samples}, reverse=True)
    assert order == [window.key for window in (NOW, *BEFORE)][: len(order)]
    assert len(order) > 2
    asked = {found.unit(sample) for sample in found.samples if window_of(sample) == NOW.key}
    assert {found.unit(s) for s in found.samples} == asked, "the same requests come every week, and count once"
    assert len(found.samples) == 50
    assert all(split_of(sample.conversation_id) == "holdout" for sample in found.samples)
    assert all(found.windows.get(sample.span_id, NOW.key) == window_of(sample) for sample in found.samples)
    assert [window.window for window in found.pooled] == [window.key for window in BEFORE[: len(found.pooled)]]
    assert all(sample.evals == () for sample in found.samples)


def test_reading_stops_where_there_are_enough(tmp_path: Path) -> None:
    folder = write(tmp_path / "traces")
    source = Watched(LocalTraces(folder))
    assert filled(folder, source=source, max_conversations=5).pooled == ()
    assert source.asked == []
    filled(folder, source=source, max_conversations=30)
    assert [query.window for query in source.asked] == [BEFORE[0]]
    assert source.asked[0] == span_query(loop(folder), BEFORE[0])
    assert filled(folder, source=source, pool_windows=0).pooled == ()
    assert len(source.asked) == 1


def test_stored_traces_and_the_source_give_the_same(tmp_path: Path) -> None:
    folder, assets = write(tmp_path / "traces"), tmp_path / "assets"
    source, config = LocalTraces(folder), loop(folder)
    from_source = filled(folder)
    for window in BEFORE[:2]:
        place(stage_spans(source.spans(span_query(config, window))), assets / f"{window.key}.parquet")
    watched = Watched(source)
    assert filled(folder, source=watched, stored=stored_in(assets)) == from_source
    assert [query.window for query in watched.asked] == [BEFORE[2]], "only what is not stored is read"


def test_what_cannot_be_read_any_more_is_named_and_no_failure(tmp_path: Path) -> None:
    folder = write(tmp_path / "traces")
    found = filled(folder, source=Watched(LocalTraces(folder), keeps_from=BEFORE[0].start))
    newest, *gone = found.pooled
    assert newest.used > 0
    assert [(window.conversations, window.used) for window in gone] == [(0, 0), (0, 0)]
    assert {window.reason for window in gone} == {"it cannot be read any more: spans are kept for 14 days"}


def test_a_source_that_does_not_answer_is_a_failure_since_the_evidence_would_stand_for_good(tmp_path: Path) -> None:
    folder = write(tmp_path / "traces")
    silent = Watched(LocalTraces(folder), silent_on=BEFORE[1].key)
    with pytest.raises(TracesUnavailable, match=rf"no route to host\. The holdout of window {BEFORE[1].key} was to be"):
        filled(folder, source=silent, max_conversations=500)
    assert filled(folder, source=silent, max_conversations=30).windows, "what is not needed is not asked for"


def test_stored_traces_whose_storage_does_not_answer_are_a_failure(tmp_path: Path) -> None:
    (tmp_path / f"{NOW.key}.parquet").mkdir()
    with pytest.raises(TracesUnavailable, match=rf"{NOW.key}\.parquet cannot be read now .*; check `storage`"):
        stored_in(tmp_path)(NOW.key)


def test_what_was_stored_when_windows_were_cut_otherwise_is_not_read(tmp_path: Path) -> None:
    """A month under the key of its first week: read as that week, it would tell of weeks to come."""
    later = NOW.model_copy(update={"key": "2026-10-26", "start": NOW.end, "end": NOW.end + WEEK})
    folder, assets = write(tmp_path / "traces", windows=(*WINDOWS, later)), tmp_path / "assets"
    month = BEFORE[2].model_copy(update={"end": later.end})
    place(stage_spans(LocalTraces(folder).spans(span_query(loop(folder), month))), assets / f"{month.key}.parquet")
    assert filled(folder, stored=stored_in(assets), max_conversations=500) == filled(folder, max_conversations=500)


def test_a_candidate_whose_own_window_is_gone_is_asked_of_none_before_it(tmp_path: Path) -> None:
    folder, found_in = write(tmp_path / "traces"), BEFORE[1].key

    def stored(key: str) -> Sequence[dict[str, Any]] | None:
        if key == found_in:
            raise TraceError("damaged")
        return None

    newest, own, oldest = filled(folder, stored=stored, learned_in=found_in, max_conversations=500).pooled
    assert newest.used > 0
    assert (own.reason, own.used) == ("it cannot be read any more: damaged", 0)
    assert oldest.used == 0
    assert oldest.reason.startswith("the samples that the candidate was learned from cannot be read any more")
    assert filled(folder, stored=stored, max_conversations=500).pooled[-1].used > 0


def test_a_carried_candidate_is_never_asked_what_it_was_learned_from(tmp_path: Path) -> None:
    """Its own window set relatives aside; of the windows before that one, this window's learners know nothing."""
    oldest, found_in = WINDOWS[:2]
    folder = write(tmp_path / "traces", windows=WINDOWS[2:])
    sides = {window: [split_of(f"{window.key}/session-{n}") for n in range(40)] for window in (oldest, found_in)}
    learned = [n for n, side in enumerate(sides[found_in]) if side == "train"][:5]
    held = [n for n, side in enumerate(sides[oldest]) if side == "holdout"]
    same = {oldest: held[: len(learned)], found_in: learned}
    for window, numbers in same.items():
        rows = [call(window, n) for n in range(40)]
        for letter, number in zip(WORDS, numbers, strict=False):
            rows[number]["attributes.llm.input_messages"][1]["message.content"] = (
                f"Where is crate {letter} of {oldest.key}?"
            )
        (folder / f"{window.key}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    met = {f"{oldest.key}/{n:03}" for n in same[oldest]}
    assert met <= filled(folder, max_conversations=500).windows.keys()
    assert met <= filled(folder, max_conversations=500, learned_in=WINDOWS[2].key).windows.keys()
    found = filled(folder, max_conversations=500, learned_in=found_in.key)
    assert not met & found.windows.keys()
    assert found.pooled[-1].used > 0


def test_a_window_that_is_neither_stored_nor_read_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "traces")
    config = loop(folder)
    state = state_of(LocalTraces(folder), config)
    found = EarlierWindows(BEFORE[:1], (), None, nothing_stored).held_out(config, state)
    assert found.windows == {}
    assert "there is no source to read them from" in found.pooled[0].reason
    assert len(found.samples) == len(state.of("holdout"))


def test_a_damaged_stored_window_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / f"{NOW.key}.parquet").write_bytes(b"no parquet")
    with pytest.raises(TraceError, match=rf"{NOW.key}\.parquet cannot be read .*; materialise its asset again"):
        stored_in(tmp_path)(NOW.key)
    assert stored_in(tmp_path)("2020-01-06") is None
    empty = pa.Table.from_pylist([], SPAN_SCHEMA)
    pq.write_table(empty, tmp_path / "2020-01-13.parquet")
    kept = stored_in(tmp_path)("2020-01-13")
    assert kept is not None
    assert kept == ()


def test_only_calls_of_the_policy_in_force_now_are_used(tmp_path: Path) -> None:
    other = "Translate the passage below into plain English, keep its numbers, and add nothing of your own to it."
    folder = write(tmp_path / "traces", windows=(NOW,))
    rows = [call(BEFORE[0], n, system=other if n % 3 == 0 else PROMPT) for n in range(60)]
    (folder / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = filled(folder, max_conversations=500)
    numbers = [int(sample.span_id[-3:]) for sample in found.samples if sample.span_id in found.windows]
    assert numbers
    assert all(number % 3 for number in numbers)


def filled_calls(window: TimeWindow, prompt: str, *, count: int = 30, recorded: bool = True) -> MappedSpans:
    """Calls whose prompt greets somebody by name."""
    samples = []
    for n in range(count):
        name = f"{window.key}/{n}"
        variables = {"name": f"customer {WORDS[n % 10]}{WORDS[n // 10]}"}
        samples.append(
            Sample(
                span_id=name,
                trace_id=name,
                conversation_id=name,
                start_time=window.start,
                split=split_of(name),
                system_prompt=prompt.format(**variables),
                template=prompt if recorded else None,
                variables=variables if recorded else {},
                messages=(Message(role="user", content=f"Where is parcel {variables['name']}?"),),
                output="Soon.",
                evals=(EvalMetrics(name="csat", score=1.0),),
                annotations=(EvalMetrics(name="csat", score=0.0),),
            )
        )
    return MappedSpans(samples=tuple(samples))


GREETING = "Greet {name}. Answer the customers of a shop in one short sentence and never promise a date."


GREETED = Actions(system_prompt=GREETING, variables=("name",))


def greeting_state(actions: Actions | None = GREETED, policy_version: int | None = None) -> StateActions:
    return StateActions(loop="desk", window=NOW, actions=actions, policy_version=policy_version)


def test_the_variables_of_earlier_prompts_are_those_of_the_policy_in_force_now() -> None:
    older = version(1, GREETED.model_copy(update={"system_prompt": GREETING.replace("one short", "a single")}), START)
    newest = version(2, GREETED, NOW.start)
    earlier = filled_calls(BEFORE[0], older.actions.system_prompt, recorded=False)
    found = holdout_of_earlier(earlier, greeting_state(policy_version=2), (older, newest))
    held = [sample for sample in earlier.samples if sample.split == "holdout"]
    assert [sample.span_id for sample in found.samples] == sorted(sample.span_id for sample in held)
    assert all(GREETED.render(sample.variables).startswith("Greet customer") for sample in found.samples)
    assert all(sample.evals == sample.annotations == () for sample in found.samples)


def test_versions_from_after_the_window_s_end_change_nothing() -> None:
    earlier = filled_calls(BEFORE[0], GREETING, recorded=False)
    newest = version(1, GREETED, NOW.start)
    later = version(2, Actions(system_prompt="Greet customer"), NOW.end)
    state = greeting_state(policy_version=1)
    assert holdout_of_earlier(earlier, state, (newest, later)) == holdout_of_earlier(earlier, state, (newest,))


def test_without_a_registry_the_policy_that_the_traces_show_stands_for_it() -> None:
    earlier = filled_calls(BEFORE[0], GREETING, recorded=False)
    found = holdout_of_earlier(earlier, greeting_state())
    assert found.samples
    assert all("name" in sample.variables for sample in found.samples)


def test_a_window_of_which_too_little_can_be_replayed_is_left_out_as_a_whole() -> None:
    whole = filled_calls(BEFORE[0], GREETING)
    cut = tuple(
        s if n % 3 == 0 else s.model_copy(update={"messages": (*s.messages, Message(role="assistant", content="So"))})
        for n, s in enumerate(whole.samples)
    )
    found = holdout_of_earlier(MappedSpans(samples=cut), greeting_state())
    assert found.samples == ()
    assert found.reason.startswith("only 10 of 30 calls can be replayed")


def test_too_little_left_is_the_reason_that_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path / "traces", windows=(NOW,))
    ends = [{"message.role": "user", "message.content": "a"}, {"message.role": "assistant", "message.content": "b"}]
    columns: dict[str, Any] = {"attributes.llm.input_messages": ends}
    write(folder, windows=BEFORE, **columns)
    found = filled(folder)
    assert [window.used for window in found.pooled] == [0, 0, 0]
    assert all(window.reason.startswith("only 0 of 40 calls can be replayed") for window in found.pooled)


def test_without_a_policy_nothing_is_read_as_its_own() -> None:
    found = holdout_of_earlier(filled_calls(BEFORE[0], GREETING), greeting_state(actions=None))
    assert (found.samples, found.reason) == ((), "no policy is in force")


def test_a_storage_that_does_not_answer_stops_the_stage_before_it_asks_a_model(tmp_path: Path) -> None:
    first, second = (week.key for week in WEEKS[:2])
    with desk(tmp_path) as (found, server):
        found.write(0)
        found.write(1)
        assert found.run(first, "traces").success
        up_to = ("traces", "eval_results", "judge_watch", "baseline_state_actions", "updated_policy")
        assert found.run(second, *up_to).success
        stored = found.file("traces", first)
        content = stored.read_bytes()
        stored.unlink()
        stored.mkdir()
        server.requests.clear()
        stage, said = failure(found.run(second, "validation_results"))
        assert stage == "validation_results"
        assert f"The holdout of window {first} was to be pooled" in said
        assert not server.requests
        stored.rmdir()
        stored.write_bytes(content)
        assert found.run(second, "validation_results").success
        assert found.document("validation_results", ValidationReport, second).pooled[0].used > 0
