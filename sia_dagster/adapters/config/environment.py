"""The process environment: the one place that reads it."""

import os
import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from sia_dagster.core.errors import ConfigError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
"""`${NAME}` in a text; `$${`, which has no group, writes `${`."""


def read(name: str) -> str | None:
    """The variable's value; None where it is unset or empty, since an empty value is a forgotten one."""
    return os.environ.get(name) or None  # noqa: TID251 - this is the one place


def require(name: str, *, key: str = "") -> str:
    """The variable's value. Raises ConfigError with the variable's name, and `key` as the setting that needs it."""
    value = read(name)
    if value is None:
        raise ConfigError(missing(name), key=key)
    return value


def missing(name: str) -> str:
    """The message for a user who did not set `name`."""
    return f"the environment variable {name} is not set; export {name}=... or put it in .env"


def add_env_file(path: Path) -> None:
    """Set the variables of a `.env` file that are not set yet, as Dagster does for its own processes.

    The syntax is that of python-dotenv, but references to other variables stay as they are written. A file that does
    not exist adds nothing. Raises ConfigError with the number of a line that is no assignment, without its text.
    """
    if not path.is_file():
        return
    for name, value in _assignments(path).items():
        os.environ.setdefault(name, value)  # noqa: TID251 - this is the one place


def _assignments(path: Path) -> Mapping[str, str]:
    from dotenv.parser import parse_stream

    found: dict[str, str] = {}
    # Bytes that are no UTF-8 can only stand in a comment or spoil one value; no message may show the line they are in.
    text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    for key, value, (written, line), broken in parse_stream(StringIO(text)):
        if broken or (key and value is None):
            blank = written[: len(written) - len(written.lstrip())]
            raise ConfigError("this line is no `NAME=value`", line=line + blank.count("\n"), file=str(path))
        if key:
            found[key] = value or ""
    return found
