"""The registry: append-only, numbered without gaps or doubles, honest about what may be promoted."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_dagster.adapters.files.registry_files import PolicyFiles
from sia_dagster.adapters.files.storage import create_exclusively, file_names, storage_root, write_atomically
from sia_dagster.core.errors import PolicyError, PolicyNotFound, PromotionRefused
from sia_dagster.core.policy.rollback import rollback
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion, Promotion
from sia_dagster.core.records.report import ValidationReport, Verdict
from sia_dagster.core.records.timeline import timeline
from sia_dagster_tests.worlds import verdicts
from sia_dagster_tests.worlds.weeks import START, week

OLD = Actions(system_prompt="Be polite.", model="small")


def policy(name: str) -> Actions:
    return Actions(system_prompt=f"Be polite. {name}", model="small")


def report(
    number: int, candidate: Actions | None, *, baseline: Actions = OLD, verdict: Verdict = "accept"
) -> ValidationReport:
    return verdicts.report(week(number), baseline, candidate, verdict=verdict)


def promote(
    found: ValidationReport, *, store: PolicyFiles, at: datetime, by: str, report_url: str | None = None
) -> Promotion:
    """Approve it over this registry, with a ledger that knows the report's look."""
    return verdicts.promote(found, store=store, at=at, by=by, report_url=report_url)


def entry(actions: Actions, at: datetime, parent: int | None = None, number: int = 0) -> PolicyVersion:
    return PolicyVersion(
        version=1, loop="desk", kind="promote", actions=actions, at=at, parent=parent, window=week(number)
    )


@pytest.fixture
def store(tmp_path: Path) -> PolicyFiles:
    return PolicyFiles(tmp_path, "desk")


FOLDER = Path("policies") / "desk"


def test_an_empty_registry_has_nothing_in_force(store: PolicyFiles) -> None:
    assert store.versions() == ()
    assert store.in_force() is None
    assert store.in_force(START) is None


def test_an_accepted_candidate_comes_into_force_with_its_lineage(store: PolicyFiles, tmp_path: Path) -> None:
    done = promote(report(0, policy("A")), store=store, at=week(0).end, by="auto", report_url="reports/1.html")
    first = done.promoted
    assert first is not None
    assert (first.version, first.parent, first.kind, first.by, first.report) == (
        1,
        None,
        "promote",
        "auto",
        "reports/1.html",
    )
    assert first.window == week(0)
    assert first.evidence[0].difference == 0.29
    assert first.replaced == OLD
    assert "version 1" in done.reason
    second = promote(report(1, policy("B"), baseline=policy("A")), store=store, at=week(1).end, by="ann").promoted
    assert second is not None
    assert (second.version, second.parent, second.replaced) == (2, 1, None)
    assert store.versions() == (first, second)
    assert file_names(tmp_path / FOLDER) == ("000001.json", "000002.json")


@pytest.mark.parametrize("verdict", ["reject", "inconclusive"])
def test_nothing_but_accept_is_promoted(store: PolicyFiles, verdict: Verdict) -> None:
    done = promote(report(0, policy("A"), verdict=verdict), store=store, at=week(0).end, by="auto")
    assert done.promoted is None
    assert f"the verdict is {verdict}" in done.reason
    assert store.versions() == ()


def test_accept_without_a_candidate_promotes_nothing(store: PolicyFiles) -> None:
    assert promote(report(0, None), store=store, at=week(0).end, by="auto").promoted is None


def test_a_second_call_returns_the_entry_of_the_first(store: PolicyFiles) -> None:
    first = promote(report(0, policy("A")), store=store, at=week(0).end, by="auto")
    again = promote(report(0, policy("A")), store=store, at=week(3).end, by="ann")
    assert again.promoted == first.promoted
    assert "put version 1 in force" in again.reason
    assert len(store.versions()) == 1


