"""Windows of filled-in prompts with known truth: calls, versions, conditional sentences, values of all kinds."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.random import Generator

from sia_dagster.core.records.policy import Actions
from sia_dagster.core.template_recovery import Recovery, Template
from sia_dagster.core.template_recovery.tokenizing import words
from simulation.template_prose import TEXTS

START = datetime(2026, 11, 9, tzinfo=UTC)


Verdict = Literal["exact", "same words", "finer", "coarser"]


def vocabulary(rng: Generator, size: int = 1500) -> list[str]:
    made = {"".join(rng.choice(TEXTS["syllables"], size=int(rng.integers(1, 5)))) for _ in range(size)}
    return sorted(made)


VOCABULARY: Final = vocabulary(np.random.default_rng(7))


def sentence(rng: Generator, length: int) -> str:
    """Words of which a third are those that are everywhere, with a sign here and there."""
    said = [
        str(rng.choice(TEXTS["common_words"])) if rng.random() < 0.35 else str(rng.choice(VOCABULARY))
        for _ in range(length)
    ]
    said[0] = said[0].capitalize()
    signs = rng.choice(["", "", "", "", "", "", ",", ":"], size=length)
    return " ".join(w + str(s) for w, s in zip(said[:-1], signs, strict=False)) + f" {said[-1]}."


def text_of(rng: Generator, length: int) -> str:
    parts: list[str] = []
    while (left := length - sum(len(part.split()) for part in parts)) > 0:
        parts.append(sentence(rng, max(2, min(left, int(rng.integers(5, 18))))))
    return " ".join(part + str(rng.choice(["", "", "\n", "\n\n-"])) for part in parts).strip()


def name(rng: Generator) -> str:
    return f"{rng.choice(TEXTS['other_first_names'])} {rng.choice(TEXTS['other_surnames'])}"


def day(rng: Generator) -> str:
    return (date(2024, 1, 1) + timedelta(days=int(rng.integers(0, 1000)))).isoformat()


def spoken_day(rng: Generator) -> str:
    moment = date(2024, 1, 1) + timedelta(days=int(rng.integers(0, 1000)))
    return f"{moment:%B} {moment.day}, {moment.year}"


def number(rng: Generator) -> str:
    return str(int(rng.integers(0, 10 ** int(rng.integers(1, 8)))))


def amount(rng: Generator) -> str:
    return f"${int(rng.integers(1, 5000))}.{int(rng.integers(0, 100)):02}"


def identifier(rng: Generator) -> str:
    return "".join(rng.choice(list("0123456789abcdef"), size=12))


def paragraph(rng: Generator) -> str:
    return text_of(rng, int(rng.integers(15, 90)))


def record(rng: Generator) -> str:
    return json.dumps({"id": number(rng), "customer": name(rng), "since": day(rng), "note": sentence(rng, 6)})


def maybe_empty(rng: Generator) -> str:
    return "" if rng.random() < 0.3 else sentence(rng, int(rng.integers(2, 9)))


def listing(rng: Generator) -> str:
    return "\n".join(f"- {sentence(rng, 4)}" for _ in range(int(rng.integers(1, 7))))


def tone(rng: Generator) -> str:
    return str(rng.choice(["formal", "casual", "neutral", "warm", "dry"]))


KINDS: Final[tuple[Callable[[Generator], str], ...]] = (
    name,
    day,
    spoken_day,
    number,
    amount,
    identifier,
    paragraph,
    record,
    maybe_empty,
    listing,
    tone,
)


class Call(NamedTuple):
    """One call of an application: fixed texts around slots, of which some are optional."""

    number: int
    version: int
    fixed: tuple[str, ...]
    kinds: tuple[Callable[[Generator], str], ...]
    optional: tuple[tuple[int, str], ...] = ()
    """Conditional sentences: the fixed text that they end, and the sentence."""
    quotes: bool = False
    """Whether a value now and then quotes the template's own words."""

    def variant(self, chosen: Sequence[bool]) -> tuple[str, ...]:
        fixed = list(self.fixed)
        for take, (place, said) in zip(chosen, self.optional, strict=True):
            middle = fixed[place].rfind(" ", 0, len(fixed[place]) - 12)
            fixed[place] = fixed[place][:middle] + f" {said}" * take + fixed[place][middle:]
        return tuple(fixed)

    def fill(self, rng: Generator) -> tuple[str, tuple[str, ...]]:
        """A prompt, and the fixed texts of its variant."""
        fixed = self.variant([bool(rng.random() < 0.5) for _ in self.optional])
        values = [kind(rng) for kind in self.kinds]
        if self.quotes and values and rng.random() < 0.06:
            quoted = " ".join(max(fixed, key=len).split()[:9])
            values[-1] = f"{sentence(rng, 3)} {quoted} {sentence(rng, 3)}"
        return "".join([fixed[0], *(v + f for v, f in zip(values, fixed[1:], strict=True))]), fixed


class Span(NamedTuple):
    """One prompt of a window, with the truth about it."""

    prompt: str
    time: datetime
    call: int
    version: int
    fixed: tuple[str, ...]


