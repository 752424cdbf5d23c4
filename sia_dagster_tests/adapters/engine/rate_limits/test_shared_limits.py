"""One line for all processes: every time is handed out once, whoever dies, and the file is worth nothing."""

import json
import signal
import sqlite3
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from sia_dagster.adapters.engine.rate_limits.rate_schedule import BATCH, Rates
from sia_dagster.adapters.engine.rate_limits.shared_limits import SharedLimits, account_of
from sia_dagster.core.errors import SiaError
from sia_dagster_tests.places import ROOT

NOW, RATES = 1_000_000.0, Rates.of(600, 600_000)

_RESERVE = """
import json, sys
from pathlib import Path
from sia_dagster_tests.adapters.engine.rate_limits.test_shared_limits import limits
times = []
while len(times) < 100:
    times += limits(Path(sys.argv[1])).reserve([1] * 5)
json.dump(times, sys.stdout)
"""

_DIE = """
import os, signal, sys
from pathlib import Path
from sia_dagster_tests.adapters.engine.rate_limits.test_shared_limits import limits
mine = limits(Path(sys.argv[1]))
mine.reserve([1] * 1000)
with mine._changed() as free:
    free[0] = free[0].model_copy(update={"requests": 2e9})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def limits(folder: Path, *, account: str = "a", now: float = NOW, rates: Rates = RATES) -> SharedLimits:
    return SharedLimits(folder / "store.limits", account=account, rates=rates, time=lambda: now)


def child(script: str, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", script, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_four_processes_stand_in_one_line(tmp_path: Path) -> None:
    told = [json.loads(each.communicate()[0]) for each in [child(_RESERVE, tmp_path) for _ in range(4)]]
    times = sorted(time for each in told for time in each)
    assert len(times) >= 400
    later = [time for time in times if time > NOW]
    assert {round(after - before, 4) for before, after in pairwise(later)} == {round(RATES.request, 4)}
    assert all(each == sorted(each) for each in told)


def test_who_dies_takes_half_a_second_along_even_in_the_middle_of_a_change(tmp_path: Path) -> None:
    dead = child(_DIE, tmp_path)
    dead.communicate()
    assert dead.returncode == -signal.SIGKILL
    mine = limits(tmp_path)
    assert NOW < mine.reserve([1])[0] <= NOW + BATCH + 2 * RATES.request
    mine.close()


def test_each_account_has_its_own_line(tmp_path: Path) -> None:
    one, other = limits(tmp_path), limits(tmp_path, account="b")
    one.put_off(NOW + 30)
    assert one.reserve([1])[0] >= NOW + 30
    assert other.reserve([1]) == [NOW]
    one.close()
    other.close()


def test_a_line_put_off_is_never_put_forward(tmp_path: Path) -> None:
    one, other = limits(tmp_path), limits(tmp_path)
    one.put_off(NOW + 30)
    other.put_off(NOW + 5)
    assert one.reserve([1]) == [NOW + 30]
    one.close()
    other.close()


def test_what_calls_used_beyond_their_estimates_is_paid_back_and_less_is_given_back(tmp_path: Path) -> None:
    mine = limits(tmp_path, rates=Rates.of(None, 60_000))
    first = mine.reserve([960])[0]
    (after,) = mine.reserve([960])
    (much_later,) = mine.reserve([0], owed=9600)
    (sooner,) = mine.reserve([0], owed=-240)
    mine.close()
    assert after - first == pytest.approx(0.5)
    assert [much_later - first, sooner - first] == pytest.approx([11.5, 11.25])


def test_it_opens_again_after_it_was_closed(tmp_path: Path) -> None:
    mine = limits(tmp_path / "new" / "folder")
    mine.close()
    first = [mine.reserve([1])[0] for _ in range(10)][-1]
    mine.close()
    assert mine.reserve([1])[0] > first
    mine.close()


def test_an_account_is_a_digest_that_differs_by_endpoint_and_key() -> None:
    key = "sk-secret-0123456789abcdef"
    accounts = [
        account_of("https://example.com/v1", key),
        account_of("https://example.com/v1", None),
        account_of("https://llm.example.com/v1", key),
        account_of("https://example.com/v1\ud83d", key),
    ]
    assert len(set(accounts)) == 4
    assert not any(key in account for account in accounts)


def test_a_file_that_is_none_of_ours_says_which_and_that_it_may_go(tmp_path: Path) -> None:
    (tmp_path / "store.limits").write_bytes(b"no database at all, only text" * 100)
    with pytest.raises(SiaError, match=r"store\.limits.*may be deleted") as unusable:
        limits(tmp_path).reserve([1])
    assert isinstance(unusable.value.__cause__, sqlite3.DatabaseError)
    (tmp_path / "file").touch()
    with pytest.raises(SiaError, match="cannot be used"):
        limits(tmp_path / "file").reserve([1])


def test_a_failure_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    mine = limits(tmp_path)
    with pytest.raises(TypeError):
        mine.reserve([1, "one"])  # type: ignore[list-item]
    assert mine.reserve([1]) == [NOW]
    mine.close()
    assert [path.name for path in tmp_path.iterdir()] == ["store.limits"]


def test_a_line_from_before_the_clock_was_put_back_is_void_for_a_hold_too(tmp_path: Path) -> None:
    before, after = limits(tmp_path, now=NOW + 3600), limits(tmp_path)
    before.reserve([1])
    after.put_off(NOW + 5)
    assert after.reserve([1]) == [NOW + 5]
    before.close()
    after.close()
