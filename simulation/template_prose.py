"""Prompts as people write them: sentences, sections, and the values of a call, in several languages."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from numpy.random import Generator

Draw = Callable[[Generator], str]


T = TypeVar("T")


TEXTS: Final[dict[str, list[str]]] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


def pick(rng: Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


def role(rng: Generator) -> str:
    return pick(rng, TEXTS["roles"]).format(pick(rng, TEXTS["trades"]))


def rule(rng: Generator) -> str:
    said = f"{pick(rng, TEXTS['moods'])} {pick(rng, TEXTS['deeds'])} {pick(rng, TEXTS['whens'])}"
    return f"{said}, and {pick(rng, TEXTS['deeds'])}." if rng.random() < 0.3 else f"{said}."


def rules(rng: Generator, count: int) -> str:
    """Prose, bullets, or numbered."""
    told = list(dict.fromkeys(rule(rng) for _ in range(count)))
    style = pick(rng, ["prose", "bullets", "numbers", "lines"])
    if style == "prose":
        return " ".join(told) + "\n"
    marks = {"bullets": "- ", "lines": ""}
    title = pick(rng, ["## Rules\n", "Rules:\n", "<rules>\n", "\n", "Guidelines\n==========\n"])
    return title + "".join(f"{marks.get(style, f'{n}. ')}{line}\n" for n, line in enumerate(told, 1))


def few_shot(rng: Generator) -> str:
    """Examples that the template itself holds."""
    ask, reply = pick(rng, [("Q", "A"), ("User", "Assistant"), ("Input", "Output"), ("Text", "Label")])
    said = (f"{ask}: {remark(rng)}\n{reply}: {remark(rng)}\n" for _ in range(int(rng.integers(1, 4))))
    return "\nExamples\n" + "\n".join(said) + "\n"


def skeleton(rng: Generator) -> str:
    keys = [str(key) for key in rng.permutation(TEXTS["nouns"])[: int(rng.integers(2, 6))]]
    shape = {key: pick(rng, ["string", "number", "true or false", "list of strings"]) for key in keys}
    return "\nReturn JSON of this shape:\n```json\n" + json.dumps(shape, indent=2) + "\n```\n"


def foreign(rng: Generator) -> tuple[str, str, str]:
    """A text of another script, and the words before and after a value in it."""
    language = pick(rng, ["zh", "ja", "ar"])
    bank = TEXTS[{"zh": "chinese", "ja": "japanese", "ar": "arabic"}[language]]
    joints = {
        "zh": ("客户的留言:", "。请回答。"),
        "ja": ("お客様のメッセージ:", "。以上です。"),
        "ar": ("رسالة العميل: ", " انتهت الرسالة."),
    }
    said = [str(line) for line in rng.permutation(bank)[: int(rng.integers(4, len(bank)))]]
    return (" " if language == "ar" else "").join(said), *joints[language]


def remark(rng: Generator) -> str:
    """What a user may say, short."""
    ending = pick(rng, [".", "!", "?", f", and the {pick(rng, TEXTS['nouns'])} {pick(rng, TEXTS['verbs'])}."])
    owner = pick(rng, ["My", "Our", "The", "Your", "This", "Every"])
    return f"{owner} {pick(rng, TEXTS['nouns'])} {pick(rng, TEXTS['verbs'])} {pick(rng, TEXTS['adverbs'])}{ending}"


def story(rng: Generator) -> str:
    """A summary of a conversation, or a passage."""
    return " ".join(remark(rng) for _ in range(int(rng.integers(2, 12))))


def person(rng: Generator) -> str:
    return f"{pick(rng, TEXTS['first_names'])} {pick(rng, TEXTS['surnames'])}"


def first_name(rng: Generator) -> str:
    return pick(rng, TEXTS["first_names"])


def email(rng: Generator) -> str:
    return f"{pick(rng, TEXTS['first_names']).lower()}.{pick(rng, TEXTS['surnames']).lower()}@mail.example.com"


def order(rng: Generator) -> str:
    return f"ORD-2026-{int(rng.integers(10**6)):06}"


def address(rng: Generator) -> str:
    return f"https://example.com/items/{int(rng.integers(10**5))}/view.html"


def iso_day(rng: Generator) -> str:
    return f"2026-{int(rng.integers(1, 13)):02}-{int(rng.integers(1, 29)):02}"


def euros(rng: Generator) -> str:
    return f"EUR {int(rng.integers(1, 900))}.{int(rng.integers(100)):02}"


def share(rng: Generator) -> str:
    return f"{int(rng.integers(101))} %"


def note(rng: Generator) -> str:
    """Often nothing."""
    return "" if rng.random() < 0.4 else remark(rng)


def record(rng: Generator) -> str:
    facts = {"id": int(rng.integers(10**5)), "name": person(rng), "vip": bool(rng.random() < 0.5), "says": remark(rng)}
    return json.dumps(facts, indent=pick(rng, [None, 2]), ensure_ascii=False)


def code(rng: Generator) -> str:
    noun, verb = pick(rng, TEXTS["nouns"]), pick(rng, TEXTS["verbs"])
    return f"def {noun}_{verb}(x: int) -> int:\n    return x * {int(rng.integers(99))}\n"


def bullets(rng: Generator) -> str:
    return "\n".join(f"- {remark(rng)}" for _ in range(int(rng.integers(1, 8))))


def turns(rng: Generator) -> str:
    said = (f"User: {remark(rng)}\nAssistant: {remark(rng)}" for _ in range(int(rng.integers(0, 5))))
    return "\n".join(said)


def tools(rng: Generator) -> str:
    """Some of a few that the application has."""
    known = ["search: look things up", "refund: pay money back", "track: where a parcel is", "human: ask a colleague"]
    return "\n".join(f"* {tool}" for tool in known if rng.random() < 0.6)


def han(rng: Generator) -> str:
    return "".join(pick(rng, TEXTS["han"]) for _ in range(int(rng.integers(2, 20))))


def emoji(rng: Generator) -> str:
    faces = "".join(chr(0x1F600 + int(rng.integers(60))) for _ in range(int(rng.integers(1, 5))))
    return f"{faces} {remark(rng)} 👩‍🚀"


def hebrew(rng: Generator) -> str:
    letters = [chr(0x5D0 + int(code)) for code in rng.integers(0, 27, size=12)]
    return "".join(letters[:5]) + " " + "".join(letters[5:])


VALUES: Final[tuple[tuple[Draw, tuple[tuple[str, str], ...]], ...]] = (
    (person, (("The user is called ", ".\n"), ("Customer: ", "\n"), ("<user>", "</user>\n"))),
    (first_name, (("Address the reader as ", " throughout.\n"), ("You talk to ", ", who is new.\n"))),
    (email, (("Reply to ", ".\n"), ("From: ", "\n"))),
    (order, (("The order is ", ".\n"), ("Reference: ", "\n"), ("(see ", ")\n"))),
    (address, (("The page is ", "\n"), ("Look at <", "> first.\n"))),
    (iso_day, (("Today is ", ".\n"), ("Date: ", "\n"), ("The invoice of ", " is open.\n"))),
    (euros, (("The price is ", " with taxes.\n"), ("Balance: ", "\n"))),
    (share, (("The score was ", ".\n"), ("Progress: ", "\n"))),
    (note, (("Note from the staff: ", "\n"), ("<note>", "</note>\n"))),
    (record, (("Record:\n", "\n"), ("```json\n", "\n```\n"), ("The customer's data is ", ". Use it.\n"))),
    (code, (("```python\n", "```\n"), ("Code under review:\n", "\nEnd of the code.\n"))),
    (remark, (("The question is: ", "\n"), ('The user wrote "', '" just now.\n'), ("Q: ", "\nA:"))),
    (story, (("Summary so far: ", "\n"), ("<context>\n", "\n</context>\n"), ("### Conversation\n", "\n### End\n"))),
    (bullets, (("What is known:\n", "\n"), ("<facts>\n", "\n</facts>\n"))),
    (turns, (("The last turns:\n", "\nEnd of the turns.\n"), ("<history>", "</history>\n"))),
    (tools, (("Your tools are\n", "\n"), ("## Tools\n", "\n## Task\n"))),
    (emoji, (("The post reads ", "\n"), ("Caption: ", "\n"))),
    (hebrew, (("The name in the passport is ", ".\n"), ("Title: ", "\n"))),
    (han, (("The Chinese label says ", ".\n"), ("Source text: ", "\n"))),
)
"""What is filled in, and the words before and after it."""
