"""`sia run` and `sia demo`: the job in the command's own process, and what it tells."""

import json
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from sia_dagster.adapters.files.registry_files import PolicyFiles
from sia_dagster.cli.in_process import failure_of
from sia_dagster.demo.server import SimulatedProvider
from sia_dagster_tests.worlds.cli_world import FIRST, SECOND, Sia, configure, loop_entry, write_week
from sia_dagster_tests.worlds.demo_run import DemoRun
from simulation.servers import ScriptedServer, refusal


def test_a_window_runs_and_waits_for_a_person_who_approves(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    """The job leaves the promotion out; two loops with other windows live beside each other."""
    configure(folder, provider.base_url, loops=[loop_entry(), loop_entry("daily_desk", "daily")])
    write_week(folder)
    run = sia("run", "--loop", "desk", "--window", FIRST.key)
    assert run.code == 0, run.err
    report = folder / ".sia" / "reports" / "desk" / f"{FIRST.key}.html"
    assert run.out.startswith(f"desk {FIRST.key}: accept\n")
    assert f"  report: {report}\n" in run.out
    assert f"  to approve it: sia policy promote --loop desk --window {FIRST.key}\n" in run.out
    assert report.is_file()
    store = PolicyFiles(folder / ".sia", "desk")
    assert not store.versions()
    assert sia("policy", "promote", "--loop", "desk", "--window", FIRST.key, "--by", "Ada").code == 0
    assert [entry.by for entry in store.versions()] == ["Ada"]
    paid = sum(provider.calls.values())
    again = json.loads(sia("run", "--loop", "desk", "--window", FIRST.key, "--json").out)
    assert (again["verdict"], again["report"]) == ("accept", str(report))
    assert sum(provider.calls.values()) == paid


def test_a_window_that_decides_nothing_says_how_much_it_would_take(
    sia: Sia, folder: Path, provider: SimulatedProvider
) -> None:
    configure(folder, provider.base_url, loops=[loop_entry(promotion="auto")])
    write_week(folder, 12, SECOND)
    run = sia("run", "--window", SECOND.key)
    assert run.code == 0, run.err
    assert run.out.startswith(f"desk {SECOND.key}: inconclusive\n")
    assert re.search(r"  held-out conversations needed: \d+\n", run.out)
    assert "to approve it" not in run.out


def test_a_window_that_is_accepted_and_not_in_force_says_why_and_how_to_approve_it(
    sia: Sia, folder: Path, provider: SimulatedProvider
) -> None:
    """`promotion: auto` promotes the newest closed window alone; an older one must not look as if it were in force."""
    configure(folder, provider.base_url, loops=[loop_entry(promotion="auto")])
    write_week(folder)
    run = sia("run", "--window", FIRST.key)
    assert run.out.startswith(f"desk {FIRST.key}: accept\n"), run.err
    assert "  not promoted: a later window has closed since" in run.out
    approve = f"sia policy promote --loop desk --window {FIRST.key}"
    assert f"  to approve it: {approve}\n" in run.out
    assert json.loads(sia("run", "--window", FIRST.key, "--json").out)["approve"] == approve
    assert not PolicyFiles(folder / ".sia", "desk").versions()


def test_a_window_that_is_not_closed_is_not_run(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    configure(folder, provider.base_url)
    refused = sia("run", "--window", "2999-01-04")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("Error: '2999-01-04' is not a closed window of desk; the latest are: ")


def test_a_configuration_that_cannot_run_is_told_before_it_does(
    sia: Sia, folder: Path, provider: SimulatedProvider
) -> None:
    configure(folder, provider.base_url, loops=[loop_entry(template="missing.md")])
    refused = sia("run", "--window", FIRST.key)
    assert refused.code == 1
    assert "loops.0.evaluators.0.template: the template 'missing.md'" in refused.err


def test_a_failed_stage_is_one_sentence_and_exit_code_1(folder: Path) -> None:
    write_week(folder, 12)
    with ScriptedServer(lambda body, n: refusal(401, "no such key", code="invalid_api_key")) as server:
        configure(folder, server.base_url, llm=["api_key: ${SIA_TEST_KEY}"])
        (folder / ".env").write_text("SIA_TEST_KEY=k-123\n", encoding="utf-8")
        call = [sys.executable, "-m", "sia_dagster", "run", "--window", FIRST.key]
        done = subprocess.run(call, capture_output=True, text=True, check=False, cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert sentence.startswith(f"Error: loop desk, window {FIRST.key}: {server.base_url} refused the call (401")
    assert "Set the environment variable SIA_TEST_KEY" in sentence
    assert "Traceback" not in done.stderr
    assert "k-123" not in done.stderr


def test_a_fault_that_is_not_ours_is_told_in_its_own_words(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    configure(folder, provider.base_url)
    write_week(folder, 12)
    (folder / ".sia").write_text("a file where the storage should be", encoding="utf-8")
    refused = sia("run", "--window", FIRST.key)
    assert refused.code == 1
    assert "Error: the stage desk__traces failed: " in refused.err
    assert str(folder / ".sia") in refused.err
    assert "Traceback" not in refused.err


def test_a_run_without_a_failed_stage_points_to_its_log() -> None:
    @dg.asset
    def fine() -> None:
        """Holds nothing."""

    assert (
        failure_of(dg.materialize([fine])) == "the run failed before its first stage; see the log of the run in the UI"
    )


def test_runs_are_kept_in_the_instance_of_the_ui(
    sia: Sia, folder: Path, provider: SimulatedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    configure(folder, provider.base_url)
    write_week(folder, 4)
    assert sia("run", "--window", FIRST.key).code == 0
    assert (home / "history").is_dir()


def test_demo_says_simulated_and_where_to_look_next(demo_run: DemoRun) -> None:
    assert "SIMULATED" in demo_run.printed
    assert all(week.window in demo_run.printed for week in demo_run.weeks)
    assert f"{demo_run.folder}/.sia/reports/message_desk/" in demo_run.printed
    assert "sia policy show --loop message_desk" in demo_run.printed


TWO_WEEKS = """
import sys
from itertools import islice
from sia_dagster.cli import main
from sia_dagster.demo import run

all_weeks = run.run_demo
run.run_demo = lambda *arguments, **named: islice(all_weeks(*arguments, **named), 2)
main(sys.argv[1:])
"""


def test_demo_again_in_another_process_decides_the_same_and_pays_for_nothing(demo_run: DemoRun, folder: Path) -> None:
    """As JSON: one entry a week; two weeks are enough."""
    shutil.copytree(demo_run.folder, folder / "again")
    completions = folder / "again" / ".sia" / "completions.sqlite"
    answers = count(completions)
    call = [sys.executable, "-c", TWO_WEEKS, "demo", "--folder", str(folder / "again"), "--json"]
    done = subprocess.run(call, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    weeks = json.loads(done.stdout)
    assert len(weeks) == 2
    assert weeks == [
        {**week.model_dump(mode="json"), "report": week.report.replace(str(demo_run.folder), f"{folder}/again")}
        for week in demo_run.weeks[:2]
    ]
    assert count(completions) == answers


def count(completions: Path) -> int:
    with closing(sqlite3.connect(completions)) as database:
        (answers,) = database.execute("SELECT count(*) FROM completions").fetchone()
    return int(answers)


def test_after_the_demo_the_other_commands_speak_of_it(
    sia: Sia, demo_run: DemoRun, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(demo_run.folder, folder / "again"))
    promoted = [week for week in demo_run.weeks if week.version]
    listed = json.loads(sia("policy", "list", "--json").out)
    assert [entry["window"]["key"] for entry in listed] == [week.window for week in promoted]
    assert sia("policy", "show").out.startswith(f"message_desk version {promoted[-1].version}, in force since")
    report = promoted[0].report.replace(str(demo_run.folder), f"{folder}/again")
    assert sia("report", "--window", promoted[0].window).out == f"{report}\n"
    again = sia("policy", "promote", "--window", promoted[-1].window)
    assert f"put version {promoted[-1].version} in force" in again.out


def test_a_broken_week_ends_the_demo_with_its_name(sia: Sia, folder: Path) -> None:
    (folder / ".sia" / "policies" / "message_desk").mkdir(parents=True)
    (folder / ".sia" / "assets").write_text("a file where the assets should be", encoding="utf-8")
    seen = sia("demo", "--folder", str(folder))
    assert seen.code == 1
    assert f"window {FIRST.key} failed" in seen.err


def test_demo_serves_until_it_is_interrupted(folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    call = [sys.executable, "-u", "-m", "sia_dagster", "demo", "--serve", "--port", port, "--model", "gpt-4o-mini"]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder) as serving:
        assert serving.stdout
        assert serving.stdout.readline().startswith(f"Simulated provider on http://127.0.0.1:{port}/v1")
        from sia_dagster_tests.adapters.engine.calls.test_probe import ask

        assert "gpt-4o-mini" in (ask(f"http://127.0.0.1:{port}/v1") or ())
        serving.send_signal(2)
        serving.communicate()
    assert serving.returncode == 130


def test_demo_says_so_where_the_port_is_taken(sia: Sia, provider: SimulatedProvider) -> None:
    port = provider.base_url.rpartition(":")[2].removesuffix("/v1")
    seen = sia("demo", "--serve", "--port", port)
    assert seen.code == 1
    assert "choose another port" in seen.err
