"""The memory of what endpoints refuse: lasting, by endpoint and model, and never in the way."""

from pathlib import Path

from sia_dagster.adapters.engine.calls.refusals import REMEMBERED_SECONDS, Refusals
from sia_dagster_tests.fakes.clocks import VirtualTime


def test_what_was_learnt_is_known_to_later_runs_of_the_same_endpoint_and_model(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "refusals"
    Refusals(path, endpoint="one").learn("o3", "temperature", "does not support 0")
    later = Refusals(path, endpoint="one")
    assert later.of("o3") == {"temperature": "does not support 0"}
    assert later.of("gpt-4o") == {}
    assert Refusals(path, endpoint="two").of("o3") == {}


def test_a_refusal_is_kept_in_the_words_that_were_said_first(tmp_path: Path) -> None:
    memory = Refusals(tmp_path / "refusals", endpoint="one")
    memory.learn("o3", "seed", "first")
    memory.learn("o3", "seed", "second")
    assert Refusals(tmp_path / "refusals", endpoint="one").of("o3") == {"seed": "first"}


def test_after_a_month_the_endpoint_is_asked_again(tmp_path: Path) -> None:
    clock = VirtualTime()
    Refusals(tmp_path / "r", endpoint="one", clock=clock).learn("o3", "seed", "no")
    clock.now += REMEMBERED_SECONDS - 1
    assert Refusals(tmp_path / "r", endpoint="one", clock=clock).of("o3")
    clock.now += 2
    assert not Refusals(tmp_path / "r", endpoint="one", clock=clock).of("o3")


def test_without_a_file_it_is_known_as_long_as_the_object_lives() -> None:
    memory = Refusals(None, endpoint="one")
    memory.learn("o3", "seed", "no")
    assert memory.of("o3") == {"seed": "no"}


def test_a_file_that_is_none_keeps_nobody_from_calling(tmp_path: Path) -> None:
    broken = tmp_path / "refusals"
    broken.write_bytes(b"no database at all" * 100)
    for path in (broken, tmp_path / "refusals" / "below_a_file"):
        memory = Refusals(path, endpoint="one")
        assert memory.of("o3") == {}
        memory.learn("o3", "seed", "no")
        assert memory.of("o3") == {"seed": "no"}


def test_the_file_does_not_tell_the_endpoint(tmp_path: Path) -> None:
    path = tmp_path / "refusals"
    Refusals(path, endpoint="https://example.com/?key=hidden").learn("o3", "seed", "no")
    assert b"hidden" not in path.read_bytes()
