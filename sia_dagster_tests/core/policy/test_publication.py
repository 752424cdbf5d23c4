"""Publishing a policy: found or made, labelled, recorded; repeatable after any crash; never blindly."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_dagster.adapters.files.publications import PublicationLog
from sia_dagster.adapters.files.storage import storage_root
from sia_dagster.core.errors import PublishConflict, PublishError
from sia_dagster.core.policy.publication import LABEL, commit_message, publish
from sia_dagster.core.ports.prompt_hub import HubVersion
from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion, Publication
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster_tests.worlds.verdicts import KEPT_LEVEL, SAVED

START = datetime(2026, 11, 9, tzinfo=UTC)


TARGET = "arize_prompt_hub"


class MemoryHub:
    """A hub of one prompt in memory. `dies_at` is the number of the change before which the process ends."""

    def __init__(self, *versions: HubVersion) -> None:
        self.found = list(versions)
        self.changes: list[str] = []
        self.dies_at: int | None = None
        self.loses_answer = False

    def versions(self, _: str) -> Sequence[HubVersion]:
        return tuple(self.found)

    def create(self, _: str, actions: Actions, message: str) -> str:
        with self.change(f"create {actions.system_prompt}"):
            self.found.append(HubVersion(id=f"v{len(self.found)}", message=message))
        return self.found[-1].id

    def set_label(self, _: str, version_id: str, label: str) -> None:
        with self.change(f"label {version_id}"):
            self.put(version_id, label)

    def put(self, version_id: str | None, label: str = LABEL) -> None:
        """Move the label as anybody can; None = take it off."""
        self.found = [
            v.model_copy(update={"labels": (*(n for n in v.labels if n != label), *((label,) * (v.id == version_id)))})
            for v in self.found
        ]

    @property
    def holder(self) -> str | None:
        return next((v.id for v in self.found if LABEL in v.labels), None)

    def change(self, what: str) -> "_Change":
        return _Change(self, what)


class _Change:
    """One change, before or after which the process may end."""

    def __init__(self, hub: MemoryHub, what: str) -> None:
        self._hub, self._what = hub, what

    def __enter__(self) -> None:
        if self._hub.dies_at == len(self._hub.changes) and not self._hub.loses_answer:
            raise Killed
        self._hub.changes.append(self._what)

    def __exit__(self, *_: object) -> None:
        if self._hub.dies_at == len(self._hub.changes) - 1 and self._hub.loses_answer:
            raise Killed


class Killed(BaseException):
    """The process ends here."""


def policy(name: str) -> Actions:
    return Actions(system_prompt=f"Be {name}.", model="small")


def promotion(version: int, name: str, loop: str = "desk") -> PolicyVersion:
    start = START + timedelta(weeks=version)
    return PolicyVersion(
        version=version,
        loop=loop,
        kind="promote",
        actions=policy(name),
        at=start,
        window=TimeWindow(key=start.date().isoformat(), start=start, end=start + timedelta(weeks=1)),
        evidence=(
            EvaluatorComparison(evaluator="tone", role="guardrail", n=60, difference=0.01),
            EvaluatorComparison(
                evaluator="correctness",
                role="primary",
                n=60,
                baseline_mean=0.62,
                candidate_mean=0.715,
                difference=0.095,
                p_value=0.0031,
            ),
        ),
    )


def going_back(version: int, name: str, restores: int | None) -> PolicyVersion:
    return PolicyVersion(
        version=version, loop="desk", kind="rollback", actions=policy(name), at=START, restores=restores, by="ann"
    )


def put_out(
    entry: PolicyVersion, hub: MemoryHub, last: Publication | None = None, *, prompt: str = "desk", force: bool = False
) -> Publication:
    return publish(entry, target=TARGET, hub=hub, last=last, prompt=prompt, force=force)


def test_the_first_promotion_makes_a_version_and_labels_it() -> None:
    hub = MemoryHub()
    done = put_out(promotion(1, "kind"), hub)
    assert hub.changes == ["create Be kind.", "label v0"]
    assert (done.target, done.policy_version, done.prompt, done.version_id) == (TARGET, 1, "desk", "v0")
    assert hub.holder == "v0"
    assert "desk version 1: promoted" in done.reason


def test_the_commit_message_names_window_verdict_gain_and_policy() -> None:
    entry = promotion(1, "kind")
    assert commit_message(entry).splitlines() == [
        "desk version 1: promoted by window 2026-11-16, verdict accept",
        "correctness 0.62 -> 0.715, gain +0.095, p = 0.0031, 60 conversations",
        "",
        f"sia:desk/1/{entry.actions.fingerprint}",
    ]


def test_the_commit_message_of_what_is_as_good_names_the_saving() -> None:
    entry = promotion(1, "kind").model_copy(update={"evidence": (KEPT_LEVEL,), "saving": SAVED})
    assert commit_message(entry).splitlines()[1:3] == [
        "as good for 33% of the money (28% to 40%)",
        "correctness 0.39 -> 0.38, difference -0.01, 60 conversations",
    ]
    assert "as good" not in commit_message(entry.model_copy(update={"override": True}))


def test_the_commit_message_of_an_override_claims_no_verdict() -> None:
    told = commit_message(promotion(1, "kind").model_copy(update={"override": True}))
    assert told.splitlines()[0] == "desk version 1: promoted by window 2026-11-16, past its gate"


def test_evidence_without_numbers_is_told_without_numbers() -> None:
    bare = EvaluatorComparison(evaluator="correctness", role="primary")
    told = commit_message(promotion(1, "kind").model_copy(update={"evidence": (bare,)}))
    assert "correctness ? -> ?, no conversations" in told


@pytest.mark.parametrize(
    ("restores", "said"), [(2, "rolled back to version 2"), (None, "rolled back to the policy before any promotion")]
)
def test_a_rollback_says_where_it_went_back_to(restores: int | None, said: str) -> None:
    assert commit_message(going_back(4, "kind", restores)).startswith(f"desk version 4: {said}\n")


def test_twice_changes_nothing_and_says_the_same() -> None:
    hub = MemoryHub()
    first = put_out(promotion(1, "kind"), hub)
    changes = list(hub.changes)
    assert put_out(promotion(1, "kind"), hub, first) == first
    assert hub.changes == changes


def test_the_next_promotion_moves_the_label() -> None:
    hub = MemoryHub()
    first = put_out(promotion(1, "kind"), hub)
    second = put_out(promotion(2, "brief"), hub, first)
    assert (second.policy_version, second.version_id, hub.holder) == (2, "v1", "v1")


def test_a_rollback_moves_the_label_back_to_the_version_that_is_there() -> None:
    hub = MemoryHub()
    second = put_out(promotion(2, "brief"), hub, put_out(promotion(1, "kind"), hub))
    back = put_out(going_back(3, "kind", 1), hub, second)
    assert hub.changes == ["create Be kind.", "label v0", "create Be brief.", "label v1", "label v0"]
    assert (back.policy_version, back.version_id) == (3, "v0")
    assert "rolled back to version 1" in back.reason


def test_a_rollback_to_before_any_promotion_makes_the_version_that_nobody_made() -> None:
    hub = MemoryHub()
    back = put_out(going_back(2, "plain", None), hub, put_out(promotion(1, "kind"), hub))
    assert hub.changes[2:] == ["create Be plain.", "label v1"]
    assert hub.holder == back.version_id == "v1"


def test_the_same_policy_promoted_again_gets_its_own_version_with_its_own_evidence() -> None:
    hub = MemoryHub()
    second = put_out(promotion(2, "brief"), hub, put_out(promotion(1, "kind"), hub))
    put_out(promotion(3, "kind"), hub, second)
    assert hub.holder == "v2"
    assert "2026-11-30" in hub.found[2].message


def test_other_labels_and_other_loops_versions_are_left_alone() -> None:
    other = commit_message(promotion(1, "kind", loop="sales"))
    mine = commit_message(promotion(1, "kind"))
    hub = MemoryHub(HubVersion(id="a", message=other, labels=("staging",)), HubVersion(id="b", message=mine))
    put_out(promotion(1, "kind"), hub)
    assert hub.changes == ["label b"]
    assert hub.found[0].labels == ("staging",)


CASES = [
    ((), promotion(1, "kind")),
    ((promotion(1, "kind"),), promotion(2, "brief")),
    ((promotion(1, "kind"), promotion(2, "brief")), going_back(3, "kind", 1)),
    ((promotion(1, "kind"),), going_back(2, "plain", None)),
]


def history(entries: Sequence[PolicyVersion], hub: MemoryHub) -> Publication | None:
    last = None
    for entry in entries:
        last = put_out(entry, hub, last)
    return last


@pytest.mark.parametrize("loses_answer", [False, True])
@pytest.mark.parametrize("dies_at", [0, 1])
@pytest.mark.parametrize(("before", "entry"), CASES)
def test_a_crash_anywhere_comes_to_the_same_end(
    before: Sequence[PolicyVersion], entry: PolicyVersion, dies_at: int, *, loses_answer: bool
) -> None:
    whole, broken = MemoryHub(), MemoryHub()
    last = history(before, whole)
    assert history(before, broken) == last
    expected = put_out(entry, whole, last)
    broken.dies_at, broken.loses_answer = len(broken.changes) + dies_at, loses_answer
    # Where fewer changes are needed than it survives, the process ends before it records what it did.
    with suppress(Killed):
        put_out(entry, broken, last)
    broken.dies_at = None
    assert put_out(entry, broken, last) == expected
    assert broken.found == whole.found


@given(st.lists(st.tuples(st.sampled_from(["kind", "brief", "plain"]), st.booleans()), min_size=1, max_size=8))
@settings(max_examples=50)
def test_after_any_history_the_label_stands_on_the_policy_in_force(steps: list[tuple[str, bool]]) -> None:
    hub, last = MemoryHub(), None
    for number, (name, back) in enumerate(steps, start=1):
        entry = going_back(number, name, None) if back else promotion(number, name)
        last = put_out(entry, hub, last)
        assert put_out(entry, hub, last) == last
        assert hub.holder == last.version_id
        holder = next(v for v in hub.found if v.id == hub.holder)
        assert holder.message.endswith(entry.actions.fingerprint)
    assert sum(LABEL in v.labels for v in hub.found) == 1


def conflict(entry: PolicyVersion, hub: MemoryHub, last: Publication | None = None) -> str:
    changes = list(hub.changes)
    with pytest.raises(PublishConflict) as raised:
        put_out(entry, hub, last)
    assert hub.changes == changes, "a conflict changes nothing"
    assert f"`sia policy publish --force --loop {entry.loop}`" in str(raised.value)
    return str(raised.value)


def test_somebody_elses_prompt_is_not_taken_over() -> None:
    hub = MemoryHub(HubVersion(id="a", message="first draft"), HubVersion(id="b", message="by hand", labels=(LABEL,)))
    said = conflict(promotion(1, "kind"), hub)
    assert "'desk'" in said
    assert "somebody else's" in said
    done = put_out(promotion(1, "kind"), hub, force=True)
    assert hub.holder == done.version_id == "v2"


def test_another_loops_prompt_is_not_taken_over() -> None:
    hub = MemoryHub()
    put_out(promotion(1, "kind", loop="sales"), hub)
    assert "loop sales" in conflict(promotion(1, "kind"), hub)


def test_a_prompt_made_anew_by_somebody_else_is_not_taken_over() -> None:
    hub = MemoryHub()
    first = put_out(promotion(1, "kind"), hub)
    hub.found = [HubVersion(id="x", message="fresh")]
    assert "somebody else's" in conflict(promotion(2, "brief"), hub, first)


def test_a_message_that_only_quotes_a_mark_is_not_a_mark() -> None:
    line = f"sia:desk/1/{policy('kind').fingerprint}"
    hub = MemoryHub(HubVersion(id="a", message=f"as in `{line}` I wrote"))
    assert "somebody else's" in conflict(promotion(1, "kind"), hub)


def test_a_hub_that_keeps_messages_on_one_line_is_understood() -> None:
    hub = MemoryHub()
    first = put_out(promotion(1, "kind"), hub)
    flat = f"{hub.found[0].message} Not held: a sia:desk/9/0123456789abcdef b".replace("\n", " ")
    hub.found = [hub.found[0].model_copy(update={"message": flat})]
    assert put_out(promotion(1, "kind"), hub, first) == first
    assert "(desk version 1)" in conflict(promotion(2, "brief"), hub), "the first mark counts, not what follows it"


@pytest.mark.parametrize("same_policy", [False, True])
def test_a_label_moved_to_an_older_version_is_not_moved_back_unasked(*, same_policy: bool) -> None:
    hub = MemoryHub()
    second = put_out(promotion(2, "brief"), hub, put_out(promotion(1, "kind"), hub))
    hub.put("v0")
    entry = promotion(2, "brief") if same_policy else promotion(3, "warm")
    said = conflict(entry, hub, second)
    assert "is on prompt version v0 (desk version 1)" in said
    assert "left it on prompt version v1" in said
    done = put_out(entry, hub, second, force=True)
    assert hub.holder == done.version_id


def test_a_label_on_a_version_made_by_hand_is_named_as_such() -> None:
    hub = MemoryHub()
    first = put_out(promotion(1, "kind"), hub)
    hub.found.append(HubVersion(id="x", message="by hand"))
    hub.put("x")
    assert "prompt version x (not made by a loop)" in conflict(promotion(2, "brief"), hub, first)


def test_a_label_that_was_taken_off_is_not_put_back_unasked() -> None:
    hub = MemoryHub()
    first = put_out(promotion(1, "kind"), hub)
    hub.put(None)
    assert "was removed" in conflict(promotion(1, "kind"), hub, first)
    assert put_out(promotion(1, "kind"), hub, first, force=True) == first
    assert hub.holder == "v0"


def test_with_its_log_lost_a_loop_does_not_move_a_label_it_cannot_account_for() -> None:
    hub = MemoryHub()
    put_out(promotion(1, "kind"), hub)
    assert "this loop never put it there" in conflict(promotion(2, "brief"), hub)
    assert put_out(promotion(1, "kind"), hub).version_id == "v0", "where it stands right, the log is made again"


def test_a_deleted_prompt_is_made_again() -> None:
    hub = MemoryHub()
    first = put_out(promotion(1, "kind"), hub)
    hub.found = []
    again = put_out(promotion(2, "brief"), hub, first)
    assert hub.holder == again.version_id


def test_a_newer_published_policy_is_not_replaced_by_an_older_one() -> None:
    hub = MemoryHub()
    second = put_out(promotion(2, "brief"), hub, put_out(promotion(1, "kind"), hub))
    said = conflict(promotion(1, "kind"), hub, second)
    assert "already holds version 2" in said
    assert put_out(promotion(1, "kind"), hub, second, force=True).version_id == "v0"


def test_another_prompt_name_starts_from_nothing() -> None:
    hub = MemoryHub()
    first = put_out(promotion(1, "kind"), hub)
    elsewhere = MemoryHub()
    done = put_out(promotion(1, "kind"), elsewhere, first, prompt="desk_eu")
    assert (done.prompt, elsewhere.changes) == ("desk_eu", ["create Be kind.", "label v0"])


def test_of_two_versions_made_at_once_the_one_with_the_label_counts() -> None:
    message = commit_message(promotion(1, "kind"))
    hub = MemoryHub(HubVersion(id="a", message=message), HubVersion(id="b", message=message, labels=(LABEL,)))
    assert put_out(promotion(1, "kind"), hub).version_id == "b"
    assert hub.changes == []
    hub.put(None)
    assert put_out(promotion(1, "kind"), hub).version_id == "a"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def published(version: int = 1, target: str = TARGET) -> Publication:
    return Publication(target=target, policy_version=version, prompt="desk", version_id="v0", reason="because")


FILE = Path("publications") / "desk" / f"{TARGET}.json"


def test_the_log_remembers_the_newest_publication_of_each_target(folder: Path) -> None:
    log = PublicationLog(folder, "desk")
    assert log.last(TARGET) is None
    log.record(published(1))
    log.record(published(2))
    log.record(published(7, "phoenix_prompts"))
    assert PublicationLog(folder, "desk").last(TARGET) == published(2)
    assert log.last("phoenix_prompts") == published(7, "phoenix_prompts")
    assert PublicationLog(folder, "sales").last(TARGET) is None
    assert sorted(p.name for p in (folder / "publications" / "desk").iterdir()) == [
        f"{TARGET}.json",
        "phoenix_prompts.json",
    ]


def test_the_same_record_is_the_same_bytes(folder: Path) -> None:
    log = PublicationLog(folder, "desk")
    log.record(published())
    before = (folder / FILE).read_bytes()
    log.record(published())
    assert (folder / FILE).read_bytes() == before


def test_the_log_lives_on_any_storage() -> None:
    log = PublicationLog(storage_root("memory://publications-test", Path()), "desk")
    assert log.last(TARGET) is None
    log.record(published())
    assert log.last(TARGET) == published()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", r"not a valid record of a publication \(target: Field required\)"),
        ('{"target": "arize_pro', "not a valid record of a publication"),
        (published(target="phoenix_prompts").model_dump_json(), "the record of 'phoenix_prompts'"),
    ],
)
def test_a_broken_record_is_named_with_what_to_do(folder: Path, content: str, said: str) -> None:
    (folder / FILE).parent.mkdir(parents=True)
    (folder / FILE).write_text(content)
    with pytest.raises(PublishError, match=said) as raised:
        PublicationLog(folder, "desk").last(TARGET)
    assert str(folder / FILE) in str(raised.value)
    assert "move it away" in str(raised.value)


def test_a_record_that_cannot_be_read_or_written_says_so(folder: Path) -> None:
    (folder / FILE).mkdir(parents=True)
    log = PublicationLog(folder, "desk")
    with pytest.raises(PublishError, match="cannot be read"):
        log.last(TARGET)
    (folder / FILE / "inside").touch()
    with pytest.raises(PublishError, match="cannot be recorded"):
        log.record(published())
