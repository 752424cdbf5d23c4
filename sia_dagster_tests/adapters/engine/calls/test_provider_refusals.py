"""What each provider says when it refuses: how many calls are made until that is understood, and what becomes of it."""

import json
from collections import Counter
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


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[ChatReply | Exception, int]]:
    """The outcome of a call for each row, and the requests that it took; each row is a model of its own."""
    made = Counter[str]()

    def answer(body: Body, _: int) -> Reply | Body:
        made[body["model"]] += 1
        row = REFUSALS[int(body["model"].removeprefix("model-"))]
        refused = still_refused(body, row.get("until", ""))
        return Reply(row["status"], row["body"]) if refused else completion(json.dumps(body["messages"]))

    names = [f"model-{number}" for number in range(len(REFUSALS))]
    with ScriptedServer(answer) as server:
        desk = Desk(server.base_url, tmp_path_factory.mktemp("refusals"), max_attempts=MOST)
        found = desk.ask(*(ask(model=name, messages=CHAT, parameters={"temperature": 0}) for name in names), workers=1)
    return list(zip(found, (made[name] for name in names), strict=True))


@pytest.mark.parametrize(
    "number", range(len(REFUSALS)), ids=lambda n: "{provider} {status} {kind}".format(**REFUSALS[n])
)
def test_a_refusal_is_understood_at_once_whatever_its_status(
    number: int, outcomes: list[tuple[ChatReply | Exception, int]]
) -> None:
    row, (outcome, calls) = REFUSALS[number], outcomes[number]
    assert (type(outcome), calls) == EXPECTED[row["action"]], str(outcome)
    if isinstance(outcome, CallFailed):
        assert outcome.kind == row["kind"]
    if isinstance(outcome, ChatReply):
        assert list(outcome.left_out) == row["left_out"]
        assert "Answer briefly." in outcome.text


def test_the_table_is_of_many_providers_and_kinds(record_property: Any) -> None:
    kinds, providers = Counter(row["kind"] for row in REFUSALS), {row["provider"] for row in REFUSALS}
    calls = {row["kind"]: EXPECTED[row["action"]][1] for row in REFUSALS}
    table = ", ".join(f"{kind} {count} ({calls[kind]} calls each)" for kind, count in kinds.most_common())
    record_property("provider refusals", f"{len(REFUSALS)} of {len(providers)} providers: {table}")
    assert len(REFUSALS) >= 100
    assert len(providers) >= 25
