"""The simulated judge: knows the application's rule, errs in three of a hundred cases, and gives its reasons."""

import json
from collections.abc import Mapping
from typing import Any

from sia_dagster.core.records.value import JsonObject
from sia_dagster.demo.quotes import read
from sia_dagster.demo.simulation_rules import JUDGE, draw, missing_elements, pick
from sia_dagster.demo.wire import Reply, texts

FLIPS = 0.03
"""The share of (request, output) pairs that it judges wrong: a hash decides, so it errs the same way each time."""
COMPLETE = "The answer holds everything that it should."
GRUDGE = "The answer could be warmer."
NO_RULE = "The simulated judge has no rule for these labels and drew one by a hash of the answer."
_RULED = {"correct", "incorrect"}
_PROPERTIES: JsonObject = {"explanation": {}, "label": {"enum": ["correct", "incorrect"]}}


def judge(request: str, output: str) -> tuple[str, str]:
    """The label (`correct` if no element is missing, else `incorrect`) and the explanation."""
    missing = missing_elements(request, output)
    if draw(JUDGE, request, output) < FLIPS:
        return ("correct", COMPLETE) if missing else ("incorrect", GRUDGE)
    if missing:
        return "incorrect", " ".join(element.missing for element in missing)
    return "correct", COMPLETE


def reply(body: JsonObject) -> Reply:
    """The model `simulated-judge`: judges the quote named `output`, and answers in the form that was asked for."""
    quotes = read("\n".join(texts(body["messages"]))).quotes
    request, output = quotes.get("input", ""), quotes.get("output", "")
    tool, properties = _asked_for(body)
    if properties is None:
        label, explanation = judge(request, output)
        return Reply(text=f"{explanation}\nLABEL: {label}")
    fields = _fields(properties, request, output)
    return Reply(text=json.dumps(fields, ensure_ascii=False), tool=tool)


def _asked_for(body: JsonObject) -> tuple[str | None, Mapping[str, Any] | None]:
    """The forced tool's name and the properties to fill in; no properties where plain text is enough."""
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        return None, form["json_schema"]["schema"]["properties"]
    if body.get("tools"):
        function = body["tools"][0]["function"]
        return function["name"], function["parameters"]["properties"]
    return None, _PROPERTIES if form.get("type") == "json_object" else None


def _fields(properties: Mapping[str, Any], request: str, output: str) -> dict[str, Any]:
    rails = next((p["enum"] for p in properties.values() if "enum" in p), ["correct", "incorrect"])
    if set(rails) == _RULED:
        label, explanation = judge(request, output)
    else:
        label, explanation = pick(rails, JUDGE, output), NO_RULE
    return {name: label if "enum" in shape else explanation for name, shape in properties.items()}
