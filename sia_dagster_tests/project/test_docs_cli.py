"""The page about the commands is the commands' own help, and every command gives an example that it takes."""

import re
import shlex

import click
import pytest

from sia_dagster_tests.regenerate_docs import PAGE, commands, help_text, rendered

NAMES = sorted(commands())
LEAVES = [name for name in NAMES if not isinstance(commands()[name], click.Group)]


def test_the_page_holds_the_help_of_today() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == rendered(page), "run python -m sia_dagster_tests.regenerate_docs"


def test_every_command_has_its_block() -> None:
    blocks = re.findall(r"<!-- help: ([a-z ]+) -->", PAGE.read_text(encoding="utf-8"))
    assert sorted(blocks) == NAMES


def test_help_is_what_the_command_prints() -> None:
    assert help_text("sia policy list", commands()["sia policy list"]).startswith("Usage: sia policy list [OPTIONS]\n")


def examples(name: str) -> list[str]:
    """The calls in the epilog, without the remarks in brackets."""
    epilog = commands()[name].epilog or ""
    lines = epilog.replace("\b\n", "").removeprefix("Example:").splitlines()
    return [re.sub(r"\s+\(.*\)$", "", line).strip() for line in lines]


@pytest.mark.parametrize("name", LEAVES)
def test_every_example_is_a_call_that_parses(name: str) -> None:
    assert examples(name)
    for example in examples(name):
        assert example.startswith(name)
        arguments = shlex.split(example.removeprefix(name))
        command = commands()[name]
        command.make_context(name, arguments)


@pytest.mark.parametrize("name", LEAVES)
def test_every_option_is_described(name: str) -> None:
    options = [p for p in commands()[name].params if isinstance(p, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_what_prints_data_prints_it_as_json() -> None:
    with_json = {name for name in LEAVES if any("--json" in param.opts for param in commands()[name].params)}
    assert set(LEAVES) - with_json == {"sia init"}