def test_a_repeated_run_does_not_undo_a_rollback(store: PolicyFiles) -> None:
    promote(report(0, policy("A")), store=store, at=week(0).end, by="auto")
    rollback(store, at=week(1).start, by="ann")
    again = promote(report(0, policy("A")), store=store, at=week(1).end, by="auto")
    assert again.promoted is not None
    assert again.promoted.version == 1
    assert "version 2 is in force since" in again.reason
    assert "sia policy rollback --loop desk --to 1" in again.reason
    assert store.in_force() == store.versions()[1]


def test_evidence_against_another_policy_is_refused(store: PolicyFiles) -> None:
    promote(report(0, policy("A")), store=store, at=week(0).end, by="auto")
    late = promote(report(1, policy("B")), store=store, at=week(1).end, by="auto")
    assert late.promoted is None
    assert "run the window again" in late.reason
    past = promote(report(0, policy("C")), store=store, at=week(2).end, by="ann")
    assert past.promoted is None
    assert "a window that ends later" in past.reason
    assert len(store.versions()) == 1


def test_the_registry_is_not_changed_behind_a_newer_policy(store: PolicyFiles) -> None:
    promote(report(3, policy("A")), store=store, at=week(3).end, by="auto")
    with pytest.raises(PromotionRefused, match=r"version 1 came into force at 2026-10-26"):
        store.append(entry(policy("B"), week(1).end, parent=1))
    done = promote(report(1, policy("B"), baseline=policy("A")), store=store, at=week(1).end, by="auto")
    assert done.promoted is None
    assert "never changed behind a newer policy" in done.reason


@pytest.mark.parametrize("parent", [None, 2])
def test_a_change_that_did_not_see_the_policy_in_force_is_refused(store: PolicyFiles, parent: int | None) -> None:
    store.append(entry(policy("A"), week(0).end))
    with pytest.raises(PromotionRefused, match="version 1 is in force now, while this change was made on"):
        store.append(entry(policy("B"), week(1).end, parent=parent, number=1))
    assert len(store.versions()) == 1


def test_a_change_of_a_version_that_is_not_there_is_refused(store: PolicyFiles) -> None:
    with pytest.raises(PromotionRefused, match="no version is in force now"):
        store.append(entry(policy("A"), week(0).end, parent=7))


def test_what_was_in_force_before_a_time_excludes_that_time(store: PolicyFiles) -> None:
    first = store.append(entry(policy("A"), week(0).end))
    second = store.append(entry(policy("B"), week(1).end, parent=1, number=1))
    assert store.in_force(week(0).end) is None
    assert store.in_force(week(0).end + timedelta(microseconds=1)) == first
    assert store.in_force(week(1).end) == first
    assert store.in_force(week(5).end) == second
    assert store.in_force() == second
    elsewhere = week(1).end.astimezone(timezone(timedelta(hours=9)))
    assert store.in_force(elsewhere) == first


def test_the_newest_file_alone_is_read_for_the_policy_in_force(store: PolicyFiles, tmp_path: Path) -> None:
    store.append(entry(policy("A"), week(0).end))
    second = store.append(entry(policy("B"), week(1).end, parent=1, number=1))
    (tmp_path / FOLDER / "000001.json").write_text("broken", encoding="utf-8")
    assert store.in_force() == second
    with pytest.raises(PolicyError, match=r"000001\.json"):
        store.versions()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', "\x00\x01"])
def test_a_file_that_is_no_entry_is_named(store: PolicyFiles, tmp_path: Path, content: str) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "000001.json").write_text(content, encoding="utf-8")
    with pytest.raises(
        PolicyError, match=r"000001\.json: this file is not a valid entry of the registry.*move it away"
    ):
        store.in_force()


@pytest.mark.parametrize("name", ["1.json", "000001 (conflicted copy).json", "notes.json"])
def test_a_file_with_a_strange_name_is_named(store: PolicyFiles, tmp_path: Path, name: str) -> None:
    store.append(entry(policy("A"), week(0).end))
    (tmp_path / FOLDER / name).write_text("{}", encoding="utf-8")
    with pytest.raises(PolicyError, match="does not belong to the registry") as caught:
        store.in_force()
    assert name in str(caught.value)


