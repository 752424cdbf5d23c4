"""An independent judge of template recovery: windows of realistic prompts with known truth, and a strict verdict."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.random import Generator

from sia_dagster.core.records.policy import Actions
from sia_dagster.core.template_recovery import Recovery, Template, recover
from simulation.template_prose import (
    VALUES,
    Draw,
    few_shot,
    first_name,
    foreign,
    han,
    hebrew,
    pick,
    remark,
    role,
    rule,
    rules,
    skeleton,
    story,
)

Verdict = Literal["exact", "same words", "finer", "coarser", "refused", "wrong"]


VERDICTS: Final[tuple[Verdict, ...]] = ("exact", "same words", "finer", "coarser", "refused", "wrong")


_FRESH: Final = 30


_NOON: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Slot(NamedTuple):
    """A variable; two slots of one name get one value."""

    name: str
    draw: Draw


class Maybe(NamedTuple):
    """A text that stands in a share of the prompts."""

    text: str
    share: float


Part = str | Slot | Maybe


class Call(NamedTuple):
    """One version of one call of an application."""

    number: int
    version: int
    parts: tuple[Part, ...]


class Form(NamedTuple):
    """A version of a call with its conditional texts decided: what a recovered template may at most be."""

    call: int
    version: int
    parts: tuple[str | Slot, ...]

    @property
    def fixed(self) -> tuple[str, ...]:
        """Texts around slots; slots that touch are one."""
        texts: list[str] = [""]
        open_slot = False
        for part in self.parts:
            if isinstance(part, str):
                texts[-1] += part
                open_slot = open_slot and not part
            elif not open_slot:
                texts.append("")
                open_slot = True
        return tuple(texts)

    def fill(self, rng: Generator) -> str:
        values: dict[str, str] = {}
        said = []
        for part in self.parts:
            if isinstance(part, Slot) and part.name not in values:
                values[part.name] = part.draw(rng)
            said.append(part if isinstance(part, str) else values[part.name])
        return "".join(said)


class Span(NamedTuple):
    """A prompt and the form that it was filled from."""

    prompt: str
    form: Form


class Window(NamedTuple):
    """Prompts with their truth; without times where the trace's times would tell too much."""

    spans: tuple[Span, ...]
    times: tuple[datetime, ...] | None = None


def _decided(call: Call, rng: Generator) -> Form:
    parts = [part for part in call.parts if not isinstance(part, Maybe) or rng.random() < part.share]
    return Form(call.number, call.version, tuple(part.text if isinstance(part, Maybe) else part for part in parts))


def constant(draw: Draw) -> Draw:
    """A value that does not change within the window: the date, the month, the currency."""
    said: list[str] = []

    def drawn(rng: Generator) -> str:
        if not said:
            said.append(draw(rng))
        return said[0]

    return drawn


def pooled(rng: Generator, size: int, most: int, *, skewed: bool) -> Draw:
    """One to `most` passages of a store of `size`, some of them often where it is skewed."""
    store = [f"{story(rng)} ({n})" for n in range(size)]
    weights = 1.0 / np.arange(1, size + 1) ** (1.2 if skewed else 0.0)

    def drawn(rng: Generator) -> str:
        count = int(rng.integers(1, most + 1))
        found = rng.choice(size, size=min(count, size), replace=False, p=weights / weights.sum())
        return "\n\n".join(store[int(i)] for i in found)

    return drawn


def closed(rng: Generator) -> Draw:
    """One of a few words."""
    sets = [["formal", "casual"], ["free", "pro", "enterprise"], ["yes", "no"], ["German", "French", "English"]]
    return _one_of(pick(rng, [*sets, ["low", "medium", "high", "urgent"], ["EU", "US", "UK", "APAC", "LATAM", "ME"]]))


def _one_of(options: Sequence[str]) -> Draw:
    return lambda rng: pick(rng, options)


def _body(rng: Generator) -> list[str]:
    """Fixed sections of a prompt, in order."""
    sections = [rules(rng, int(rng.integers(1, 7)))]
    sections += [few_shot(rng)] * (rng.random() < 0.3) + [skeleton(rng)] * (rng.random() < 0.25)
    sections += [f"{rule(rng)}\n" for _ in range(int(rng.integers(0, 6)))]
    return [role(rng) + pick(rng, [" ", "\n", "\n\n"]), *(str(section) for section in rng.permutation(sections))]


