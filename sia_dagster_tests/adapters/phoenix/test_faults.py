"""What goes wrong between here and Phoenix is asked again where that helps, and else said with what to set."""

import sys
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from sia_dagster.adapters.phoenix.annotations import PhoenixAnnotations
from sia_dagster.adapters.phoenix.phoenix_client import PhoenixConnection, open_server
from sia_dagster.adapters.phoenix.phoenix_prompts import PhoenixPrompts
from sia_dagster.adapters.phoenix.phoenix_traces import PhoenixTraces
from sia_dagster.core.errors import ConfigError, PublishError, TraceError, TracesUnavailable, WriteBackError
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.span_evaluations import SpanEvaluation
from sia_dagster_tests.fakes.phoenix_proxy import Fault, PhoenixProxy, no_wait
from sia_dagster_tests.fakes.phoenix_server import Phoenix, PhoenixProject, llm_span

START = datetime(2026, 9, 28, tzinfo=UTC)
WEEK = TimeWindow(key="2026-09-28", start=START, end=START + timedelta(days=7))
QUERY = SpanQuery(window=WEEK)
NOWHERE = "http://127.0.0.1:9"
"""Behind a proxy that answers everything itself."""
KEY = SecretStr("px-secret")


def full_text(error: BaseException) -> str:
    """What a log shows of an error: its message and those of its causes."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None:
        chain.append(following)
        following = following.__cause__ or following.__context__
    return "\n".join(f"{each!s} {each!r}" for each in chain)


def count_spans(project: PhoenixProject, proxy: PhoenixProxy, waits: list[float], **changes: Any) -> int:
    connection = project.connection(base_url=proxy.base_url, **changes)
    batches = list(PhoenixTraces(connection, wait=waits.append).spans(QUERY))
    return sum(batch.num_rows for batch in batches)


@pytest.fixture(scope="module")
def two_calls(phoenix: Phoenix) -> PhoenixProject:
    """Only read here, so one project is enough."""
    project = phoenix.project("faults")
    project.send([llm_span(f"{project.name}{n}"[-8:], at=START + timedelta(hours=n)) for n in range(2)])
    return project


@pytest.mark.parametrize("path", ["/v1/projects?", "/v1/projects", "/v1/spans", "/span_annotations"])
@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429}, {"drop": True}, {"cut": True}])
def test_a_request_that_failed_for_the_moment_is_asked_again_whole(
    two_calls: PhoenixProject, path: str, fault: dict[str, Any]
) -> None:
    waits: list[float] = []
    with PhoenixProxy(two_calls.base_url, [Fault(path=path.rstrip("?"), times=2, **fault)]) as proxy:
        assert count_spans(two_calls, proxy, waits) == 2
    assert len(waits) == 2
    assert 0.5 <= waits[0] <= 1.5 < 2 * waits[0] + waits[1]


def test_the_server_says_how_long_to_wait(two_calls: PhoenixProject) -> None:
    waits: list[float] = []
    fault = Fault(path="/v1/spans", status=429, headers={"retry-after": "7"}, times=1)
    with PhoenixProxy(two_calls.base_url, [fault]) as proxy:
        assert count_spans(two_calls, proxy, waits) == 2
    assert waits == [7.0]


@pytest.mark.parametrize(("path", "after"), [("/v1/spans", 0), ("/v1/spans", 1), ("/span_annotations", 0)])
def test_of_a_window_that_cannot_be_read_whole_nothing_is_given(
    two_calls: PhoenixProject, path: str, after: int
) -> None:
    waits: list[float] = []
    with PhoenixProxy(two_calls.base_url, [Fault(path=path, status=500, after=after)]) as proxy:
        source = PhoenixTraces(two_calls.connection(base_url=proxy.base_url), wait=waits.append)
        with pytest.raises(TracesUnavailable, match=r"status 500 after 4 attempts\): a fault on demand"):
            next(source.spans(QUERY))
    assert len(waits) == 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_not_tried_again_and_never_shown(two_calls: PhoenixProject, status: int) -> None:
    waits: list[float] = []
    with PhoenixProxy(two_calls.base_url, [Fault(status=status)]) as proxy:
        with pytest.raises(
            TracesUnavailable, match=rf"asks for a key \(status {status}\).*PHOENIX_API_KEY.*under traces"
        ):
            count_spans(two_calls, proxy, waits)
        with pytest.raises(TracesUnavailable, match="does not accept the key") as refused:
            count_spans(two_calls, proxy, waits, api_key=KEY)
    assert waits == []
    assert proxy.keys == [None, "Bearer px-secret"]
    assert "px-secret" not in str(refused.value)


def test_no_network_says_where_it_looked_and_how_often(two_calls: PhoenixProject) -> None:
    waits: list[float] = []
    with PhoenixProxy(two_calls.base_url) as proxy:
        address = proxy.base_url
    source = PhoenixTraces(two_calls.connection(base_url=address, max_attempts=3), wait=waits.append)
    with pytest.raises(
        TracesUnavailable, match=rf"{address} gave no answer in 3 attempts \(ConnectError.*traces.base_url"
    ):
        list(source.spans(QUERY))
    assert len(waits) == 2


def test_tls_to_a_server_without_it_is_said(two_calls: PhoenixProject) -> None:
    address = two_calls.base_url.replace("http://", "https://")
    source = PhoenixTraces(two_calls.connection(base_url=address, max_attempts=1), wait=no_wait)
    with pytest.raises(TracesUnavailable, match=r"gave no answer in 1 attempts \(ConnectError: \[SSL"):
        list(source.spans(QUERY))


def test_a_server_that_hangs_is_left_after_the_timeout(two_calls: PhoenixProject) -> None:
    waits: list[float] = []
    said = r"gave no answer in 2 attempts \(ReadTimeout.*traces.timeout_seconds"
    faults = [Fault(path="/v1/spans", hang=True)]
    with PhoenixProxy(two_calls.base_url, faults) as proxy, pytest.raises(TraceError, match=said):
        count_spans(two_calls, proxy, waits, timeout_seconds=0.4, max_attempts=2)


def test_a_web_page_is_no_phoenix(two_calls: PhoenixProject) -> None:
    waits: list[float] = []
    said = r"the server at http.* is not Phoenix.*check traces.base_url"
    with PhoenixProxy(two_calls.base_url, [Fault(page=True)]) as proxy, pytest.raises(TracesUnavailable, match=said):
        count_spans(two_calls, proxy, waits)
    assert waits == []


def test_a_page_that_stands_for_spans_is_no_empty_window(two_calls: PhoenixProject) -> None:
    waits: list[float] = []
    with PhoenixProxy(two_calls.base_url, [Fault(path="/v1/spans", page=True, times=1)]) as proxy:
        assert count_spans(two_calls, proxy, waits) == 2
        proxy.faults.append(Fault(path="/v1/spans", page=True))
        with pytest.raises(TracesUnavailable, match="the reply lacks"):
            count_spans(two_calls, proxy, waits)


@pytest.mark.parametrize("detail", [[{"msg": "one"}, {"msg": "two"}], "one; two", {"odd": 1}, ["odd"]])
def test_what_the_server_says_stands_on_one_line(two_calls: PhoenixProject, detail: Any) -> None:
    waits: list[float] = []
    with (
        PhoenixProxy(two_calls.base_url, [Fault(status=422, detail=detail)]) as proxy,
        pytest.raises(TraceError, match=r"refused a request \(status 422\): .*(one; two|odd)") as refused,
    ):
        count_spans(two_calls, proxy, waits)
    assert "\n" not in str(refused.value)
    assert not isinstance(refused.value, TracesUnavailable), "what is refused is answered"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:6006", "ftp://example.com", "http://", "", "http://example.com:99999", "http://example.com/\x7f"],
)
def test_what_is_no_address_is_said_before_anything_is_asked(address: str) -> None:
    with pytest.raises(ConfigError, match=r"traces\.base_url"):
        list(PhoenixTraces(PhoenixConnection(base_url=address)).spans(QUERY))


def test_a_key_that_no_header_can_hold_is_not_shown() -> None:
    connection = PhoenixConnection(api_key=SecretStr("schlüssel"))
    with pytest.raises(ConfigError, match=r"traces\.api_key") as refused, open_server(connection, error=TraceError):
        pass
    assert "schl" not in str(refused.value)


@pytest.mark.parametrize("key", ["px-secret\n", " px-secret", "px\nsecret", "px-secret\x00"])
def test_a_key_with_a_line_break_is_told_before_it_is_sent_and_not_shown(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PhoenixProxy(NOWHERE) as proxy:
        given = PhoenixConnection(base_url=proxy.base_url, api_key=SecretStr(key))
        with pytest.raises(ConfigError, match=r"traces\.api_key: .*line break") as refused:
            PhoenixTraces(given).probe(QUERY)
        assert "secret" not in full_text(refused.value)
        monkeypatch.setenv("PHOENIX_CLIENT_HEADERS", "x-gateway=px%0Asecret")
        with pytest.raises(ConfigError, match="PHOENIX_CLIENT_HEADERS") as refused:
            PhoenixTraces(PhoenixConnection(base_url=proxy.base_url)).probe(QUERY)
        assert "secret" not in full_text(refused.value)
    assert proxy.requests == []


@pytest.mark.parametrize("status", [401, 422, 500])
def test_a_key_that_the_server_repeats_is_not_shown(status: int) -> None:
    with PhoenixProxy(NOWHERE, [Fault(status=status, detail="no such key: px-secret")]) as proxy:
        given = PhoenixConnection(base_url=proxy.base_url, api_key=KEY)
        with pytest.raises(TraceError, match=f"status {status}") as refused:
            PhoenixTraces(given, wait=no_wait).probe(QUERY)
    assert proxy.keys[0] == "Bearer px-secret"
    assert "px-secret" not in full_text(refused.value)


def test_user_and_password_in_the_address_are_sent_and_stay_out_of_messages() -> None:
    with PhoenixProxy(NOWHERE, [Fault(status=404)]) as proxy:
        address = proxy.base_url.replace("http://", "http://anna:hu%20sh@")
        with pytest.raises(TraceError, match=rf"at {proxy.base_url} refused") as refused:
            list(PhoenixTraces(PhoenixConnection(base_url=address)).spans(QUERY))
    assert proxy.keys == [f"Basic {b64encode(b'anna:hu sh').decode()}"]
    assert "sh@" not in full_text(refused.value)


MALFORMED = [b"{}", b"[]", b"null", b'{"data": null}', b'{"data": [1]}', b'{"data": [{}]}', b'{"data": ["ab"]}']


@pytest.mark.parametrize("body", MALFORMED)
def test_json_that_is_no_answer_is_an_error_of_ours(body: bytes) -> None:
    evaluation = SpanEvaluation(span_id="a", evaluator="e", kind="code", started=START, score=1.0)
    with PhoenixProxy(NOWHERE, [Fault(body=body)]) as proxy:
        given, wait = PhoenixConnection(base_url=proxy.base_url), no_wait
        with pytest.raises(TraceError, match="is not Phoenix"):
            list(PhoenixTraces(given, wait=wait).spans(QUERY))
        with pytest.raises(TraceError, match="is not Phoenix"):
            PhoenixTraces(given, wait=wait).probe(QUERY)
        with pytest.raises(PublishError, match="is not Phoenix"):
            PhoenixPrompts(given, wait=wait).versions("desk")
        with pytest.raises(WriteBackError, match="is not Phoenix"):
            PhoenixAnnotations(given, wait=wait).write([evaluation], now=START)


@pytest.mark.parametrize("body", [b'{"data": [{}]}', b'{"data": [{"span_id": "a", "name": "n"}]}', b'{"data": 1}'])
def test_annotations_that_are_none_are_an_error_of_ours(two_calls: PhoenixProject, body: bytes) -> None:
    waits: list[float] = []
    with (
        PhoenixProxy(two_calls.base_url, [Fault(path="/span_annotations", body=body)]) as proxy,
        pytest.raises(TraceError, match="is not Phoenix"),
    ):
        count_spans(two_calls, proxy, waits)


def test_without_a_key_of_its_own_phoenixs_variables_are_used(
    two_calls: PhoenixProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setenv("PHOENIX_API_KEY", "from-the-environment")
    with PhoenixProxy(two_calls.base_url) as proxy:
        count_spans(two_calls, proxy, waits)
        asked = len(proxy.keys)
        count_spans(two_calls, proxy, waits, api_key=KEY)
    assert set(proxy.keys[:asked]) == {"Bearer from-the-environment"}
    assert set(proxy.keys[asked:]) == {"Bearer px-secret"}


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phoenix.client", None)
    with pytest.raises(ConfigError, match=r"pip install 'sia-dagster\[phoenix\]'"):
        PhoenixTraces(PhoenixConnection()).probe(QUERY)


@pytest.mark.parametrize("where", ["unknown('${TENANT}')", "llm.token_count.prompt > '${TENANT}'"])
def test_a_variables_value_is_in_no_error(
    two_calls: PhoenixProject, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setenv("TENANT", "acme-7081")
    source, query = PhoenixTraces(two_calls.connection()), SpanQuery(window=WEEK, where=where)
    for ask in (lambda: list(source.spans(query)), lambda: source.probe(query)):
        with pytest.raises(TraceError, match=r"traces\.where cannot be used \(Invalid query") as refused:
            ask()
        assert "acme" not in str(refused.value)
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("name != '${TENANT}'", 2),
        ("name == '${TENANT}' or name == \"a ${TENANT}\"", 0),
        ("name != '$${TENANT}' and name != '''${QUOTE}'''", 2),
        ("latency_ms > ${LEAST}", 2),
    ],
)
def test_a_variable_is_filled_in_whatever_it_holds(
    two_calls: PhoenixProject, monkeypatch: pytest.MonkeyPatch, where: str, found: int
) -> None:
    monkeypatch.setenv("TENANT", 'acme\'s "7081" \\')
    monkeypatch.setenv("QUOTE", "'''")
    monkeypatch.setenv("LEAST", "-1")
    batches = list(PhoenixTraces(two_calls.connection()).spans(SpanQuery(window=WEEK, where=where)))
    assert sum(batch.num_rows for batch in batches) == found


@pytest.mark.parametrize(
    "where",
    [
        "name == ${TENANT}",
        "name.${TENANT} == 'x'",
        "f(${TENANT}=1)",
        "name == '${TENANT}",
        "${TENANT}",
        "not " * 4900 + "name",
    ],
)
def test_a_variable_elsewhere_is_refused_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setenv("TENANT", "acme-7081")
    source = PhoenixTraces(PhoenixConnection(base_url="http://127.0.0.1:9", max_attempts=1))
    with pytest.raises(TraceError, match=r"traces\.where cannot be used") as refused:
        list(source.spans(SpanQuery(window=WEEK, where=where)))
    assert "acme" not in full_text(refused.value)