def test_hidden_and_other_files_are_left_alone(store: PolicyFiles, tmp_path: Path) -> None:
    first = store.append(entry(policy("A"), week(0).end))
    for name in (".000002.json.abc.tmp", ".hidden.json", "README.md"):
        (tmp_path / FOLDER / name).write_text("left over", encoding="utf-8")
    assert store.versions() == (first,)


def test_a_renamed_or_copied_file_is_named(store: PolicyFiles, tmp_path: Path) -> None:
    store.append(entry(policy("A"), week(0).end))
    (tmp_path / FOLDER / "000001.json").rename(tmp_path / FOLDER / "000002.json")
    with pytest.raises(PolicyError, match=r"holds version 1 of loop 'desk'"):
        store.in_force()


def test_a_folder_in_the_place_of_an_entry_is_named(store: PolicyFiles, tmp_path: Path) -> None:
    (tmp_path / FOLDER / "000001.json").mkdir(parents=True)
    with pytest.raises(PolicyError, match=r"000001\.json: this entry of the registry cannot be read"):
        store.in_force()


def test_a_storage_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "policies").write_text("", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"cannot be listed.*check `storage`"):
        PolicyFiles(tmp_path, "desk").in_force()


def test_a_storage_that_cannot_be_written_is_said() -> None:
    # /proc holds no new folders, whoever asks.
    with pytest.raises(PolicyError, match=r"cannot be written.*hard links"):
        PolicyFiles(Path("/proc/self/sia"), "desk").append(entry(policy("A"), week(0).end))


def test_an_entry_of_another_loop_or_without_a_time_zone_is_refused(store: PolicyFiles) -> None:
    with pytest.raises(PolicyError, match="'other' cannot be stored in the registry of 'desk'"):
        store.append(entry(policy("A"), week(0).end).model_copy(update={"loop": "other"}))
    with pytest.raises(PolicyError, match="no time zone"):
        store.append(entry(policy("A"), datetime(2026, 9, 28)))  # noqa: DTZ001 - naive on purpose


def test_the_same_entry_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        promote(report(0, policy("A")), store=PolicyFiles(tmp_path / name, "desk"), at=week(0).end, by="auto")
    content = (tmp_path / "a" / FOLDER / "000001.json").read_bytes()
    assert content == (tmp_path / "b" / FOLDER / "000001.json").read_bytes()
    assert json.loads(content)["actions"]["system_prompt"] == "Be polite. A"


@pytest.fixture
def two_versions(store: PolicyFiles) -> PolicyFiles:
    promote(report(0, policy("A")), store=store, at=week(0).end, by="auto")
    promote(report(1, policy("B"), baseline=policy("A")), store=store, at=week(1).end, by="auto")
    return store


def test_a_rollback_restores_the_version_before_as_a_new_entry(two_versions: PolicyFiles) -> None:
    back = rollback(two_versions, at=week(2).end, by="ann")
    assert (back.version, back.kind, back.restores, back.parent, back.by) == (3, "rollback", 1, 2, "ann")
    assert back.actions == policy("A")
    assert two_versions.in_force() == back
    assert len(two_versions.versions()) == 3


def test_a_rollback_to_zero_restores_what_was_before_any_promotion(two_versions: PolicyFiles) -> None:
    back = rollback(two_versions, 0, at=week(2).end, by="ann")
    assert (back.restores, back.actions) == (None, OLD)


def test_the_first_promotion_can_be_rolled_back(store: PolicyFiles) -> None:
    promote(report(0, policy("A")), store=store, at=week(0).end, by="auto")
    assert rollback(store, at=week(1).end, by="ann").actions == OLD


def test_a_repeated_rollback_to_a_version_is_one(two_versions: PolicyFiles) -> None:
    first = rollback(two_versions, 1, at=week(2).end, by="ann")
    assert rollback(two_versions, 1, at=week(3).end, by="bob") == first
    assert len(two_versions.versions()) == 3


def test_a_later_rollback_to_the_same_version_is_a_new_event(two_versions: PolicyFiles) -> None:
    rollback(two_versions, 1, at=week(2).end, by="ann")
    rollback(two_versions, 2, at=week(3).end, by="ann")
    assert rollback(two_versions, 1, at=week(4).end, by="ann").version == 5


