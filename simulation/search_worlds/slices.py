"""The world `slices`: what one kind of customer needs is a fault for another, unless the prompt says for whom it is."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Final, NamedTuple

from sia_dagster.core.records.policy import Example
from sia_dagster.demo.simulation_rules import pick
from simulation.search_worlds.population import letter, weighted
from simulation.search_worlds.task import HARM, RIGHT_OR_WRONG, Aspect, Fault, Lack, Level, Reading, Remedy

_TOLD: Final = {
    "private": ("I shop for myself.", "It is for my own home.", "I am a private customer."),
    "company": ("I write for my company.", "Our firm needs it.", "We are a small business."),
    "abroad": ("I live abroad.", "I am writing from overseas.", "I order from another country."),
    "school": ("I am a teacher.", "I write for our school.", "It is for my class."),
}
_SHARES: Final = ((0.32, "private"), (0.38, "company"), (0.22, "abroad"), (0.08, "school"))


class _Rule(NamedTuple):
    name: str
    needs: str
    """The slice that needs it."""
    harms: str
    """The slice for which it is a fault."""
    unasked: float
    mark: str
    """What the answer then holds."""
    does: str
    """The instruction, without whom it is for."""
    words: tuple[str, ...]


_RULES: Final = (
    _Rule("net prices", "company", "private", 0.30, "Prices are net of tax.",
          "state prices net of tax", ("net of tax",)),
    _Rule("payment terms", "company", "school", 0.34, "You may pay within thirty days.",
          "offer thirty days to pay", ("thirty days",)),
    _Rule("customs", "abroad", "company", 0.28, "Customs duties come on top.",
          "mention customs duties", ("customs duties",)),
    _Rule("first names", "private", "company", 0.40, "May I use your first name?",
          "use a personal tone with first names", ("first names",)),
    _Rule("purchase form", "school", "private", 0.30, "Please add the signed purchase form.",
          "ask for the signed purchase form", ("purchase form",)),
)  # fmt: skip
_WHOM: Final = {
    "private": "private customers", "company": "companies", "abroad": "customers abroad", "school": "schools",
}  # fmt: skip
_BY_NAME: Final = {rule.name: rule for rule in _RULES}


def _needed(rule: _Rule) -> Fault:
    whom = _WHOM[rule.needs]
    return Fault(
        name=f"{rule.name} missing",
        says=(
            f"it does not {rule.does}, which {whom} need",
            f"{whom} miss something here: it should {rule.does}",
            f"for {whom} it would have to {rule.does}",
            f"that it fails to {rule.does} leaves {whom} without an answer",
        ),
        chinese=f"没有满足需要 {rule.name} 的客户",
        remedy=rule.name,
    )


def _misplaced(rule: _Rule) -> Fault:
    whom = _WHOM[rule.harms]
    return Fault(
        name=f"{rule.name} misplaced",
        says=(
            f"to {rule.does} is wrong towards {whom}",
            f"{whom} are told what is not meant for them, since it would {rule.does}",
            f"it is no good to {rule.does} where {whom} are concerned",
            f"{whom} take offence when answers {rule.does}",
        ),
        chinese=f"{rule.name} 用错了客户",
        remedy=rule.name,
    )


def _remedy(rule: _Rule) -> Remedy:
    whom, does = _WHOM[rule.needs], f"{rule.does[0].upper()}{rule.does[1:]}"
    return Remedy(
        name=rule.name,
        words=(rule.words,),
        conditions=(f"for {whom}", f"towards {whom}"),
        firm=(f"{does}.", f"Always {rule.does}.", f"In each answer, {rule.does}."),
        conditional=(
            f"{does}, but for {whom} alone.",
            f"For {whom}, {rule.does}; for nobody else.",
            f"Towards {whom}, {rule.does}.",
        ),
        timid=(f"Where it fits, {rule.does}.",),
        wrong=(f"Treat {whom} with respect.", f"Think of {whom}, too."),
    )


class Slices:
    """Five rules for four kinds of customers; each helps one of them and harms another."""

    name = "slices"
    by_code = ""
    weak_tag = "company"
    rails = RIGHT_OR_WRONG
    prompt = "You answer the letters of customers of {shop}.\nBe helpful and brief."
    faults = tuple(fault for rule in _RULES for fault in (_needed(rule), _misplaced(rule)))
    remedies = tuple(map(_remedy, _RULES))
    best_prompt = "\n".join([prompt, *(remedy.conditional[0] for remedy in remedies)])
    best_examples: tuple[Example, ...] = ()

    def request(self, key: str) -> str:
        tag = weighted(_SHARES, key, "slice")
        return letter(key, pick(_TOLD[tag], key, "told"))

    def tag(self, request: str) -> str:
        return _tag(request)

    def aspects(self, request: str, reading: Reading) -> tuple[Aspect, ...]:
        tag = _tag(request)

        def aspect(rule: _Rule) -> Aspect:
            level = reading.levels[rule.name]
            chance = (_done(rule.unasked, level) if rule.needs == tag else _left(level)) * (
                HARM if reading.harmed else 1.0
            )
            return Aspect(name=rule.name, level=level, chance=chance)

        return tuple(aspect(rule) for rule in _RULES if tag in (rule.needs, rule.harms))

    def score(self, chances: Sequence[float]) -> float:
        return prod(chances)

    def compose(self, request: str, right: Mapping[str, bool]) -> str:
        tag = _tag(request)
        marks = [_BY_NAME[name].mark for name, is_right in right.items() if is_right == (_BY_NAME[name].needs == tag)]
        return " ".join(["Thank you for writing to us.", *marks, "We are glad to help."])

    def lacks(self, request: str, output: str) -> tuple[Lack, ...]:
        tag = _tag(request)
        found = []
        for place, rule in enumerate(_RULES):
            if rule.needs == tag and rule.mark not in output:
                found.append(Lack(fault=self.faults[2 * place]))
            elif rule.harms == tag and rule.mark in output:
                found.append(Lack(fault=self.faults[2 * place + 1]))
        return tuple(found)


@lru_cache(maxsize=8192)
def _tag(request: str) -> str:
    return next((tag for tag, told in _TOLD.items() if any(said in request for said in told)), "private")


def _done(unasked: float, level: Level) -> float:
    """The chance that an answer holds what its slice needs."""
    return {"unasked": unasked, "hedged": 0.65, "asked": 0.97, "conditional": 0.96}[level]


def _left(level: Level) -> float:
    """The chance that an answer leaves out what would harm its slice."""
    return {"unasked": 0.98, "hedged": 0.75, "asked": 0.40, "conditional": 0.97}[level]
