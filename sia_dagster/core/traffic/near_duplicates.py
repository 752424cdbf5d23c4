"""Keeps near-duplicate requests from being in two splits at once."""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from sia_dagster.core.openinference import tool_calls_text
from sia_dagster.core.records.sample import Message, Sample, Split
from sia_dagster.core.records.value import fingerprint
from sia_dagster.core.text import word_runs

PROMPT_SHARE: Final = 0.1
"""A system prompt that this share of conversations has is a version of the policy; a rarer one was filled in."""
_STRENGTH: Final[dict[Split, int]] = {"train": 0, "selection": 1, "holdout": 2}


def set_near_duplicates_aside(samples: Sequence[Sample]) -> tuple[tuple[Sample, ...], int]:
    """Remove samples with a relative in a stronger split; return the rest, in order, and how many were removed.

    Holdout is stronger than selection, selection stronger than train: the deciding split keeps its samples, and holds
    nothing that was learned from or chosen on. No sample changes its split.

    Relatives are near-duplicates (equal `request_keys`). If neither session nor user is recorded, each turn of a chat
    counts as a conversation of its own; then an earlier and a later turn are relatives too: a history that continues
    another one with its answer, or in the same context with any answer.
    """
    chats = _chats(samples)
    ends: dict[str, int] = {}
    passes: dict[str, int] = {}
    for sample, chat in zip(samples, chats, strict=True):
        for strongest, keys in ((ends, chat.ends), (passes, chat.passes)):
            strongest.update({key: max(strongest.get(key, 0), _STRENGTH[sample.split]) for key in keys})

    def stands(sample: Sample, chat: _Chat) -> bool:
        later = max(passes.get(key, 0) for key in chat.ends)
        earlier = max(ends.get(key, 0) for key in chat.passes)
        return max(later, earlier) == _STRENGTH[sample.split]

    kept = tuple(sample for sample, chat in zip(samples, chats, strict=True) if stands(sample, chat))
    return kept, len(samples) - len(kept)


def request_keys(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Keys of the requests of a window's samples, in order; equal keys are near-duplicates.

    A request is the chat (roles, texts, tool calls, pictures and other parts) and the template's variables. The system
    prompt counts only if it was filled in and no template is recorded: if it is rarer than PROMPT_SHARE, or if there is
    no chat. Case, white space, punctuation and digits are folded. Digits are kept if fewer than half of the window's
    different requests would remain without them, since then the numbers are the question.

    Folding errs on the safe side. Two requests taken for one cost a sample of train or selection, which is counted
    and reported; one request taken for two would put what was learned from into the holdout unnoticed. The one
    exception is for windows in which folding would leave nothing to learn from.
    """
    return tuple(chat.request for chat in _chats(samples))


def folded_keys(samples: Sequence[Sample]) -> tuple[str, ...]:
    """As `request_keys`, with every number folded; empty for a sample that asks nothing.

    For groups of evidence folding too much is the safe side even where numbers are the question.
    """
    shared = _shared_prompts(samples)
    return tuple(_chat(sample, shared, digits=False).request if _asks(sample) else "" for sample in samples)


def _asks(sample: Sample) -> bool:
    spoken = any((m.content or "").strip() or m.parts or m.tool_calls for m in sample.messages)
    return spoken or bool(sample.variables) or bool(sample.system_prompt and not sample.messages)


def relatives_of(seen: Sequence[Sample], samples: Sequence[Sample]) -> tuple[int, ...]:
    """The places in `samples` of relatives of `seen` samples, as `set_near_duplicates_aside` defines them."""
    chats = _chats([*seen, *samples])
    known, others = chats[: len(seen)], chats[len(seen) :]
    ends, passes = {key for chat in known for key in chat.ends}, {key for chat in known for key in chat.passes}
    return tuple(place for place, chat in enumerate(others) if chat.ends & passes or chat.passes & ends)


class _Chat(NamedTuple):
    """One sample's chat as hashes that are compared with those of other samples."""

    request: str
    ends: frozenset[str]
    """The whole request; and the chat with its answer, if it is a conversation of its own."""
    passes: frozenset[str]
    """The whole request; and every beginning of it, if it is a conversation of its own."""


def _chats(samples: Sequence[Sample]) -> list[_Chat]:
    shared = _shared_prompts(samples)
    exact = [_chat(sample, shared, digits=True) for sample in samples]
    folded = [_chat(sample, shared, digits=False) for sample in samples]
    left, different = ({chat.request for chat in chats} for chats in (folded, exact))
    return exact if 2 * len(left) < len(different) else folded


def _shared_prompts(samples: Sequence[Sample]) -> set[str]:
    uses = Counter(prompt for _, prompt in {(s.conversation_id, s.system_prompt) for s in samples})
    return {prompt for prompt, count in uses.items() if count > 1 and count >= PROMPT_SHARE * uses.total()}


def _chat(sample: Sample, shared: Collection[str], *, digits: bool) -> _Chat:
    messages = [_message_key(message, digits=digits) for message in sample.messages]
    answer = _message_key(Message(role="assistant", content=sample.output), digits=digits)
    whole = _chain(_context(sample, shared, digits=digits), messages)
    alone = _chain("", [*messages, answer])
    if sample.conversation_id not in {sample.trace_id, sample.span_id}:
        return _Chat(whole[-1], frozenset(whole[-1:]), frozenset(whole[-1:]))
    return _Chat(whole[-1], frozenset({whole[-1], alone[-1]}), frozenset({*(whole[1:] or whole), *alone[1:-1]}))


def _context(sample: Sample, shared: Collection[str], *, digits: bool) -> str:
    """What distinguishes calls with the same chat: the template's variables, or a prompt that was filled in."""
    template = None if sample.template is None else sample.template.replace(" ", "")
    filled = {
        name: _fold(value, digits=digits)
        for name, value in sample.variables.items()
        if template is None or f"{{{name}}}".replace(" ", "") in template
    }
    counts = not sample.messages or (template is None and sample.system_prompt not in shared)
    return json.dumps([filled, _fold(sample.system_prompt, digits=digits) if counts else ""], sort_keys=True)


def _message_key(message: Message, *, digits: bool) -> str:
    """Role, text, tool calls and other parts. Ids of calls are new each time and do not count."""
    text = message.content or ""
    if message.tool_calls:
        text += "\n" + tool_calls_text(message.tool_calls)
    parts = [fingerprint(part) for part in message.parts if part.get("type") != "text"]
    return json.dumps([message.role, _fold(text, digits=digits), parts])


def _fold(text: str, *, digits: bool) -> str:
    """The text without case, punctuation and repeated spaces, and with 0 for every number unless `digits` are kept."""
    plain = unicodedata.normalize("NFC", text).casefold()
    words = " ".join(word_runs(plain if digits else re.sub(r"\d+", "0", plain)))
    return words or plain.strip()  # a text of signs alone, such as an emoji, keeps them


def _chain(root: str, links: Iterable[str]) -> list[str]:
    """Hashes of the root, of the root and the first link, and so on to the last link."""
    return list(accumulate((root, *links), lambda before, link: _hash(before + link), initial=""))[1:]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
