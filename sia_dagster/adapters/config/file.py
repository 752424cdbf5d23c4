"""Finds, reads and checks `sia.yaml`, filled in from the environment; errors name the line."""

from pathlib import Path

from pydantic import Field, ValidationError

from sia_dagster.adapters.config import environment
from sia_dagster.adapters.config.faults import MOST_FAULTS, faults
from sia_dagster.adapters.config.keys import dotted
from sia_dagster.adapters.config.yaml_lines import Problem, YamlDocument, first_problem, read_document
from sia_dagster.adapters.files.storage import StoragePath, resolve_path, storage_root
from sia_dagster.core.config.loop import ProjectConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.records.value import Value

FILE_NAME = "sia.yaml"
LARGEST_FILE = 1_000_000
"""In bytes."""


class ConfigFile(Value):
    """A configuration and where it came from."""

    config: ProjectConfig
    path: Path | None = None
    """The file; None for a configuration made in Python."""
    folder: Path
    """The folder for relative paths of the configuration."""
    lines: dict[str, int] = Field(default_factory=dict)
    """The line of each dotted key of the file."""

    @property
    def storage(self) -> StoragePath:
        """The root of the storage: a local path or a URL."""
        return storage_root(self.config.storage, self.folder)

    def resolve(self, text: str) -> str:
        """A path or glob of the configuration, made absolute, with `~` expanded; a URL is unchanged."""
        return resolve_path(text, self.folder)

    def error(self, message: str, key: str) -> ConfigError:
        """An error about `key` (`loops.0.traces.path`), with its line, else that of the section around it."""
        known = key
        while known and known not in self.lines:
            known = known.rpartition(".")[0]
        return ConfigError(message, key=key, line=self.lines.get(known), file=str(self.path or ""))


def find_config() -> Path | None:
    """`$SIA_CONFIG`, else `sia.yaml` in the working folder, else None. A `$SIA_CONFIG` need not exist."""
    if named := environment.read("SIA_CONFIG"):
        return Path(named)
    here = Path.cwd() / FILE_NAME
    return here if here.is_file() else None


def load_config(path: Path | None = None) -> ConfigFile:
    """The checked configuration of `path`, else of `find_config()`.

    A `.env` beside the file is added to the environment first. Raises ConfigError for the first problem by line, with
    the places of the others: a missing file, invalid YAML, a repeated or unknown key, an invalid value, an unset
    variable. No message holds the value of a variable.
    """
    found = path or find_config()
    if found is None:
        raise ConfigError(f"there is no {FILE_NAME} in {Path.cwd()}; `sia init` writes one, or set SIA_CONFIG")
    content = _content(found)
    environment.add_env_file(found.resolve().parent / ".env")
    document = read_document(content, file=str(found), variable=environment.read)
    config = _validated(document, file=str(found))
    lines = {dotted(key): line for key, line in document.lines.items()}
    return ConfigFile(config=config, path=found, folder=found.resolve().parent, lines=lines)


def read_storage(path: Path) -> str:
    """The `storage` of a configuration file; its other keys are not checked, nor their variables needed.

    Raises ConfigError as `load_config`, for the file itself and for this key.
    """
    content = _content(path)
    environment.add_env_file(path.resolve().parent / ".env")
    document = read_document(content, file=str(path), variable=environment.read)
    if problems := [problem for problem in document.problems if problem.key == ("storage",)]:
        raise first_problem(problems, file=str(path))
    storage = document.value.get("storage") if isinstance(document.value, dict) else None
    return str(storage or ProjectConfig.model_fields["storage"].default)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError as error:
        raise ConfigError("there is no such file; `sia init` writes one, or set SIA_CONFIG", file=str(path)) from error
    except OSError as error:
        raise ConfigError(f"the file cannot be read ({error.strerror})", file=str(path)) from error
    if len(content) > LARGEST_FILE:
        sentence = f"the file is larger than {LARGEST_FILE:,} bytes, so it is no configuration; `sia init` writes one"
        raise ConfigError(sentence, file=str(path))
    return content


def _validated(document: YamlDocument, *, file: str) -> ProjectConfig:
    """The configuration; raises ConfigError for the first problem, in reading the file or in its values."""
    if not isinstance(document.value, dict):
        sentence = "the file must hold keys and values, such as `loops:` and a list; `sia init` writes one"
        raise ConfigError(sentence, line=document.line(()), file=file)
    try:
        config = ProjectConfig.model_validate(document.value)
    except ValidationError as error:
        # Without the cause: pydantic's own text holds values of environment variables.
        problems, unread = [*document.problems, *_problems(document, error)], error.error_count() - MOST_FAULTS
        raise first_problem(problems, file=file, unread=max(unread, 0)) from None
    if document.problems:
        raise first_problem(document.problems, file=file)
    return config


def _problems(document: YamlDocument, error: ValidationError) -> list[Problem]:
    """Faults at keys for which reading the file found no problem, there or below."""
    known = {problem.key[:length] for problem in document.problems for length in range(len(problem.key) + 1)}
    return [
        Problem(document.line(key), key, document.mask(sentence)) for key, sentence in faults(error) if key not in known
    ]
