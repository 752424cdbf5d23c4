"""The `sia` command. Each subcommand is a module that is imported when it is called."""

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from sia_dagster.core.errors import SiaError

COMMANDS = {
    "cache": "Show, prune and export the stored answers of the models.",
    "check": "Check configuration, credentials, traces and cost before a run.",
    "demo": "Run the whole loop over simulated weeks: no account, no key.",
    "init": "Write a commented sia.yaml.",
    "judge": "List the judges' drift, and reset their anchors.",
    "policy": "List, show, compare, promote, publish and roll back policies.",
    "report": "Show a window's report.",
    "run": "Run a window of a loop, with a progress bar.",
}


def _home(name: str) -> str:
    """The module of a command; a command of several modules has its own folder."""
    folder = f".{name}" if name in {"check", "judge", "policy"} else ""
    return f"sia_dagster.cli{folder}.{name}_command"


class _Commands(click.Group):
    """Imports a subcommand when it is called: `sia --help` costs no import of Dagster."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(_home(cmd_name)).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=_Commands, epilog="Start with `sia demo`, or with `sia init` in your project's folder.")
@click.version_option(package_name="sia-dagster")
def cli() -> None:
    """Improves an LLM application's prompt from its own production traces, with evidence."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with `arguments`, by default the process's; an error of ours is one sentence and exit code 1."""
    try:
        cli.main(arguments, prog_name="sia", standalone_mode=False)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except SiaError as error:
        _fail(str(error))
    except BrokenPipeError:
        sys.exit(1)  # The reader of our output has gone; there is nobody to tell.
    except OSError as error:
        _fail(f"{error}; check that `storage` is there and that this user may read and write it")


def _fail(sentence: str) -> NoReturn:
    from sia_dagster.reports.wording import visible

    # It may quote a trace or a file.
    click.echo(f"Error: {visible(sentence)}", err=True)
    sys.exit(1)
