"""Where a loop's traces are: one section for each kind of trace store."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from sia_dagster.core.config.fields import SecretName, Section


def _without_user(address: str) -> str:
    if "@" in urlsplit(address).netloc:
        raise ValueError("the address holds a user, which would be shown; write the secret as api_key: ${NAME}")
    return address


class LocalTracesConfig(Section):
    """Traces in files."""

    source: Literal["local"]
    """`local`: traces in files."""
    path: str
    """A file, a folder, a glob, or a URL of one: exports of Arize, Phoenix, OpenTelemetry, Langfuse and other tools."""
    where: str = ""
    """A SQL condition over the files' columns: which call of the application this loop improves."""


class _RemoteSection(Section):
    where: str = ""
    """Which call of the application this loop improves, in the store's own filter language."""
    max_attempts: int = Field(default=4, ge=1, le=20)
    """Attempts at one request to the store."""


class ArizeTracesConfig(_RemoteSection):
    """Traces in Arize AX."""

    source: Literal["arize"]
    """`arize`: traces in Arize AX."""
    project: str = Field(min_length=1)
    """The project's name, `${ARIZE_MODEL_ID}` in older set-ups."""
    space_id: str = Field(min_length=1)
    """Id of the space."""
    api_key: SecretName = "ARIZE_API_KEY"
    """Name of the environment variable that holds the API key, written `${NAME}` in the file; its value is never
    stored. Region, host and proxy are the SDK's own ARIZE_* variables."""
    timeout_seconds: float = Field(default=300.0, gt=0)
    """Seconds that one attempt to export a window may take."""


class PhoenixTracesConfig(_RemoteSection):
    """Traces in a Phoenix server."""

    source: Literal["phoenix"]
    """`phoenix`: traces in a Phoenix server."""
    base_url: Annotated[str, AfterValidator(_without_user)] = "http://127.0.0.1:6006"
    """Address of the server."""
    project: str = Field(default="default", min_length=1)
    """Name of the project."""
    api_key: SecretName | None = None
    """Name of the environment variable that holds the API key, written `${NAME}` in the file; its value is never
    stored. None for a server without authentication."""
    timeout_seconds: float = Field(default=60.0, gt=0)
    """Seconds that one request may take."""


TracesConfig = Annotated[LocalTracesConfig | ArizeTracesConfig | PhoenixTracesConfig, Field(discriminator="source")]
"""Where a loop's traces are."""