class World(NamedTuple):
    """A window and what it was made from."""

    calls: tuple[Call, ...]
    spans: tuple[Span, ...]

    @property
    def prompts(self) -> list[str]:
        return [span.prompt for span in self.spans]

    @property
    def times(self) -> list[datetime]:
        return [span.time for span in self.spans]


def make_call(rng: Generator, number: int, *, slots: int, length: int, optional: int = 0) -> Call:
    """A template of about `length` fixed words with `slots` slots, each between labels or within sentences."""
    per = max(4, length // (slots + 1))
    fixed = [text_of(rng, per) + " "]
    joints = (" {}: ", "\n{}:\n", ' "{}" is "', " <{}>", " {} ")
    for _ in range(slots):
        label = str(rng.choice(VOCABULARY)).capitalize() + str(rng.choice(VOCABULARY))
        opening = str(rng.choice(joints)).format(label)
        closing = str(rng.choice([". ", "\n", "</x>\n", " ", ", "])) if '"' not in opening else '". '
        fixed[-1] = fixed[-1].rstrip() + opening
        fixed.append(closing + text_of(rng, per))
    kinds = tuple(KINDS[int(k)] for k in rng.integers(0, len(KINDS), size=slots))
    places = rng.integers(0, slots + 1, size=optional)
    sentences = tuple((int(place), sentence(rng, int(rng.integers(8, 15)))) for place in places)
    return Call(number, 0, tuple(fixed), kinds, sentences, quotes=bool(rng.random() < 0.3))


def next_version(rng: Generator, call: Call) -> Call:
    """With one sentence more, somewhere."""
    place = int(rng.integers(0, len(call.fixed)))
    before = call.fixed[place]
    middle = before.find(" ", len(before) // 2)
    at = middle if middle > 0 else len(before)
    edited = before[:at] + " " + sentence(rng, int(rng.integers(6, 14))) + before[at:]
    return call._replace(version=call.version + 1, fixed=(*call.fixed[:place], edited, *call.fixed[place + 1 :]))


def make_world(rng: Generator, calls: Sequence[Call], spans: int) -> World:
    """A window in which a later version takes over from the earlier one at one moment; calls come mixed."""
    numbers = sorted({call.number for call in calls})
    made = []
    for place in range(spans):
        number = numbers[int(rng.integers(0, len(numbers)))]
        own = [call for call in calls if call.number == number]
        call = own[min(place * len(own) // spans, len(own) - 1)]
        prompt, fixed = call.fill(rng)
        made.append(Span(prompt, START + timedelta(seconds=30 * place), call.number, call.version, fixed))
    return World(tuple(calls), tuple(made))


def judge(world: World, recovery: Recovery, rng: Generator, fresh: int = 20) -> Counter[str]:
    """Spans by what became of them: exact, finer, coarser, refused, or wrong.

    Wrong is every span of a template that took spans of two calls or of two versions, does not give its own spans
    back exactly, or is of a variant of which a fresh fill fits no template that the variant's own spans have.
    """
    owners: defaultdict[int, list[Span]] = defaultdict(list)
    found: Counter[str] = Counter()
    for span in world.spans:
        fit = recovery.match(span.prompt)
        if fit is None:
            found["refused"] += 1
        else:
            owners[fit[0]].append(span)
    for place, spans in owners.items():
        template = recovery.templates[place].template
        merged = len({(span.call, span.version) for span in spans}) > 1
        for span in spans:
            found["wrong" if merged or not refills(template, span.prompt) else verdict(template, span.fixed)] += 1
    for fixed, call in {(span.fixed, call) for span in world.spans for call in world.calls if _is_of(span, call)}:
        own = {place for place, spans in owners.items() if any(span.fixed == fixed for span in spans)}
        if own and not all(_fits_own(recovery, own, call, fixed, rng) for _ in range(fresh)):
            found["misfit variants"] += 1
    return found


def _is_of(span: Span, call: Call) -> bool:
    return (span.call, span.version) == (call.number, call.version)


def _fits_own(recovery: Recovery, own: set[int], call: Call, fixed: tuple[str, ...], rng: Generator) -> bool:
    values = [kind(rng) for kind in call.kinds]
    prompt = "".join([fixed[0], *(v + f for v, f in zip(values, fixed[1:], strict=True))])
    return any(recovery.templates[place].template.values(prompt) is not None for place in own)


def refills(template: Template, prompt: str) -> bool:
    fill = template.values(prompt)
    actions = Actions(system_prompt=template.text, variables=template.names)
    return fill is not None and actions.render(fill.values) == prompt


def verdict(template: Template, fixed: tuple[str, ...]) -> Verdict:
    """How a right template differs: in signs that all values share (`$`, a full stop), by words more, or by less."""
    if template.fixed == fixed:
        return "exact"
    own, true = ([words(text) for text in texts] for texts in (template.fixed, fixed))
    if own == true:
        return "same words"
    return "finer" if sum(map(len, own)) > sum(map(len, true)) else "coarser"
