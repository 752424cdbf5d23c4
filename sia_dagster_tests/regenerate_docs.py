"""Write each command's help into docs/commands.md: `python -m sia_dagster_tests.regenerate_docs`.

The page holds a pair of comments, `<!-- help: sia run -->` and `<!-- /help -->`, where each block belongs.
"""

import re
from collections.abc import Iterator, Mapping

import click

from sia_dagster.cli import cli
from sia_dagster_tests.places import DOCS

PAGE = DOCS / "commands.md"
_WIDTH = 88
_BLOCK = re.compile(r"<!-- help: (?P<name>[a-z ]+) -->\n.*?<!-- /help -->", re.DOTALL)


def commands() -> Mapping[str, click.Command]:
    """Every command and group by how it is called (`sia policy list`)."""
    return dict(_walk("sia", cli))


def help_text(name: str, command: click.Command) -> str:
    """What `--help` prints in a terminal of 88 columns."""
    parent: click.Context | None = None
    *callers, last = name.split(" ")
    for caller in callers:
        parent = click.Context(click.Command(caller), info_name=caller, parent=parent)
    context = click.Context(command, info_name=last, parent=parent, terminal_width=_WIDTH)
    return command.get_help(context)


def rendered(page: str) -> str:
    """The page with the help of today in each of its blocks. Raises KeyError for a block of no command."""
    known = commands()

    def block(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- help: {name} -->\n```text\n{help_text(name, known[name])}\n```\n<!-- /help -->"

    return _BLOCK.sub(block, page)


def _walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                yield from _walk(f"{name} {child}", found)


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
