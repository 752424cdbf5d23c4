"""The simulated proposing model: finds which faults a prompt's evidence names and asks for what mends those named most.

It is mostly right. At times it is wrong, timid, long-winded, leaks what a sample says, or loses the variable or an old
line: `Habits` has the shares. A hash of the prompt and the draw decides.
"""

import re
from collections.abc import Sequence
from typing import Final

from sia_dagster.core.records.value import JsonObject, Value
from sia_dagster.demo.simulation_rules import draw, pick
from simulation.search_worlds.population import FIRST, LAST
from simulation.search_worlds.reading import Brief, Exhibit
from simulation.search_worlds.task import HARMS, Fault, Remedy, Task, named, sentences_of

_FILLER: Final = (
    "Remember that each person who writes deserves the full attention of whoever answers.",
    "Think about what somebody feels who has to write to a shop at all.",
    "A good answer is one after which nobody has to ask again.",
    "Quality is the sum of many small things that are done with care.",
    "Read the text from beginning to end before the first word is written.",
    "Be mindful of the impression that the wording leaves behind.",
    "Words that are plain serve people better than words that are clever.",
    "Keep in mind that our name stands for reliability and for warmth.",
    "Consistency between one day and the next is what people notice most.",
    "Whoever reads it should see at once that somebody has understood the matter.",
    "Do not assume that anything is clear that was not said.",
    "Take the point of view of somebody who sees our shop for the very first time.",
    "What counts in the end is that the reader can go on with the day.",
    "Care in small things shows respect, and respect is what we want to show.",
    "An answer that is right and cold is only half of an answer.",
    "Nothing is so small that it may be done without attention.",
    "Before you begin, picture the person who will read it at the kitchen table.",
)
"""Sentences that change nothing."""
_TONES: Final = (
    "Keep a calm tone.", "Choose plain words.", "Be considerate of people's time.", "Stay kind.", "Sound human.",
)  # fmt: skip
_HARMFUL: Final = tuple(f"Answer {harm}." for harm in HARMS)
_NUMBER: Final = re.compile(r"\b\d{6}\b")
_PERSON: Final = re.compile(rf"\b(?:{'|'.join(FIRST)}) (?:{'|'.join(LAST)})\b")
_MOST_SAMPLES: Final = 5


class Habits(Value):
    """How frequently the proposing model errs, as shares of its instructions or (`per answer`) of its answers."""

    wrong: float = 0.10
    """An instruction about the right matter that changes nothing."""
    harmful: float = 0.05
    """An instruction that makes everything else worse."""
    timid: float = 0.08
    leaks: float = 0.07
    """Names a person, a number or some words of a sample."""
    unconditional: float = 0.3
    """Where a remedy is for a slice alone, it is asked for of all."""
    bloats: float = 0.12
    """Per answer: 60 to 200 words that change nothing."""
    drops_variable: float = 0.10
    """Per answer: the line with the variable is rewritten without it."""
    loses_line: float = 0.03
    """Of a prompt's lines, where it is written anew."""
    misquotes: float = 0.03
    """Per answer: an edit looks for text that is not in the prompt."""
    misplaces: float = 0.1
    """Of the statements that it puts together: so many go with another fault."""
    most: tuple[int, ...] = (4, 5, 5, 6)
    """How many faults one answer sees to."""


class Instruction(Value):
    """One instruction that the model would add, or put in the place of another."""

    text: str
    replaces: str = ""
    """The line of the prompt that it replaces; empty where it is added."""
    samples: tuple[str, ...] = ()
    why: str = ""
    group: int = 0
    """The group that shows the fault most, as a share of its samples."""


