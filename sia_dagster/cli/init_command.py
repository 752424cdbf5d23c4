"""`sia init`: a commented configuration to start from."""

from datetime import UTC, datetime
from pathlib import Path

import click

from sia_dagster.adapters.config.environment import read
from sia_dagster.adapters.config.file import FILE_NAME, find_config
from sia_dagster.adapters.config.init_template import config_text
from sia_dagster.core.errors import ConfigError

EXAMPLE = "\b\nExample: sia init\n         sia init --force   (replaces an existing file)"


@click.command(epilog=EXAMPLE)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def command(force: bool) -> None:
    """Write a commented sia.yaml into the working folder.

    It takes OPENAI_BASE_URL, SIA_JUDGE_MODEL and SIA_OPTIMIZER_MODEL from the environment where they are set, and
    writes to $SIA_CONFIG where that is set. The file never holds a key, only the name of its variable.
    """
    path = find_config() or Path.cwd() / FILE_NAME
    _write(path, config_text(datetime.now(UTC).date(), read), replace=force)
    click.echo(f"Wrote {path}")
    click.echo("Next: name your traces and your loop in it, then run `sia check`.")
    if read("OPENAI_API_KEY") is None:
        click.echo(
            "The key is read from OPENAI_API_KEY, which is not set: export it, or add it to .env beside the file."
        )


def _write(path: Path, text: str, *, replace: bool) -> None:
    if path.exists() and not replace:
        raise ConfigError(f"{path} exists already; `sia init --force` replaces it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror})") from error
