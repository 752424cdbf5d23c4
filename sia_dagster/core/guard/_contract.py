"""What the application relies on besides variables: the output's form, the tools, the prompt's length."""

import re
from collections.abc import Iterator

from sia_dagster.core.guard._text import shown
from sia_dagster.core.models import Actions
from sia_dagster.core.tokens import estimate_tokens

TOOL_PARAMETERS = ("tools", "tool_choice", "functions", "function_call", "parallel_tool_calls")
_FENCED = re.compile(r"```.*?```", re.DOTALL)
_KEY = re.compile(r"""["'][^"'\n]+["']\s*:""")
_FORMAT = re.compile(r"\b(JSONL?|XML|YAML|CSV)\b", re.IGNORECASE)


def keeps_form(candidate: Actions, baseline: Actions) -> str | None:
    """Why the output may come in another form than the application parses; None if it should not.

    `response_format` stays; so do, letter for letter, the prompt's fenced blocks and JSON skeletons; and the machine
    formats that the prompt names (JSON, XML, YAML, CSV) are the same ones.
    """
    if candidate.parameters.get("response_format") != baseline.parameters.get("response_format"):
        return "output format: the candidate changes the parameter response_format"
    if lost := next((block for block in _blocks(baseline.system_prompt) if block not in candidate.system_prompt), None):
        return f"output format: the candidate changes or drops the block {shown(lost)}"
    old, new = _formats(baseline), _formats(candidate)
    if old != new:
        return f"output format: the policy speaks of {_named(old)}, the candidate of {_named(new)}"
    return None


def keeps_tools(candidate: Actions, baseline: Actions) -> str | None:
    """Why the model could call other tools, or call them otherwise, than the application serves; None if not."""
    if candidate.tools != baseline.tools:
        return "tools: the candidate changes the tools"
    for name in TOOL_PARAMETERS:
        if candidate.parameters.get(name) != baseline.parameters.get(name):
            return f"tools: the candidate changes the parameter {name}"
    return None


def keeps_length(candidate: Actions, baseline: Actions, max_prompt_tokens: int) -> str | None:
    """Why the prompt is too long or gone; None if it is neither."""
    if baseline.system_prompt.strip() and not candidate.system_prompt.strip():
        return "length: the candidate's prompt is empty"
    tokens = estimate_tokens(candidate.system_prompt)
    if tokens > max_prompt_tokens:
        return f"length: about {tokens} tokens, and policy.max_prompt_tokens allows {max_prompt_tokens}"
    return None


def _blocks(prompt: str) -> Iterator[str]:
    """Fenced blocks, and outside of them balanced braces that hold a quoted key."""
    yield from (match[0] for match in _FENCED.finditer(prompt))
    rest = _FENCED.sub("", prompt)
    depth, start = 0, 0
    for index, character in enumerate(rest):
        if character == "{":
            start = index if depth == 0 else start
            depth += 1
        elif character == "}" and depth:
            depth -= 1
            if depth == 0 and _KEY.search(rest, start, index):
                yield rest[start : index + 1]


def _formats(actions: Actions) -> set[str]:
    return {match[0].upper() for match in _FORMAT.finditer(actions.system_prompt)}


def _named(formats: set[str]) -> str:
    return ", ".join(sorted(formats)) or "no machine format"
