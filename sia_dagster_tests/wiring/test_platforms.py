"""The policy in force on the platforms of `publish`: as the command, the asset and a rollback bring it there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sia_dagster.adapters.files.registry_files import PolicyFiles
from sia_dagster.core.policy.rollback import rollback
from sia_dagster.core.records.registry import PolicyVersion, Promotion, Publication
from sia_dagster.wiring.platforms import publish_in_force
from sia_dagster_tests.fakes.arize_rest import KEY, SPACE, ArizeRest
from sia_dagster_tests.fakes.phoenix_server import Phoenix
from sia_dagster_tests.worlds import cli_world, verdicts
from sia_dagster_tests.worlds.cli_world import LAST, NEW, NOWHERE, OLD, Sia, enter, registry, version
from simulation.loops import Desk, checks, loop_config, metadata

WINDOW = cli_world.FIRST.key
PLATFORM = f"""
      source: arize
      project: desk
      space_id: {SPACE}
      max_attempts: 1
    publish: [file, arize_prompt_hub]
"""
TRACES = {"source": "arize", "project": "desk", "space_id": SPACE, "max_attempts": 1}


@pytest.fixture
def rest(monkeypatch: pytest.MonkeyPatch) -> Iterator[ArizeRest]:
    with ArizeRest() as server:
        for name, value in {**server.environment, "ARIZE_API_KEY": KEY}.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    enter(tmp_path, monkeypatch)
    local = "traces: {source: local, path: traces/, where: \"name = 'ChatCompletion'\"}\n"
    entry = cli_world.loop_entry()
    assert local in entry
    cli_world.configure(tmp_path, NOWHERE, loops=[entry.replace(local, f"traces:{PLATFORM}").replace("\n\n", "\n")])
    return tmp_path


@pytest.fixture
def store(folder: Path) -> PolicyFiles:
    return registry(folder, version(1, NEW), version(2, LAST))


def accepted(folder: Path) -> None:
    """The window's stored verdict: NEW is better than OLD."""
    verdicts.store(folder, verdicts.report(cli_world.FIRST, OLD, NEW))


def labelled(rest: ArizeRest, prompt: str = "desk") -> list[tuple[str, list[str]]]:
    """Each version's text, oldest first, with its labels."""
    return [(v["messages"][0]["content"], v["labels"]) for v in rest.prompts[prompt].versions]


def test_publish_brings_the_platform_to_the_policy_in_force(
    sia: Sia, rest: ArizeRest, store: PolicyFiles, folder: Path
) -> None:
    first = sia("policy", "publish")
    assert (first.code, first.err) == (0, "")
    assert "arize_prompt_hub: desk version 2: promoted; `production` is on prompt version" in first.out
    assert labelled(rest) == [(LAST.system_prompt, ["production"])]
    record, changes = folder / ".sia" / "publications" / "desk" / "arize_prompt_hub.json", list(rest.changes)
    kept = record.read_bytes()
    assert Publication.model_validate_json(kept).policy_version == 2

    again = sia("policy", "publish", "--loop", "desk")
    assert (again.code, again.out) == (0, first.out)
    assert (rest.changes, record.read_bytes()) == (changes, kept)


def test_a_rollback_moves_the_label_back(sia: Sia, rest: ArizeRest, folder: Path) -> None:
    registry(folder, version(1, NEW))
    sia("policy", "publish")
    registry(folder, version(2, LAST))
    sia("policy", "publish")
    assert labelled(rest) == [(NEW.system_prompt, []), (LAST.system_prompt, ["production"])]

    back = sia("policy", "rollback", "--by", "Bo")
    assert back.code == 0
    assert back.out.startswith("desk: version 3 is in force, the policy of version 1 again\narize_prompt_hub: desk ver")
    assert labelled(rest) == [(NEW.system_prompt, ["production"]), (LAST.system_prompt, [])]
    assert len([change for change in rest.changes if change.startswith("POST")]) == 2

    # Before any promotion there was a policy as well, which the platform does not have yet.
    farther = sia("policy", "rollback", "--to", "0", "--json")
    assert json.loads(farther.out)["version"] == 4
    assert "arize_prompt_hub: desk version 4: rolled back to the policy before any promotion" in farther.err
    assert labelled(rest)[-1] == (OLD.system_prompt, ["production"])