def slots_of(rng: Generator, count: int) -> list[list[Part]]:
    """So many slots with the words beside them."""
    found: list[list[Part]] = []
    for place, kind in enumerate(rng.permutation(len(VALUES))[:count]):
        draw, joints = VALUES[int(kind)]
        before, after = pick(rng, joints)
        if rng.random() < 0.12:
            draw = constant(draw)
        elif rng.random() < 0.12:
            before, draw, after = "The setting for this user is ", closed(rng), " as they chose it.\n"
        found.append([before, Slot(f"v{place}", draw), after])
    return found


def assembled(rng: Generator, number: int, groups: Sequence[Sequence[Part]], introduction: str = "") -> Call:
    """A call of fixed sections with groups of slots between or after them."""
    sections: list[Sequence[Part]] = [[text] for text in _body(rng)]
    for group in groups:
        at = int(rng.integers(1, len(sections) + 1))
        sections = [*sections[:at], group, *sections[at:]]
    return Call(number, 0, (introduction, *(part for section in sections for part in section)))


def plain(rng: Generator, number: int = 0, introduction: str = "") -> Call:
    return assembled(rng, number, slots_of(rng, int(rng.integers(1, 7))), introduction)


def at_edges(rng: Generator) -> Call:
    """Slots at the start and the end, slots side by side, a value said twice."""
    call = plain(rng)
    name, closing = Slot("name", first_name), Slot("closing", pick(rng, [remark, story]))
    joined: list[Part] = [Slot("a", first_name), pick(rng, [" ", "", "-", ", "]), Slot("b", pick(rng, [remark, han]))]
    parts: tuple[Part, ...] = (*call.parts, "Write to ", *joined, "\nThen ask: ")
    opened = (name, ", this is for you. ", *parts) if rng.random() < 0.5 else (*parts, name, " asked this: ")
    return call._replace(parts=(*opened, closing))


def retrieval(rng: Generator) -> Call:
    draw = pooled(rng, int(rng.integers(1, 25)), int(rng.integers(1, 10)), skewed=bool(rng.random() < 0.6))
    tags = pick(rng, [("<context>\n", "\n</context>\n"), ("Context:\n", "\n\n"), ("Passages\n---\n", "\n---\n")])
    question: list[Part] = ["Question: ", Slot("question", remark), "\n"]
    return assembled(rng, 0, [[tags[0], Slot("context", draw), tags[1]], question])


def quoting(rng: Generator) -> Call:
    """A call in which some values repeat what the template says, beside the slot or elsewhere."""
    call = plain(rng)
    texts = [part for part in call.parts if isinstance(part, str) and len(part) > 8]
    share = float(rng.choice([0.03, 0.1, 0.3]))

    def quote(rng: Generator) -> str:
        return f"{remark(rng)} {pick(rng, texts)} {remark(rng)}" if rng.random() < share else remark(rng)

    return call._replace(parts=(*call.parts, "The message: ", Slot("message", quote), "\nNow answer the message."))


def affixes(rng: Generator) -> Call:
    """Values that begin or end alike."""
    heads = pick(rng, ["INV-2026-", "user_", "The customer ", "", "srv/prod/"])
    tails = pick(rng, ["@corp.example.com", " Ltd", " (verified)", ".pdf", ""])
    draw = pick(rng, [first_name, lambda rng: str(int(rng.integers(10**6))), remark])
    joint = pick(rng, [("Read ", " first.\n"), ("Owner: ", "\n"), ('"file": "', '",\n')])
    own: list[Part] = [joint[0], Slot("affixed", lambda rng: heads + draw(rng) + tails), joint[1]]
    return assembled(rng, 0, [own, *slots_of(rng, int(rng.integers(0, 4)))])


def scripts(rng: Generator) -> Call:
    text, before, after = foreign(rng)
    draw = pick(rng, [han, hebrew, remark, story])
    more: list[Part] = [before, Slot("other", pick(rng, [first_name, han])), after] if rng.random() < 0.4 else []
    return Call(0, 0, (text, before, Slot("message", draw), after, *more, foreign(rng)[0]))


