"""No key, token or password in a prompt."""

import math
import re
from collections import Counter

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._text import masked
from sia_dagster.core.records.guard import GuardAction

_NAMES = (
    r"\b(?:password|passwd|pwd|secret|api[ _-]?key|token|passwort|kennwort|mot de passe|contrase\u00f1a|wachtwoord"
    r"|senha)\b"
    "|\u043f\u0430\u0440\u043e\u043b\u044c|\u5bc6\u7801|\u5bc6\u78bc|\u30d1\u30b9\u30ef\u30fc\u30c9|\ube44\ubc00\ubc88\ud638"
)
"""Words for passwords and keys in ten languages, English, German, French, Russian, Chinese and Japanese among them."""
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:[spr]k[-_](?=[\w-]*\d)[\w-]{12,}|(?:AKIA|ASIA)[A-Z0-9]{12,}|gh[opsur]_[A-Za-z0-9]{16,}"
    r"|github_pat_\w{16,}|glpat-[\w-]{12,}|xox[abeoprs]-[\w-]{8,}|AIza[\w-]{20,}|hf_[A-Za-z0-9]{16,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}|Bearer\s+(?=\S{0,80}\d)[\w.~+/-]{12,})|-----BEGIN [A-Z ]{0,30}PRIVATE KEY"
)
_NAMED = re.compile(
    rf"(?i:{_NAMES})\s*(?:\b(?:is|ist|lautet|est|es|\u00e8|\u00e9)\b|[:=\uff1a\u662f\u306f])\s*['\"]?(?=\S{{0,80}}\d)[^\s'\"]{{6,}}"
)
_RANDOM = re.compile(r"[A-Za-z0-9+/_=-]{20,}")


def holds_no_secret(case: GuardInput) -> Findings:
    """New text that looks like a key, token or password. The reason never repeats it.

    The form of a known kind of key stops, and so does whatever a trace holds; a word for passwords with something
    beside it, and a random-looking token, may be meant as a form, and a person must look.
    """
    for pattern, what in (
        (_KEY, "what looks like a key"),
        (_NAMED, "what looks like a key"),
        (_RANDOM, "a random-looking token"),
    ):
        for match in case.new_matches(pattern):
            if pattern is not _RANDOM or _is_random(match[0]):
                action: GuardAction = "stop" if pattern is _KEY else case.sure(match[0])
                yield case.holds(action, "secret", f"{what}: {masked(match[0])}", match[0])


def _is_random(text: str) -> bool:
    """At least 3.5 bits a character and four changes between letters and digits: not a word, name or identifier."""
    counts = Counter(text).values()
    entropy = -sum(n / len(text) * math.log2(n / len(text)) for n in counts)
    changes = len(re.findall(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", text))
    return entropy >= 3.5 and changes >= 4
