"""The reflection updater adopts the edits of an answer as a whole, or gives the reason why it cannot."""

import json
import re
from pathlib import Path

import pytest

from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.errors import EndpointRefused
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.records.search import Candidate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.search.reflection import ReflectionUpdater
from sia_dagster.core.search.reflection.prompt import shown_id
from sia_dagster_tests.worlds.search_world import (
    ASK_FOR_ORDER,
    BASELINE,
    POLICY,
    PROMPT,
    Shop,
    asked,
    edit,
    in_shop,
    proposal,
    said,
    sample,
    state,
    state_of,
)
from simulation.servers import Body, Reply, ScriptedServer, completion, refusal

RUDE = "The tone of this answer is harsh."


def propose(folder: Path, shop: Shop, before: StateActions, config: PolicyConfig = POLICY) -> tuple[Candidate, ...]:
    with ScriptedServer(shop) as server:
        return propose_to(server, folder, before, config)


def propose_to(
    server: ScriptedServer, folder: Path, before: StateActions, config: PolicyConfig = POLICY
) -> tuple[Candidate, ...]:
    async def work(chat: ChatModel) -> tuple[Candidate, ...]:
        return await ReflectionUpdater(config, chat).propose(before)

    return in_shop(server, folder, work)


def test_half_an_emoji_in_an_edit_does_not_make_a_policy_that_nothing_can_hold(tmp_path: Path) -> None:
    (found,) = propose(tmp_path, Shop(proposal(edit("Be kind \ud83d."))), state())
    assert found.status == "not_chosen"
    assert "Be kind \ufffd." in found.actions.system_prompt
    assert found.actions.fingerprint
    assert found.model_dump_json()


def test_edits_become_a_candidate(tmp_path: Path) -> None:
    edits = [edit(samples=["train-00", "train-02"]), edit("Be warm.", operation="replace", find="Be polite.")]
    (found,) = propose(tmp_path, Shop(proposal(*edits)), state())
    assert found.status == "not_chosen"
    assert found.reasons == ()
    assert found.actions == BASELINE.model_copy(
        update={"system_prompt": f"You answer shoppers.\nBe warm.\n{ASK_FOR_ORDER}"}
    )
    assert [e.samples for e in found.edits] == [("train-00", "train-02"), ("train-00",)]
    assert found.thoughts == "The order number is missing."


def test_each_candidate_has_its_own_task_and_the_order_is_fixed(tmp_path: Path) -> None:
    train = [sample(n, "train") for n in range(2)] + [sample(2, "train", said("incorrect", RUDE))]
    shop = Shop(proposal(edit("All.")), proposal(edit("First.")), proposal(edit("Second.", ["train-02"])))
    found = propose(tmp_path, shop, state_of(*train), POLICY.model_copy(update={"candidates": 4}))
    assert [c.name for c in found] == [f"reflection-{n}" for n in range(1, 5)]
    assert [c.edits[0].text for c in found] == ["All.", "First.", "Second.", "All."]


