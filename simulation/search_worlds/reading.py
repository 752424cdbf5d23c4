"""Reads the prompts that search strategies build: the policy in force, and what was said of which sample."""

import re
from typing import Final

from sia_dagster.core.records.value import Value
from sia_dagster.demo import quotes

_BLOCK: Final = re.compile(r"```\n?(.*?)\n?```", re.DOTALL)
_EXAMPLE: Final = re.compile(r"^# Example \d+$", re.MULTILINE)
_STATEMENT: Final = re.compile(
    r"^Statement \d+ \(\d+\):\n<<<statement (\w+)\n(.*?)\n\1 statement>>>$", re.MULTILINE | re.DOTALL
)
_TRIED: Final = re.compile(r"^<<<tried (\w+)\n(.*?)\n\1 tried>>>$", re.MULTILINE | re.DOTALL)
_GROUP: Final = re.compile(r"^Group (\d+) \([^\n]*\):$", re.MULTILINE)
_SAMPLE: Final = re.compile(r"^Sample (\S+) \(", re.MULTILINE)
_WENT_WELL: Final = "Answers that went well"
_REQUEST: Final = ("request", "input")
_POLICY: Final = re.compile(r"^<<<policy (?P<tag>[0-9a-f]{12})\n(?P<text>.*?)\n(?P=tag) policy>>>$", re.M | re.DOTALL)


class Exhibit(Value):
    """One sample that a prompt shows, or one text about several."""

    id: str = ""
    """Under which it is shown; empty where it has none."""
    request: str = ""
    said: str = ""
    """What the evaluator says of it."""
    group: int = 0
    """The number of the group that it is shown in; 0 for none."""


class Brief(Value):
    """What a prompt asks the proposing model to work with."""

    policy: str
    exhibits: tuple[Exhibit, ...]
    tried: tuple[str, ...] = ()
    """Edits that did not help."""
    statements: tuple[str, ...] = ()
    """What an evaluator said, numbered from 1, where it is asked what belongs together."""


def read_brief(prompt: str) -> Brief:
    """Our own prompts quote the policy as `policy`, and samples with `request` and `explanation`.

    Other prompts have the policy in the first block between backticks, and samples in the second, each below a heading
    `# Example 1`. A prompt that quotes its evidence otherwise is one exhibit without an id: all that is not the policy.
    """
    ours = quotes.read(prompt)
    if statements := _STATEMENT.findall(prompt):
        return Brief(policy="", exhibits=(), statements=tuple(text for _, text in statements))
    quoted = _POLICY.search(prompt)
    if quoted is None:
        return _read_blocks(prompt)
    policy = quoted["text"]
    groups = _groups_of(prompt)
    shown = tuple(_exhibit(each).model_copy(update={"group": groups.get(each.span_id, 0)}) for each in ours.exhibits)
    if any(each.said for each in shown):
        return Brief(policy=policy, exhibits=shown, tried=tuple(text for _, text in _TRIED.findall(prompt)))
    return Brief(policy=policy, exhibits=(Exhibit(said=prompt.replace(policy, "")),))


def _groups_of(prompt: str) -> dict[str, int]:
    """By a sample's id, the number of the group that it stands in."""
    parts = _GROUP.split(prompt)
    found: dict[str, int] = {}
    for number, text in zip(parts[1::2], parts[2::2], strict=True):
        for shown in _SAMPLE.findall(text.partition(_WENT_WELL)[0]):
            found.setdefault(shown, int(number))
    return found


def _exhibit(found: quotes.Exhibit) -> Exhibit:
    request = next((found.quotes[name] for name in _REQUEST if name in found.quotes), "")
    return Exhibit(id=found.span_id, request=request, said=found.quotes.get("explanation", ""))


def _read_blocks(prompt: str) -> Brief:
    blocks = _BLOCK.findall(prompt)
    policy, evidence = (blocks[0], blocks[1]) if len(blocks) > 1 else (blocks[0] if blocks else prompt, "")
    examples = [each for each in _EXAMPLE.split(evidence) if each.strip()]
    return Brief(
        policy=policy, exhibits=tuple(Exhibit(request=_inputs(each), said=_feedback(each)) for each in examples)
    )


def _inputs(example: str) -> str:
    """What stands below the first heading."""
    parts = re.split(r"^## .*$", example, flags=re.MULTILINE)
    return parts[1].strip() if len(parts) > 1 else example


def _feedback(example: str) -> str:
    """What stands below the heading `## Feedback`; all where there is none."""
    return example.rpartition("## Feedback")[2]
