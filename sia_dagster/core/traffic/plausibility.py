"""Says what is implausible in a window's samples as a whole, before anything is paid for."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from sia_dagster.core.openinference import ROLES, SYSTEM_ROLES
from sia_dagster.core.records.sample import FEWEST_TO_TELL, Sample, is_shared_by_all
from sia_dagster.core.records.trace_notes import TraceNote
from sia_dagster.core.text import count
from sia_dagster.core.traffic.marks import holds_placeholder
from sia_dagster.core.traffic.replayable import replayability

_FEWEST_CUT: Final = 3
"""Texts of one length that tell of a limit."""
_SHORTEST_CUT: Final = 100
"""Characters of a limit: shorter texts are of one length by chance."""
_NEAR: Final = 0.9
"""Texts from this share of the greatest length are the longest ones, of which most must have that length."""
_ENDED = re.compile(r"[.?!:;)\]}>\"'`*|\u2019\u201d\u00bb\u3002\uff01\uff1f](?<!\.\.\.)\s*$")
_LOST: Final = "\ufffd"
_MANY_LOST: Final = 0.05
"""The share of samples from which lost characters tell of the export, and not of one user's text."""
_FEWEST_SHARED: Final = 40
"""Characters at the beginning of every user message that are no greeting but a prompt."""
_ROLE_MARK = re.compile(
    r"\s*(?:<s>\s*)?(?:\[INST\]|<<SYS>>|<\|im_start\|>|<\|system\|>|<\|start_header_id\|>"
    r"|\W{0,4}system(?: prompt| message| instructions?)?\W{0,4}:)",
    re.IGNORECASE,
)
"""How a system prompt begins that was put into a user's message."""

_Found = tuple[str, Sequence[Sample]]


def plausibility(samples: Sequence[Sample]) -> tuple[TraceNote, ...]:
    """What a person should know about these samples, in a fixed order; () if all is as expected.

    The kinds: `none_replayable`, `one_conversation`, `told_twice`, `equal_lengths`, `lost_characters`, `prompt_empty`,
    `prompt_later`, `prompt_in_message`, `unknown_role`, `placeholders`, `answer_in_json`. The same samples in the same
    order give the same notes.
    """
    checks: dict[str, Callable[[Sequence[Sample]], _Found]] = {
        "none_replayable": _none_replayable,
        "one_conversation": _one_conversation,
        "told_twice": _told_twice,
        "equal_lengths": _equal_lengths,
        "lost_characters": _lost_characters,
        "prompt_empty": _prompt_empty,
        "prompt_later": _prompt_later,
        "prompt_in_message": _prompt_in_message,
        "unknown_role": _unknown_role,
        "placeholders": _placeholders,
        "answer_in_json": _answer_in_json,
    }
    notes = ((kind, *check(samples)) for kind, check in checks.items())
    return tuple(
        TraceNote(kind=kind, sentence=sentence, count=len(found), span_id=found[0].span_id)
        for kind, sentence, found in notes
        if found
    )


def _none_replayable(samples: Sequence[Sample]) -> _Found:
    parted = replayability(samples)
    if parted.replayable:
        return "", ()
    reasons = ", ".join(f"{reason}: {number:,}" for reason, number in parted.left_out.items())
    return f"none of {count(len(samples), 'sample')} can be replayed ({reasons})", samples


def _one_conversation(samples: Sequence[Sample]) -> _Found:
    held = Counter(sample.conversation_id for sample in samples)
    name, number = max(held.items(), key=lambda item: item[1], default=("", 0))
    if not is_shared_by_all(number, len(samples)):
        return "", ()
    who = "all" if number == len(samples) else f"{number:,} of {len(samples):,}"
    sentence = f"{who} samples are of one conversation, so they cannot be split: record session.id, one a conversation"
    return sentence, [sample for sample in samples if sample.conversation_id == name]


def _told_twice(samples: Sequence[Sample]) -> _Found:
    """The same chat and answer again in one trace, under another name: two instrumentors recorded one call."""
    seen: dict[tuple[object, ...], Sample] = {}
    found: list[Sample] = []
    names: set[str] = set()
    for sample in samples:
        key = (sample.trace_id, sample.system_prompt, sample.output, *(m.model_dump_json() for m in sample.messages))
        first = seen.setdefault(key, sample)
        if sample.trace_id and first.name != sample.name:
            found.append(sample)
            names |= {first.name, sample.name}
    shown = " and ".join(map(repr, sorted(name[:40] for name in names)[:3]))
    sentence = f"{count(len(found), 'sample')} of {len(samples):,} say what another one of their trace says ({shown})"
    return f"{sentence}: if two instrumentors recorded one call, choose one by name in traces.where", found


def _lost_characters(samples: Sequence[Sample]) -> _Found:
    """Texts with U+FFFD, which stands for what could not be read."""
    found = [sample for sample in samples if any(_LOST in text for text in _all_texts(sample))]
    sentence = f"{count(len(found), 'sample')} of {len(samples):,} hold U+FFFD in place of characters that were lost"
    return f"{sentence}: write the export in UTF-8", found if len(found) >= _MANY_LOST * len(samples) else ()


def _all_texts(sample: Sample) -> Iterable[str]:
    return (sample.system_prompt, sample.output, *(message.content or "" for message in sample.messages))


