"""What kind of traffic a call is: the dimensions along which a policy may gain here and lose there."""

import json
from collections.abc import Mapping
from typing import Final

from sia_dagster.core.config.validation import SliceDimension
from sia_dagster.core.openinference import MOST_CHARACTERS
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.traffic.languages import UNKNOWN, language_of

SHORT: Final = 100
"""A request of fewer characters is short: a sentence or two."""
LONG: Final = 1000
"""One of so many is long: a text that the user pasted."""
UNTAGGED: Final = "untagged"
_CALL_KEYS: Final = {"name", "arguments"}


def dimensions_of(sample: Sample) -> Mapping[SliceDimension, tuple[str, ...]]:
    """The values of a sample in every dimension, at least one each; only of tags there may be several.

    `model`: as recorded, on one line and no longer than a tag. `language` and `length`: of the last user message, or of
    what the prompt was filled with where there is none; where that message alone is in no sure language, of all that
    the user said. `tag`: each of its tags. `tools`: `used` where the chat or its answer calls one, `offered`, else
    `none`.
    """
    return {
        "model": (" ".join(sample.model.split())[:MOST_CHARACTERS] or UNKNOWN,),
        "language": (_language(sample),),
        "length": (_length(_asked(sample)),),
        "tag": sample.tags or (UNTAGGED,),
        "tools": (_tools(sample),),
    }


def _asked(sample: Sample) -> str:
    return sample.request or "\n".join(value for _, value in sorted(sample.variables.items()))


def _language(sample: Sample) -> str:
    found = language_of(_asked(sample))
    if found != UNKNOWN:
        return found
    said = [message.content or "" for message in sample.messages if message.role == "user"]
    return language_of("\n".join(said)) if len(said) > 1 else UNKNOWN


def _length(text: str) -> str:
    if len(text) < SHORT:
        return "short"
    return "medium" if len(text) < LONG else "long"


def _tools(sample: Sample) -> str:
    called = any(message.tool_calls or message.role == "tool" for message in sample.messages)
    if called or (sample.tools and _is_tool_call(sample.output)):
        return "used"
    return "offered" if sample.tools else "none"


def _is_tool_call(output: str) -> bool:
    """Whether an answer is the JSON that stands for tool calls without any text (`messages.tool_calls_text`)."""
    if not output.startswith("[{"):
        return False
    try:
        calls = json.loads(output)
    except (ValueError, RecursionError):
        return False
    return all(isinstance(call, dict) and call.keys() == _CALL_KEYS for call in calls)
