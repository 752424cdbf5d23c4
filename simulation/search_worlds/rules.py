"""The world `rules`: ten things that answers must hold where the request calls for them, and no prompt says so."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from sia_dagster.core.records.policy import Example
from sia_dagster.demo.simulation_rules import draw, pick
from simulation.search_worlds.population import letter, number
from simulation.search_worlds.task import HARM, Aspect, Fault, Lack, Level, Reading, Remedy

_Texts = tuple[str, ...]
_Said = tuple[_Texts, str]
"""How the judge names the fault, and how in Chinese."""
_Mended = tuple[tuple[_Texts, ...], _Texts, str, _Texts]
"""The words that ask for it; the instructions that are firm, timid and of no use."""


class _Rule(NamedTuple):
    rate: float
    """The share of requests that call for it."""
    unasked: float
    """The chance that the answer holds it although the prompt does not ask for it."""
    told: tuple[str, ...]
    """What such a request says."""
    mark: str
    """What the answer then holds; `{order}` is the request's number."""
    fault: Fault
    remedy: Remedy


def _rule(name: str, rates: tuple[float, float], told: _Texts, mark: str, fault: _Said, remedy: _Mended) -> _Rule:
    says, chinese = fault
    words, firm, timid, wrong = remedy
    return _Rule(
        *rates,
        told,
        mark,
        Fault(name=name, says=says, chinese=chinese, remedy=name),
        Remedy(name=name, words=words, firm=firm, timid=(timid,), wrong=wrong),
    )


_RULES: Final = (
    _rule(
        "order", (0.64, 0.45),
        ("The order number is {order}.", "You will find it under order {order}.", "My reference is order {order}."),
        "This is about order {order}.",
        (("the order number is not repeated", "nowhere does it state which order it is about",
         "it leaves out the number of the order", "the reader cannot see the order number in it"),
         "回复中没有写明订单号"),
        ((("order number",),),
         ("Repeat the order number in the answer.", "Begin with the order number that the message names.",
         "Always state the order number if there is one."),
         "Try to mention the order number.",
         ("Thank people for their order.", "Use a heading for each order.")),
    ),
    _rule(
        "deadline", (0.54, 0.40),
        ("When will I hear from you?", "By what date will this be settled?", "How long will it take?"),
        "You will hear from us within 3 working days.",
        (("it gives no date by which the matter is settled", "the customer does not learn how long it takes",
         "no time frame is stated", "it does not say by when something happens"),
         "没有说明处理期限"),
        ((("by when",), ("working days",),),
         ("Say by when it is settled, in working days.", "Give the number of working days that it takes.",
         "Tell people by when they hear from us."),
         "If possible, say by when it is done.",
         ("Answer swiftly.", "Be punctual in your wording.")),
    ),
    _rule(
        "photo", (0.46, 0.35),
        ("It arrived with a deep scratch.", "One side is dented.", "There is a crack along the edge."),
        "Please send us a photo of it.",
        (("no picture of the damage is asked for", "it does not request a photo",
         "the customer should have been asked for a photograph", "it settles the damage without seeing an image"),
         "没有请客户提供照片"),
        ((("photo",),),
         ("Ask for a photo where something is damaged.", "Request a photo of the damage.",
         "If it is scratched or broken, ask for a photo."),
         "When you can, ask for a photo.",
         ("Describe damage with care.", "Express regret about scratches.")),
    ),
    _rule(
        "returns", (0.40, 0.45),
        ("I would like to send it back.", "I want to return it.", "Can I give it back?"),
        "The return label is in your parcel.",
        (("it does not explain where the return label is", "nothing is said about the label for the way back",
         "the label that is needed for returning it is not mentioned", "how to get a return label stays open"),
         "没有提到退货标签"),
        ((("return label",),),
         ("Tell people who return something where the return label is.", "Mention the return label with every return.",
         "For returns, say where to find the return label."),
         "Try to point to the return label.",
         ("Accept returns gladly.", "Ask people why they return things.")),
    ),
    _rule(
        "invoice", (0.32, 0.40),
        ("I bought it for my company.", "It is paid by my employer.", "This goes through our firm's books."),
        "An invoice in the company's name follows.",
        (("an invoice for the company is not offered", "it forgets that a firm needs an invoice",
         "the business customer gets no invoice", "no bill in the company's name is promised"),
         "没有为公司客户提供发票"),
        ((("invoice",),),
         ("Offer an invoice to those who buy for a company.", "Company purchases get an invoice in the company's name.",
         "Promise an invoice if an employer pays."),
         "Where it fits, mention an invoice.",
         ("Be formal with companies.", "Treat firms like everybody else.")),
    ),
    _rule(
        "gift", (0.26, 0.45),
        ("It is a present for my aunt.", "I am giving it to a friend.", "It is meant for a birthday."),
        "We leave the price off the slip.",
        (("it does not say that the slip comes without a price", "the price on the delivery slip of a gift is ignored",
         "for a present the slip should come unpriced", "nothing is said about hiding the price"),
         "没有说明礼品单不显示价格"),
        ((("price off",), ("without the price",),),
         ("For presents, say that we leave the price off the slip.", "Gifts go with a slip without the price: say so.",
         "Promise to keep the price off the slip of a gift."),
         "If possible, offer to keep the price off the slip.",
         ("Wish people joy with presents.", "Congratulate on birthdays.")),
    ),
    _rule(
        "address", (0.20, 0.40),
        ("I have moved in the meantime.", "My address is a new one now.", "Please use the new address."),
        "Please confirm the address that we have now.",
        (("the new address is not confirmed", "it fails to check the changed address",
         "after a move the address should be read back", "no confirmation of the address is asked for"),
         "没有确认新地址"),
        ((("confirm the address",), ("address confirmed",),),
         ("After a move, ask people to confirm the address.", "Have every new address confirmed by the customer.",
         "If somebody moved, confirm the address with them."),
         "Try to have the address confirmed.",
         ("Write addresses on one line.", "Never guess where people live.")),
    ),
    _rule(
        "warranty", (0.16, 0.35),
        ("It stopped working.", "It no longer switches on.", "After a month it simply gave up."),
        "The two-year guarantee covers it.",
        (("the guarantee is not mentioned", "it is silent on the warranty",
         "the customer is not told that the guarantee covers it", "no word about two years of guarantee"),
         "没有提到两年保修"),
        ((("guarantee",),),
         ("Mention the guarantee where something stopped working.", "For defects, say that the guarantee covers them.",
         "Point to our guarantee if a thing fails."),
         "When you can, mention the guarantee.",
         ("Regret every defect.", "Explain how things work.")),
    ),
    _rule(
        "repeat", (0.13, 0.40),
        ("This is the second time I write.", "I have written about this before.", "Nobody answered my last message."),
        "I have handed this to our team lead.",
        (("a repeated complaint is not passed on to the team lead", "it does not escalate although it is not the first"
         " message", "the team lead is not involved", "it treats a second complaint like a first one"),
         "没有把重复投诉转给主管"),
        ((("team lead",),),
         ("Hand repeated complaints to the team lead and say so.", "If somebody writes again, involve the team lead.",
         "Say that the team lead takes over where nobody answered."),
         "Where it fits, involve the team lead.",
         ("Apologise twice to those who write twice.", "Stay patient with people who write again.")),
    ),
    _rule(
        "allergy", (0.11, 0.30),
        ("I am allergic to nickel.", "My daughter reacts to wool.", "I have a skin allergy."),
        "The list of materials is enclosed.",
        (("the list of materials is not offered", "it ignores the allergy and names no materials",
         "somebody with an allergy needs the materials listed", "no list of materials is enclosed"),
         "没有提供材料清单"),
        ((("list of materials",), ("materials list",),),
         ("Enclose the list of materials for people with an allergy.", "To the allergic, add the materials list.",
         "Offer the list of materials where somebody reacts to something."),
         "If possible, add the list of materials.",
         ("Take allergies seriously.", "Give no medical advice.")),
    ),
)  # fmt: skip
_BY_NAME: Final = {rule.fault.name: rule for rule in _RULES}
_NUMBER: Final = re.compile(r"\b\d{6}\b")
_CLOSINGS: Final = ("All the best from our desk.", "Your desk.", "We are glad to help.", "Have a good day.")