def test_one_group_asked_twice_is_two_draws(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        propose_to(server, tmp_path, state(), POLICY.model_copy(update={"candidates": 2}))
        assert len(server.requests) == 2
    assert server.requests[0] == server.requests[1]


def test_the_answer_is_asked_for_as_a_strict_schema(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        propose_to(server, tmp_path, state())
    schema = server.requests[0]["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert list(schema["schema"]["properties"]) == ["thoughts", "edits"]
    item = schema["schema"]["properties"]["edits"]["items"]
    assert list(item["properties"]) == item["required"] == ["operation", "find", "text", "samples", "why"]


def test_an_endpoint_without_structured_output_is_asked_for_json_text(tmp_path: Path) -> None:
    plain = json.dumps({"thoughts": "t", "edits": [edit()]})

    def answer(body: Body, _: int) -> Body | Reply:
        if body.get("response_format") or body.get("tools"):
            return refusal(400, "response_format and tools are not supported")
        return completion(f"Here it is.\n```json\n{plain}\n```")

    with ScriptedServer(answer) as server:
        (found,) = propose_to(server, tmp_path, state())
    assert found.actions.system_prompt == f"{PROMPT}\n{ASK_FOR_ORDER}"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (completion('{"thoughts": "", "edits": [', finish_reason="length"), "cut off at the token limit"),
        (completion(None, finish_reason="content_filter"), "content filter withheld"),
        (completion("I would rather not."), "not of the form"),
        (completion('{"thoughts": "t"}'), "wrong fields: edits"),
        (completion(json.dumps({"thoughts": "t", "edits": [edit(operation="move")]})), "edits.0.operation"),
        (proposal(), "proposes no edits"),
        (proposal(edit(samples=[])), "edit 1 names no sample"),
        (proposal(edit(), edit(samples=["train-00", "holdout-00"])), "names samples that were not shown (1 of 2)"),
        (proposal(edit(operation="replace", find="Be rude.")), "not in the prompt"),
        (proposal(edit("x", operation="replace", find="e")), "more than once"),
        (refusal(503, "out of order"), "out of order"),
    ],
)
def test_an_answer_that_cannot_be_used_is_kept_with_the_reason(tmp_path: Path, reply: Body | Reply, why: str) -> None:
    (found,) = propose(tmp_path, Shop(reply), state())
    assert found.status == "unusable"
    assert found.actions == BASELINE
    assert len(found.reasons) == 1
    assert why in found.reasons[0]


def test_one_unusable_answer_leaves_the_others(tmp_path: Path) -> None:
    train = [sample(n, "train") for n in range(2)] + [sample(2, "train", said("incorrect", RUDE))]
    shop = Shop(completion("no"), proposal(edit()), completion("no"))
    found = propose(tmp_path, shop, state_of(*train), POLICY.model_copy(update={"candidates": 3}))
    assert [c.status for c in found] == ["unusable", "not_chosen", "unusable"]


def test_samples_are_named_by_their_span_ids_whatever_they_were_shown_under(tmp_path: Path) -> None:
    odd = sample(0, "train").model_copy(update={"span_id": "an odd id"})
    (found,) = propose(tmp_path, Shop(proposal(edit(samples=[shown_id("an odd id")]))), state_of(odd))
    assert found.edits[0].samples == ("an odd id",)


def test_a_prompt_that_leaves_no_room_for_samples_asks_for_nothing(tmp_path: Path) -> None:
    long = state().model_copy(update={"actions": BASELINE.model_copy(update={"system_prompt": "Be kind. " * 600})})
    with ScriptedServer(Shop()) as server:
        (found,) = propose_to(server, tmp_path, long, POLICY.model_copy(update={"max_context_tokens": 1000}))
    assert "raise policy.max_context_tokens" in found.reasons[0]
    assert not server.requests


@pytest.mark.parametrize(
    "before",
    [state(train=0), state().model_copy(update={"actions": None}), state_of(sample(0, "train", said("correct")))],
)
def test_without_failures_or_policy_nothing_is_proposed(tmp_path: Path, before: StateActions) -> None:
    with ScriptedServer(Shop()) as server:
        assert propose_to(server, tmp_path, before) == ()
    assert not server.requests


def test_a_refused_key_stops_the_search(tmp_path: Path) -> None:
    with pytest.raises(EndpointRefused):
        propose(tmp_path, Shop(refusal(401, "bad key")), state())


def test_other_splits_are_not_shown(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        propose_to(server, tmp_path, state())
    assert len(asked(server, "optimizer")) == 1
    assert not re.search("selection|holdout", json.dumps(server.requests))


WHOLE = f"{PROMPT}\n{ASK_FOR_ORDER}"


@pytest.mark.parametrize(
    ("reply", "samples"),
    [
        (completion(json.dumps({"thoughts": "t", "system_prompt": WHOLE})), ()),
        (completion(json.dumps({"thoughts": "t", "prompt": WHOLE, "samples": ["train-01"]})), ("train-01",)),
        (completion(f"Here it is:\n```\n{WHOLE}\n```"), ()),
        (proposal(edit(WHOLE, operation="replace", find=PROMPT)), ("train-00",)),
        (proposal(edit(WHOLE, operation="add")), ("train-00",)),
    ],
)
def test_a_whole_new_prompt_is_turned_into_edits(tmp_path: Path, reply: Body, samples: tuple[str, ...]) -> None:
    (found,) = propose(tmp_path, Shop(reply), state())
    assert (found.status, found.actions.system_prompt) == ("not_chosen", WHOLE), found.reasons
    assert [(e.operation, e.find, e.text, e.samples) for e in found.edits] == [
        ("add", "Be polite.", ASK_FOR_ORDER, samples)
    ]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (completion(json.dumps({"prompt": WHOLE, "samples": ["holdout-00"]})), "samples that were not shown (1 of 1)"),
        (completion(json.dumps({"prompt": PROMPT})), "the answer proposes no edits"),
        (completion(json.dumps({"prompt": "(unchanged)"})), "keeps less than 50% of the present one's sentences"),
    ],
)
def test_a_whole_new_prompt_is_held_to_the_rules_of_edits(tmp_path: Path, reply: Body, why: str) -> None:
    (found,) = propose(tmp_path, Shop(reply), state())
    assert (found.status, found.actions) == ("unusable", BASELINE)
    assert why in found.reasons[0]


def test_a_prompt_with_windows_line_ends_keeps_them(tmp_path: Path) -> None:
    crlf = PROMPT.replace("\n", "\r\n")
    before = state().model_copy(update={"actions": BASELINE.model_copy(update={"system_prompt": crlf})})
    edits = (edit(f"{PROMPT}\nBe warm.", operation="replace", find=PROMPT), edit("First.\nSecond.", find=PROMPT))
    for index, each in enumerate(edits):
        (tmp_path / str(index)).mkdir()
        (found,) = propose(tmp_path / str(index), Shop(proposal(each)), before)
        prompt = found.actions.system_prompt
        assert found.status == "not_chosen", found.reasons
        assert prompt.startswith(f"{crlf}\r\n")
        assert prompt.count("\n") == prompt.count("\r\n") > 1
