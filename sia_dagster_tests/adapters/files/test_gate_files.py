"""The gate's log as files: of every record the first stands, and a window sees what was written before its end."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.files.gate_files import GateFiles
from sia_dagster.adapters.files.storage import file_names, storage_root
from sia_dagster.core.errors import GateLogError
from sia_dagster.core.ports.stores import GateLog
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.gate import Look
from sia_dagster.core.records.judge_report import Anchors, AnchorScore, JudgeWatch, WatchRecord
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Sample
from sia_dagster_tests.places import ROOT
from sia_dagster_tests.worlds.weeks import START, week

LATER = datetime(2027, 1, 1, tzinfo=UTC)
FINGERPRINT = "0123456789abcdef"


def look(number: int = 0, *, at: datetime | None = None, loop: str = "desk", name: str = "A", key: str = "") -> Look:
    window = week(number)
    return Look(
        loop=loop,
        window=window.model_copy(update={"key": key or window.key}),
        at=at or window.end,
        fingerprint="e",
        result="r",
        alpha_spent=0.01,
        verdict="inconclusive",
        baseline=Actions(system_prompt="Be polite."),
        candidate=Actions(system_prompt=name),
    )


def anchors(number: int = 0, *, by: str = "", scored: bool = True, at: datetime | None = None) -> Anchors:
    sample = Sample(
        span_id="s", trace_id="t", conversation_id="c", start_time=START, split="train", output="Your parcel is here."
    )
    said = EvalMetrics(name="correctness", score=1.0)
    return Anchors(
        loop="desk",
        evaluator="correctness",
        fingerprint=FINGERPRINT,
        window=week(number),
        at=at or week(number).end,
        by=by,
        scores=(AnchorScore(sample=sample, first=said, second=said),) if scored else (),
    )


def watch(number: int = 0, evaluator: str = "correctness", fingerprint: str = FINGERPRINT) -> WatchRecord:
    judge = JudgeWatch(evaluator=evaluator, fingerprint=fingerprint, anchors=30)
    return WatchRecord(loop="desk", window=week(number), at=week(number).end, judge=judge)


@pytest.fixture
def log(tmp_path: Path) -> GateFiles:
    return GateFiles(tmp_path, "desk")


def newest(log: GateLog, before: datetime = LATER) -> Anchors | None:
    return log.anchors("correctness", FINGERPRINT, before)


def test_an_empty_log_remembers_nothing(log: GateFiles) -> None:
    assert log.looks(LATER) == ()
    assert log.look(week(0).key) is None
    assert newest(log) is None
    assert log.watches(LATER) == ()


def test_the_storage_opens_the_log_of_a_loop(tmp_path: Path) -> None:
    from sia_dagster.defs.resources import Storage  # loads Dagster, which the processes below do without

    log: GateLog = Storage(root=str(tmp_path)).gate_log("desk")
    log.record_look(look())
    assert (tmp_path / "gate" / "desk" / "looks" / "2026-09-28.json").is_file()
    assert Storage(root=str(tmp_path)).gate_log("other").looks(LATER) == ()


def test_of_two_looks_of_a_window_the_first_stands(log: GateFiles) -> None:
    first = look(name="A")
    assert log.record_look(first) == first
    assert log.record_look(look(name="B", at=week(3).end)) == first
    assert log.look(week(0).key) == first
    assert log.looks(LATER) == (first,)


def test_looks_come_by_the_end_of_their_windows_however_they_were_written(log: GateFiles) -> None:
    looks = [look(number) for number in range(4)]
    for each in (looks[2], looks[0], looks[3], looks[1]):
        log.record_look(each)
    assert log.looks(LATER) == tuple(looks)


def test_what_is_recorded_at_the_cut_off_or_later_does_not_exist(log: GateFiles) -> None:
    log.record_look(look(0))
    log.record_watch(watch(0))
    log.freeze(anchors(0))
    end, instant = week(0).end, timedelta(microseconds=1)
    assert (log.looks(end), log.watches(end), newest(log, end)) == ((), (), None)
    assert log.looks(end + instant) == (look(0),)
    assert log.watches(end + instant) == (watch(0),)
    assert newest(log, end + instant) == anchors(0)


def test_a_windows_own_look_is_read_whenever_it_was_taken(log: GateFiles) -> None:
    late = look(0, at=LATER)
    log.record_look(late)
    assert log.looks(week(0).end) == ()
    assert log.look(week(0).key) == late


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 60)), max_size=12), st.integers(-1, 60))
def test_a_cut_off_hides_what_was_written_from_it_on_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[int, int]], cut: int
) -> None:
    log, before = GateFiles(tmp_path_factory.mktemp("log"), "desk"), START + timedelta(days=cut)
    first: dict[int, Look] = {}
    for number, day in written:
        entry = look(number, at=START + timedelta(days=day), name=str(day))
        assert log.record_look(entry) == first.setdefault(number, entry)
    assert log.looks(before) == tuple(first[number] for number in sorted(first) if first[number].at < before)


@pytest.mark.parametrize("key", ["2026-11-09-10:00", "2026-11-01-01:00", "2026-09", "a/b", "..", "50 %"])
def test_every_key_of_a_window_is_a_file_name(tmp_path: Path, log: GateFiles, key: str) -> None:
    log.record_look(look(key=key))
    (name,) = file_names(tmp_path / "gate" / "desk" / "looks")
    assert not set(name) & set(':/\\ "')
    assert [each.window.key for each in log.looks(LATER)] == [key]
    found = log.look(key)
    assert found is not None
    assert found.window.key == key


def test_two_hours_of_a_day_do_not_share_a_file(log: GateFiles) -> None:
    for hour in ("2026-11-09-10:00", "2026-11-09-11:00"):
        log.record_look(look(key=hour))
    assert len(log.looks(LATER)) == 2


def test_first_anchors_are_kept_only_where_there_are_none(log: GateFiles) -> None:
    log.freeze(anchors(0))
    log.freeze(anchors(1))
    assert newest(log) == anchors(0)


def test_anchors_that_a_person_froze_follow_the_old_ones(log: GateFiles) -> None:
    for each in (anchors(0), anchors(2, by="ann")):
        log.freeze(each)
    assert newest(log) == anchors(2, by="ann")
    assert newest(log, week(2).end) == anchors(0), "a window that ended before goes on with the old ones"


def test_after_anchors_without_scores_a_window_may_freeze_its_own(log: GateFiles) -> None:
    for each in (anchors(0), anchors(1, by="ann", scored=False)):
        log.freeze(each)
    assert newest(log) == anchors(1, by="ann", scored=False)
    log.freeze(anchors(2))
    log.freeze(anchors(3))
    assert newest(log) == anchors(2)


def test_anchors_of_another_fingerprint_or_evaluator_are_others(log: GateFiles) -> None:
    log.freeze(anchors())
    assert log.anchors("correctness", "f" * 16, LATER) is None
    assert log.anchors("tone", FINGERPRINT, LATER) is None


def test_what_was_watched_is_kept_once_for_each_judge(log: GateFiles) -> None:
    records = [watch(1), watch(0), watch(0, fingerprint="f" * 16), watch(0, evaluator="tone")]
    for each in records:
        log.record_watch(each)
    log.record_watch(watch(0).model_copy(update={"at": LATER - timedelta(days=1)}))
    found = log.watches(LATER)
    assert sorted(found, key=str) == sorted(records, key=str)
    assert found[-1] == watch(1)


def test_the_same_record_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        GateFiles(tmp_path / folder, "desk").record_look(look())
    path = Path("gate") / "desk" / "looks" / "2026-09-28.json"
    assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


READS: dict[str, tuple[Callable[[GateFiles], object], Callable[[GateFiles], object], str]] = {
    "looks": (lambda log: log.record_look(look()), lambda log: log.looks(LATER), "looks/2026-09-28.json"),
    "look": (lambda log: log.record_look(look()), lambda log: log.look("2026-09-28"), "looks/2026-09-28.json"),
    "standing": (
        lambda log: log.record_look(look()),
        lambda log: log.record_look(look(name="B")),
        "looks/2026-09-28.json",
    ),
    "anchors": (
        lambda log: log.freeze(anchors()),
        lambda log: newest(log),
        f"anchors/correctness/{FINGERPRINT}/000001.json",
    ),
    "watches": (
        lambda log: log.record_watch(watch()),
        lambda log: log.watches(LATER),
        f"watches/correctness/{FINGERPRINT}/2026-09-28.json",
    ),
}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"loop": "desk"}', "\x00\x01"])
@pytest.mark.parametrize("kind", READS)
def test_a_damaged_record_is_named_with_what_to_do(tmp_path: Path, log: GateFiles, kind: str, content: str) -> None:
    write, read, name = READS[kind]
    write(log)
    path = tmp_path / "gate" / "desk" / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(GateLogError, match="restore it from a backup") as caught:
        read(log)
    assert str(path) in str(caught.value)


def test_text_of_a_damaged_record_is_not_repeated(tmp_path: Path, log: GateFiles) -> None:
    log.record_look(look())
    path = tmp_path / "gate" / "desk" / "looks" / "2026-09-28.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"A"', '{"a customer": "said this"}'), encoding="utf-8")
    with pytest.raises(GateLogError) as caught:
        log.looks(LATER)
    assert "customer" not in str(caught.value)
    assert "candidate.system_prompt" in str(caught.value)


@pytest.mark.parametrize("kind", ["looks", "anchors", "watches"])
def test_a_record_in_the_wrong_place_is_named(tmp_path: Path, log: GateFiles, kind: str) -> None:
    write, _, name = READS[kind]
    write(log)
    source = tmp_path / "gate" / "desk" / name
    moved = tmp_path / "gate" / "desk" / name.replace("2026-09-28", "2026-10-05").replace(FINGERPRINT, "f" * 16)
    moved.parent.mkdir(parents=True, exist_ok=True)
    source.rename(moved)
    reads: dict[str, Callable[[], object]] = {
        "looks": lambda: log.look("2026-10-05"),
        "anchors": lambda: log.anchors("correctness", "f" * 16, LATER),
        "watches": lambda: log.watches(LATER),
    }
    with pytest.raises(GateLogError, match="copied or renamed") as caught:
        reads[kind]()
    assert str(moved) in str(caught.value)


def test_a_record_of_another_loop_is_named(tmp_path: Path, log: GateFiles) -> None:
    GateFiles(tmp_path, "other").record_look(look(loop="other"))
    (tmp_path / "gate" / "other").rename(tmp_path / "gate" / "desk")
    with pytest.raises(GateLogError, match="loop other, window 2026-09-28"):
        log.looks(LATER)


def test_a_time_without_a_zone_is_named(tmp_path: Path, log: GateFiles) -> None:
    log.record_look(look())
    (file,) = (tmp_path / "gate" / "desk" / "looks").iterdir()
    file.write_text(json.dumps(json.loads(file.read_text()) | {"at": "2026-10-05T00:00:00"}), encoding="utf-8")
    with pytest.raises(GateLogError, match=r"2026-10-05T00:00:00 of this record has no time zone"):
        log.looks(LATER)


def test_a_record_that_cannot_stand_here_is_refused(log: GateFiles) -> None:
    with pytest.raises(GateLogError, match="loop 'other' cannot be stored"):
        log.record_look(look(loop="other"))
    with pytest.raises(GateLogError, match="no time zone"):
        log.record_look(look(at=datetime(2026, 10, 5)))  # noqa: DTZ001


@pytest.mark.parametrize("name", ["1.json", "000001 (conflicted copy).json"])
def test_a_strange_file_among_anchors_is_named(tmp_path: Path, log: GateFiles, name: str) -> None:
    log.freeze(anchors())
    (tmp_path / "gate" / "desk" / "anchors" / "correctness" / FINGERPRINT / name).write_text("{}", encoding="utf-8")
    with pytest.raises(GateLogError, match="move it away"):
        newest(log)


def test_files_that_are_no_records_are_left_alone(tmp_path: Path, log: GateFiles) -> None:
    log.record_look(look())
    for name in (".hidden.json", "notes.txt"):
        (tmp_path / "gate" / "desk" / "looks" / name).write_text("mine", encoding="utf-8")
    assert log.looks(LATER) == (look(),)


def test_a_folder_in_the_place_of_a_record_is_named(tmp_path: Path, log: GateFiles) -> None:
    path = tmp_path / "gate" / "desk" / "looks" / "2026-09-28.json"
    path.mkdir(parents=True)
    with pytest.raises(GateLogError, match="cannot be read"):
        log.looks(LATER)


def test_a_storage_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "gate").write_text("mine", encoding="utf-8")
    log = GateFiles(tmp_path, "desk")
    with pytest.raises(GateLogError, match="cannot be listed"):
        log.looks(LATER)
    with pytest.raises(GateLogError, match="cannot be written"):
        log.record_look(look())


def test_the_log_works_on_any_fsspec_url(tmp_path: Path) -> None:
    log = GateFiles(storage_root(f"memory://gate-log-{tmp_path.name}", Path()), "desk")
    first = look(key="2026-11-09-10:00")
    assert log.record_look(first) == log.record_look(look(key="2026-11-09-10:00", name="B")) == first
    log.freeze(anchors(0))
    log.freeze(anchors(1, by="ann"))
    log.record_watch(watch())
    assert log.looks(LATER) == (first,)
    assert newest(log) == anchors(1, by="ann")
    assert log.watches(LATER) == (watch(),)


AT_ONCE = """
import sys
from pathlib import Path
from sia_dagster.adapters.files.gate_files import GateFiles
from sia_dagster_tests.adapters.files.test_gate_files import anchors, look

log, name = GateFiles(Path(sys.argv[1]), "desk"), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for number in range(10):
    log.freeze(anchors(number, by=name))
    print(log.record_look(look(number, name=name)).candidate.system_prompt)
"""


def test_of_processes_that_write_at_once_all_see_the_one_that_was_first(tmp_path: Path, log: GateFiles) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, str(tmp_path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={"PATH": "", "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for name in ("A", "B", "C")
    ]
    for worker in workers:
        assert worker.stdout
        assert worker.stdout.readline() == "ready\n"
    answers = [worker.communicate("go\n")[0].split() for worker in workers]
    assert all(worker.returncode == 0 for worker in workers)
    stand = [each.candidate.system_prompt for each in log.looks(LATER)]
    assert answers == [stand] * 3
    folder = tmp_path / "gate" / "desk" / "anchors" / "correctness" / FINGERPRINT
    assert file_names(folder) == tuple(f"{number:06d}.json" for number in range(1, 31)), "none lost, none twice"
