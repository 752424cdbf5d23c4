"""`sia policy` and `sia report`: what is in force, what it changed, and how one goes back."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sia_dagster.adapters.files.registry_files import PolicyFiles
from sia_dagster.core.records.policy import Actions, SentenceOrigin
from sia_dagster.core.records.report import Verdict
from sia_dagster_tests.worlds import verdicts
from sia_dagster_tests.worlds.cli_world import (
    FIRST,
    LAST,
    NEW,
    NOWHERE,
    OLD,
    SECOND,
    Sia,
    configure,
    enter,
    registry,
    version,
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    configure(enter(tmp_path, monkeypatch), NOWHERE)
    return tmp_path


@pytest.fixture
def store(folder: Path) -> PolicyFiles:
    return registry(folder, version(1, NEW), version(2, LAST))


def write_verdict(folder: Path, verdict: Verdict = "accept", *, looked_at: bool = True) -> None:
    verdicts.store(folder, verdicts.report(FIRST, OLD, NEW, verdict=verdict), looked_at=looked_at)


def write_reports(folder: Path, *keys: str) -> None:
    path = folder / ".sia" / "reports" / "desk"
    path.mkdir(parents=True)
    for key in keys:
        (path / f"{key}.html").write_text("<p>report</p>", encoding="utf-8")


def test_list_shows_when_by_whom_and_why(sia: Sia, folder: Path) -> None:
    rolled = version(2, OLD, kind="rollback", restores=None, window=None, evidence=(), by="Bo")
    again = version(3, NEW, kind="rollback", restores=1, window=None, evidence=())
    bare = version(4, LAST, evidence=())
    registry(folder, version(1, NEW), rolled, again, bare)
    out = sia("policy", "list").out
    assert f"promoted, window {FIRST.key}: correctness 0.39 -> 0.68 (59 conversations)" in out
    assert "2026-10-12 00:00   Bo" in out
    assert "rolled back to before any promotion" in out
    assert "rolled back to version 1" in out
    assert out.rstrip().endswith(f"promoted, window {bare.window.key if bare.window else None}")


def test_list_names_what_a_policy_saves(sia: Sia, folder: Path) -> None:
    registry(folder, version(1, NEW, evidence=(verdicts.KEPT_LEVEL,), saving=verdicts.SAVED))
    said = f"promoted, window {FIRST.key}: as good for 33% of the money (28% to 40%); correctness 0.39 -> 0.38"
    assert said in sia("policy", "show").out


def test_list_as_json_is_the_registry(sia: Sia, store: PolicyFiles) -> None:
    listed = json.loads(sia("policy", "list", "--loop", "desk", "--json").out)
    assert [entry["actions"]["system_prompt"] for entry in listed] == [NEW.system_prompt, LAST.system_prompt]


def test_without_a_promotion_the_traces_policy_is_in_force(sia: Sia) -> None:
    listed = sia("policy", "list")
    assert listed.code == 0
    assert "no policy was promoted yet" in listed.out
    assert sia("policy", "list", "--json").out == "[]\n"
    for arguments in (["show"], ["diff"], ["show", "--version", "0"]):
        refused = sia("policy", *arguments)
        assert (refused.code, refused.out) == (1, "")
        assert "no policy was promoted yet" in refused.err


def test_show_tells_the_policy_in_force(sia: Sia, folder: Path) -> None:
    registry(folder, version(1, NEW, report="reports/desk.html"))
    out = sia("policy", "show").out
    assert out.splitlines() == [
        "desk version 1, in force since 2026-10-05 00:00 UTC, by Ada",
        f"  promoted, window {FIRST.key}: correctness 0.39 -> 0.68 (59 conversations)",
        "  report: reports/desk.html",
        "model: large",
        'parameters: {"temperature": 0.2}',
        "system prompt:",
        *NEW.system_prompt.splitlines(),
    ]


def test_show_says_where_the_sentences_of_the_loop_are_from(sia: Sia, folder: Path) -> None:
    origin = SentenceOrigin(
        text="Name the order.\x1b[31m",
        window=FIRST.key,
        strategy="edits",
        cause="it names no order\x1b[2J",
        probed=4,
        mended=3,
        gain=0.04,
    )
    registry(folder, version(1, NEW, provenance=(origin,)))
    out = sia("policy", "show").out
    assert out.splitlines()[-2:] == [
        "sentences that the loop wrote:",
        f"  Name the order.⟨U+001B⟩[31m [window {FIRST.key}, by edits: 3 of 4 samples mended; its race gained "
        "+0.040 of the range; it names no order⟨U+001B⟩[2J]",
    ]


def test_a_prompt_cannot_speak_to_the_terminal(sia: Sia, store: PolicyFiles) -> None:
    for arguments in (["show"], ["diff"]):
        out = sia("policy", *arguments).out
        assert "[bold]and⟨U+001B⟩[31m why." in out
        assert "\x1b" not in out


def test_show_goes_back_to_before_any_promotion(sia: Sia, store: PolicyFiles) -> None:
    assert "came into force 2026-10-05" in sia("policy", "show", "--version", "1").out
    before = sia("policy", "show", "--version", "0").out
    assert before.startswith("The policy before any promotion, as in the traces\n")
    assert before.endswith(f"{OLD.system_prompt}\n")
    assert json.loads(sia("policy", "show", "--version", "0", "--json").out) == {
        "version": 0,
        "actions": OLD.model_dump(mode="json"),
    }
    assert json.loads(sia("policy", "show", "--json").out) == store.versions()[-1].model_dump(mode="json")


def test_a_version_that_is_not_there_is_named_with_those_that_are(sia: Sia, store: PolicyFiles) -> None:
    refused = sia("policy", "show", "--version", "9")
    assert (refused.code, refused.err) == (1, "Error: there is no version 9; there are: 1, 2\n")


def test_diff_shows_what_the_version_in_force_changed(sia: Sia, folder: Path) -> None:
    registry(folder, version(1, NEW))
    lines = sia("policy", "diff").out.splitlines()
    assert lines[:2] == ["--- version 0", "+++ version 1"]
    assert [line for line in lines[2:] if line[0] in "+-"] == ["+Name the order.", "-small", "+large"]
    assert lines.index("model:") > lines.index("+Name the order.")


@pytest.mark.parametrize(
    ("arguments", "compared"), [([], (1, 2)), (["0"], (0, 2)), (["2", "1"], (2, 1)), (["1", "1"], (1, 1))]
)
def test_diff_compares_any_two_versions(
    sia: Sia, store: PolicyFiles, arguments: list[str], compared: tuple[int, int]
) -> None:
    out = sia("policy", "diff", *arguments).out
    assert out.startswith(f"--- version {compared[0]}\n+++ version {compared[1]}\n")
    found = json.loads(sia("policy", "diff", *arguments, "--json").out)
    assert (found["old"], found["new"]) == compared
    assert found["same"] == ("The two are the same policy." in out) == (compared == (1, 1))
    if compared == (0, 2):
        assert found["settings"]["model"] == {"old": "small", "new": "large"}
        assert "-Be brief." in found["prompt"]


def test_rollback_adds_a_version(sia: Sia, store: PolicyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = sia("policy", "rollback", "--by", "Bo")
    assert (seen.code, seen.out) == (0, "desk: version 3 is in force, the policy of version 1 again\n")
    entry = store.versions()[-1]
    assert (entry.actions, entry.by, entry.restores) == (NEW, "Bo", 1)
    monkeypatch.setenv("USER", "ada")
    output = json.loads(sia("policy", "rollback", "--to", "0", "--json").out)
    assert (output["version"], output["by"], output["actions"]) == (4, "ada", OLD.model_dump(mode="json"))
    assert "from before any promotion" in sia("policy", "rollback", "--to", "0").out


def test_rollback_says_why_it_cannot(sia: Sia, store: PolicyFiles) -> None:
    refused = sia("policy", "rollback", "--to", "2")
    assert refused.code == 1
    assert "already is that policy" in refused.err


@pytest.mark.parametrize("verdict", ["reject", "inconclusive"])
def test_only_an_accepted_window_is_promoted(sia: Sia, folder: Path, verdict: Verdict) -> None:
    write_verdict(folder, verdict)
    refused = sia("policy", "promote", "--window", FIRST.key, "--by", "Ada")
    assert (refused.code, refused.out) == (1, "")
    assert f"the verdict of window {FIRST.key} is {verdict}, so the policy stays. so it is" in refused.err
    assert not registry(folder).versions()


def test_promote_records_who_approved_and_repeats_nothing(sia: Sia, folder: Path) -> None:
    write_verdict(folder)
    first = sia("policy", "promote", "--window", FIRST.key, "--by", "Ada")
    assert (first.code, first.out) == (0, f"desk: the evidence of window {FIRST.key} put version 1 in force\n")
    (entry,) = registry(folder).versions()
    assert (entry.actions, entry.by, entry.replaced) == (NEW, "Ada", OLD)
    assert str(entry.report).endswith(f"reports/desk/{FIRST.key}.html")
    again = json.loads(sia("policy", "promote", "--window", FIRST.key, "--by", "Bo", "--json").out)
    assert again["promoted"]["by"] == "Ada"
    assert len(registry(folder).versions()) == 1
    document = folder / ".sia" / "assets" / "desk" / "promoted_policy" / f"{FIRST.key}.json"
    assert json.loads(document.read_bytes()) == again


def test_promote_refuses_evidence_against_another_policy(sia: Sia, folder: Path) -> None:
    write_verdict(folder)
    registry(folder, version(1, LAST, window=SECOND))
    refused = sia("policy", "promote", "--window", FIRST.key)
    assert refused.code == 1
    assert "compared the candidate with another policy than version 1" in refused.err


def test_promote_tells_what_went_wrong_in_the_asset(sia: Sia, folder: Path) -> None:
    write_verdict(folder)
    broken = folder / ".sia" / "policies" / "desk" / "000001.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{}", encoding="utf-8")
    refused = sia("policy", "promote", "--window", FIRST.key)
    assert refused.code == 1
    assert f"{broken}: this file is not a valid entry of the registry" in refused.err


def test_promote_needs_a_window_that_has_run(sia: Sia, folder: Path) -> None:
    missing = sia("policy", "promote", "--window", FIRST.key)
    assert (missing.code, missing.out) == (1, "")
    assert f"window '{FIRST.key}' of desk has not run (none has yet)" in missing.err
    assert f"sia run --loop desk --window {FIRST.key}" in missing.err
    write_verdict(folder)
    next((folder / ".sia" / "assets").rglob(f"{FIRST.key}.json")).write_text("{", encoding="utf-8")
    broken = sia("policy", "promote", "--window", FIRST.key)
    assert "this document cannot be read; run the window again" in broken.err


def test_a_note_is_kept_with_who_approved(sia: Sia, folder: Path) -> None:
    write_verdict(folder)
    assert sia("policy", "promote", "--window", FIRST.key, "--by", "Ada", "--note", "read it").code == 0
    assert "  note: read it" in sia("policy", "show").out
    out = sia("policy", "list").out
    assert "desk: decisions" in out
    (decision,) = json.loads(sia("policy", "list", "--decisions", "--json").out)
    assert (decision["kind"], decision["by"], decision["note"], decision["verdict"]) == (
        "approve",
        "Ada",
        "read it",
        "accept",
    )
    assert len(json.loads(sia("policy", "list", "--json").out)) == 1


def test_without_a_decision_the_list_says_so(sia: Sia) -> None:
    assert sia("policy", "list", "--decisions").out == "desk: nobody decided about a candidate yet.\n"
    assert sia("policy", "list", "--decisions", "--json").out == "[]\n"


def test_a_verdict_that_somebody_edited_is_not_promoted(sia: Sia, folder: Path) -> None:
    write_verdict(folder, "inconclusive")
    document = folder / ".sia" / "assets" / "desk" / "validation_results" / f"{FIRST.key}.json"
    document.write_text(document.read_text(encoding="utf-8").replace('"inconclusive"', '"accept"'), encoding="utf-8")
    refused = sia("policy", "promote", "--window", FIRST.key, "--by", "Ada")
    assert refused.code == 1
    assert "according to the looks ledger, this window's holdout gave inconclusive" in refused.err
    assert not registry(folder).versions()


def test_a_verdict_of_an_earlier_version_is_asked_for_again(sia: Sia, folder: Path) -> None:
    write_verdict(folder, looked_at=False)
    refused = sia("policy", "promote", "--window", FIRST.key, "--by", "Ada")
    assert "materialise validation_results again" in refused.err


def test_an_override_is_recorded_and_shown(sia: Sia, folder: Path) -> None:
    write_verdict(folder, "inconclusive")
    without = sia("policy", "promote", "--window", FIRST.key, "--override")
    assert without.code == 2
    assert "--override needs --note" in without.err
    done = sia("policy", "promote", "--window", FIRST.key, "--by", "Ada", "--override", "--note", "it is urgent")
    assert done.out == f"desk: Ada put version 1 in force past the gate of window {FIRST.key}: it is urgent\n"
    assert f"promoted past the gate, window {FIRST.key}" in sia("policy", "show").out
    output = sia("policy", "list", "--decisions").out
    assert "override" in output
    assert "inconclusive" in output
    assert "it is urgent" in output


def test_a_rejection_is_recorded_and_holds_until_somebody_says_why_not(sia: Sia, folder: Path) -> None:
    write_verdict(folder)
    rejected = sia("policy", "reject", "--window", FIRST.key, "--by", "Bo", "--note", "too curt")
    assert rejected.code == 0
    assert rejected.out.startswith(f"desk: Bo rejected the candidate of window {FIRST.key} at ")
    assert rejected.out.endswith(": too curt\n")
    refused = sia("policy", "promote", "--window", FIRST.key, "--by", "Ada")
    assert refused.code == 1
    assert "give your name and a note" in refused.err
    again = sia("policy", "promote", "--window", FIRST.key, "--by", "Ada", "--note", "Bo agrees", "--json")
    assert json.loads(again.out)["promoted"]["note"] == "Bo agrees"
    listed = json.loads(sia("policy", "list", "--decisions", "--json").out)
    assert [each["kind"] for each in listed] == ["reject", "approve"]


def test_there_is_nothing_to_reject_without_a_candidate_or_a_run(sia: Sia, folder: Path) -> None:
    assert "has not run" in sia("policy", "reject", "--window", FIRST.key).err
    verdicts.store(folder, verdicts.report(FIRST, OLD, None, verdict="inconclusive"), looked_at=False)
    refused = sia("policy", "reject", "--window", FIRST.key)
    assert refused.code == 1
    assert "the window has no candidate" in refused.err


def test_a_rejection_as_json_is_the_asset(sia: Sia, folder: Path) -> None:
    write_verdict(folder)
    output = json.loads(sia("policy", "reject", "--window", FIRST.key, "--by", "Bo", "--json").out)
    document = folder / ".sia" / "assets" / "desk" / "promoted_policy" / f"{FIRST.key}.json"
    assert json.loads(document.read_bytes()) == output
    assert (output["promoted"], output["decision"]["by"]) == (None, "Bo")


def test_a_rollback_takes_a_note(sia: Sia, store: PolicyFiles) -> None:
    assert sia("policy", "rollback", "--by", "Bo", "--note", "complaints").code == 0
    assert store.versions()[-1].note == "complaints"


def test_report_prints_the_path(sia: Sia, folder: Path) -> None:
    write_reports(folder, FIRST.key, SECOND.key)
    path = folder / ".sia" / "reports" / "desk" / f"{FIRST.key}.html"
    assert sia("report", "--window", FIRST.key).out == f"{path}\n"
    assert json.loads(sia("report", "--json").out) == {
        "loop": "desk",
        "window": SECOND.key,
        "report": str(path.with_name(f"{SECOND.key}.html")),
    }


def test_report_of_a_window_that_has_not_run_names_those_that_have(sia: Sia, folder: Path) -> None:
    write_reports(folder, FIRST.key)
    missing = sia("report", "--window", SECOND.key)
    assert (missing.code, missing.out) == (1, "")
    assert f"'{SECOND.key}' of desk has not run (the latest that have: {FIRST.key})" in missing.err


def open_report(folder: Path, browser: str, monkeypatch: pytest.MonkeyPatch) -> "subprocess.CompletedProcess[str]":
    write_reports(folder, FIRST.key)
    monkeypatch.setenv("BROWSER", browser)
    call = [sys.executable, "-m", "sia_dagster", "report", "--open"]
    return subprocess.run(call, capture_output=True, text=True, check=False, cwd=folder)


def test_report_opens_in_the_browser(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = folder / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {folder}/opened\n', encoding="utf-8")
    browser.chmod(0o755)
    done = open_report(folder, f"{browser} %s", monkeypatch)
    assert (done.returncode, done.stderr) == (0, "")
    opened = (folder / "opened").read_text(encoding="utf-8").strip()
    assert opened == (folder / ".sia" / "reports" / "desk" / f"{FIRST.key}.html").as_uri()


def test_report_says_so_without_a_browser(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    done = open_report(folder, "/bin/false %s", monkeypatch)
    assert done.returncode == 1
    assert "no browser could be started; open" in done.stderr


def test_report_in_a_remote_store_is_not_opened(sia: Sia, folder: Path) -> None:
    from upath import UPath

    remote = UPath("memory://reports-test/reports/desk")
    (remote / f"{FIRST.key}.html").write_text("<p>report</p>")
    path = folder / "sia.yaml"
    path.write_text(f"storage: memory://reports-test\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    seen = sia("report", "--open")
    assert (seen.code, seen.out) == (1, f"{remote / FIRST.key}.html\n")
    assert "is not a local file: download it to open it" in seen.err


def test_a_policy_shows_all_that_it_sets(sia: Sia, folder: Path) -> None:
    whole = Actions.model_validate(
        {**NEW.model_dump(), "examples": [{"input": "Hi", "output": "Hello"}], "variables": ["name"]}
    )
    registry(folder, version(1, whole, by=""))
    out = sia("policy", "show").out
    assert 'examples: [{"input": "Hi", "output": "Hello"}]' in out
    assert "by nobody named" in out
