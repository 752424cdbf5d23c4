"""Decides which recorded calls can be replayed: a replay of a different call would be no evidence."""

import binascii
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import Field

from sia_dagster.core.openinference import ROLES, SYSTEM_ROLES, kept_elsewhere
from sia_dagster.core.records.sample import Message, Sample
from sia_dagster.core.records.value import JsonObject, Value
from sia_dagster.core.traffic.marks import REDACTED, hides_a_part, is_cut, is_hidden, speaks_of_hiding

Reason = Literal[
    "redacted",
    "cut",
    "role",
    "prompt_again",
    "media",
    "part",
    "provider_tool",
    "server_state",
    "tool_calls",
    "assistant_last",
    "no_request",
]
"""Why a call cannot be replayed:

- `redacted`: text was removed, by OpenInference's `hide_*` settings or by another mask.
- `cut`: a text says that it was truncated.
- `role`: a message has a role that chat completions do not know.
- `prompt_again`: the system prompt stands in the history again in other words, where a candidate would not replace it.
- `media`: an image or a sound that is cut, removed or only referred to.
- `part`: content that a chat endpoint cannot take, such as a file at the provider or a document.
- `provider_tool`: tools that run at the provider, such as web search or computer use.
- `server_state`: the call continues what the provider stores (`previous_response_id`).
- `tool_calls`: tool calls without their results, or results without their calls.
- `assistant_last`: the chat ends with the assistant, so no answer is due.
- `no_request`: the call holds nothing but the policy's own prompt.
"""
_FEWEST_ALIKE = 20
"""Characters that two prompts have in common at least; fewer are a turn of phrase."""
_DATA = "data:"
_ENDS = {b"\x89PNG": b"IEND", b"\xff\xd8\xff": b"\xff\xd9"}
"""How PNG and JPEG files begin, and what is near the end of a complete one."""


class Obstacle(NamedTuple):
    """Why one sample cannot be replayed."""

    reason: Reason
    sentence: str


class Replayability(Value):
    """A window's samples, divided by whether they can be replayed."""

    replayable: tuple[Sample, ...] = ()
    """In the order given."""
    left_out: dict[Reason, int] = Field(default_factory=dict)
    """Samples by the reason that left them out; a sample counts under its first reason."""
    sentences: tuple[str, ...] = ()
    """Why, one sentence a sample, naming its span."""


def replayability(samples: Iterable[Sample]) -> Replayability:
    """Divide the samples; the same samples in the same order give the same value."""
    kept: list[Sample] = []
    obstacles: list[Obstacle] = []
    for sample in samples:
        obstacle = find_obstacle(sample)
        if obstacle is None:
            kept.append(sample)
        else:
            obstacles.append(obstacle._replace(sentence=f"span {sample.span_id}: {obstacle.sentence}"))
    counts = Counter(obstacle.reason for obstacle in obstacles)
    return Replayability(
        replayable=tuple(kept),
        left_out=dict(sorted(counts.items())),
        sentences=tuple(obstacle.sentence for obstacle in obstacles),
    )


def too_little_left(replayable: int, total: int) -> str | None:
    """Why the loop should not learn from a window with so few replayable calls; None if there are enough.

    The rule: at least half of the window's `total` samples. The other calls are no random part (they are those with
    tools, or those with pictures), so a verdict on a small rest would not hold for most calls.
    """
    if total == 0 or 2 * replayable >= total:
        return None
    return (
        f"only {replayable} of {total} calls can be replayed, fewer than half, and they do not represent the rest: "
        "narrow `traces.where` to calls that can be replayed, or record what is missing in the traces"
    )


def find_obstacle(sample: Sample) -> Obstacle | None:
    """The first reason why the sample cannot be replayed, in the order of `Reason`; None if it can be."""
    found = (
        _redacted(sample),
        _cut(sample),
        _unknown_role(sample),
        _prompt_again(sample),
        _unusable_parts(sample),
        _provider_tool(sample),
        _server_state(sample),
        _broken_tool_use(sample.messages),
        _nothing_to_answer(sample),
    )
    return next((obstacle for obstacle in found if obstacle), None)


def _redacted(sample: Sample) -> Obstacle | None:
    asked = any(is_hidden(text) or hides_a_part(text) for text in _history(sample))
    written = any(is_hidden(text) for text in (sample.system_prompt, sample.output))
    own = hides_a_part(sample.system_prompt) or hides_a_part(sample.output)
    # A prompt that speaks of such marks asks the model to write them.
    if asked or written or (own and not speaks_of_hiding(sample.system_prompt)):
        return Obstacle("redacted", "text is hidden in the trace; turn the hide_* settings, or the masking, off")
    return None


def _cut(sample: Sample) -> Obstacle | None:
    if any(is_cut(text) for text in (sample.system_prompt, sample.output, *_history(sample))):
        return Obstacle("cut", "a text says that it was cut in the trace; record texts completely")
    return None