def test_a_rollback_to_what_is_in_force_is_refused(two_versions: PolicyFiles) -> None:
    with pytest.raises(PromotionRefused, match="version 2, which is in force, already is that policy"):
        rollback(two_versions, 2, at=week(2).end, by="ann")


def test_a_rollback_needs_something_to_go_back_to(store: PolicyFiles) -> None:
    with pytest.raises(PolicyNotFound, match="no policy was ever promoted"):
        rollback(store, at=week(0).end, by="ann")
    store.append(entry(policy("A"), week(0).end))
    with pytest.raises(PolicyNotFound, match="does not say which policy it replaced"):
        rollback(store, at=week(1).end, by="ann")
    with pytest.raises(PolicyNotFound, match="there is no version 9; there are 1, and 0"):
        rollback(store, 9, at=week(1).end, by="ann")


def test_after_a_rollback_the_next_window_promotes_against_it(two_versions: PolicyFiles) -> None:
    rollback(two_versions, at=week(2).start, by="ann")
    done = promote(report(2, policy("C"), baseline=policy("A")), store=two_versions, at=week(2).end, by="auto")
    assert done.promoted is not None
    assert (done.promoted.version, done.promoted.parent) == (4, 3)


APPEND = """
import sys
from datetime import timedelta
from pathlib import Path
from sia_dagster.adapters.files.registry_files import PolicyFiles
from sia_dagster.core.errors import PromotionRefused
from sia_dagster_tests.adapters.files.test_policy_files import OLD, policy, promote, report, week

root, worker = Path(sys.argv[1]), sys.argv[2]
store = PolicyFiles(root / "different", "desk")
print("ready", flush=True)
sys.stdin.readline()
same = promote(report(0, policy("A")), store=PolicyFiles(root / "same", "desk"), at=week(0).end, by=worker)
print(same.promoted.by)
for number in range(10):
    while True:
        current = store.in_force()
        baseline = current.actions if current else OLD
        candidate = policy(f"{worker}/{number}")
        done = promote(report(number, candidate, baseline=baseline), store=store, at=week(20).end, by=worker)
        if done.promoted:
            break
"""


class Raced(PolicyFiles):
    """A registry to which `rival` is written by someone else between this one's reading and its writing."""

    rival: PolicyVersion
    """What the other one writes."""

    def versions(self) -> tuple[PolicyVersion, ...]:
        seen = super().versions()
        if not seen:
            PolicyFiles(self._folder.parent.parent, "desk").append(self.rival)
        return seen


def test_a_number_taken_meanwhile_is_read_again(tmp_path: Path) -> None:
    raced = Raced(tmp_path, "desk")
    raced.rival = entry(policy("A"), week(0).end)
    assert raced.append(entry(policy("A"), week(0).end)) == raced.rival
    assert len(PolicyFiles(tmp_path, "desk").versions()) == 1