class Proposing:
    """The model over one prompt."""

    def __init__(self, task: Task, habits: Habits, *key: str) -> None:
        """`key` stands for the prompt and the draw."""
        self._task, self._habits, self._key = task, habits, key
        self._remedies = {remedy.name: remedy for remedy in task.remedies}

    def edits(self, brief: Brief) -> list[JsonObject]:
        """Separate edits: `operation`, `find`, `text`, `samples`, `why`."""
        found = [_edit(each) for each in self._instructions(brief)]
        if found and self._happens(self._habits.bloats, "bloat"):
            found[-1]["text"] = f"{found[-1]['text']} {self._filler()}"
        line = _variable_line(brief.policy)
        if found and line and brief.policy.count(line) == 1 and self._happens(self._habits.drops_variable, "drop"):
            found.append(_edit(Instruction(text=_without_variable(line), replaces=line, samples=_ids(brief.exhibits))))
        if found and self._happens(self._habits.misquotes, "misquote"):
            found[0] = {**found[0], "operation": "replace", "find": "the second line of the prompt"}
        return found

    def faults(self, brief: Brief) -> list[JsonObject]:
        """Which statements name the same fault: `name`, `statements`. What names none is left out."""
        found: dict[str, list[int]] = {}
        for number, text in enumerate(brief.statements, start=1):
            for fault in named(self._task, text):
                misplaced = self._happens(self._habits.misplaces, "misplace", str(number))
                name = pick(self._task.remedies, *self._key, str(number)).name if misplaced else fault.remedy
                found.setdefault(name, []).append(number)
        return [{"name": name, "statements": numbers} for name, numbers in found.items()]

    def whole_prompt(self, brief: Brief) -> str:
        """The prompt written anew: its lines, and the new instructions."""
        lines = [
            line
            for place, line in enumerate(brief.policy.splitlines())
            if place == 0 or not self._happens(self._habits.loses_line, "lose", str(place))
        ]
        if self._happens(self._habits.drops_variable, "drop"):
            lines = [_without_variable(line) for line in lines]
        for each in self._instructions(brief):
            if each.replaces in lines:
                lines[lines.index(each.replaces)] = each.text
            else:
                lines.append(each.text)
        if self._happens(self._habits.bloats, "bloat"):
            lines.append(self._filler())
        return "\n".join(lines)

    def _instructions(self, brief: Brief) -> list[Instruction]:
        """For the remedies of the faults that are named most, among those that the policy does not have yet."""
        sentences = sentences_of(brief.policy)
        by_remedy: dict[str, list[tuple[Exhibit, Fault]]] = {}
        for exhibit in brief.exhibits:
            for fault in named(self._task, exhibit.said):
                if self._remedies[fault.remedy].level(sentences) != self._remedies[fault.remedy].done:
                    by_remedy.setdefault(fault.remedy, []).append((exhibit, fault))
        ranked = sorted(by_remedy, key=lambda name: (-len(by_remedy[name]), draw(*self._key, "tie", name)))
        chosen = ranked[: pick(self._habits.most, *self._key, "most")]
        if not chosen:
            tone = pick(_TONES, *self._key, "tone")
            return [Instruction(text=tone, samples=_ids(brief.exhibits), why="The tone may help.")]
        return [self._instruction(brief, self._remedies[name], by_remedy[name]) for name in chosen]

    def _instruction(self, brief: Brief, remedy: Remedy, seen: Sequence[tuple[Exhibit, Fault]]) -> Instruction:
        samples = tuple(dict.fromkeys(exhibit.id for exhibit, _ in seen))
        lines = [line for line in brief.policy.splitlines() if remedy.asks(line.casefold())]
        replaces = lines[0] if len(lines) == 1 and brief.policy.count(lines[0]) == 1 else ""
        tried = any(remedy.asks(text.casefold()) for text in brief.tried)
        text = self._wording(remedy, asked=bool(lines) or tried)
        if self._happens(self._habits.leaks, "leak", remedy.name):
            text = f"{text.rstrip('.')} {self._leak(seen[0][0])}."
        why = f"{len(samples)} of the answers lack it: {seen[0][1].name}."
        group = _group_of(samples, brief.exhibits)
        return Instruction(text=text, replaces=replaces, samples=samples[:_MOST_SAMPLES], why=why, group=group)

    def _wording(self, remedy: Remedy, *, asked: bool) -> str:
        """`asked`: the policy asks for it already, or such an edit was tried, but timidly or of all."""
        point, habits = draw(*self._key, "wording", remedy.name), self._habits
        steps = ((habits.wrong, remedy.wrong), (habits.harmful, _HARMFUL), (habits.timid, remedy.timid))
        for share, texts in steps:
            if point < share:
                return pick(texts, *self._key, "text", remedy.name)
            point -= share
        of_all = not asked and self._happens(self._habits.unconditional, "unconditional", remedy.name)
        texts = remedy.firm if of_all or not remedy.conditional else remedy.conditional
        return pick(texts, *self._key, "text", remedy.name)

    def _leak(self, exhibit: Exhibit) -> str:
        who, number = _PERSON.search(exhibit.request), _NUMBER.search(exhibit.request)
        words = exhibit.request.split()[2:12]
        forms = [f"as in '{' '.join(words)}'"]
        forms += [f"as for {who[0]}"] if who else []
        forms += [f"as with {number[0]}"] if number else []
        return pick(forms, *self._key, "leak")

    def _filler(self) -> str:
        words = 60 + int(draw(*self._key, "words") * 140)
        chosen = sorted(_FILLER, key=lambda sentence: draw(*self._key, "filler", sentence))
        return " ".join(" ".join(chosen).split()[:words]).rstrip(".") + "."

    def _happens(self, share: float, *what: str) -> bool:
        return draw(*self._key, *what) < share


def _edit(instruction: Instruction) -> JsonObject:
    return {
        "operation": "replace" if instruction.replaces else "add",
        "find": instruction.replaces,
        "text": instruction.text,
        "samples": list(instruction.samples),
        "why": instruction.why,
        "group": instruction.group,
    }


def _group_of(samples: Sequence[str], exhibits: Sequence[Exhibit]) -> int:
    shown: dict[int, list[bool]] = {}
    for exhibit in exhibits:
        if exhibit.group:
            shown.setdefault(exhibit.group, []).append(exhibit.id in samples)
    return max(shown, key=lambda group: (sum(shown[group]) / len(shown[group]), -group), default=0)


def _ids(exhibits: Sequence[Exhibit]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(exhibit.id for exhibit in exhibits if exhibit.id))[:_MOST_SAMPLES]


def _variable_line(policy: str) -> str:
    return next((line for line in policy.splitlines() if "{shop}" in line), "")


def _without_variable(line: str) -> str:
    return line.replace("{shop}", "our shop")