def _history(sample: Sample) -> Iterator[str]:
    for message in sample.messages:
        if message.content:
            yield message.content
        yield from (call.arguments for call in message.tool_calls)


def _unknown_role(sample: Sample) -> Obstacle | None:
    unknown = next((message.role for message in sample.messages if message.role not in ROLES), None)
    return Obstacle("role", f"the role {unknown[:40]!r} is none that a chat endpoint knows") if unknown else None


def _prompt_again(sample: Sample) -> Obstacle | None:
    later = (message.content or "" for message in sample.messages if message.role in SYSTEM_ROLES)
    if any(is_alike(sample.system_prompt, text) for text in later):
        return Obstacle("prompt_again", "the system prompt stands in the history again, in other words")
    return None


def is_alike(prompt: str, text: str) -> bool:
    """Whether two texts have half of the longer one in common, at their beginnings or at their ends."""
    needed = max(_FEWEST_ALIKE, max(len(prompt), len(text)) // 2)
    ends = (prompt[:needed], text[:needed]), (prompt[-needed:], text[-needed:])
    return min(len(prompt), len(text)) >= needed and any(one == other for one, other in ends)


def _unusable_parts(sample: Sample) -> Obstacle | None:
    found = [obstacle for m in sample.messages for part in m.parts if (obstacle := _unusable(part))]
    return min(found, key=lambda obstacle: obstacle.reason != "media", default=None)


def _unusable(part: JsonObject) -> Obstacle | None:
    kind = part["type"]
    if kind == "image_url":
        fault = _image_fault(str(part["image_url"].get("url") or ""))
        return (
            Obstacle("media", f"an image {fault}; record images completely or by their public address")
            if fault
            else None
        )
    if kind == "input_audio":
        given = part.get("input_audio")
        whole = isinstance(given, dict) and _decoded(str(given.get("data") or ""))
        return None if whole else Obstacle("media", "a sound is incomplete in the trace; record sounds completely")
    if kind == "file":
        given = part.get("file")
        inline = isinstance(given, dict) and _decoded(str(given.get("file_data") or "").rpartition(";base64,")[2])
        return None if inline else Obstacle("part", "the call holds a file that the trace only refers to")
    return None if kind == "text" else Obstacle("part", f"a chat endpoint cannot take a part of the type {kind!r}")


def _image_fault(address: str) -> str | None:
    """What is wrong with an image's address; None if an endpoint can read it."""
    if not address or REDACTED in address:
        return "was removed from the trace"
    if address.startswith(("https://", "http://")):
        return None
    head, mark, encoded = address.partition(";base64,")
    if not (head.startswith(f"{_DATA}image/") and mark):
        return "is only referred to"
    return None if _decoded(encoded) else "was cut in the trace"


def _decoded(encoded: str) -> bytes:
    """The content of base64 text; empty if it is not base64, or cut."""
    try:
        content = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b""
    end = next((end for start, end in _ENDS.items() if content.startswith(start)), b"")
    return content if end in content[-64:] else b""


def _provider_tool(sample: Sample) -> Obstacle | None:
    there = [tool for tool in sample.tools if str(tool.get("type", "function")) not in tool]
    names = [str(tool.get("type") or next(iter(tool), "")) for tool in there]
    names += [name for name in kept_elsewhere(sample.parameters) if name == "web_search_options"]
    if not names:
        return None
    return Obstacle("provider_tool", f"the tool {names[0]!r} runs at the provider, so its results are not in the trace")


def _server_state(sample: Sample) -> Obstacle | None:
    names = [name for name in kept_elsewhere(sample.parameters) if name != "web_search_options"]
    if not names:
        return None
    return Obstacle(
        "server_state", f"the call continues what the provider stores ({names[0]}), which is not in the trace"
    )


def _broken_tool_use(messages: Sequence[Message]) -> Obstacle | None:
    """Every tool call needs its result right after its message, and every result its call."""
    waiting: set[str] = set()
    for message in messages:
        if message.role in {"tool", "function"}:
            if message.tool_call_id not in waiting:
                return Obstacle("tool_calls", "a tool result has no tool call that it answers")
            waiting.remove(message.tool_call_id)
            continue
        if waiting:
            break
        waiting = {call.id for call in message.tool_calls}
    if waiting:
        return Obstacle("tool_calls", "the result of a tool call is not in the trace")
    return None


def _nothing_to_answer(sample: Sample) -> Obstacle | None:
    """A call whose prompt holds variables needs no message: the replay fills in the same values."""
    if sample.messages and sample.messages[-1].role == "assistant":
        return Obstacle("assistant_last", "the chat ends with the assistant's own message")
    if any(message.role in {"user", "tool"} for message in sample.messages) or _filled(sample):
        return None
    return Obstacle("no_request", "the call holds no user or tool message, and no variables of its prompt are known")


def _filled(sample: Sample) -> Any:
    return sample.template is not None and sample.variables