def test_a_label_that_somebody_moved_is_moved_by_force_alone(sia: Sia, rest: ArizeRest, folder: Path) -> None:
    registry(folder, version(1, NEW))
    sia("policy", "publish")
    rest._add_version(rest.prompts["desk"], {"commit_message": "mine", "messages": [{"content": "Mine."}]})
    mine = rest.prompts["desk"].versions[-1]
    rest.move_label(mine["id"], "production")
    registry(folder, version(2, LAST))

    refused = sia("policy", "publish")
    assert (refused.code, refused.out) == (1, "")
    assert f"is on prompt version {mine['id']} (not made by a loop)" in refused.err
    assert "nothing was changed" in refused.err
    assert "`sia policy publish --force --loop desk`" in refused.err
    assert mine["labels"] == ["production"]
    assert len(rest.prompts["desk"].versions) == 2

    forced = sia("policy", "publish", "--force")
    assert forced.code == 0
    assert labelled(rest) == [(NEW.system_prompt, []), ("Mine.", []), (LAST.system_prompt, ["production"])]
    assert sia("policy", "publish").code == 0


def test_somebody_elses_prompt_is_taken_over_by_force_alone(sia: Sia, rest: ArizeRest, store: PolicyFiles) -> None:
    rest.add_prompt("desk", "written by hand")
    refused = sia("policy", "publish")
    assert refused.code == 1
    assert "the prompt 'desk' on arize_prompt_hub is somebody else's" in refused.err
    assert rest.changes == []
    assert sia("policy", "publish", "--force").code == 0
    assert rest.prompts["desk"].versions[-1]["labels"] == ["production"]


def test_a_rollback_stands_where_the_platform_is_down(sia: Sia, rest: ArizeRest, store: PolicyFiles) -> None:
    sia("policy", "publish")
    rest.fail(".", status=503, times=100)
    back = sia("policy", "rollback", "--by", "Bo")
    assert back.code == 1
    assert "version 3 is in force" in back.out
    assert "arize_prompt_hub: Arize, the space" in back.err
    assert "publish again" in back.err
    assert store.versions()[-1].actions == NEW
    rest.faults.clear()
    assert sia("policy", "publish").code == 0
    assert labelled(rest)[-1] == (NEW.system_prompt, ["production"])


def test_nothing_to_publish_is_said(sia: Sia, rest: ArizeRest, folder: Path) -> None:
    none_yet = sia("policy", "publish")
    assert none_yet.code == 1
    assert "no policy was promoted yet" in none_yet.err
    registry(folder, version(1, NEW))
    cli_world.configure(folder, "http://127.0.0.1:9/v1")
    nowhere = sia("policy", "publish")
    assert (nowhere.code, nowhere.out) == (
        0,
        "desk: `publish` names no platform; the registry has the policy in force.\n",
    )
    assert rest.requests == []


def test_promote_publishes_at_once(sia: Sia, rest: ArizeRest, folder: Path) -> None:
    accepted(folder)
    promoted = sia("policy", "promote", "--window", WINDOW, "--by", "Ada")
    assert (promoted.code, promoted.err) == (0, "")
    assert labelled(rest) == [(NEW.system_prompt, ["production"])]
    changes = list(rest.changes)
    assert sia("policy", "promote", "--window", WINDOW, "--by", "Ada").code == 0
    assert rest.changes == changes


def test_promote_says_what_came_into_force_and_is_not_published(sia: Sia, rest: ArizeRest, folder: Path) -> None:
    accepted(folder)
    rest.add_prompt("desk", "written by hand")
    promoted = sia("policy", "promote", "--window", WINDOW, "--by", "Ada")
    assert (promoted.code, promoted.out) == (1, "")
    assert f"the evidence of window {WINDOW} put version 1 in force, but it is not published" in promoted.err
    assert "--force" in promoted.err
    assert [entry.actions for entry in registry(folder).versions()] == [NEW]
    document = folder / ".sia" / "assets" / "desk" / "promoted_policy" / f"{WINDOW}.json"
    assert Promotion.model_validate_json(document.read_bytes()).promoted is not None


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "the environment variable ARIZE_API_KEY is not set"),
        (f"{KEY}\n", "the value of ARIZE_API_KEY holds a blank, a line break"),
        ("ak-schlüssel", "the value of ARIZE_API_KEY holds a blank, a line break"),
        ("ak-wrong", "the key is not accepted"),
    ],
)
def test_a_key_that_cannot_publish_costs_no_promotion(
    sia: Sia, rest: ArizeRest, folder: Path, monkeypatch: pytest.MonkeyPatch, key: str, message: str
) -> None:
    monkeypatch.setenv("ARIZE_API_KEY", key)
    accepted(folder)
    promoted = sia("policy", "promote", "--window", WINDOW, "--by", "Ada")
    assert promoted.code == 1
    assert "put version 1 in force, but it is not published" in promoted.err
    assert message in promoted.err
    assert len(registry(folder).versions()) == 1
    assert not key.strip() or key.strip() not in promoted.err
    monkeypatch.setenv("ARIZE_API_KEY", KEY)
    assert sia("policy", "publish").code == 0
    assert labelled(rest) == [(NEW.system_prompt, ["production"])]


