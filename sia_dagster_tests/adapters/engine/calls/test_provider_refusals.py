"""What each provider says when it refuses: how many calls are made until that is understood, and what becomes of it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.core.errors import CallFailed, EndpointRefused
from sia_dagster.core.ports.model import ChatReply
from sia_dagster_tests.places import CORPORA
from sia_dagster_tests.worlds.chats import Desk, ask
from simulation.servers import Body, Reply, ScriptedServer, completion

REFUSALS: list[Any] = json.loads((CORPORA / "provider_refusals.json").read_text(encoding="utf-8"))
"""`action`: `stop` the run, fail the `row`, `retry`, or `answer` since the request is sent again without `until`."""

CHAT = ({"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "Where is my parcel?"})

MOST = 3
"""Attempts of a call here."""


EXPECTED = {"stop": (EndpointRefused, 1), "row": (CallFailed, 1), "retry": (CallFailed, MOST), "answer": (ChatReply, 2)}
"""By action, the outcome and the calls made until it was understood."""


def still_refused(body: Body, until: str) -> bool:
    """Whether the request still holds what the endpoint refuses."""
    roles = [message["role"] for message in body["messages"]]
    return not until or (until in roles if until == "system" else until in body)


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: f"{row['provider']} {row['status']} {row['kind']}")
def test_a_refusal_is_understood_at_once_whatever_its_status(row: Any, tmp_path: Path) -> None:
    def answer(body: Body, _: int) -> Reply | Body:
        refused = still_refused(body, row.get("until", ""))
        return Reply(row["status"], row["body"]) if refused else completion("It is on its way.")

    with ScriptedServer(lambda body, n: answer(body, n)) as server:
        desk = Desk(server.base_url, tmp_path, max_attempts=MOST)
        (outcome,) = desk.ask(ask(model="application-model", messages=CHAT, parameters={"temperature": 0}))
        calls = len(server.requests)
    assert (type(outcome), calls) == EXPECTED[row["action"]], str(outcome)
    if isinstance(outcome, CallFailed):
        assert outcome.kind == row["kind"]
    if isinstance(outcome, ChatReply):
        assert list(outcome.left_out) == row["left_out"]
        assert "Answer briefly." in json.dumps(server.requests[-1])


def test_the_table_is_of_many_providers_and_kinds(record_property: Any) -> None:
    kinds, providers = Counter(row["kind"] for row in REFUSALS), {row["provider"] for row in REFUSALS}
    calls = {row["kind"]: EXPECTED[row["action"]][1] for row in REFUSALS}
    table = ", ".join(f"{kind} {count} ({calls[kind]} calls each)" for kind, count in kinds.most_common())
    record_property("provider refusals", f"{len(REFUSALS)} of {len(providers)} providers: {table}")
    assert len(REFUSALS) >= 100
    assert len(providers) >= 25
