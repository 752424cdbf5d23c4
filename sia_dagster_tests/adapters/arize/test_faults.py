"""Every fault of the way to Arize says which it is and what to set; no message holds the key."""

import errno
import logging
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from arize.exceptions.base import ValidationFailure
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import flight
from pydantic import SecretStr

from sia_dagster.adapters.arize.arize_client import ArizeConnection, open_client
from sia_dagster.adapters.arize.arize_faults import Fault, FaultKind, explain, fault_of
from sia_dagster.adapters.arize.arize_traces import ArizeTraces
from sia_dagster.adapters.arize.flight_retries import wait_for_real, with_retries, within
from sia_dagster.core.errors import ConfigError, TraceError
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.sample import TimeWindow
from simulation.arize_flight import KEY, PROJECT, SPACE, ArizeFlight

START = datetime(2026, 11, 9, tzinfo=UTC)
WINDOW = TimeWindow(key="2026-11-09", start=START, end=START + timedelta(days=7))
SETTINGS = ArizeConnection(space_id=SPACE, project=PROJECT, api_key=SecretStr(KEY))


@pytest.fixture
def store(store: ArizeFlight) -> ArizeFlight:
    store.add_rows([{"context.span_id": "a", "start_time": 1794182400000, "attributes.openinference.span.kind": "LLM"}])
    return store


def refusal(settings: ArizeConnection, *, where: str = "", waited: list[float] | None = None) -> str:
    """What the export and the probe both say of what is wrong."""
    waits = waited if waited is not None else []
    source = ArizeTraces(settings, wait=waits.append)
    query = SpanQuery(window=WINDOW, where=where)
    with pytest.raises(TraceError) as export:
        list(source.spans(query))
    with pytest.raises(TraceError) as probe:
        source.probe(query)
    assert str(probe.value) == re.sub(r" \[\d+ attempts\]$", "", str(export.value))
    assert KEY not in str(export.value)
    return str(export.value)


def wrapped(error: Exception) -> RuntimeError:
    """As the package gives faults of GetFlightInfo and DoPut."""
    outer = RuntimeError(f"Error getting flight info or do_get: {error}")
    outer.__cause__ = error
    return outer


def kind_of(error: Exception) -> FaultKind | None:
    fault = fault_of(error, secret=KEY)
    return fault.kind if fault else None


def test_a_bad_key_is_named_at_once_and_never_shown(store: ArizeFlight) -> None:
    waited: list[float] = []
    said = refusal(store.connection(api_key=SecretStr("ak-wrong-one")), waited=waited)
    assert "does not accept the API key" in said
    assert "ARIZE_API_KEY" in said
    assert "ak-wrong-one" not in said
    assert waited == [], "another attempt would not pass"


def test_a_key_that_the_store_quotes_stays_out_of_the_log(store: ArizeFlight, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="sia_dagster"):
        refusal(store.connection(api_key=SecretStr("ak-wrong-one")))
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("sia_dagster.")]
    assert any("invalid api key ***" in message for message in ours)
    assert not any("ak-wrong-one" in message for message in ours)


def test_an_unknown_space_is_named(store: ArizeFlight) -> None:
    said = refusal(store.connection(space_id="U3BhY2U6OTk5"))
    assert "no space 'U3BhY2U6OTk5'" in said
    assert "ARIZE_SPACE_ID" in said


def test_an_unknown_project_may_not_be_indexed_yet(store: ArizeFlight) -> None:
    waited: list[float] = []
    said = refusal(store.connection(project="not_there"), waited=waited)
    assert "no project 'not_there'" in said
    assert "may not be indexed yet" in said
    assert "ARIZE_MODEL_ID" in said
    assert waited == []


def test_a_bad_filter_is_shown(store: ArizeFlight) -> None:
    said = refusal(store.connection(), where="name LIKES 'x'")
    assert "failed to parse filter expression" in said
    assert "`traces.where`" in said
    assert said.endswith("name LIKES 'x'")
    assert "Traceback" not in said