def loops(rng: Generator) -> Call:
    kinds = [pair for pair in VALUES if pair[0].__name__ in {"bullets", "turns", "tools"}]
    groups: list[list[Part]] = []
    for place in range(int(rng.integers(1, 3))):
        draw, joints = pick(rng, kinds)
        before, after = pick(rng, joints)
        groups.append([before, Slot(f"loop{place}", draw), after])
    return assembled(rng, 0, [*groups, *slots_of(rng, int(rng.integers(0, 3)))])


def conditional(rng: Generator) -> Call:
    """With one to three texts that depend, half of them beside a slot."""
    call = plain(rng)
    parts = list(call.parts)
    for _ in range(int(rng.integers(1, 4))):
        beside = [i + 1 for i, part in enumerate(parts) if isinstance(part, Slot)]
        at = pick(rng, beside) if rng.random() < 0.5 else int(rng.integers(1, len(parts)))
        said = pick(rng, [rule(rng), pick(rng, ["Be brief.", "This user is new.", "(verified)"])])
        parts.insert(at, Maybe(f" {said} ", float(rng.choice([0.1, 0.3, 0.5, 0.8]))))
    return call._replace(parts=tuple(parts))


def edited(rng: Generator, call: Call, *, words: int) -> Call:
    """The next version: so many words replaced, left out or put in at one place; with 0, a sentence more or instead."""
    at = pick(rng, [i for i, part in enumerate(call.parts) if isinstance(part, str) and len(part.split(" ")) > 1])
    tokens = str(call.parts[at]).split(" ")
    start = int(rng.integers(0, len(tokens) - 1))
    if words:
        new = [pick(rng, str(rule(rng)).split()[1:-1]) for _ in range(int(rng.integers(0, words + 1)))]
        text = " ".join([*tokens[:start], *new, *tokens[start + (words if rng.random() < 0.7 else 0) :]])
    else:
        text = " ".join([*tokens[: start + 1], rule(rng), *tokens[start + 1 :]])
    if text.split() == str(call.parts[at]).split():
        return edited(rng, call, words=words)
    return call._replace(version=call.version + 1, parts=(*call.parts[:at], text, *call.parts[at + 1 :]))


def versions(rng: Generator, *, words: bool) -> list[Call]:
    """Two or three versions of a call."""
    made = [pick(rng, [plain, retrieval, affixes])(rng)]
    for _ in range(int(rng.integers(1, 3))):
        made.append(edited(rng, made[-1], words=int(rng.integers(1, 4)) if words else 0))
    return list({call.parts: call for call in made}.values())


def relatives(rng: Generator) -> list[Call]:
    """Two to four calls that share a long introduction."""
    introduction = role(rng) + "\n" + rules(rng, int(rng.integers(3, 12)))
    return [plain(rng, number, introduction) for number in range(int(rng.integers(2, 5)))]


def mixed(rng: Generator) -> list[Call]:
    makers = (plain, at_edges, retrieval, quoting, affixes, scripts, loops, conditional)
    calls = [pick(rng, makers)(rng)._replace(number=number) for number in range(int(rng.integers(1, 4)))]
    spaced = any(isinstance(part, str) and part.count(" ") > 1 for part in calls[0].parts)
    return [*calls, edited(rng, calls[0], words=int(rng.integers(0, 4)))] if spaced and rng.random() < 0.5 else calls


def together(rng: Generator, calls: Sequence[Call], spans: int) -> Window:
    """Calls and versions mixed through the window, without times."""
    weights = rng.dirichlet([3.0] * len(calls))
    forms = [_decided(calls[int(i)], rng) for i in rng.choice(len(calls), size=spans, p=weights)]
    return Window(tuple(Span(form.fill(rng), form) for form in forms))


def in_turn(rng: Generator, calls: Sequence[Call], spans: int, *, first: float | None = None) -> Window:
    """Versions that take over at one moment: the first after the share `first` of the window, or all equally long."""
    shares = [first, 1.0] if first else [(n + 1) / len(calls) for n in range(len(calls))]
    own = [next(c for c, share in zip(calls, shares, strict=False) if n < share * spans) for n in range(spans)]
    forms = [_decided(call, rng) for call in own]
    times = tuple(_NOON + timedelta(seconds=7 * n) for n in range(spans))
    return Window(tuple(Span(form.fill(rng), form) for form in forms), times)


