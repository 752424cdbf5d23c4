"""The documented rule of the simulated application: which elements a good answer holds, and when it holds them.

`docs/demo.md` states the same rule for people; a test holds the two together.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, TypeVar

from sia_dagster.core.records.value import Value

APPLICATION = "simulated-application"
JUDGE = "simulated-judge"
OPTIMIZER = "simulated-optimizer"
Level = Literal["unasked", "hedged", "asked"]
"""How firmly a prompt asks for an element."""
Option = TypeVar("Option")
ANEW = 0.2
HEDGES = ("try to", "where it fits", "if possible", "when you can")
SIGNATURE = "— The Message Desk"
_ORDER = re.compile(r"\border (?:no\. |number )?(\d{5})\b", re.IGNORECASE)
_DEADLINE = re.compile(
    r"\b(?:within|in) \d+ (?:working )?(?:hours?|days?)\b|\bby (?:tomorrow|tonight)\b", re.IGNORECASE
)


class Element(Value):
    """One thing that a good answer holds."""

    name: str
    keywords: tuple[str, ...]
    """A sentence of the prompt with one of these asks for the element; a negation is not understood."""
    unasked: float
    """The share of requests whose answer holds it although the prompt does not ask for it."""
    missing: str
    """What the simulated judge says where it is missing."""
    firm: str
    """The instruction that the simulated optimizer writes."""
    timid: str
    """A weaker wording of it."""

    def chance(self, level: Level) -> float:
        """The share of requests whose answer holds the element under a prompt of this `level`."""
        return {"unasked": self.unasked, "hedged": max(self.unasked, 0.8), "asked": 0.97}[level]


ELEMENTS = (
    Element(
        name="order",
        keywords=("order number",),
        unasked=0.6,
        missing="The answer does not name the order number.",
        firm="Name the customer's order number in every answer.",
        timid="Try to mention the order number where it fits.",
    ),
    Element(
        name="deadline",
        keywords=("by when", "working day", "deadline"),
        unasked=0.65,
        missing="The answer does not say by when.",
        firm='Say by when it will be settled, for example "within 2 working days".',
        timid="If possible, give the customer an idea by when to expect news.",
    ),
    Element(
        name="signature",
        keywords=("signature", "sign off"),
        unasked=0.95,
        missing="The answer does not end with the signature line.",
        firm=f'Close with the signature line "{SIGNATURE}".',
        timid="Use our signature when you can.",
    ),
)


def draw(*parts: str) -> float:
    """A number in [0, 1) that looks random and is a hash of `parts`: equal parts, equal number."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return int.from_bytes(digest[:7], "big") / (1 << 56)


def pick(options: Sequence[Option], *parts: str) -> Option:
    """One of `options`, chosen by `draw(*parts)`."""
    return options[int(draw(*parts) * len(options))]


def holds(element: Element, level: Level, request: str) -> bool:
    """Whether the answer to `request` holds `element` under a prompt of this `level`.

    Four requests of five keep their draw, so that asking more firmly never loses the element; the fifth draws anew
    at each level, so that a better prompt does worse here and there, as with real models.
    """
    anew = draw(APPLICATION, request, element.name, "anew") < ANEW
    return draw(APPLICATION, request, element.name, level if anew else "") < element.chance(level)


@lru_cache(maxsize=256)
def level_of(prompt: str, element: Element) -> Level:
    """How firmly `prompt` asks for `element`: a sentence with a keyword asks, and a hedge in it weakens it."""
    sentences = re.split(r"(?<=[.!?])\s+|\n", prompt.casefold())
    asking = [s for s in sentences if any(word in s for word in element.keywords)]
    if not asking:
        return "unasked"
    return "hedged" if all(any(hedge in s for hedge in HEDGES) for s in asking) else "asked"


def order_in(text: str) -> str | None:
    """The first order number that `text` names (`order 48213`)."""
    found = _ORDER.search(text)
    return found[1] if found else None


def missing_elements(request: str, output: str) -> tuple[Element, ...]:
    """The elements that `output` lacks. Where the request names an order, the answer has to name that one."""
    named, asked = order_in(output), order_in(request)
    held = {
        "order": named is not None and asked in (None, named),
        "deadline": _DEADLINE.search(output) is not None,
        "signature": output.rstrip().endswith(SIGNATURE),
    }
    return tuple(element for element in ELEMENTS if not held[element.name])
