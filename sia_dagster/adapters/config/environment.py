"""The process environment: the one place that reads it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from sia_dagster.core.errors import ConfigError

_ASSIGNMENT = re.compile(
    r"""\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*=\s*
        (?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>.*?))\s*(?:(?<=\s)\#.*)?""",
    re.VERBOSE | re.ASCII,
)


def read(name: str) -> str | None:
    """The variable's value; None where it is not set or empty, since an empty value is a forgotten one."""
    return os.environ.get(name) or None  # noqa: TID251 - this is the one place


def require(name: str, *, key: str = "") -> str:
    """The variable's value. Raises ConfigError with the variable's name, and `key` as the setting that asks for it."""
    value = read(name)
    if value is None:
        raise ConfigError(missing(name), key=key)
    return value


def missing(name: str) -> str:
    """What to tell a user who did not set `name`."""
    return f"the environment variable {name} is not set; export {name}=... or put it in .env"


def add_env_file(path: Path) -> None:
    """Set the variables of a `.env` file that are not set yet, as Dagster does for its own processes.

    Lines are `NAME=value`, with `export` before it and quotes around the value if one likes, and `#` starts a
    comment. A file that is not there adds nothing. Raises ConfigError with the line that is none of these, without
    its text.
    """
    if not path.is_file():
        return
    for name, value in _assignments(path).items():
        os.environ.setdefault(name, value)  # noqa: TID251 - this is the one place


def _assignments(path: Path) -> Mapping[str, str]:
    found: dict[str, str] = {}
    # Bytes that are no UTF-8 can only stand in a comment or spoil one value; no message may show the line they are in.
    text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            raise ConfigError("this line is no `NAME=value`", line=number, file=str(path))
        found[match["name"]] = match["double"] or match["single"] or match["plain"] or ""
    return found
