"""The world `fields`: ten fields of a JSON object, each in a form that no prompt states; a function checks them."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.policy import Example
from sia_dagster.core.records.sample import Sample
from sia_dagster.demo.simulation_rules import draw, pick
from simulation.search_worlds.population import GOODS, number, person
from simulation.search_worlds.task import HARM, RIGHT_OR_WRONG, Aspect, Fault, Lack, Level, Reading, Remedy

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_COUNTRIES: Final = {"Norway": "NO", "Austria": "AT", "Spain": "ES", "Denmark": "DK", "Ireland": "IE", "Poland": "PL"}
_MONEY: Final = {"euros": "EUR", "pounds": "GBP", "crowns": "DKK", "francs": "CHF"}
_URGENCY: Final = {"it can wait": "low", "as soon as you can": "high", "the usual pace is fine": "normal"}


class _Field(NamedTuple):
    name: str
    unasked: float
    words: tuple[tuple[str, ...], ...]
    firm: tuple[str, str]
    wrong: str


_FIELDS: Final = (
    _Field("order_date", 0.35, (("order_date", "yyyy-mm-dd"),),
           ("Write order_date as YYYY-MM-DD.", "The form of order_date is YYYY-MM-DD, whatever the note writes."),
           "Check order_date twice."),
    _Field("customer", 0.40, (("customer", "surname first"),),
           ("Write customer with the surname first, then a comma and the first name.",
            "For customer, put the surname first and a comma behind it."), "Copy customer with care."),
    _Field("amount", 0.30, (("amount", "in cents"),),
           ("Give amount in cents, as a whole number.", "The field amount is in cents and has no separators."),
           "Look for amount at the end of the note."),
    _Field("currency", 0.45, (("currency", "three letters"),),
           ("Give currency as its code of three letters.", "For currency use the three letters of ISO 4217."),
           "Do not forget currency."),
    _Field("country", 0.42, (("country", "two letters"),),
           ("Give country as its code of two letters.", "For country use the two letters of ISO 3166."),
           "Infer country from the note."),
    _Field("phone", 0.28, (("phone", "digits alone"),),
           ("Write phone as digits alone, without blanks.", "For phone keep the digits alone and drop all signs."),
           "Extract phone from the note."),
    _Field("priority", 0.38, (("priority", "normal"),),
           ("Set priority to one of low, normal and high.", "The values of priority are low, normal, high."),
           "Judge priority by the tone of the note."),
    _Field("gift", 0.45, (("gift", "true"),),
           ("Set gift to true or false, not to a word.", "The field gift is a boolean: true if it is a present."),
           "Decide whether gift applies."),
    _Field("weight", 0.32, (("weight", "in grams"),),
           ("Give weight in grams, as a whole number.", "Convert weight: it is stated in grams."),
           "Read weight closely."),
    _Field("article", 0.40, (("article", "upper case"),),
           ("Write article in upper case without blanks.", "Put article into upper case and remove its blanks."),
           "List article as it comes."),
)  # fmt: skip
_NAMES: Final = tuple(field.name for field in _FIELDS)


def right_fields(sample: Sample) -> EvalMetrics:
    """The JSON object of an order, as our import takes it: the share of its ten fields that are right."""
    lacks = Fields().lacks(sample.request, sample.output)
    score = 1 - len(lacks) / len(_NAMES)
    if not lacks:
        return EvalMetrics(name="right_fields", score=score, explanation="All fields can be imported.")
    # As of an import that gives up at the first field that it cannot take.
    first = min(lacks, key=lambda lack: draw(sample.request, lack.fault.name))
    more = f"; {len(lacks) - 1} more cannot be imported" if len(lacks) > 1 else ""
    says = f"The import stops: {first.fault.says[0].format(first.detail)}{more}."
    return EvalMetrics(name="right_fields", score=score, explanation=says)


class Fields:
    """Notes about orders become JSON; the score is the share of right fields."""

    name = "fields"
    by_code = "simulation.search_worlds.fields:right_fields"
    weak_tag = "counter"
    rails = RIGHT_OR_WRONG
    prompt = (
        "You turn notes about orders of {shop} into JSON for the import.\n"
        f"Answer with one JSON object with the fields {', '.join(_NAMES)}."
    )
    faults = tuple(
        Fault(
            name=field.name,
            says=(f"{field.name} is not as the import takes it ({{}})", f"the field {field.name} is missing"),
            chinese=f"字段 {field.name} 不正确",
            remedy=field.name,
        )
        for field in _FIELDS
    )
    remedies = tuple(
        Remedy(
            name=field.name,
            words=field.words,
            firm=field.firm,
            timid=tuple(f"If possible: {firm[0].lower()}{firm[1:]}" for firm in field.firm[:1]),
            wrong=(field.wrong,),
        )
        for field in _FIELDS
    )
    best_prompt = "\n".join([prompt, *(field.firm[0] for field in _FIELDS)])
    best_examples: tuple[Example, ...] = ()

    def request(self, key: str) -> str:
        kilos = 1 + int(draw(key, "kilos") * 90)
        euros, cents = 10 + int(draw(key, "sum") * 1900), int(draw(key, "cents") * 100)
        parts = [
            f"ordered on {1 + int(draw(key, 'day') * 28)} {pick(_MONTHS, key, 'month')} 2026",
            f"for {euros}.{cents:02} {pick(tuple(_MONEY), key, 'money')}",
            f"to {pick(tuple(_COUNTRIES), key, 'country')}",
            f"call {_phone(key)} with questions",
            pick(tuple(_URGENCY), key, "urgency"),
            "it is a present" if draw(key, "gift") < 0.3 else "not a present",
            f"it weighs {kilos // 10}.{kilos % 10} kg",
            f"article {pick(('ab', 'kd', 'mz', 'tr'), key, 'article')} {10 + int(draw(key, 'article') * 89)}-{kilos}",
        ]
        parts.sort(key=lambda part: draw(key, "order", part))
        goods = pick(GOODS, key, "goods")
        return f"Order {number(key)} of {person(key)}, {goods}: {'; '.join(parts)}."

    def tag(self, request: str) -> str:
        return "phone" if draw("tag", request) < 0.5 else self.weak_tag

    def aspects(self, request: str, reading: Reading) -> tuple[Aspect, ...]:
        def aspect(field: _Field) -> Aspect:
            level = reading.levels[field.name]
            chance = _chance(field.unasked, level) * (HARM if reading.harmed else 1.0)
            return Aspect(name=field.name, level=level, chance=chance)

        return tuple(map(aspect, _FIELDS))

    def score(self, chances: Sequence[float]) -> float:
        return sum(chances) / len(chances)

    def compose(self, request: str, right: Mapping[str, bool]) -> str:
        wanted, written = _read(request)
        values = {name: wanted[name] if right[name] else written[name] for name in _NAMES}
        return json.dumps(values)

    def lacks(self, request: str, output: str) -> tuple[Lack, ...]:
        try:
            given = json.loads(output)
        except ValueError:
            given = None
        found: Mapping[str, Any] = given if isinstance(given, dict) else {}
        wanted, _ = _read(request)
        missing = (
            Lack(fault=fault if fault.name in found else _missing(fault), detail=str(found.get(fault.name, "")))
            for fault in self.faults
            if found.get(fault.name) != wanted[fault.name]
        )
        return tuple(missing)


def _missing(fault: Fault) -> Fault:
    return fault.model_copy(update={"says": fault.says[1:]})


def _phone(key: str) -> str:
    digits = str(20_000_000 + int(draw(key, "phone") * 79_999_999))
    return f"{digits[:2]} {digits[2:5]}-{digits[5:]}"


_NOTE: Final = {
    "order_date": re.compile(r"ordered on (\d+) (\w+) (\d+)"),
    "customer": re.compile(r"of (\w+) (\w+),"),
    "amount": re.compile(r"for (\d+)\.(\d\d) (\w+)"),
    "country": re.compile(r"(?<=; |: )to (\w+)"),
    "phone": re.compile(r"call ([\d -]+) with"),
    "weight": re.compile(r"weighs (\d+)\.(\d) kg"),
    "article": re.compile(r"article (\w+) ([\d-]+)"),
}


def _read(request: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values as the import takes them, and as the note writes them."""
    got = {name: pattern.search(request) for name, pattern in _NOTE.items()}
    parts = {name: match.groups() if match else ("0", "0", "0") for name, match in got.items()}
    day, month, year = parts["order_date"]
    urgency = next((words for words in _URGENCY if words in request), "it can wait")
    present = "not a present" not in request
    whole, cents, money = parts["amount"]
    kilos, tenth = parts["weight"][:2]
    wanted = {
        "order_date": f"{year}-{_MONTHS.index(month) + 1 if month in _MONTHS else 0:02}-{int(day):02}",
        "customer": f"{parts['customer'][1]}, {parts['customer'][0]}",
        "amount": int(whole) * 100 + int(cents),
        "currency": _MONEY.get(money, ""),
        "country": _COUNTRIES.get(parts["country"][0], ""),
        "phone": re.sub(r"\D", "", parts["phone"][0]),
        "priority": _URGENCY[urgency],
        "gift": present,
        "weight": int(kilos) * 1000 + int(tenth) * 100,
        "article": "".join(parts["article"][:2]).upper(),
    }
    written = {
        "order_date": f"{day} {month} {year}",
        "customer": " ".join(parts["customer"][:2]),
        "amount": f"{whole}.{cents}",
        "currency": money,
        "country": parts["country"][0],
        "phone": parts["phone"][0],
        "priority": urgency,
        "gift": "yes" if present else "no",
        "weight": f"{kilos}.{tenth} kg",
        "article": " ".join(parts["article"][:2]),
    }
    return wanted, written


def _chance(unasked: float, level: Level) -> float:
    return {"unasked": unasked, "hedged": max(unasked, 0.7)}.get(level, 0.97)
