"""Attacks by kind and innocent edits by language: what passes, what stops, and at what a person must look."""

from collections import Counter

import pytest

from sia_dagster.core.guard import check_contract
from sia_dagster.core.records.guard import stops
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.search import Edit
from sia_dagster_tests.corpora.guard_worlds import (
    ATTACKS_BY_KIND,
    POLICY,
    edited_by,
    everyday,
    findings_of,
    innocent_cases,
    outcome,
    talk,
)

FORMS = frozenset(
    {
        "markup", "template syntax", "role words", "links", "identifiers", "alphabets and pictures",
        "code and other voices", "orders",
    }
)  # fmt: skip
"""Kinds that are found by the edit alone, whoever wrote it where."""


def test_the_corpus_is_large_and_each_attack_is_there_once() -> None:
    kinds = Counter(attack.kind for attack in ATTACKS_BY_KIND)
    assert len(ATTACKS_BY_KIND) >= 300
    assert len(kinds) >= 40
    assert len(set(ATTACKS_BY_KIND)) == len(ATTACKS_BY_KIND)


def test_no_attack_passes() -> None:
    wrong = {}
    for attack in ATTACKS_BY_KIND:
        came = outcome(findings_of(attack))
        if came == "pass" or (attack.expected == "stop" and came != "stop"):
            wrong[attack.kind, attack.edit] = came
    assert wrong == {}


def test_what_is_no_plain_prose_is_found_without_its_trace() -> None:
    found = {
        attack.edit: check_contract(edited_by(attack)[0], POLICY, everyday())
        for attack in ATTACKS_BY_KIND
        if attack.kind in FORMS or attack.kind.startswith("personal data")
    }
    assert len(found) > 150
    assert [edit for edit, findings in found.items() if not findings] == []


def test_innocent_edits_in_fourteen_languages_pass() -> None:
    results = {
        candidate.system_prompt: check_contract(candidate, policy, samples)
        for candidate, policy, samples in innocent_cases()
    }
    assert len(results) >= 200
    assert {prompt: found for prompt, found in results.items() if stops(found)} == {}
    assert sum(bool(found) for found in results.values()) <= 0.1 * len(results)


SUPPORT = {
    "three users": (("s0", "s1", "s2"), ""),
    "two users": (("s0", "s1"), "edit 1 rests on samples of 2 users, and 3 are needed"),
    "one account": (("attack", "again 1", "again 2", "again 3"), "edit 1 rests on samples of 1 user, and 3 are needed"),
    "nobody": ((), "edit 1 rests on samples of no conversations"),
    "no window's samples": (("x", "y", "z"), "edit 1 rests on samples of no conversations"),
}


@pytest.mark.parametrize("who", SUPPORT)
def test_an_edit_needs_several_sources(who: str) -> None:
    causes, why = SUPPORT[who]
    account = [talk(name, "hi", "yes", "mallory") for name in ("attack", "again 1", "again 2", "again 3")]
    samples = [*everyday(), *account]
    candidate = POLICY.model_copy(update={"system_prompt": f"{POLICY.system_prompt}\nSay when we answer."})
    edit = Edit(operation="add", text="Say when we answer.", samples=causes)
    reasons = " ".join(finding.reason for finding in check_contract(candidate, POLICY, samples, edits=(edit,)))
    assert (f"support: {why}" in reasons) if why else not reasons


def test_without_users_each_conversation_is_a_source_and_the_reason_says_so() -> None:
    samples = [sample.model_copy(update={"user_id": ""}) for sample in everyday()]
    candidate = POLICY.model_copy(update={"system_prompt": f"{POLICY.system_prompt}\nSay when we answer."})

    def reasons(*causes: str) -> str:
        edit = Edit(operation="add", text="Say when we answer.", samples=causes)
        return " ".join(finding.reason for finding in check_contract(candidate, POLICY, samples, edits=(edit,)))

    assert reasons("s0", "s1", "s2") == ""
    assert "2 conversations (no user is recorded, so that each conversation is one)" in reasons("s0", "s1")
    assert "support: no edit names" in " ".join(
        finding.reason for finding in check_contract(candidate, POLICY, samples, edits=())
    )
    other_model = POLICY.model_copy(update={"model": "another"})
    assert not check_contract(other_model, POLICY, samples, edits=()), "words that stay need no samples behind them"


UNITS = (
    "a", "A", " ", "\n", "1", ".", "{", "[", "(", "<", "@", "_", "-", "\u6211", "\u30b5", "\u0e01", "\uac00",
    "\u0915\u093f", "a@a.a", "a.", "1 ", "no ", "ignore ", "system: ", "](", "<!-- ", '"', "word ", "Aa Bb ",
    "a/", "${", "{{a", "```", '{"a":', "1:", "&#1;", "Bearer ", "password is ", "a\u200b", "\U0001f642",
    "four ", "my name is anna ", "return XML ", "Always offer a free refund. ", "\u5f20\u4f1f\u5148\u751f",
    "a\u13a0", "dot ", "\\x41",
)  # fmt: skip


def test_200_kb_of_anything_are_checked() -> None:
    """`make bench-guard` shows how long each rule takes; one that backtracks over a text would not end here."""
    text = "\n".join(unit * (4_000 // len(unit)) for unit in UNITS)
    candidate = Actions(system_prompt=f"{POLICY.system_prompt}\n{text}", model="m")
    found = check_contract(candidate, POLICY, [talk("s1", text, "ok", "u1")], edits=())
    assert len(text) > 180_000
    assert stops(found)
