"""The package's prompts as text files, read when they are first needed."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

from sia_dagster.core.errors import ConfigError

BUILTIN_JUDGES: Mapping[str, Mapping[str, float]] = {
    "correctness": {"correct": 1.0, "incorrect": 0.0},
    "helpfulness": {"helpful": 1.0, "partly_helpful": 0.5, "unhelpful": 0.0},
    "faithfulness": {"faithful": 1.0, "unfaithful": 0.0},
    "toxicity": {"non_toxic": 1.0, "toxic": 0.0},
    "format": {"well_formed": 1.0, "malformed": 0.0},
}
"""The built-in judges and the rails that their text explains; a higher score is better in each."""


@cache
def load_prompt(name: str) -> str:
    """The text of the package's prompt `name`, without the newline that ends the file.

    Raises ConfigError, with the known names, for a name without a file.
    """
    folder = resources.files(__name__)
    if not re.fullmatch(r"[a-z][a-z_]*", name) or not (file := folder / f"{name}.md").is_file():
        known = sorted(entry.name.removesuffix(".md") for entry in folder.iterdir() if entry.name.endswith(".md"))
        raise ConfigError(f"there is no prompt {name!r} in this package; there are {', '.join(known)}")
    return file.read_text(encoding="utf-8").removesuffix("\n")
