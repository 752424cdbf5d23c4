"""Options that several commands share, and the name of the person who uses them."""

import click

from sia_dagster.adapters.config.environment import read

loop_option = click.option("--loop", "loop_name", help="The loop; not needed where there is only one.")
window_option = click.option("--window", required=True, help="The window's key: its start, such as 2026-11-09.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
by_option = click.option("--by", help="Your name, for the records; by default $USER.")
note_option = click.option("--note", default="", help="Your reason, for the records.")


def user() -> str:
    """The name under which the shell runs, for the records."""
    return read("USER") or read("USERNAME") or "a person"