def test_a_promotion_that_lost_the_race_is_refused(tmp_path: Path) -> None:
    raced = Raced(tmp_path, "desk")
    raced.rival = entry(policy("A"), week(0).end)
    done = promote(report(1, policy("B")), store=raced, at=week(1).end, by="auto")
    assert done.promoted is None
    assert "version 1 is in force now" in done.reason


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Where three processes promoted at once, first one window, then ten policies each; who promoted the window."""
    root = tmp_path_factory.mktemp("at_once")
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND, str(root), f"w{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for worker in workers:
        assert worker.stdout
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    ends = [worker.communicate() for worker in workers]
    assert [error for _, error in ends] == [""] * 3
    return root, [output.strip() for output, _ in ends]


def test_processes_that_promote_at_once_share_no_number_and_lose_nothing(at_once: tuple[Path, list[str]]) -> None:
    root, _ = at_once
    versions = PolicyFiles(root / "different", "desk").versions()
    assert [v.version for v in versions] == list(range(1, 31))
    assert [v.parent for v in versions] == [None, *range(1, 30)]
    assert len({v.actions.fingerprint for v in versions}) == 30
    assert all(not path.name.startswith(".") for path in (root / "different" / FOLDER).iterdir())


def test_one_window_run_by_several_processes_at_once_promotes_once(at_once: tuple[Path, list[str]]) -> None:
    root, seen = at_once
    (only,) = PolicyFiles(root / "same", "desk").versions()
    assert seen == [only.by] * 3


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(["A", "B", "C", "back", "zero"]), st.integers(0, 3)), max_size=8))
def test_whatever_is_done_the_history_only_grows(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = PolicyFiles(Path(folder), "desk")
        at = START
        for what, number in steps:
            before = store.versions()
            at += timedelta(days=1)
            act(store, what, number, at)
            after = store.versions()
            assert after[: len(before)] == before
            assert len(after) - len(before) in {0, 1}
            assert [v.version for v in after] == list(range(1, len(after) + 1))
            assert store.in_force() == (after[-1] if after else None)


def act(store: PolicyFiles, what: str, number: int, at: datetime) -> None:
    current = store.in_force()
    baseline = current.actions if current else OLD
    if what in {"back", "zero"}:
        try:
            rollback(store, 0 if what == "zero" else None, at=at, by="ann")
        except (PolicyNotFound, PromotionRefused):
            return
    else:
        promote(report(number, policy(what), baseline=baseline), store=store, at=at, by="auto")


def test_the_registry_works_on_any_fsspec_url(tmp_path: Path) -> None:
    root = storage_root(f"memory://registry{tmp_path.name}", tmp_path)
    store = PolicyFiles(root, "desk")
    assert store.in_force() is None
    first = promote(report(0, policy("A")), store=store, at=week(0).end, by="auto").promoted
    assert rollback(store, at=week(1).end, by="ann").version == 2
    assert store.versions()[0] == first
    assert not create_exclusively(root / FOLDER.as_posix() / "000001.json", b"other")
    assert store.versions()[0] == first


def test_local_urls_and_home_folders_are_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert storage_root("file:///a%20b/c", tmp_path) == Path("/a b/c")
    assert storage_root("~/sia", Path("/elsewhere")) == tmp_path / "sia"
    assert storage_root("sia", tmp_path) == tmp_path / "sia"
    assert storage_root("/sia", tmp_path) == Path("/sia")


def test_writing_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    for root in (tmp_path, storage_root(f"memory://writes{tmp_path.name}", tmp_path)):
        path = root / "a" / "b.txt"
        write_atomically(path, b"a longer text")
        write_atomically(path, b"text")
        assert path.read_bytes() == b"text"
        assert file_names(path.parent) == ("b.txt",)


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "taken", b"text")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_write_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_atomically(tmp_path / "a.txt", "text")  # type: ignore[arg-type]  # breaks while the draft is written
    assert list(tmp_path.iterdir()) == []


def test_creating_never_touches_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    assert create_exclusively(path, b"first")
    assert not create_exclusively(path, b"second")
    assert path.read_bytes() == b"first"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def gone(folder: Path, name: str) -> None:
    (folder / name).unlink()


def emptied(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")


def cut_off(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:-40])


def doubled(folder: Path, name: str) -> None:
    (folder / f"0{name}").write_bytes((folder / name).read_bytes())


def copied(folder: Path, name: str) -> None:
    (folder / "000004.json").write_bytes((folder / name).read_bytes())


def without_a_zone(folder: Path, name: str) -> None:
    stored = json.loads((folder / name).read_text(encoding="utf-8"))
    (folder / name).write_text(json.dumps(stored | {"at": "2026-10-05T00:00:00"}), encoding="utf-8")


def named_by_a_date(folder: Path, name: str) -> None:
    (folder / "20261101.json").write_bytes((folder / name).read_bytes())


def counted_from_zero(folder: Path, name: str) -> None:
    (folder / "000000.json").write_bytes((folder / name).read_bytes())


DAMAGES = [
    (gone, "000002.json", "000002.json is missing, though 000003.json is there; restore it from a backup"),
    (gone, "000001.json", "000001.json is missing, though 000003.json is there"),
    (emptied, "000002.json", "000002.json: this file is not a valid entry of the registry"),
    (emptied, "000003.json", "000003.json: this file is not a valid entry of the registry"),
    (cut_off, "000003.json", "000003.json: this file is not a valid entry of the registry"),
    (doubled, "000003.json", "0000003.json: this file does not belong to the registry"),
    (copied, "000002.json", "000004.json: this file holds version 2 of loop"),
    (counted_from_zero, "000001.json", "000000.json: this file does not belong to the registry"),
    (named_by_a_date, "000001.json", "000004.json, 000005.json, 000006.json and 20,261,094 more is missing, though"),
    (without_a_zone, "000002.json", "000002.json: the time 2026-10-05T00:00:00 of this entry of the registry has no"),
]


@pytest.mark.parametrize(("damage", "name", "says"), DAMAGES)
def test_nothing_is_promoted_over_a_damaged_registry(
    two_versions: PolicyFiles, tmp_path: Path, damage: Callable[[Path, str], None], name: str, says: str
) -> None:
    promote(report(2, policy("C"), baseline=policy("B")), store=two_versions, at=week(2).end, by="auto")
    folder = tmp_path / FOLDER
    damage(folder, name)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    next_one = report(3, policy("D"), baseline=policy("C"))
    for act_on in (
        two_versions.versions,
        lambda: promote(next_one, store=two_versions, at=week(3).end, by="auto"),
        lambda: rollback(two_versions, 1, at=week(3).end, by="ann"),
        lambda: two_versions.append(entry(policy("D"), week(3).end, parent=3, number=3)),
    ):
        with pytest.raises(PolicyError) as caught:
            act_on()
        assert says in str(caught.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_application_goes_on_with_the_newest_policy_over_a_gap(two_versions: PolicyFiles, tmp_path: Path) -> None:
    gone(tmp_path / FOLDER, "000001.json")
    with pytest.raises(PolicyError, match=r"000001\.json is missing"):
        two_versions.in_force(week(9).end)
    in_force = two_versions.in_force()
    assert in_force is not None
    assert in_force.actions == policy("B")


def test_a_version_from_the_future_does_not_block_a_rollback(store: PolicyFiles) -> None:
    promote(report(0, policy("A")), store=store, at=week(0).end, by="auto")
    ahead = week(0).end + timedelta(days=4000)
    store.append(entry(policy("B"), ahead, parent=1, number=1))
    late = promote(report(2, policy("C"), baseline=policy("B")), store=store, at=week(2).end, by="auto")
    assert "`sia policy rollback --loop desk` goes back" in late.reason
    back = rollback(store, at=week(2).end, by="ann")
    assert (back.version, back.actions) == (3, policy("A"))
    assert store.in_force(week(3).end) == store.in_force(ahead + timedelta(days=1)) == back
    again = promote(report(2, policy("C"), baseline=policy("A")), store=store, at=week(3).end, by="auto")
    assert again.promoted is not None


AHEAD = START + timedelta(days=4000)
NOW = week(8).end


@pytest.fixture
def rolled_back_ahead(store: PolicyFiles, tmp_path: Path) -> PolicyFiles:
    """Week 0 promoted A and week 1 promoted B, which somebody rolled back on a machine whose clock is years ahead."""
    store.append(entry(policy("A"), week(0).end))
    store.append(entry(policy("B"), week(1).end, parent=1, number=1))
    rollback(store, at=AHEAD, by="ann")
    return PolicyFiles(tmp_path, "desk", now=lambda: NOW)


def test_windows_compare_with_the_rollback_that_applications_use(rolled_back_ahead: PolicyFiles) -> None:
    before = {n: rolled_back_ahead.in_force(week(n).end) for n in range(9)}
    versions = {n: found.version if found else None for n, found in before.items()}
    assert versions == {0: None, 1: 1, **dict.fromkeys(range(2, 9), 3)}  # The past knows no future.
    assert rolled_back_ahead.versions()[-1].at == AHEAD  # What is stored is what is shown.


@pytest.mark.parametrize("to_version", [None, 1, 3])
def test_the_advised_rollback_records_the_right_time(rolled_back_ahead: PolicyFiles, to_version: int | None) -> None:
    late = promote(report(6, policy("C"), baseline=policy("A")), store=rolled_back_ahead, at=week(6).end, by="auto")
    assert "`sia policy rollback --loop desk --to 3` records this policy with the right time" in late.reason
    again = rollback(rolled_back_ahead, to_version, at=week(7).end, by="bob")
    assert (again.version, again.actions) == (4, policy("A"))
    done = promote(report(7, policy("C"), baseline=policy("A")), store=rolled_back_ahead, at=NOW, by="auto")
    assert done.promoted is not None
    assert done.promoted.version == 5
    of_b = promote(report(7, policy("B"), baseline=policy("C")), store=rolled_back_ahead, at=NOW, by="auto")
    assert "rolled this policy back" in of_b.reason


def test_a_promotion_ahead_of_time_can_be_kept(store: PolicyFiles) -> None:
    store.append(entry(policy("A"), AHEAD))
    assert rollback(store, 1, at=week(2).end, by="ann").actions == policy("A")
    with pytest.raises(PromotionRefused, match="version 2, which is in force, already is that policy"):
        rollback(store, 2, at=week(3).end, by="ann")


DAYS = [
    # When the entries say they were written, by days; -1 stands for years ahead. Then when they count.
    ([7, 14, 21], [7, 14, 21]),
    ([7, -1, 21], [7, 21, 21]),
    ([7, 14, -1], [7, 14, 21]),
    ([-1, -1, -1], [7, 14, 21]),
    ([-1, 20, 30], [20, 20, 30]),
    ([0, 14, 1], [7, 14, 21]),
]


@pytest.mark.parametrize(("written", "counted"), DAYS)
def test_no_entry_hides_a_later_one_nor_counts_before_its_window(written: list[int], counted: list[int]) -> None:
    times = [AHEAD if day < 0 else START + timedelta(days=day) for day in written]
    entries = [entry(policy("A"), at, number=number) for number, at in enumerate(times)]
    found = timeline(entries, NOW)
    assert [each.at for each in found] == [START + timedelta(days=day) for day in counted]


def test_replayed_history_is_no_wrong_clock() -> None:
    entries = [entry(policy("A"), week(number).end, number=number) for number in range(3)]
    assert list(timeline(entries, START)) == entries


def test_the_second_of_two_people_who_roll_back_learns_what_happened(two_versions: PolicyFiles) -> None:
    rollback(two_versions, at=week(2).end, by="ann", note="complaints doubled")
    with pytest.raises(PromotionRefused) as caught:
        rollback(two_versions, at=week(2).end, by="bob")
    assert "ann rolled back to version 1 at 2026-10-19T00:00:00+00:00 (complaints doubled)" in str(caught.value)
    assert "in force now as version 3; to go to another one, name it with --to" in str(caught.value)
    assert len(two_versions.versions()) == 3


class RolledBack(PolicyFiles):
    """A registry in which somebody else rolls back between this one's reading and its writing."""

    to_version = 1

    def append(self, entry: PolicyVersion) -> PolicyVersion:
        rollback(PolicyFiles(self._folder.parent.parent, "desk"), self.to_version, at=week(2).end, by="ann")
        return super().append(entry)


def test_of_two_rollbacks_at_once_one_wins_and_the_other_is_told(two_versions: PolicyFiles, tmp_path: Path) -> None:
    raced = RolledBack(tmp_path, "desk")
    theirs = rollback(raced, at=week(2).end + timedelta(seconds=1), by="bob")
    assert (theirs.version, theirs.by, theirs.restores) == (3, "ann", 1)
    promote(report(3, policy("D"), baseline=policy("A")), store=two_versions, at=week(3).end, by="auto")
    raced.to_version = 2
    with pytest.raises(PromotionRefused, match=r"version 5 is in force now, .* version 4 \(ann did that"):
        rollback(raced, at=week(4).end, by="bob")