Cell = Callable[[Generator, int], Window]


def _alone(maker: Callable[[Generator], Call]) -> Cell:
    return lambda rng, spans: together(rng, [maker(rng)], spans)


CELLS: Final[dict[str, Cell]] = {
    "single template": _alone(plain),
    "slots at edges, side by side": _alone(at_edges),
    "retrieved passages": _alone(retrieval),
    "values quote the template": _alone(quoting),
    "values begin or end alike": _alone(affixes),
    "other scripts": _alone(scripts),
    "loops": _alone(loops),
    "conditional texts": _alone(conditional),
    "A/B, a sentence": lambda rng, spans: together(rng, versions(rng, words=False), spans),
    "A/B, one to three words": lambda rng, spans: together(rng, versions(rng, words=True), spans),
    "versions in turn, words": lambda rng, spans: in_turn(rng, versions(rng, words=True), spans),
    "a version in the last tenth": lambda rng, spans: in_turn(
        rng, versions(rng, words=bool(rng.random() < 0.5))[:2], spans, first=0.9
    ),
    "calls that share an introduction": lambda rng, spans: together(rng, relatives(rng), spans),
    "all mixed": lambda rng, spans: together(rng, mixed(rng), spans),
}


def make(cell: str, seed: int, spans: int) -> Window:
    return CELLS[cell](np.random.default_rng([seed, spans, list(CELLS).index(cell)]), spans)


def judged(window: Window, seed: int = 0) -> Counter[str]:
    """Spans by verdict: those of a wrong template all count as wrong, with a note which rule says so.

    A template is wrong if it is the match of two calls or versions ("merged"), if a prompt is not given back
    ("lost"), or if one of 30 fresh fills of a form of its spans has no match or a template of another call or
    version ("misfit").
    """
    recovery = recover([span.prompt for span in window.spans], window.times)
    owners: defaultdict[int | None, list[Span]] = defaultdict(list)
    for span in window.spans:
        fit = recovery.match(span.prompt)
        owners[fit[0] if fit else None].append(span)
    found: Counter[str] = Counter({"refused": len(owners.pop(None, []))})
    truth = {place: {span.form[:2] for span in spans} for place, spans in owners.items() if place is not None}
    rng = np.random.default_rng(seed)
    misfits = {form for form in _forms(owners.values()) if not _all_fit(recovery, form, truth, rng)}
    for place, spans in owners.items():
        template = recovery.templates[place or 0].template
        for span in spans:
            fault = _fault(template, span, len(truth[place or 0]), misfits)
            found.update(["wrong", fault] if fault else [verdict(template, span.form.fixed)])
    return found


def _forms(groups: Iterable[Sequence[Span]]) -> list[Form]:
    return list(dict.fromkeys(span.form for spans in groups for span in spans))


def _all_fit(recovery: Recovery, form: Form, truth: dict[int, set[tuple[int, int]]], rng: Generator) -> bool:
    fits = [recovery.match(form.fill(rng)) for _ in range(_FRESH)]
    return all(fit is not None and form[:2] in truth.get(fit[0], set()) for fit in fits)


def _fault(template: Template, span: Span, sources: int, misfits: set[Form]) -> str | None:
    if sources > 1:
        return "merged"
    fill = template.values(span.prompt)
    actions = Actions(system_prompt=template.text, variables=template.names)
    if fill is None or actions.render(fill.values) != span.prompt:
        return "lost"
    return "misfit" if span.form in misfits else None


def verdict(template: Template, fixed: tuple[str, ...]) -> Verdict:
    """How a right template differs from the truth: in signs only, by fixed text more, or by some less."""
    if template.fixed == fixed:
        return "exact"
    own, true = (["".join(filter(str.isalnum, text)) for text in texts] for texts in (template.fixed, fixed))
    if list(filter(None, own)) == list(filter(None, true)):
        return "same words"
    said, at = "\0".join(own), 0
    for text in true:
        at = said.find(text, at)
        if at < 0:
            return "coarser"
        at += len(text)
    return "finer"
