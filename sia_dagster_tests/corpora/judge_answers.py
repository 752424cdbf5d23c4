"""What judges write where a label was asked for: beyond doubt, or not."""

import json
from typing import Any

from simulation.servers import Body, completion

OBJECT = '{"explanation": "Because.", "label": "correct"}'
OTHER = '{"explanation": "Hm.", "label": "incorrect"}'

_FENCES = {
    "a fence": f"```json\n{OBJECT}\n```",
    "a fence in capitals": f"```JSON\n{OBJECT}\n```",
    "a fence of tildes": f"~~~json\n{OBJECT}\n~~~",
    "a fence of four": f"````\n{OBJECT}\n````",
    "a fence on one line": f"```json{OBJECT}```",
    "a fence with a blank": f"``` json\n{OBJECT}\n```",
    "a fence without its end": f"```json\n{OBJECT}",
    "a fence without its start": f"{OBJECT}\n```",
    "a fence behind prose": f"Here is my answer.\n```json\n{OBJECT}\n```\n",
    "a fence that holds a fence": "```json\n"
    + json.dumps({"explanation": "It says ```x``` here.", "label": "correct"})
    + "\n```",
}

_AROUND = {
    "thoughts in front": f"<think>It may be {{wrong}}.</think>\n{OBJECT}",
    "thoughts in front of a fence": f"<think>\nHm.\n</think>\n\n```json\n{OBJECT}\n```",
    "the end of thoughts alone": f"Hm, let me see.</think>{OBJECT}",
    "other thoughts": f"<thinking>Hm.</thinking>{OBJECT}",
    "thoughts in brackets": f"[THINK]Hm.[/THINK]{OBJECT}",
    "an object in the thoughts": '<think>{"label": "incorrect"}? No.</think>' + OBJECT,
    "thoughts twice": f"<think>Hm.</think>\n<think>Or not.</think>\n{OBJECT}",
    "thoughts behind prose": f"Let me see.\n<think>{OTHER}</think>\n{OBJECT}",
    "the same twice": f"{OBJECT}\nSo, once more:\n```json\n{OBJECT}\n```",
    "another object in front": f'It sent {{"parcel": 3}}.\n{OBJECT}',
    "a quote in front": f"> {OTHER}\n> LABEL: incorrect\n\nThat is wrong of it.\n{OBJECT}",
    "a quote inside": json.dumps({"explanation": f"It ends with {OTHER}.", "label": "correct"}),
    "a tag in the answer": json.dumps({"explanation": "The text ends with </think>.", "label": "correct"}),
    "a mark in front": "\ufeff" + OBJECT,
    "prose in front": f"The answer is right.\n\n{OBJECT}",
    "an object as text": json.dumps(OBJECT),
    "an object inside": json.dumps({"classification": json.loads(OBJECT)}),
    "names in capitals": json.dumps({"Explanation": "Because.", "LABEL": "correct"}),
    "a call as text": json.dumps({"name": "classification", "arguments": OBJECT}),
}

LABELS: dict[str, Any] = {
    "bold": "**correct**",
    "quotes": '"correct"',
    "other quotes": "\u201ccorrect\u201d",
    "a full stop": "correct.",
    "capitals": "CORRECT",
    "code": "`correct`",
    "its name in front": "Label: correct",
    "all of it": ' **Label: "Correct".** ',
}
"""In the object."""

LINES: dict[str, str] = {
    "bold": "Because.\n**LABEL: correct**",
    "bold name": "Because.\n**LABEL:** correct",
    "bold label": "Because.\nLABEL: **correct**",
    "an item": "Because.\n- Label: correct.",
    "a heading": "Because.\n### Label: correct",
    "quoted": 'Because.\n"LABEL: correct"',
    "wide colon": "Because.\nLABEL\uff1acorrect",
    "behind a quote": "It ends with\n> LABEL: incorrect\nand is right.\nLABEL: correct",
    "in a fence": "```\nBecause.\nLABEL: correct\n```",
    "behind thoughts": "<think>LABEL: incorrect</think>\nBecause.\nLABEL: correct",
    "an object": OBJECT,
}
"""Where the last line was asked for."""


