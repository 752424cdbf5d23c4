"""The output's form and the tools, on which the application relies besides the variables."""

import re
from collections.abc import Iterator
from typing import Final

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._text import plain, shown
from sia_dagster.core.records.guard import GuardFinding

FORM_PARAMETERS: Final = ("response_format", "text", "modalities", "n", "stop")
TOOL_PARAMETERS: Final = (
    "tools", "tool_choice", "functions", "function_call", "parallel_tool_calls", "web_search_options", "tool_config",
)  # fmt: skip
_FENCED = re.compile(r"```.*?```", re.DOTALL)
_KEY = re.compile(r"""["']([^"'\n]+)["']\s*:""")
_NAMES = r"(?<![.\w])(?:JSONL?|XML|YAML|TOML|CSV|TSV)\b"
_FORMAT = re.compile(_NAMES, re.IGNORECASE)
_START = r"(?<![^.!?;:\n\u3002\uff01\uff1f])"  # Only there: tried at each letter, a long line would take minutes.
_SENTENCE = re.compile(
    _START + r"[^.!?;:\n\u3002\uff01\uff1f]*" + _NAMES + r"[^.!?;\n\u3002\uff01\uff1f]*", re.IGNORECASE
)
_UNDONE = r"\b(?:forget|fail|but|except|other than|anything|hesitate|miss)\b"
_NOT = re.compile(
    r"(?:\b(?:no|not|never|nor|without|instead of|avoid|unless|kein\w*|nicht|nie\w*|ohne|pas|jamais|sans|nunca|jam[aá]s"
    r"|sin|non|senza|mai|niet|geen|nooit|n[aã]o|sem)\b|n['\u2019]t\b)"
    rf"(?:(?!{_UNDONE})[^.\n]){{0,120}}?{_NAMES}|\u306a\u3044|\u4e0d",
    re.IGNORECASE,
)
_OUTPUT = re.compile(
    r"\b(?:answer|respon[ds]|repl[yi]|return|output|give|writ|produc|format|emit|print|generat|provid|render|convert|encod"
    r"|serial|wrap|put|send|message|say|speak|antwort|gib|geben|ausgab|schreib|r[eé]pon|renvo|sorti"
    r"|donn|[eé]cri|devuelv|salida|escrib|rispond|scriv|geef|schrijf)"
    rf"|\b(?:use\s+(?:\w+\s+){{0,2}}|only\s+){_NAMES}|{_NAMES}\s+only\b|\u51fa\u529b|\u8fd4|\u7b54|\u8f93|\u8f38",
    re.IGNORECASE,
)
_FORE: Final = re.compile(
    rf"\s*(?:(?:if|when(?:ever)?|where|once|after|unless|wenn|falls|si|quand|lorsque|cuando|se|als)\b[^,\n]*"
    rf"|(?:for|f\u00fcr|bei|pour|para|per|voor)\s[^,\n]{{0,40}}?{_NAMES}\s+\w[^,\n]*),",
    re.IGNORECASE,
)
"""A clause that says when the rest holds: `If the CSV import fails, ...`, `For CSV imports, ...`."""
_FEW: Final = 3
"""A line of no more words that names a format ("XML please") asks for it."""


def keeps_form(case: GuardInput) -> str | None:
    """Why the output may come in another form than the application parses; None if it should not.

    The parameters that shape it stay; so do, letter for letter, the prompt's fenced blocks and JSON skeletons. Every
    machine format (JSON, XML, YAML, TOML, CSV, TSV) that the prompt names stays.
    """
    candidate, baseline = case.candidate, case.baseline
    for name in FORM_PARAMETERS:
        if candidate.parameters.get(name) != baseline.parameters.get(name):
            return f"output format: the candidate changes the parameter {name} of the policy in force"
    if lost := next((block for block in _blocks(baseline.system_prompt) if block not in candidate.system_prompt), None):
        return f"output format: the candidate changes or drops the block {shown(lost)} of the policy in force"
    if dropped := _formats(baseline.system_prompt) - _formats(candidate.system_prompt):
        return f"output format: the policy in force names {_named(dropped)}, the candidate does not"
    return None


def asks_for_no_other_format(case: GuardInput) -> Findings:
    """Machine formats that the candidate newly asks for, and keys that a new JSON example adds: a person must look.

    A format that is only mentioned ("customers send CSV files", "never JSON") does not count, and the keys of a new
    example may be words of the policy in force. A sentence is read by its words, and no list of words is complete.
    """
    for reason in (_asks_for_another(case), _adds_keys(case)):
        if reason:
            yield GuardFinding(action="person", rule="output format", reason=reason)


def keeps_tools(case: GuardInput) -> str | None:
    """Why the model could call other tools, or call them otherwise, than the application serves; None if not."""
    if case.candidate.tools != case.baseline.tools:
        return "tools: the candidate changes the tools of the policy in force"
    for name in TOOL_PARAMETERS:
        if case.candidate.parameters.get(name) != case.baseline.parameters.get(name):
            return f"tools: the candidate changes the parameter {name} of the policy in force"
    return None


def _asks_for_another(case: GuardInput) -> str | None:
    old = _formats(case.baseline.system_prompt)
    for match in _SENTENCE.finditer(case.text):
        fore = _FORE.match(match[0])
        clause = match[0] if fore is None or _OUTPUT.search(fore[0]) else match[0][fore.end() :]
        new = _formats(clause) - old
        asked = _OUTPUT.search(clause) or len(clause.split()) <= _FEW
        if new and asked and not _NOT.search(clause):
            origin = case.traffic.origin(clause)
            return f"output format: the candidate asks for {_named(new)} ({shown(clause)}), {origin}"
    return None


def _adds_keys(case: GuardInput) -> str | None:
    known = set(re.findall(r"\w+", case.baseline.system_prompt.casefold()))
    old = set(_blocks(case.baseline.system_prompt))
    for block in _skeletons(case.candidate.system_prompt):
        for key in _KEY.findall(block) if block not in old else ():
            if not known.issuperset(re.findall(r"\w+", key.casefold())):
                origin = case.traffic.origin(key)
                return f"output format: the candidate adds the key {shown(key)}, {origin}"
    return None


def _blocks(prompt: str) -> Iterator[str]:
    """Fenced blocks, and outside of them balanced braces that hold a quoted key."""
    yield from (match[0] for match in _FENCED.finditer(prompt))
    yield from _skeletons(_FENCED.sub("", prompt))


def _skeletons(text: str) -> Iterator[str]:
    depth, start = 0, 0
    for index, character in enumerate(text):
        if character == "{":
            start = index if depth == 0 else start
            depth += 1
        elif character == "}" and depth:
            depth -= 1
            if depth == 0 and _KEY.search(text, start, index):
                yield text[start : index + 1]


def _formats(text: str) -> set[str]:
    return {match[0].upper() for match in _FORMAT.finditer(plain(text))}


def _named(formats: set[str]) -> str:
    return ", ".join(sorted(formats))
