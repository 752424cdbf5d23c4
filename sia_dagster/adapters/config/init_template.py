"""The text that `sia init` writes: a commented configuration, filled in from the environment."""

from collections.abc import Callable
from datetime import date, timedelta
from importlib import resources

_WEEKS_BACK = 8


def config_text(today: date, read: Callable[[str], str | None]) -> str:
    """A complete `sia.yaml` with a comment on each key. It can be loaded once OPENAI_API_KEY is set.

    Weekly windows start on the Monday eight weeks before `today`'s week, so that there are closed windows. `read` gives
    environment variables: the values of OPENAI_BASE_URL, SIA_JUDGE_MODEL and SIA_OPTIMIZER_MODEL go into the text, but
    only the name of the key's variable. Traces are Arize's if ARIZE_SPACE_ID and ARIZE_MODEL_ID are set, a Phoenix
    server's if PHOENIX_BASE_URL is, else files; the other kinds are comments.
    """
    monday = today - timedelta(days=today.weekday(), weeks=_WEEKS_BACK)
    text = resources.files("sia_dagster.adapters.config").joinpath("sia.yaml.template").read_text(encoding="utf-8")
    for name, value in {
        "traces": _traces(_source(read)),
        "platform": _PLATFORM[_source(read)],
        "base_url": read("OPENAI_BASE_URL") or "https://api.openai.com/v1",
        "start": monday.isoformat(),
        "judge": read("SIA_JUDGE_MODEL") or "gpt-4o-mini",
        "optimizer": read("SIA_OPTIMIZER_MODEL") or "gpt-4o",
    }.items():
        text = text.replace(f"@{name}@", value)
    return text


_SOURCES = {
    "arize": ("source: arize", "project: ${ARIZE_MODEL_ID}", "space_id: ${ARIZE_SPACE_ID}"),
    "phoenix": ("source: phoenix", "base_url: ${PHOENIX_BASE_URL}", "project: default"),
    "local": ("source: local", "path: traces/"),
}

_COMMENTS = {
    "arize": "Arize AX; the key is taken from ARIZE_API_KEY",
    "phoenix": "a Phoenix server, such as http://127.0.0.1:6006",
    "local": "a file, a folder or a glob: Parquet, JSONL or JSON as Arize exports them",
}

_PLATFORM = {
    "arize": """\
    # write_back: true               # evaluations go back to their spans
    # publish: [file, arize_prompt_hub, arize_experiments]   # a promoted policy, and each validation
""",
    "phoenix": """\
    # write_back: true               # evaluations go back to their spans, as annotations
    # publish: [file, phoenix_prompts]   # a promoted policy
""",
    "local": "",
}


def _source(read: Callable[[str], str | None]) -> str:
    """The first trace store whose variables are set."""
    if read("ARIZE_SPACE_ID") and read("ARIZE_MODEL_ID"):
        return "arize"
    return "phoenix" if read("PHOENIX_BASE_URL") else "local"


def _traces(source: str) -> str:
    """The section of that trace store, with the others as comments below it."""
    first, *rest = _SOURCES[source]
    others = [f"# or {', '.join(keys)}" for name, keys in _SOURCES.items() if name != source]
    return "\n".join(f"      {line}" for line in (f"{first:<30} # {_COMMENTS[source]}", *rest, *others))
