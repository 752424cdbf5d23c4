"""People, goods and small talk of the simulated requests: each text is chosen by the hash of a key."""

from collections.abc import Sequence
from typing import Final, TypeVar

from sia_dagster.demo.simulation_rules import draw, pick

Option = TypeVar("Option")
FIRST: Final = (
    "Mara", "Jonas", "Aylin", "Tomas", "Ines", "Piotr", "Greta", "Samir", "Lotte", "Henrik", "Chiara", "Noor", "Emil",
    "Vera", "Luis", "Hana", "Oskar", "Priya", "Felix", "Zoe", "Marek", "Elif", "Davor", "Runa", "Silvia", "Anton",
)  # fmt: skip
LAST: Final = (
    "Lindholm", "Okafor", "Brandt", "Castell", "Demirel", "Eriksen", "Fontana", "Grabner", "Hallberg", "Ivanova",
    "Jelinek", "Kowalski", "Larsson", "Moretti", "Nakamura", "Ostrova", "Pereira", "Quist", "Rasmussen", "Sandoval",
)  # fmt: skip
GOODS: Final = (
    "the oak shelf", "a linen tablecloth", "the blue teapot", "two candle holders", "a wool blanket", "the desk lamp",
    "a set of soup bowls", "the wall clock", "a leather notebook", "the bread knife", "an enamel jug", "the door mat",
    "a garden lantern", "the picture frame", "a bamboo tray", "the cork board", "a spice rack", "the hall mirror",
    "a cotton hammock", "the pepper mill", "a paper kite", "the fruit basket", "a reading cushion", "the coat hooks",
)  # fmt: skip
SHOPS: Final = ("Alder Lane", "Harbour Goods", "Kestrel House")
_OPENINGS: Final = (
    "Hi,", "Hello,", "Good morning,", "Dear team,", "Hey there,", "Good evening,", "Hello again,", "Dear shop,",
)  # fmt: skip
_TALK: Final = (
    "My neighbour told me about your place.", "It rained all week here, so I stayed in and sorted my papers.",
    "We have just painted the kitchen yellow.", "I found your card in an old drawer.",
    "My sister has the same one and loves it.", "The dog has taken a liking to the box.",
    "I usually call, but the line was busy.", "Your window display on Market Street is lovely.",
    "I have been coming to you since my student days.", "My phone writes this, so forgive the typing.",
    "It is for the summer house by the lake.", "We are having guests at the weekend.",
    "I could not find this on your pages.", "The courier was very friendly, by the way.",
    "My son is helping me with this message.", "I like the new wrapping paper a lot.",
    "I read your newsletter on the train.", "The colours look even better than in the catalogue.",
    "Sorry for the long message.", "I hope you had a calm start to the season.",
    "The children already fight over it.", "I am writing from my lunch break.",
)  # fmt: skip
_MATTERS: Final = (
    "I have a question about {goods}.", "It is about {goods} that I bought from you.", "This concerns {goods}.",
    "I am writing because of {goods}.", "Could you help me with {goods}?", "There is something about {goods}.",
)  # fmt: skip


def weighted(options: Sequence[tuple[float, Option]], *key: str) -> Option:
    """One of the options, each as frequent as its weight says."""
    point = draw(*key) * sum(weight for weight, _ in options)
    for weight, option in options:
        if point < weight:
            return option
        point -= weight
    return options[-1][1]


def person(key: str) -> str:
    """First and last name."""
    return f"{pick(FIRST, key, 'first')} {pick(LAST, key, 'last')}"


def number(key: str) -> str:
    """The number of an order: six digits."""
    return str(100_000 + int(draw(key, "number") * 899_999))


def letter(key: str, *told: str) -> str:
    """A customer's message that says what was `told`, in an order of its own, among things that do not matter."""
    talk = [pick(_TALK, key, "talk", str(n)) for n in range(2)]
    matter = pick(_MATTERS, key, "matter").format(goods=pick(GOODS, key, "goods"))
    middle = sorted({*told, *talk}, key=lambda sentence: draw(key, "order", sentence))
    account = f", customer {number(f'{key}/account')}" if draw(key, "account") < 0.4 else ""
    return f"{pick(_OPENINGS, key, 'opening')} {' '.join([matter, *middle])}\n{person(key)}{account}"
