"""The world `examples`: titles in a house style of six kinds that only examples teach; no instruction helps."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Final, NamedTuple

from sia_dagster.core.records.policy import Example
from sia_dagster.demo.simulation_rules import draw, pick
from simulation.search_worlds.population import number, person, weighted
from simulation.search_worlds.task import HARM, RIGHT_OR_WRONG, Aspect, Fault, Lack, Reading, Remedy


class _Kind(NamedTuple):
    name: str
    weight: float
    goods: tuple[str, ...]
    opening: str
    closing: str


_KINDS: Final = (
    _Kind("furniture", 0.28, ("oak shelf", "hall bench", "reading chair", "pine table"), "Room for more: ", " ~ stays"),
    _Kind("kitchen", 0.22, ("bread knife", "enamel jug", "soup bowl", "pepper mill"), "At the table: ", " ~ daily"),
    _Kind("garden", 0.17, ("garden lantern", "watering can", "plant ladder", "seed box"), "Outdoors: ", " ~ in bloom"),
    _Kind("textile", 0.14, ("wool blanket", "linen cloth", "cotton hammock", "cushion cover"), "Soft: ", " ~ by hand"),
    _Kind("paper", 0.11, ("leather notebook", "letter set", "wall calendar", "paper kite"), "On paper: ", " ~ kept"),
    _Kind("toys", 0.08, ("wooden train", "rag doll", "spinning top", "marble run"), "To play: ", " ~ for years"),
)
_BY_NAME: Final = {kind.name: kind for kind in _KINDS}
_ADVICE: Final = (
    "Follow the house style.", "Write titles that sell.", "Make the title lively.", "Keep to the catalogue's tone.",
    "Give each title a rhythm.", "Do not be generic.", "Begin with what the thing is for.", "End on a warm note.",
)  # fmt: skip
_MOST: Final = 8
"""More examples than these distract."""
_WRITTEN: Final = (
    "Please write the catalogue title for our {thing}; {who} delivered it under number {number}.",
    "We need a title: {thing}, number {number}, from the workshop of {who}.",
    "Title wanted for the {thing} that {who} makes (number {number}).",
    "{who} sent the {thing}, number {number}. What is its title?",
)


def _title(kind: _Kind, thing: str) -> str:
    return f"{kind.opening}{thing}{kind.closing}"


def _taught(examples: Sequence[Example]) -> dict[str, int]:
    """By kind, the place of the last example that shows its style, counted from the end."""
    places: dict[str, int] = {}
    for place, example in enumerate(reversed(examples)):
        kind, _ = _thing(example.input)
        if example.output.startswith(kind.opening) and example.output.endswith(kind.closing):
            places.setdefault(kind.name, place)
    return places


class Examples:
    """Titles for goods of six kinds; an example of a kind in the policy teaches the style of that kind."""

    name = "examples"
    by_code = ""
    weak_tag = "old"
    rails = RIGHT_OR_WRONG
    prompt = "You write titles for the catalogue of {shop}.\nAnswer with the title alone."
    best_prompt = prompt
    best_examples = tuple(
        Example(input=f"Please write the catalogue title for our {kind.goods[0]}.", output=_title(kind, kind.goods[0]))
        for kind in reversed(_KINDS)
    )
    faults = (
        Fault(
            name="style",
            says=(
                "'{}' is not in our house style", "the title '{}' could be any shop's",
                "our catalogue would not print '{}'", "it misses the way in which we write titles ('{}')",
            ),
            chinese="标题不符合本店风格",
            remedy="style",
        ),
    )  # fmt: skip
    remedies = (Remedy(name="style", words=(), firm=_ADVICE, timid=_ADVICE, wrong=_ADVICE),)

    def request(self, key: str) -> str:
        kind = weighted([(kind.weight, kind) for kind in _KINDS], key, "kind")
        return pick(_WRITTEN, key, "written").format(
            thing=pick(kind.goods, key, "thing"), who=person(key), number=number(key)
        )

    def tag(self, request: str) -> str:
        return "new" if draw("tag", request) < 0.5 else self.weak_tag

    def aspects(self, request: str, reading: Reading) -> tuple[Aspect, ...]:
        kind, _ = _thing(request)
        place = _taught(reading.examples).get(kind.name)
        chance = 0.25 if place is None else 0.94 if place < 4 else 0.90
        chance *= (1 - 0.03 * max(0, len(reading.examples) - _MOST)) * (HARM if reading.harmed else 1.0)
        level = "unshown" if place is None else "shown"
        return (Aspect(name=kind.name, level=level, chance=max(0.0, chance)),)

    def score(self, chances: Sequence[float]) -> float:
        return prod(chances)

    def compose(self, request: str, right: Mapping[str, bool]) -> str:
        kind, thing = _thing(request)
        return _title(kind, thing) if right[kind.name] else f"{thing.capitalize()}, now in our shop"

    def lacks(self, request: str, output: str) -> tuple[Lack, ...]:
        kind, _ = _thing(request)
        given = output.strip()
        if given.startswith(kind.opening) and given.endswith(kind.closing):
            return ()
        return (Lack(fault=self.faults[0], detail=given[:60]),)


def _thing(request: str) -> tuple[_Kind, str]:
    """The kind and the thing that a request is about; the first kind where it names none."""
    found = ((kind, thing) for kind in _KINDS for thing in kind.goods if thing in request)
    return next(found, (_KINDS[0], _KINDS[0].goods[0]))
