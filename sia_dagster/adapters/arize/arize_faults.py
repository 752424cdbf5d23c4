"""Classifies failures of calls to Arize by what the user can do about them."""

import re
from typing import Literal

from sia_dagster.adapters.arize.arize_client import ArizeConnection
from sia_dagster.core.records.value import Value

FaultKind = Literal["key", "space", "project", "request", "network", "tls", "silent", "broken", "disk"]
_TRANSIENT = {"network", "silent", "broken"}
_OF_THE_SPANS = {"project", "request"}
_TLS = re.compile(r"\bssl\b|\btls\b|certificate|handshake|no client transport", re.IGNORECASE)
_PROJECT = re.compile(
    r"model does not exist|(project|model)\b.*(not found|does not exist|unknown|denied)", re.IGNORECASE
)
_SPACE = re.compile(r"\bspace\b.*(not found|does not exist|unknown|invalid|denied|not authorized)", re.IGNORECASE)
_REQUEST = re.compile(r"\bfilter|\bsyntax|\bpars(e|ing)|\bcolumn", re.IGNORECASE)
_UNREACHABLE = re.compile(r"failed to connect|resolving|lookup|unreachable|refused|no route", re.IGNORECASE)
_TRAILERS = re.compile(r"\.? (Detail:|gRPC client debug context:|Client context:).*", re.DOTALL)
_LEADERS = re.compile(r"^(Flight returned [\w ]+, with message: |failed to connect to all addresses; last error: )+")
_LONGEST = 300

_ADVICE: dict[FaultKind, str] = {
    "key": (
        "Arize does not accept the API key ({reason}); put a key of this space into the environment variable that "
        "`traces.api_key` names (ARIZE_API_KEY)"
    ),
    "space": (
        "Arize has no space {space!r} that this key may read ({reason}); set `traces.space_id` (ARIZE_SPACE_ID) to "
        "the id in the address of the space's page"
    ),
    "project": (
        "Arize has no project {project!r} in the space {space!r}, or it may not be indexed yet, which takes some "
        "minutes after its first spans ({reason}); set `traces.project` (ARIZE_MODEL_ID), or come back later"
    ),
    "request": "Arize refuses the request ({reason}){filter}",
    "network": (
        "Arize cannot be reached ({reason}); check the network, and ARIZE_REGION, ARIZE_SINGLE_HOST or "
        "ARIZE_FLIGHT_HOST and _PORT where they are set"
    ),
    "tls": (
        "no TLS connection to Arize can be made ({reason}); set ARIZE_SSL_CA_CERT to the authority of the proxy or "
        "gateway in between, or ARIZE_FLIGHT_SCHEME to what the server speaks"
    ),
    "silent": (
        "Arize sent nothing for {seconds:g} seconds; raise `traces.timeout_seconds`, narrow `traces.where`, or "
        "take a shorter window"
    ),
    "broken": "the exchange with Arize broke off ({reason}); run it again: no partial data was kept",
    "disk": "the answer of Arize cannot be stored here ({reason}); make room in the folder for temporary files",
}


class Fault(Value):
    """Why a call to Arize failed."""

    kind: FaultKind
    reason: str = ""
    """The server's or package's message, one line without keys."""
    attempts: int = 1

    @property
    def transient(self) -> bool:
        """Whether another attempt may succeed."""
        return self.kind in _TRANSIENT

    @property
    def unanswered(self) -> bool:
        """Whether the store did not answer the query itself: it was not reached, or refused the key."""
        return self.kind not in _OF_THE_SPANS


def fault_of(error: Exception, *, secret: str) -> Fault | None:
    """The fault behind the package's exception; None for a bug rather than a failed exchange.

    GetFlightInfo and DoPut errors are wrapped in RuntimeError, DoGet errors are not. `secret` is removed from the
    reason. The exception's own text may hold it, so it is not chained to what is raised for the fault.
    """
    root = _root(error)
    kind = _kind(root, str(root), wrapped=root is not error)
    return Fault(kind=kind, reason=_reason(str(root), secret)) if kind else None


def explain(fault: Fault, settings: ArizeConnection, where: str = "") -> str:
    """The fault as a sentence that names the setting to change."""
    sentence = _ADVICE[fault.kind].format(
        reason=fault.reason or "without a reason",
        space=settings.space_id,
        project=settings.project,
        seconds=settings.timeout_seconds,
        filter=f"; check `traces.where`, which Arize reads in its own filter language: {where}" if where else "",
    )
    return sentence if fault.attempts == 1 else f"{sentence} [{fault.attempts} attempts]"


def _kind(root: BaseException, text: str, *, wrapped: bool) -> FaultKind | None:
    from arize.exceptions.base import ValidationFailure
    from pyarrow import ArrowException, flight

    if isinstance(root, TimeoutError):
        return "silent"
    if isinstance(root, flight.FlightUnauthenticatedError):
        return "key"
    if isinstance(root, OSError) and root.errno is not None:
        return "disk"
    if isinstance(root, flight.FlightError):
        return _flight_kind(root, text)
    if isinstance(root, ArrowException | ValidationFailure):
        # Not wrapped, it occurred within the stream: the request was accepted and the data arrived damaged.
        return _named(text) or ("request" if wrapped or isinstance(root, ValidationFailure) else "broken")
    return "broken" if isinstance(root, OSError | RuntimeError) else None


def _flight_kind(root: BaseException, text: str) -> FaultKind:
    from pyarrow import flight

    if isinstance(root, flight.FlightUnavailableError):
        return _named(text) or ("network" if _UNREACHABLE.search(text) else "broken")
    refused: FaultKind = "key" if isinstance(root, flight.FlightUnauthorizedError) else "broken"
    return _named(text) or ("request" if _REQUEST.search(text) else refused)


def _named(text: str) -> FaultKind | None:
    """The fault that the message names, whatever its status."""
    known: dict[FaultKind, re.Pattern[str]] = {"tls": _TLS, "project": _PROJECT, "space": _SPACE}
    return next((kind for kind, words in known.items() if words.search(text)), None)


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _reason(text: str, secret: str) -> str:
    message = _LEADERS.sub("", _TRAILERS.sub("", text.strip())).strip()
    line = (message.splitlines() or [""])[0]
    return (line.replace(secret, "***") if secret else line)[:_LONGEST]