def test_no_network_is_said_after_all_attempts(store: ArizeFlight, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = store.connection(max_attempts=3)
    store.__exit__()
    waited: list[float] = []
    said = refusal(settings, waited=waited)
    assert "cannot be reached" in said
    assert "Connection refused" in said
    assert "ARIZE_FLIGHT_HOST" in said
    assert said.endswith("[3 attempts]")
    assert len(waited) == 2
    monkeypatch.setenv("ARIZE_FLIGHT_HOST", "nowhere.invalid")
    assert "cannot be reached" in refusal(settings)


def test_a_tls_connection_that_is_refused_is_said_at_once(store: ArizeFlight, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARIZE_FLIGHT_SCHEME", "grpc+tls")
    waited: list[float] = []
    said = refusal(store.connection(), waited=waited)
    assert "no TLS connection" in said
    assert "ARIZE_SSL_CA_CERT" in said
    assert waited == []


def test_a_right_answer_is_no_fault(store: ArizeFlight) -> None:
    source = ArizeTraces(store.connection())
    source.probe(SpanQuery(window=WINDOW))
    assert sum(batch.num_rows for batch in source.spans(SpanQuery(window=WINDOW))) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (flight.FlightUnauthenticatedError("who are you"), "key"),
        (flight.FlightUnauthorizedError("permission denied"), "key"),
        (flight.FlightUnauthorizedError("space abc not found"), "space"),
        (flight.FlightUnauthorizedError("model does not exist or denied access"), "project"),
        (flight.FlightServerError("project desk not found in space abc"), "project"),
        (flight.FlightServerError("something odd"), "broken"),
        (flight.FlightServerError("error parsing the expression"), "request"),
        (flight.FlightInternalError("unknown column attributes.session.id"), "request"),
        (flight.FlightInternalError("stream reset"), "broken"),
        (flight.FlightCancelledError("cancelled"), "broken"),
        (flight.FlightTimedOutError("deadline"), "broken"),
        (flight.FlightUnavailableError("too many requests"), "broken"),
        (flight.FlightUnavailableError("failed to connect to all addresses"), "network"),
        (flight.FlightUnavailableError("errors resolving flight.example.com"), "network"),
        (flight.FlightUnavailableError("failed to connect: CERTIFICATE_VERIFY_FAILED"), "tls"),
        (pa.ArrowInvalid("cannot parse"), "request"),
        (pa.ArrowInvalid("space id invalid"), "space"),
        (pa.ArrowKeyError("model does not exist"), "project"),
        (ValidationFailure([]), "request"),
        (OSError("could not read the stream"), "broken"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (TimeoutError(), "silent"),
        (RuntimeError("No response received from flight server during update"), "broken"),
    ],
)
def test_faults_are_told_apart(error: Exception, kind: FaultKind) -> None:
    assert kind_of(wrapped(error)) == kind


def test_what_was_accepted_and_came_damaged_is_worth_another_attempt() -> None:
    assert kind_of(pa.ArrowInvalid("not an IPC message")) == "broken"
    assert kind_of(ValidationFailure([])) == "request"


def test_a_mistake_in_the_code_is_no_fault_of_the_exchange() -> None:
    assert fault_of(TypeError("no such argument"), secret="") is None
    with pytest.raises(TypeError, match="no such argument"):
        with_retries(_raising(TypeError("no such argument")), SETTINGS, wait=wait_for_real)


def _raising(error: Exception) -> Any:
    def call() -> None:
        raise error

    return call


def test_only_what_may_pass_is_tried_again() -> None:
    kinds: dict[FaultKind, bool] = {
        kind: Fault(kind=kind).transient
        for kind in ("key", "space", "project", "request", "network", "tls", "silent", "broken", "disk")
    }
    assert [kind for kind, again in kinds.items() if again] == ["network", "silent", "broken"]
    assert [kind for kind in kinds if not Fault(kind=kind).unanswered] == ["project", "request"]


def test_a_reason_is_one_line_without_the_wires_own_noise() -> None:
    text = (
        "Flight returned unavailable error, with message: failed to connect to all addresses; last error: UNKNOWN: "
        "ipv4:127.0.0.1:9: Connection refused. gRPC client debug context: UNKNOWN:x\nClient context: OK"
    )
    fault = fault_of(wrapped(flight.FlightUnavailableError(text)), secret="")
    assert fault is not None
    assert fault.reason == "UNKNOWN: ipv4:127.0.0.1:9: Connection refused"


@given(st.text(), st.text())
def test_no_reason_holds_the_key(before: str, after: str) -> None:
    fault = fault_of(flight.FlightServerError(f"{before}{KEY}{after}"), secret=KEY)
    assert fault is not None
    assert KEY not in fault.reason
    assert len(fault.reason.splitlines()) <= 1
    assert len(fault.reason) <= 300
    assert KEY not in explain(fault, SETTINGS)


def test_every_fault_has_its_sentence() -> None:
    for kind in ("key", "space", "project", "request", "network", "tls", "silent", "broken", "disk"):
        said = explain(Fault(kind=kind), SETTINGS)
        assert "{" not in said
        assert len(said) > 40
    assert explain(Fault(kind="request", reason="odd"), SETTINGS) == "Arize refuses the request (odd)"
    assert "without a reason" in explain(Fault(kind="broken"), SETTINGS)


def test_what_a_call_raises_arrives_as_it_is() -> None:
    assert within(5.0, lambda: 7, lambda: 0) == 7
    with pytest.raises(TimeoutError, match="its own"):
        within(5.0, _raising(TimeoutError("its own")), lambda: 0)


def test_silence_ends_although_the_call_goes_on(store: ArizeFlight) -> None:
    store.hang("info")
    client = open_client(store.connection())

    def call() -> None:
        client.spans.export_to_parquet(
            path="never.parquet", space_id=SPACE, project_name=PROJECT, start_time=START, end_time=WINDOW.end
        )

    moves = iter((0, 1, 2, 2))
    with pytest.raises(TimeoutError):
        within(0.05, call, lambda: next(moves))
    assert next(moves, None) is None, "it waited as long as something moved"


def test_variables_that_contradict_each_other_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARIZE_SINGLE_HOST", "arize.example.com")
    monkeypatch.setenv("ARIZE_BASE_DOMAIN", "example.com")
    with pytest.raises(ConfigError, match=r"(?s)ARIZE_\* variable.*single_host"):
        open_client(SETTINGS)


def test_a_variable_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARIZE_FLIGHT_PORT", "https")
    with pytest.raises(ConfigError, match="ARIZE_FLIGHT_PORT"):
        open_client(SETTINGS)


def test_a_scheme_that_nobody_speaks_is_an_error_that_names_it(
    store: ArizeFlight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARIZE_FLIGHT_SCHEME", "carrier+pigeon")
    with pytest.raises(TraceError, match=r"carrier\+pigeon"):
        list(ArizeTraces(store.connection()).spans(SpanQuery(window=WINDOW)))


def test_an_empty_key_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"traces\.api_key: the key is empty"):
        open_client(SETTINGS.model_copy(update={"api_key": SecretStr("")}))


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arize", None)
    with pytest.raises(ConfigError, match=r"pip install 'sia-dagster\[arize\]'"):
        open_client(SETTINGS)


def test_nothing_of_the_package_is_imported_before_it_is_used() -> None:
    program = """
import sys
import sia_dagster.adapters.arize.arize_traces, sia_dagster.adapters.arize.evaluations
print(*(name for name in ("arize", "pandas", "pyarrow", "duckdb") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_neither_the_connection_nor_the_client_shows_the_key() -> None:
    assert KEY not in repr(SETTINGS)
    assert KEY not in repr(open_client(SETTINGS))


def test_a_variables_value_is_in_the_request_and_in_nothing_else(
    store: ArizeFlight,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TENANT", "acme-7081")
    with caplog.at_level(logging.DEBUG, logger="sia_dagster"):
        said = refusal(store.connection(), where="name LIKES '${TENANT}'")
    assert store.seen.queries[-1]["filterExpression"] == "name LIKES 'acme-7081'"
    assert "refuses the request (the reason is not shown, since it quotes the value of ${TENANT})" in said
    assert said.endswith("name LIKES '${TENANT}'")
    logged = [f"{record.getMessage()} {record.exc_text}" for record in caplog.records if "arize" in record.name]
    assert any("the reason is not shown" in message for message in logged)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("sia_dagster")]
    assert not any("acme" in message for message in ours)
    assert "acme" not in "".join(capfd.readouterr())


def test_a_value_that_could_end_its_text_is_refused_before_anything_is_asked(
    store: ArizeFlight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENANT", "x' OR name <> '")
    assert "the value of TENANT holds a quote" in refusal(store.connection(), where="name = '${TENANT}'")
    assert store.seen.queries == []
