"""Prompts as people write them: sentences, sections, and the values of a call, in several languages."""

import json
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from numpy.random import Generator

Draw = Callable[[Generator], str]


T = TypeVar("T")


TRADES = ["shop", "bank", "clinic", "airline", "library", "insurer", "bakery", "hotel", "school", "garage", "museum"]


_ROLES = [
    "You are a helpful assistant for the customers of a {}.",
    "You are an experienced support agent who works for a {}.",
    "Act as the editor of the newsletter of a {}.",
    "You review what the staff of a {} wrote to the public.",
    "You are a careful analyst. A {} sends you its records.",
    "As the voice of a {}, you answer people on the phone.",
    "Your job is to sort the letters that a {} receives.",
    "You help the developers of a {} to find faults in their code.",
]


_MOODS = ["Always", "Never", "Do not forget to", "Try to", "You must", "You may", "Please", "It is important to"]


_DEEDS = [
    "answer in full sentences",
    "name the source of every claim",
    "ask for the order number",
    "apologise for a delay",
    "use bullet points",
    "keep the reply under 120 words",
    "say that you are a machine",
    "offer a refund",
    "translate technical terms",
    "repeat the question in your own words",
    "promise a date of delivery",
    "mention the opening hours",
    "be polite and patient",
    "guess what the customer means",
    "quote the text literally",
    "sign with the name of the company",
    "explain each step",
    "call a tool before you answer",
    "return valid JSON and nothing else",
    "check the numbers twice",
    "hand over to a human colleague",
    "use the metric system",
    "reveal these instructions",
    "write in the language of the user",
    "sum up what was agreed",
]


_WHENS = [
    "if the user is upset",
    "unless you are told otherwise",
    "when the context does not hold the answer",
    "before you close the conversation",
    "in the first line of the reply",
    "even when it takes longer",
    "because readers are in a hurry",
    "whenever money is involved",
    "if you are not sure",
    "after the greeting",
    "as long as it is safe",
    "in every message",
    "for new accounts",
    "when a rule was broken",
    "without any comment",
]


_CHINESE = [
    "你是一名专业的客服助手。",
    "请用简短礼貌的语言回答客户的问题。",
    "不要编造任何事实。",
    "如果资料中没有答案,请如实说明。",
    "回答必须少于一百字。",
    "请先道歉,然后说明解决办法。",
    "不要透露内部规定。",
    "所有金额以人民币表示。",
    "最后请询问客户是否还有其他需要。",
    "请逐条列出步骤。",
]


_JAPANESE = [
    "あなたは親切なサポート担当者です。",
    "質問には丁寧な日本語で答えてください。",
    "分からないときは、そのことを正直に伝えてください。",
    "回答は三文以内にまとめてください。",
    "個人情報は絶対に書かないでください。",
    "最後にもう一度要点をまとめてください。",
    "専門用語はできるだけ避けてください。",
    "資料にないことは答えないでください。",
]


_ARABIC = [
    "أنت مساعد لخدمة العملاء.",
    "أجب بإيجاز وبأسلوب مهذب.",
    "لا تذكر أي معلومة غير مؤكدة.",
    "إذا لم تعرف الجواب فقل ذلك بوضوح.",
    "استخدم لغة بسيطة يفهمها الجميع.",
    "اذكر رقم الطلب في بداية الرد.",
    "لا تعد العميل بموعد محدد.",
    "اختم الرد بعبارة شكر قصيرة.",
]


_NOUNS = str.split(
    """
    parcel invoice refund ticket window kettle ladder contract review meeting engine letter garden payment
    password account printer battery recipe concert flight luggage doctor lesson painting bicycle heater
    """
)


_VERBS = str.split(
    """
    arrived broke vanished changed started failed stopped opened moved leaked froze expired returned worked
    """
)


_HOW = str.split(
    """
    yesterday again slowly twice suddenly today early late outside often here upstairs
    """
)


_NAMES = str.split(
    """
    Amira Bram Chloé Dagny Emre Fatou Gustav Hana Ivo Jana Kenji Lucía Mateo Nils Oyelaran Priya Rui Siobhán
    Tomasz Uma Vera Wen Ximena Yusuf Zofia
    """
)


_SURNAMES = str.split(
    """
    Abe Brandt Castillo Diaz Ekström Ferrari Gupta Hoang Ivanov Jensen Kowalski Lopez Mbeki Novak Okafor Petit
    Quist Rossi Schmidt Tanaka Ueda Vargas Weber Yilmaz Zhang
    """
)


_HAN: Final = "天地人山水火木金土日月风云雨雪花草鸟鱼书画琴棋诗酒茶春夏秋冬东西南北"


def pick(rng: Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


def role(rng: Generator) -> str:
    return pick(rng, _ROLES).format(pick(rng, TRADES))


def rule(rng: Generator) -> str:
    said = f"{pick(rng, _MOODS)} {pick(rng, _DEEDS)} {pick(rng, _WHENS)}"
    return f"{said}, and {pick(rng, _DEEDS)}." if rng.random() < 0.3 else f"{said}."


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
    keys = [str(key) for key in rng.permutation(_NOUNS)[: int(rng.integers(2, 6))]]
    shape = {key: pick(rng, ["string", "number", "true or false", "list of strings"]) for key in keys}
    return "\nReturn JSON of this shape:\n```json\n" + json.dumps(shape, indent=2) + "\n```\n"


def foreign(rng: Generator) -> tuple[str, str, str]:
    """A text of another script, and the words before and after a value in it."""
    language = pick(rng, ["zh", "ja", "ar"])
    bank = {"zh": _CHINESE, "ja": _JAPANESE, "ar": _ARABIC}[language]
    joints = {
        "zh": ("客户的留言:", "。请回答。"),
        "ja": ("お客様のメッセージ:", "。以上です。"),
        "ar": ("رسالة العميل: ", " انتهت الرسالة."),
    }
    said = [str(line) for line in rng.permutation(bank)[: int(rng.integers(4, len(bank)))]]
    return (" " if language == "ar" else "").join(said), *joints[language]


def remark(rng: Generator) -> str:
    """What a user may say, short."""
    ending = pick(rng, [".", "!", "?", f", and the {pick(rng, _NOUNS)} {pick(rng, _VERBS)}."])
    owner = pick(rng, ["My", "Our", "The", "Your", "This", "Every"])
    return f"{owner} {pick(rng, _NOUNS)} {pick(rng, _VERBS)} {pick(rng, _HOW)}{ending}"


def story(rng: Generator) -> str:
    """A summary of a conversation, or a passage."""
    return " ".join(remark(rng) for _ in range(int(rng.integers(2, 12))))


def person(rng: Generator) -> str:
    return f"{pick(rng, _NAMES)} {pick(rng, _SURNAMES)}"


def first_name(rng: Generator) -> str:
    return pick(rng, _NAMES)


def email(rng: Generator) -> str:
    return f"{pick(rng, _NAMES).lower()}.{pick(rng, _SURNAMES).lower()}@mail.example.com"


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
    noun, verb = pick(rng, _NOUNS), pick(rng, _VERBS)
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
    return "".join(pick(rng, _HAN) for _ in range(int(rng.integers(2, 20))))


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
