"""Serves, on 127.0.0.1:8082, a rule in place of a model that proposes prompts: a sentence from a list for each fault.

A model of 135 million parameters cannot write instructions for itself. Where a larger one is at hand, name it in
`policy.model` and leave this out.
"""

import argparse
import hashlib
import json
import re
from typing import Any

from aiohttp import web

from sia_dagster.demo.quotes import read

BRIEF = (
    "Extract and present the main key point of the input text in one very short sentence, including essential details.",
    "State the main point of the note in one very short sentence.",
    "Be brief.",
)
NAMING = ("Name the person and what was bought.", "Begin with the customer's name.", "Mention who bought what.")
WORDINGS = {
    "is cut off": BRIEF,
    "more than 20 words": BRIEF,
    "several sentences": ("Write a single sentence.", *BRIEF),
    "not name the customer": NAMING,
    "not name what was bought": NAMING,
}
"""By what the evaluator says of a fault, sentences that might mend it. Not all of them help this model, and some do
harm: the loop is there to find that out."""
SHOWN = 6
"""The most samples named as the reason of an edit."""
_GROUP = re.compile(r"^- Group (\d+) [^\n]*\n<<<fault (\w+)\n(.*?)\n\2 fault>>>$", re.MULTILINE | re.DOTALL)


def propose(prompt: str) -> dict[str, Any]:
    """For each group of the question an edit: a sentence that might mend its fault, chosen by a hash of the prompt."""
    reading = read(prompt)
    policy = reading.quotes.get("policy", "")
    edits: list[dict[str, Any]] = []
    for number, _, said in _GROUP.findall(prompt):
        fault = next((each for each in WORDINGS if each in said), "")
        used = (policy, *(edit["text"] for edit in edits))
        left = [wording for wording in WORDINGS.get(fault, ()) if not any(wording in text for text in used)]
        if left:
            text = left[hashed(prompt, fault) % len(left)]
            spans = [each.span_id for each in reading.exhibits if fault in each.quotes.get("explanation", "")]
            edit = {"operation": "add", "find": "", "text": text, "samples": spans[:SHOWN], "why": fault}
            edits.append(edit | {"group": int(number)})
    return {"thoughts": "A sentence from a list for each fault.", "edits": edits}


def hashed(*parts: str) -> int:
    """A number that looks random: equal parts, equal number."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:6], "big")


async def complete(request: web.Request) -> web.Response:
    """POST /v1/chat/completions."""
    body = await request.json()
    text = json.dumps(propose("\n".join(message["content"] for message in body["messages"])))
    return web.json_response(
        {
            "object": "chat.completion",
            "model": "rule",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        }
    )


async def list_models(_: web.Request) -> web.Response:
    """GET /v1/models."""
    return web.json_response({"object": "list", "data": [{"id": "rule", "object": "model"}]})


def main() -> None:
    """Serve until Ctrl+C."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--port", type=int, default=8082)
    port = given.parse_args().port
    app = web.Application(client_max_size=2**24)
    app.add_routes([web.post("/v1/chat/completions", complete), web.get("/v1/models", list_models)])
    listening = f"rule on http://127.0.0.1:{port}/v1 (Ctrl+C ends it)"
    web.run_app(app, host="127.0.0.1", port=port, print=lambda _: print(listening, flush=True))


if __name__ == "__main__":
    main()
