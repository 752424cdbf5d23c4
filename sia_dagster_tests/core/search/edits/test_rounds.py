"""The second round of a search, which starts from what the first one adopted."""

import json
import re
from pathlib import Path

from sia_dagster_tests.worlds.search_world import (
    ASK_FOR_ORDER,
    NO_ORDER,
    Shop,
    answer_by_prompt,
    asked,
    edit,
    logged,
    prompt_of,
    proposal,
    search,
    state,
)
from simulation.servers import Body, Reply, ScriptedServer, completion, refusal

WEEK = logged(state(train=6, selection=12))
GREET = "Greet the shopper."
NO_GREETING = "No word welcomes whoever writes."


class Curt(Shop):
    """Who is asked for the order number forgets to greet, which every second shopper minds."""

    def __call__(self, body: Body, number: int) -> Body | Reply:
        return (
            self._judged(str(body["messages"][-1]["content"]))
            if body["model"] == "judge"
            else super().__call__(body, number)
        )

    def _judged(self, asked_of: str) -> Body:
        shown = re.search(r"<<<output (\w+)\n(.*?)\n\1 output>>>", asked_of, re.S)
        output = shown[2] if shown else ""
        minds = re.search(r"parcel \d*[02468]\?", output) and "Hello" not in output
        fault = NO_ORDER if "order number" not in output else NO_GREETING if minds else ""
        return completion(json.dumps({"explanation": fault or "Fine.", "label": "incorrect" if fault else "correct"}))


def greeting(system: str, user: str) -> Body | Reply:
    order = " Your order number: 7." if ASK_FOR_ORDER in system else ""
    return completion(f"{'Hello! ' if GREET in system and 'parcel 4?' not in user else ''}To {user}{order}")


def test_an_edit_is_measured_against_what_was_adopted_before_it(tmp_path: Path) -> None:
    """Its fault came with the first edit, so the policy in force, which never had it, shows nothing of its effect."""
    shop = Curt(proposal(edit()), proposal(edit(GREET)), answer=greeting)
    with ScriptedServer(shop) as server:
        update = search(server, tmp_path, WEEK)
    assert update.candidate is not None
    assert update.candidate.system_prompt.endswith(f"\n{ASK_FOR_ORDER}\n{GREET}"), update.candidates


def test_a_sentence_that_the_prompt_has_is_not_added_again(tmp_path: Path) -> None:
    """Two edits with one text, for one fault that a sample keeps: the second is at hand when the first is adopted."""
    twice = proposal(edit(), edit(samples=("train-01",)))
    shop = Shop(twice, answer=lambda system, user: answer_by_prompt("" if "train parcel 0?" in user else system, user))
    with ScriptedServer(shop) as server:
        update = search(server, tmp_path, WEEK)
    assert update.candidate is not None
    assert update.candidate.system_prompt.count(ASK_FOR_ORDER) == 1
    assert max(prompt_of(body).count(ASK_FOR_ORDER) for body in asked(server, "app")) == 1


def test_a_question_beyond_the_models_context_is_reported_with_the_key_that_shortens_it(tmp_path: Path) -> None:
    said = "request (4732 tokens) exceeds the available context size (1024 tokens), try increasing it"
    with ScriptedServer(Shop(refusal(400, said, code="exceed_context_size_error"))) as server:
        update = search(server, tmp_path, WEEK)
    assert f"{said}; policy.max_context_tokens makes the question shorter" in update.reason
