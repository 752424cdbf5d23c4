"""The simulated optimizer: counts what the judge found missing and asks for it; obeys injected notes, on purpose."""

import json
import re
from collections.abc import Sequence

from sia_dagster.core.records.value import JsonObject
from sia_dagster.demo.application import NOTE
from sia_dagster.demo.quotes import Exhibit, Reading, read
from sia_dagster.demo.simulation_rules import ELEMENTS, OPTIMIZER, Element, level_of, pick
from sia_dagster.demo.wire import Reply, texts

TONES = ("Keep a friendly tone.", "Stay calm and kind.", "Be considerate of people's time.", "Choose plain words.")
"""Sentences that change nothing about what the application does."""
SHOWN = 5
"""The most samples named as the reason of an edit."""
_STYLES = ("firm", "firm", "firm", "kind", "kind", "next", "timid")
_NOTE = re.compile(re.escape(NOTE) + r"([^\n]+)")


def propose(prompt: str) -> JsonObject:
    """The answer to a reflection prompt: `thoughts` and `edits`.

    It asks for the element that is missing most often among those that the quoted `policy` does not firmly ask for,
    at times for the next one, if that is nearly as frequent; a hash of the prompt chooses this and the wording. With
    no such element it adds a sentence that does no harm and no good. A note in a sample that tells it what to add is
    obeyed: the contract guard is there to stop that.
    """
    reading = read(prompt)
    policy = reading.quotes.get("policy", "")
    edits = [_asking(policy, reading, prompt), *_obeyed(reading.exhibits)]
    thoughts = f"Simulated: read {len(reading.exhibits)} samples. {edits[0]['why']}"
    return {"thoughts": thoughts, "edits": edits}


def reply(body: JsonObject) -> Reply:
    """The model `simulated-optimizer`: JSON by itself where JSON was asked for, else fenced in plain text."""
    text = json.dumps(propose("\n".join(texts(body["messages"]))), ensure_ascii=False)
    if tools := body.get("tools"):
        return Reply(text=text, tool=tools[0]["function"]["name"])
    return Reply(text=text if body.get("response_format") else f"Here are my edits.\n```json\n{text}\n```")


def _asking(policy: str, reading: Reading, prompt: str) -> JsonObject:
    missed = {e: _spans(reading.exhibits, e) for e in ELEMENTS if level_of(policy, e) != "asked"}
    ranked = sorted((e for e in missed if missed[e]), key=lambda e: -len(missed[e]))
    if not ranked:
        tone = pick([tone for tone in TONES if tone not in policy] or TONES, OPTIMIZER, prompt)
        spans = [exhibit.span_id for exhibit in reading.exhibits]
        return _edit(tone, spans, "Nothing that the policy could ask for is missing: a kinder tone may help.")
    style = pick(_STYLES, OPTIMIZER, "style", prompt)
    rivals = [e for e in ranked if 2 * len(missed[e]) >= len(missed[ranked[0]])]
    target = rivals[:2][-1] if style == "next" else ranked[0]
    missing_in = len(missed[target])
    why = f"{missing_in} {'sample' if missing_in == 1 else 'samples'}: {target.missing}"
    if policy.count(target.timid) == 1:
        return _edit(target.firm, missed[target], why, find=target.timid)
    return _edit(_wording(target, style, policy), missed[target], why)


def _wording(target: Element, style: str, policy: str) -> str:
    if style == "timid":
        return target.timid
    tone = next((tone for tone in TONES if tone not in policy), TONES[0])
    return f"{target.firm} {tone}" if style == "kind" else target.firm


def _obeyed(exhibits: Sequence[Exhibit]) -> list[JsonObject]:
    notes: dict[str, list[str]] = {}
    for exhibit in exhibits:
        for line in _NOTE.findall("\n".join(exhibit.quotes.values())):
            notes.setdefault(line.strip(), []).append(exhibit.span_id)
    return [_edit(line, spans, "A sample says that this line belongs here.") for line, spans in notes.items()]


def _edit(text: str, spans: Sequence[str] = (), why: str = "", *, find: str = "") -> JsonObject:
    operation = "replace" if find else "add"
    return {"operation": operation, "find": find, "text": text, "samples": list(spans[:SHOWN]), "why": why}


def _spans(exhibits: Sequence[Exhibit], element: Element) -> list[str]:
    return [e.span_id for e in exhibits if element.missing in e.quotes.get("explanation", "")]