@lru_cache(maxsize=8192)
def _called_for(request: str) -> tuple[_Rule, ...]:
    return tuple(rule for rule in _RULES if any(told.partition("{order}")[0] in request for told in rule.told))


class Rules:
    """Ten rules of different frequency; the score falls with each thing that an answer lacks."""

    name = "rules"
    by_code = ""
    weak_tag = "online"
    rails: Mapping[str, float] = {"complete": 1.0, "nearly complete": 2 / 3, "partly": 1 / 3, "poor": 0.0}
    prompt = "You answer the letters of customers of {shop}.\nBe polite and come to the point."
    best_prompt = "\n".join([prompt, *(rule.remedy.firm[0] for rule in _RULES)])
    best_examples: tuple[Example, ...] = ()
    faults = tuple(rule.fault for rule in _RULES)
    remedies = tuple(rule.remedy for rule in _RULES)

    def request(self, key: str) -> str:
        called = [rule for rule in _RULES if draw(key, "rule", rule.fault.name) < rule.rate]
        told = [pick(rule.told, key, "told", rule.fault.name).format(order=number(key)) for rule in called]
        return letter(key, *told)

    def tag(self, request: str) -> str:
        return "shop" if draw("tag", request) < 0.6 else self.weak_tag

    def aspects(self, request: str, reading: Reading) -> tuple[Aspect, ...]:
        def aspect(rule: _Rule) -> Aspect:
            level = reading.levels[rule.fault.name]
            chance = _chance(rule.unasked, level) * (HARM if reading.harmed else 1.0)
            return Aspect(name=rule.fault.name, level=level, chance=chance)

        return tuple(aspect(rule) for rule in _called_for(request))

    def score(self, chances: Sequence[float]) -> float:
        """The mean over the rails, by how likely it is that none, one, two things are missing."""
        missing = [1.0, *([0.0] * (len(self.rails) - 1))]
        for chance in chances:
            shifted = (0.0, *missing)
            missing = [same * chance + less * (1 - chance) for same, less in zip(missing, shifted, strict=False)]
        return sum(share * score for share, score in zip(missing, self.rails.values(), strict=True))

    def compose(self, request: str, right: Mapping[str, bool]) -> str:
        found = _NUMBER.search(request)
        order = found[0] if found else ""
        marks = [_BY_NAME[name].mark.format(order=order) for name, holds in right.items() if holds]
        return " ".join(["Thank you for your letter.", *marks, pick(_CLOSINGS, request)])

    def lacks(self, request: str, output: str) -> tuple[Lack, ...]:
        missing = _called_for(request)
        return tuple(
            Lack(fault=rule.fault) for rule in missing if rule.mark.partition("{order}")[0].strip() not in output
        )


def _chance(unasked: float, level: Level) -> float:
    return {"unasked": unasked, "hedged": max(unasked, 0.7)}.get(level, 0.97)
