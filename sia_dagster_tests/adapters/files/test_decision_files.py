"""What people decided: kept in order beside the registry, written once, and never changed."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.adapters.files.registry_files import DecisionFiles, PolicyFiles
from sia_dagster.adapters.files.storage import file_names, storage_root
from sia_dagster.core.errors import PolicyError
from sia_dagster.core.records.registry import PolicyDecision
from sia_dagster_tests.worlds.weeks import week

FOLDER = Path("policies") / "desk" / "decisions"


def decision(weeks: int = 0, **fields: Any) -> PolicyDecision:
    given = {
        "number": 1,
        "loop": "desk",
        "window": week(weeks),
        "kind": "approve",
        "candidate": "abc",
        "verdict": "accept",
        "at": week(weeks).end,
        "by": "Ada",
    }
    return PolicyDecision.model_validate({**given, **fields})


@pytest.fixture
def store(tmp_path: Path) -> DecisionFiles:
    return DecisionFiles(tmp_path, "desk")


def test_decisions_are_numbered_in_the_order_in_which_they_were_made(store: DecisionFiles, tmp_path: Path) -> None:
    assert store.decisions() == ()
    first, second = store.append(decision()), store.append(decision(1, kind="reject", number=7))
    assert [first.number, second.number] == [1, 2]
    assert store.decisions() == (first, second)
    assert store.decisions(before=week(1).end) == (first,)
    assert store.decisions(before=week(0).end) == ()
    assert file_names(tmp_path / FOLDER) == ("000001.json", "000002.json")


def test_the_registry_does_not_take_decisions_for_policies(store: DecisionFiles, tmp_path: Path) -> None:
    store.append(decision())
    assert PolicyFiles(tmp_path, "desk").versions() == ()


def test_saying_the_same_again_adds_nothing_and_changing_ones_mind_does(store: DecisionFiles) -> None:
    first = store.append(decision())
    other_window = store.append(decision(1))
    assert store.append(decision(at=week(3).end)) == first
    changed = store.append(decision(kind="reject", note="too curt"))
    back = store.append(decision())
    assert store.decisions() == (first, other_window, changed, back)


def test_the_same_decision_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        DecisionFiles(tmp_path / name, "desk").append(decision())
    content = (tmp_path / "a" / FOLDER / "000001.json").read_bytes()
    assert content == (tmp_path / "b" / FOLDER / "000001.json").read_bytes()
    assert json.loads(content)["by"] == "Ada"


def test_a_decision_of_another_loop_or_without_a_time_zone_is_refused(store: DecisionFiles) -> None:
    with pytest.raises(PolicyError, match="'other' cannot be stored in the registry of 'desk'"):
        store.append(decision(loop="other"))
    with pytest.raises(PolicyError, match="no time zone"):
        store.append(decision(at=datetime(2026, 9, 28)))  # noqa: DTZ001 - naive on purpose


@pytest.mark.parametrize("content", ["", "{", '{"number": 1}'])
def test_a_file_that_is_no_decision_is_named(store: DecisionFiles, tmp_path: Path, content: str) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "000001.json").write_text(content, encoding="utf-8")
    with pytest.raises(PolicyError, match=r"000001\.json: this file is not a valid decision.*move it away"):
        store.decisions()


def test_a_copied_file_is_named(store: DecisionFiles, tmp_path: Path) -> None:
    store.append(decision())
    copied = (tmp_path / FOLDER / "000001.json").read_bytes()
    (tmp_path / FOLDER / "000002.json").write_bytes(copied)
    with pytest.raises(PolicyError, match="holds decision 1 on loop 'desk'; it was copied or renamed"):
        store.decisions()


def test_a_storage_that_cannot_be_written_is_said() -> None:
    # /proc holds no new folders, whoever asks.
    with pytest.raises(PolicyError, match="cannot be written"):
        DecisionFiles(Path("/proc/self/sia"), "desk").append(decision())


def test_decisions_work_on_any_fsspec_url(tmp_path: Path) -> None:
    store = DecisionFiles(storage_root(f"memory://decisions{tmp_path.name}", tmp_path), "desk")
    first = store.append(decision())
    assert store.append(decision()) == first
    assert store.decisions() == (first,)


class Late(DecisionFiles):
    """A store to which somebody else writes between this one's first reading and its writing."""

    rival: PolicyDecision | None = None

    def decisions(self, before: datetime | None = None) -> tuple[PolicyDecision, ...]:
        found = super().decisions(before)
        if rival := self.rival:
            self.rival = None
            self.append(rival)
        return found


def test_a_number_taken_meanwhile_is_read_again(tmp_path: Path) -> None:
    late = Late(tmp_path, "desk")
    late.rival = decision(1, by="Bo")
    assert late.append(decision()).number == 2
    assert [each.by for each in late.decisions()] == ["Bo", "Ada"]


def test_a_decision_from_a_machine_whose_clock_is_ahead_counts_for_the_next_windows(store: DecisionFiles) -> None:
    ahead = week(0).end.replace(year=2199)
    store.append(decision())
    rejected = store.append(decision(1, kind="reject", at=ahead))
    assert store.decisions(before=week(1).end)[-1].kind == "approve"
    assert store.decisions(before=week(2).end)[-1] == rejected
