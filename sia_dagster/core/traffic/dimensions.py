"""The dimensions of traffic (model, language, length, tag, tools) in which a policy may gain here and lose there."""

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from sia_dagster.core.config.validation import SliceDimension
from sia_dagster.core.openinference import LONGEST_TAG
from sia_dagster.core.records.sample import Sample

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

SHORT: Final = 100
"""A request of fewer characters is short: a sentence or two."""
LONG: Final = 1000
"""A request of at least this many characters is long: a text that the user pasted."""
UNTAGGED: Final = "untagged"
_CALL_KEYS: Final = {"name", "arguments"}
UNKNOWN: Final = "unknown"
"""No language is sure enough: a greeting, a number, code."""
SURE: Final = 0.5
"""The smallest probability at which a language is taken for the text's."""
_READ_CHARACTERS: Final = 2000
"""Only the beginning of a text is classified: more of it makes the language no surer, and costs time."""
_NO_LANGUAGE: Final = "zxx"


def dimensions_of(sample: Sample) -> Mapping[SliceDimension, tuple[str, ...]]:
    """The sample's values in every dimension, at least one each; only tags may be several.

    `model`: as recorded, on one line and no longer than a tag. `language` and `length`: of the last user message, or of
    the prompt's variables if there is none; if that message is in no sure language, the language of all user messages.
    `tag`: each of the sample's tags. `tools`: `used` if the chat or its answer calls one, `offered`, else `none`.
    """
    return {
        "model": (" ".join(sample.model.split())[:LONGEST_TAG] or UNKNOWN,),
        "language": (_language(sample),),
        "length": (_length(_request(sample)),),
        "tag": sample.tags or (UNTAGGED,),
        "tools": (_tools(sample),),
    }


def _request(sample: Sample) -> str:
    return sample.request or "\n".join(value for _, value in sorted(sample.variables.items()))


def _language(sample: Sample) -> str:
    found = language_of(_request(sample))
    if found != UNKNOWN:
        return found
    texts = [message.content or "" for message in sample.messages if message.role == "user"]
    return language_of("\n".join(texts)) if len(texts) > 1 else UNKNOWN


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
    """Whether an answer is the JSON of `tool_calls_text`, which stands for tool calls without text."""
    if not output.startswith("[{"):
        return False
    try:
        calls = json.loads(output)
    except (ValueError, RecursionError):
        return False
    return all(isinstance(call, dict) and call.keys() == _CALL_KEYS for call in calls)


@lru_cache(maxsize=4096)
def language_of(text: str) -> str:
    """The ISO 639 code of the text's language (`de`, `pt`), or `UNKNOWN`. The same text gives the same code.

    By the naive Bayes model over byte n-grams of Lui and Baldwin (langid.py, ACL 2012 system demonstrations), as
    py3langid retrained it for 139 languages. Of short requests few are sure: "cancel order" could be several languages.
    """
    code, probability = _identifier().classify(text[:_READ_CHARACTERS])
    return str(code) if probability >= SURE and code != _NO_LANGUAGE else UNKNOWN


@cache
def _identifier() -> "LanguageIdentifier":
    """The model; reading it takes most of a second, so it is read once and where it is first needed."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
