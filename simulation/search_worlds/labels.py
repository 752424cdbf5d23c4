"""The world `labels`: messages are sorted under 24 labels, and the two of each of 12 pairs are taken for each other."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Final, NamedTuple

from sia_dagster.core.records.policy import Example
from sia_dagster.demo.simulation_rules import draw, pick
from simulation.search_worlds.population import letter, weighted
from simulation.search_worlds.task import HARM, RIGHT_OR_WRONG, Aspect, Fault, Lack, Level, Reading, Remedy


class _Side(NamedTuple):
    label: str
    when: str
    told: tuple[str, ...]


class _Pair(NamedTuple):
    weight: float
    """How frequent it is."""
    right: float
    """The chance that the right one of the two is chosen although the prompt does not tell them apart."""
    sides: tuple[_Side, _Side]

    @property
    def name(self) -> str:
        return f"{self.sides[0].label}/{self.sides[1].label}"


def _pair(weight: float, right: float, one: tuple[str, str, str, str], other: tuple[str, str, str, str]) -> _Pair:
    sides = (_Side(one[0], one[1], one[2:]), _Side(other[0], other[1], other[2:]))
    return _Pair(weight, right, sides)


_PAIRS: Final = (
    _pair(0.15, 0.50,
          ("refund_status", "money is already on its way back", "You wrote that the money comes back; where is it?",
           "I still wait for the money that you promised."),
          ("refund_request", "somebody asks for money back for the first time", "I want my money back, please.",
           "Please pay me back what it cost.")),
    _pair(0.13, 0.45,
          ("late_parcel", "the parcel is under way and late", "The parcel left you ten days ago and is not here.",
           "The tracking has not moved since Tuesday."),
          ("lost_parcel", "the carrier says that it was delivered", "It says delivered, but I have got nothing.",
           "The carrier claims that a neighbour took it.")),
    _pair(0.12, 0.55,
          ("cancel_order", "nothing was sent yet", "Please do not send it, I changed my mind.",
           "Stop my order before it goes out."),
          ("return_goods", "the goods are with the customer", "I have it here and want to send it back.",
           "It is still in its box; how do I send it to you?")),
    _pair(0.10, 0.50,
          ("card_declined", "the bank refused the payment", "My card was not accepted at the till of your site.",
           "The bank said no when I wanted to pay."),
          ("double_charge", "the money was taken twice", "My statement shows your name two times.",
           "You took the sum once more than you should.")),
    _pair(0.09, 0.48,
          ("change_address", "the delivery goes to another place", "Please send it to my office instead.",
           "I would rather have it brought to my parents."),
          ("change_account", "the customer's own details change", "I have a new surname; please change my profile.",
           "My mail address in your system is out of date.")),
    _pair(0.08, 0.52,
          ("defect", "it worked and then failed", "After two weeks it stopped working.", "It gave up during use."),
          ("damage", "it came broken", "It was broken in the box.", "I opened it and found a crack.")),
    _pair(0.07, 0.46,
          ("price_match", "another shop is cheaper", "I saw it for less elsewhere.",
           "The shop next door asks for less than you."),
          ("discount_code", "a voucher does not work", "The voucher that you mailed does nothing.",
           "My coupon is refused at the end.")),
    _pair(0.07, 0.54,
          ("stock_question", "something is sold out", "When do you have it again?",
           "It says sold out; will it come back?"),
          ("size_question", "the fit is unclear", "Would it fit a wall of two metres?", "How wide is it in truth?")),
    _pair(0.06, 0.50,
          ("warranty", "it is about what the guarantee covers", "Does your guarantee pay for this?",
           "Is a dent covered for two years?"),
          ("repair", "a repair is wanted and paid for", "I would pay for somebody to mend it.",
           "Who can fix it at my cost?")),
    _pair(0.05, 0.45,
          ("newsletter", "mails should stop", "Please stop your weekly mails.", "Take me off your list."),
          ("data_deletion", "all personal data should go", "Delete everything that you know about me.",
           "I want you to forget my data.")),
    _pair(0.05, 0.50,
          ("praise", "nothing is asked for", "I only want to say that all was perfect.", "Just a word of thanks."),
          ("review_request", "a published review is meant", "Where can I post my stars?",
           "How do I put my opinion on your page?")),
    _pair(0.03, 0.48,
          ("wholesale", "a trader buys to sell on", "I run a shop and would resell it.",
           "We would take forty for our stores."),
          ("bulk_order", "many pieces are for own use", "We need thirty for our office.",
           "It is for all the rooms of our school.")),
)  # fmt: skip
_LABELS: Final = tuple(side.label for pair in _PAIRS for side in pair.sides)
_NO_CONFUSION: Final = 0.96


def _fault(pair: _Pair) -> Fault:
    one, other = (side.label for side in pair.sides)
    both = tuple(
        clause.format(a=a, b=b)
        for a, b in ((one, other), (other, one))
        for clause in (
            "'{a}' was chosen, although it is '{b}'", "the label should be '{b}' and not '{a}'",
            "it takes this for '{a}'; what is described is '{b}'", "'{b}' is meant here, '{a}' is another matter",
        )
    )  # fmt: skip
    return Fault(name=pair.name, says=both, chinese=f"标签 {one} 与 {other} 混淆了", remedy=pair.name)


def _remedy(pair: _Pair) -> Remedy:
    one, other = pair.sides
    return Remedy(
        name=pair.name,
        words=((f"'{one.label}'", f"'{other.label}'", "when "),),
        firm=(
            f"Use '{one.label}' when {one.when}, and '{other.label}' when {other.when}.",
            f"'{other.label}' applies when {other.when}; '{one.label}' applies when {one.when}.",
            f"Tell '{one.label}' from '{other.label}': the first when {one.when}, the second when {other.when}.",
        ),
        timid=(f"If possible, choose '{one.label}' when {one.when}, and '{other.label}' otherwise.",),
        wrong=(f"Read messages about '{one.label}' twice.", f"Be careful with '{one.label}' and '{other.label}'."),
    )


class Labels:
    """One label for each message; an instruction that tells a pair apart mends the confusions of that pair."""

    name = "labels"
    by_code = ""
    weak_tag = "form"
    rails = RIGHT_OR_WRONG
    prompt = (
        "You sort the messages that {shop} receives.\nAnswer with one label and nothing else.\n"
        f"The labels: {', '.join(sorted(_LABELS))}."
    )
    faults = tuple(map(_fault, _PAIRS))
    remedies = tuple(map(_remedy, _PAIRS))
    best_prompt = "\n".join([prompt, *(remedy.firm[0] for remedy in remedies)])
    best_examples: tuple[Example, ...] = ()

    def request(self, key: str) -> str:
        pair = weighted([(pair.weight, pair) for pair in _PAIRS], key, "pair")
        told = pick(pick(pair.sides, key, "side").told, key, "told")
        return letter(key, told)

    def tag(self, request: str) -> str:
        return "mail" if draw("tag", request) < 0.6 else self.weak_tag

    def aspects(self, request: str, reading: Reading) -> tuple[Aspect, ...]:
        pair, _ = _truth(request)
        level = reading.levels[pair.name]
        chance = _chance(pair.right, level) * (HARM if reading.harmed else 1.0)
        return (Aspect(name=pair.name, level=level, chance=chance),)

    def score(self, chances: Sequence[float]) -> float:
        return prod(chances)

    def compose(self, request: str, right: Mapping[str, bool]) -> str:
        pair, side = _truth(request)
        return pair.sides[side if right[pair.name] else 1 - side].label

    def lacks(self, request: str, output: str) -> tuple[Lack, ...]:
        """The clause that fits: those of a fault go by pairs, the first four where its first label was chosen."""
        pair, side = _truth(request)
        fault = next(fault for fault in self.faults if fault.name == pair.name)
        if output.strip() == pair.sides[side].label:
            return ()
        half = len(fault.says) // 2
        says = fault.says[half:] if side == 0 else fault.says[:half]
        return (Lack(fault=fault.model_copy(update={"says": says})),)


@lru_cache(maxsize=8192)
def _truth(request: str) -> tuple[_Pair, int]:
    """The pair, and which of its two labels is right."""
    return next(
        (pair, place)
        for pair in _PAIRS
        for place, side in enumerate(pair.sides)
        if any(told in request for told in side.told)
    )


def _chance(right: float, level: Level) -> float:
    return {"unasked": right, "hedged": 0.75}.get(level, _NO_CONFUSION)
