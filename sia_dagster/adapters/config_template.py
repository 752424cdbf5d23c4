"""The text that `sia init` writes: a commented configuration, filled from the environment."""

from collections.abc import Callable
from datetime import date, timedelta
from importlib import resources

_WEEKS_BACK = 8


def config_text(today: date, read: Callable[[str], str | None]) -> str:
    """A complete `sia.yaml` with a comment on each key. It loads as it is once OPENAI_API_KEY is set.

    Weekly windows start on the Monday eight weeks before `today`'s week, so that there are closed windows to look at.
    `read` gives environment variables: OPENAI_BASE_URL, SIA_JUDGE_MODEL and SIA_OPTIMIZER_MODEL go into the text; of
    the key only its variable's name does.
    """
    monday = today - timedelta(days=today.weekday(), weeks=_WEEKS_BACK)
    text = resources.files("sia_dagster.adapters").joinpath("sia.yaml.template").read_text(encoding="utf-8")
    for name, value in {
        "base_url": read("OPENAI_BASE_URL") or "https://api.openai.com/v1",
        "start": monday.isoformat(),
        "judge": read("SIA_JUDGE_MODEL") or "gpt-4o-mini",
        "optimizer": read("SIA_OPTIMIZER_MODEL") or "gpt-4o",
    }.items():
        text = text.replace(f"@{name}@", value)
    return text