def test_a_broken_record_is_named_and_nothing_is_changed(
    sia: Sia, rest: ArizeRest, store: PolicyFiles, folder: Path
) -> None:
    record = folder / ".sia" / "publications" / "desk" / "arize_prompt_hub.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    refused = sia("policy", "publish")
    assert refused.code == 1
    assert f"{record}: this file is not a valid record of a publication" in refused.err
    assert rest.changes == []


def asset(folder: Path, **changes: Any) -> Desk:
    changes = {
        "traces": TRACES,
        "publish": ["file", "arize_prompt_hub"],
        "promotion": "manual",
        "start": WINDOW,
        **changes,
    }
    return Desk(folder, "http://127.0.0.1:9/v1", loop_config(**changes), clock="now")


def test_the_check_fails_where_publishing_does_and_the_registry_has_the_promotion(
    rest: ArizeRest, folder: Path
) -> None:
    accepted(folder)
    rest.fail("POST", status=500, times=100)
    with dg.DagsterInstance.ephemeral() as instance:
        found = Desk(folder, "", asset(folder).loop, instance=instance)
        result = found.run(WINDOW, "promoted_policy", config={"approved_by": "Ada"})
        assert result.success
        claims = checks(result)
        assert {name: claim.passed for name, claim in claims.items()} == {
            "promotion_rests_on_evidence": True,
            "approved_policy_is_in_force": True,
            "published_where_asked": False,
        }
        text = claims["published_where_asked"].description or ""
        assert "arize_prompt_hub: Arize, a version of the prompt 'desk'" in text
        assert "publish again" in text
        assert metadata(result, "promoted_policy")["promoted"] is True
        assert [entry.by for entry in found.versions] == ["Ada"]
        assert found.document("promoted_policy", Promotion, WINDOW).promoted == found.versions[0]

        rest.faults.clear()
        repeated = found.run(WINDOW, "promoted_policy", config={"approved_by": "Ada"})
        assert checks(repeated)["published_where_asked"].passed
        assert len(found.versions) == 1
        assert labelled(rest) == [(NEW.system_prompt, ["production"])]
        assert "production" in str(metadata(repeated, "promoted_policy")["published"])


def test_a_window_that_promotes_nothing_publishes_nothing(rest: ArizeRest, folder: Path) -> None:
    accepted(folder)
    registry(folder, version(1, LAST))
    with dg.DagsterInstance.ephemeral() as instance:
        result = Desk(folder, "", asset(folder).loop, instance=instance).run(WINDOW, "promoted_policy")
    assert not checks(result)["approved_policy_is_in_force"].passed
    assert checks(result)["published_where_asked"].passed
    assert rest.requests == []


def test_without_a_promotion_nothing_is_asked(rest: ArizeRest, folder: Path) -> None:
    assert publish_in_force(asset(folder).loop, registry(folder), folder / ".sia") == ()
    assert rest.requests == []


def test_targets_without_prompts_are_left_to_others(rest: ArizeRest, folder: Path, store: PolicyFiles) -> None:
    loop = asset(folder, publish=["file", "arize_experiments"]).loop
    assert publish_in_force(loop, store, folder / ".sia") == ()
    assert rest.requests == []


def test_the_prompt_may_have_a_name_of_its_own(rest: ArizeRest, folder: Path, store: PolicyFiles) -> None:
    loop = asset(folder, prompt_name="Desk, English").loop
    (text,) = publish_in_force(loop, store, folder / ".sia")
    assert text.publication is not None
    assert text.fault is None
    assert list(rest.prompts) == ["Desk, English"]


def test_phoenix_has_the_policy_in_force_under_its_tag(phoenix: Phoenix, folder: Path) -> None:
    project = phoenix.project("publishing")
    loop = loop_config(
        traces={"source": "phoenix", "base_url": phoenix.base_url, "project": project.name},
        publish=["file", "phoenix_prompts"],
        prompt_name=project.name,
    )
    policies = registry(folder, version(1, NEW))

    def in_production() -> str:
        (text,) = publish_in_force(loop, policies, folder / ".sia")
        assert text.fault is None
        found = project.client.prompts.get(prompt_identifier=project.name, tag="production")
        return str(next(iter(found.format(variables={}, sdk="openai").messages))["content"])

    def promoted(entry: PolicyVersion) -> str:
        policies.append(entry)
        return in_production()

    assert in_production() == NEW.system_prompt
    assert promoted(version(2, LAST)) == LAST.system_prompt
    rollback(policies, at=version(3, NEW).at, by="Bo")
    assert in_production() == NEW.system_prompt
    assert in_production() == NEW.system_prompt