def elsewhere() -> dict[str, Body]:
    """Bodies in which the object stands where it was not asked for."""
    called = [{"id": "1", "name": "another_name", "arguments": OBJECT}]
    other = {"id": "2", "name": "look_up", "arguments": '{"parcel": 3}'}
    bodies = {
        "in one of two calls": completion(None, tool_calls=[other, *called], finish_reason="tool_calls"),
        "in a call": completion(None, tool_calls=called, finish_reason="tool_calls"),
        "in reasoning_content": completion(""),
        "in reasoning": completion(""),
        "in parts": completion(""),
        "as an object": completion(""),
    }
    message = {name: body["choices"][0]["message"] for name, body in bodies.items()}
    message["in reasoning_content"]["reasoning_content"] = OBJECT
    message["in reasoning"]["reasoning"] = f"Hm.\n{OBJECT}"
    message["as an object"]["content"] = json.loads(OBJECT)
    message["in parts"]["content"] = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": OBJECT},
    ]
    return bodies


READ: dict[str, Body] = {name: completion(text) for name, text in (_FENCES | _AROUND).items()} | elsewhere()
"""Bodies that say `correct` beyond doubt."""

DOUBTFUL: dict[str, str] = {
    "two labels": json.dumps({"explanation": "Both.", "label": "correct or incorrect"}),
    "a negation": json.dumps({"explanation": "No.", "label": "not correct"}),
    "a list": json.dumps({"explanation": "Both.", "label": ["correct", "incorrect"]}),
    "a name with two values": '{"explanation": "Hm.", "label": "correct", "label": "incorrect"}',
    "a name in two spellings": '{"explanation": "Hm.", "Label": "correct", "LABEL": "incorrect"}',
    "a word of it": json.dumps({"explanation": "Hm.", "label": "correctly"}),
    "a sentence": json.dumps({"explanation": "Hm.", "label": "It is correct"}),
    "a shade": json.dumps({"explanation": "Hm.", "label": "mostly correct"}),
    "two objects": OBJECT + "\n" + OBJECT.replace("correct", "incorrect"),
    "two fences": f"```json\n{OBJECT}\n```\nOn reflection:\n```json\n{OTHER}\n```",
    "a fence, then an object": f"```json\n{OTHER}\n```\nActually, no:\n{OBJECT}",
    "an object, then a fence": f"{OBJECT}\nNo, wait:\n```json\n{OTHER}\n```",
    "an example of the form": f"The form is ```{OTHER}``` and my answer is:\n{OBJECT}",
    "a fence with an opinion of it": f"It answered\n```json\n{OBJECT}\n```\nwhich is no answer: incorrect",
    "two depths": json.dumps({"label": "incorrect", "detail": json.loads(OBJECT)}),
    "a list of two": f"[{OTHER}, {OBJECT}]",
    "a list on lines": f"[\n{OTHER},\n{OBJECT}\n]",
    "an object and a line": f"{OTHER}\nLABEL: correct",
    "a line and an object": f"LABEL: incorrect\n{OBJECT}",
    "two lines": "LABEL: incorrect\nOr rather:\n**LABEL:** correct",
    "a quoted line": "Its answer ended with:\n> LABEL: correct",
    "a quoted object": f"Its answer ended with:\n> {OBJECT}",
    "a broken object that holds another": f'{{"explanation": "It says\n{OBJECT}\n", "label": "incorrect"}}',
    "more thoughts without an end": f"<think>Hm.</think>\n<think>\n{OBJECT}",
    "thoughts without an end behind prose": f"Let me see.\n<think>\n{OBJECT}\nLABEL: correct",
    "a sign in front": json.dumps({"explanation": "Hm.", "label": "!correct"}),
    "a change of mind": OBJECT + "\nNo, it is incorrect after all.",
    "prose": "I think that it is correct.",
    "a negated line": "Hm.\nLABEL: not correct",
    "a line of two": "Hm.\nLABEL: correct / incorrect",
    "a line that is not the last": "LABEL: correct\nBut it could be incorrect.",
    "thoughts without an end": '<think>Perhaps {"explanation": "Hm.", "label": "correct"}',
    "an object that is cut off": '{"explanation": "Because.", "label": "correct"',
    "a number": json.dumps({"explanation": "Hm.", "label": 1}),
}
"""Texts that may mean another label; in every way of asking their row is an error that quotes them."""
