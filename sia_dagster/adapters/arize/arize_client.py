"""Opens the Arize client for one space and project, and keeps it quiet."""

import logging
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from pydantic import Field, SecretStr

from sia_dagster.adapters.config.condition_values import ConditionValues
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.records.value import Value

if TYPE_CHECKING:
    from arize import ArizeClient

_LOG = logging.getLogger(__name__)
_VENDOR_LOG = logging.getLogger("arize")


class ArizeConnection(Value):
    """A project in a space, the key, and how long and often to try."""

    space_id: str
    project: str
    api_key: SecretStr
    timeout_seconds: float = Field(default=300.0, gt=0)
    """An attempt is given up after this long without data."""
    max_attempts: int = Field(default=4, ge=1)


def open_client(settings: ArizeConnection) -> "ArizeClient":
    """The client of the `arize` package; nothing is contacted yet.

    Only the key is passed: hosts, ports, schemes, region, proxy and certificates are set by the package's own `ARIZE_*`
    variables. Raises ConfigError if the package is missing or if those variables contradict each other.
    """
    try:
        from arize import ArizeClient
        from arize.exceptions.auth import MissingAPIKeyError
        from arize.exceptions.config import MultipleEndpointOverridesError
    except ImportError as error:
        raise ConfigError(
            f"Arize needs a package that is not installed ({error}); pip install 'sia-dagster[arize]'",
            key="traces.source",
        ) from error
    key = settings.api_key.get_secret_value()
    _quieten(key)
    try:
        return ArizeClient(api_key=key)
    except MissingAPIKeyError as error:
        raise ConfigError("the key is empty; set its environment variable", key="traces.api_key") from error
    except (MultipleEndpointOverridesError, ValueError) as error:
        raise ConfigError(f"an ARIZE_* variable of the environment cannot be used: {error}") from error


class _Debug(logging.Handler):
    """Repeats the package's messages as debug messages of our log, without keys that servers may quote."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()
        self.conditions: list[ConditionValues] = []

    def emit(self, record: logging.LogRecord) -> None:
        if _LOG.isEnabledFor(logging.DEBUG):
            message = record.getMessage()
            for values in self.conditions:
                message = values.shown(message)
            for secret in self.secrets:
                message = message.replace(secret, "***")
            _LOG.debug("%s: %s", record.name, message)


_DEBUG = _Debug()


def keep_from_log(values: ConditionValues) -> None:
    """Keep a condition's values out of the package's messages, which repeat what the server quotes of the filter."""
    if values.values and values not in _DEBUG.conditions:
        _DEBUG.conditions.append(values)


def _quieten(key: str) -> None:
    """Send the package's messages to our log instead of stdout and stderr.

    The package writes an error to stdout for each unmatched span, and draws progress bars on stderr. Both are switched
    off each time, since other users of the package in this process may have configured it again.
    """
    for handler in _VENDOR_LOG.handlers[:]:
        if type(handler.formatter).__module__ == "arize.logging":
            _VENDOR_LOG.removeHandler(handler)
    if key:
        _DEBUG.secrets.add(key)
    _VENDOR_LOG.addHandler(_DEBUG)
    _VENDOR_LOG.propagate = False
    # TQDM_DISABLE is read when tqdm is imported, which may have happened before.
    exporter, tqdm = import_module("arize._exporter.client"), import_module("tqdm").tqdm
    vars(exporter)["tqdm"] = partial(tqdm, disable=True)