def _equal_lengths(samples: Sequence[Sample]) -> _Found:
    """The longest texts have one length and stop without an end: a limit cut them."""
    for what, texts in _texts(samples).items():
        longest = max(map(len, texts), default=0)
        near = [len(text) for text in texts if len(text) >= _NEAR * longest]
        cut = {text for text in texts if len(text) == longest}
        if longest < _SHORTEST_CUT or 2 * near.count(longest) <= len(near):
            continue
        held = {sample.span_id for text in cut for sample in texts[text]}
        open_ended = sum(not _ENDED.search(text) for text in cut)
        if len(held) < _FEWEST_CUT or 2 * open_ended <= len(cut) or not (len(cut) >= _FEWEST_CUT or _is_round(longest)):
            continue
        sentence = f"the {what} of {count(len(held), 'sample')} have exactly {longest:,} characters and stop there"
        advice = "a limit cut them (such as OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT)"
        return f"{sentence}: {advice}", [sample for sample in samples if sample.span_id in held]
    return "", ()


def _is_round(length: int) -> bool:
    return length % 100 == 0 or length & (length - 1) == 0


def _texts(samples: Sequence[Sample]) -> dict[str, dict[str, list[Sample]]]:
    """Where texts stand, and the samples that have them."""
    found: dict[str, dict[str, list[Sample]]] = {"system prompts": {}, "messages": {}, "answers": {}}
    for sample in samples:
        found["system prompts"].setdefault(sample.system_prompt, []).append(sample)
        found["answers"].setdefault(sample.output, []).append(sample)
        for text in {message.content or "" for message in sample.messages}:
            found["messages"].setdefault(text, []).append(sample)
    return found


def _prompt_empty(samples: Sequence[Sample]) -> _Found:
    found = [sample for sample in samples if not sample.system_prompt and not _later(sample)]
    sentence = f"{count(len(found), 'sample')} of {len(samples):,} have no system prompt"
    return f"{sentence}: if the application sends one, it is not recorded", found


def _prompt_later(samples: Sequence[Sample]) -> _Found:
    found = [sample for sample in samples if _later(sample)]
    empty = sum(not sample.system_prompt for sample in found)
    sentence = f"{count(len(found), 'sample')} of {len(samples):,} have a system message after other messages"
    unled = f"; {empty:,} of them have none in front, so their policy is empty" if empty else ""
    return f"{sentence}{unled}. A replay keeps it as it was, beside the prompt that is tried", found


def _later(sample: Sample) -> bool:
    return any(message.role in SYSTEM_ROLES and message.content for message in sample.messages)


def _prompt_in_message(samples: Sequence[Sample]) -> _Found:
    bare = [sample for sample in samples if not sample.system_prompt]
    marked = [sample for sample in bare if _ROLE_MARK.match(_first_said(sample))]
    if marked:
        sentence = f"{count(len(marked), 'sample')} begin the user's message with what looks like a system prompt"
        return f"{sentence}: it is the request, and no candidate replaces it", marked
    said = {_first_said(sample) for sample in bare}
    shared = _in_common(min(said), max(said)) if len(said) >= FEWEST_TO_TELL else 0
    if shared < _FEWEST_SHARED:
        return "", ()
    sentence = f"{count(len(bare), 'sample')} without a system prompt begin with the same {shared:,} characters"
    return f"{sentence} in the user's message: if that is the prompt, no candidate replaces it", bare


def _in_common(one: str, other: str) -> int:
    """The characters with which both texts begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _first_said(sample: Sample) -> str:
    return next((message.content or "" for message in sample.messages if message.role == "user"), "")


def _unknown_role(samples: Sequence[Sample]) -> _Found:
    found = [sample for sample in samples if any(message.role not in ROLES for message in sample.messages)]
    names = sorted({role[:40] for sample in found for role in _unknown(sample)})
    shown = ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
    return f"{count(len(found), 'sample')} have messages of unknown roles ({shown}), and are not replayed", found


def _unknown(sample: Sample) -> Iterator[str]:
    return (message.role for message in sample.messages if message.role not in ROLES)


def _placeholders(samples: Sequence[Sample]) -> _Found:
    found = [sample for sample in samples if any(map(holds_placeholder, _said_by_users(sample)))]
    sentence = (
        f"{count(len(found), 'sample')} have placeholders such as <EMAIL_ADDRESS> or [NAME] in the user's messages"
    )
    return f"{sentence}. They are replayed as they are: if the trace store put them there, nobody sent them", found


def _answer_in_json(samples: Sequence[Sample]) -> _Found:
    """Most answers are an object with one text: the application may have recorded what it made of the answer."""
    held = [(key, sample) for sample in samples if (key := _only_key(sample))]
    if 2 * len(held) <= len(samples):
        return "", ()
    sentence = f"{count(len(held), 'answer')} of {len(samples):,} are JSON with one text, such as {held[0][0][:40]!r}"
    return f"{sentence}: if the model did not write that, record its text alone", [sample for _, sample in held]


def _only_key(sample: Sample) -> str:
    """The key of an answer that is an object with one text, where no format was asked for; else empty."""
    if not sample.output.startswith("{") or "response_format" in sample.parameters:
        return ""
    try:
        found = json.loads(sample.output)
    except (ValueError, RecursionError):
        return ""
    texts = [key for key, value in found.items() if isinstance(value, str)]
    return texts[0] if len(found) == len(texts) == 1 else ""


def _said_by_users(sample: Sample) -> Iterable[str]:
    return (message.content for message in sample.messages if message.role == "user" and message.content)
