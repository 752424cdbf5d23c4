"""No key, token or password in a prompt."""

import math
import re
from collections import Counter

from sia_dagster.core.guard._guard_input import GuardInput
from sia_dagster.core.guard._text import masked

_NAMES = (
    r"\b(?:password|passwd|pwd|secret|api[ _-]?key|token|passwort|kennwort|mot de passe|contrase\u00f1a|wachtwoord"
    r"|senha)\b"
    "|\u043f\u0430\u0440\u043e\u043b\u044c|\u5bc6\u7801|\u5bc6\u78bc|\u30d1\u30b9\u30ef\u30fc\u30c9|\ube44\ubc00\ubc88\ud638"
)
"""Words for passwords and keys in ten languages, English, German, French, Russian, Chinese and Japanese among them."""
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:[spr]k[-_](?=[\w-]*\d)[\w-]{12,}|(?:AKIA|ASIA)[A-Z0-9]{12,}|gh[opsur]_[A-Za-z0-9]{16,}"
    r"|github_pat_\w{16,}|glpat-[\w-]{12,}|xox[abeoprs]-[\w-]{8,}|AIza[\w-]{20,}|hf_[A-Za-z0-9]{16,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}|Bearer\s+(?=\S*\d)[\w.~+/-]{12,})|-----BEGIN [A-Z ]*PRIVATE KEY"
    rf"|(?i:{_NAMES})\s*(?:\b(?:is|ist|lautet|est|es|\u00e8|\u00e9)\b|[:=\uff1a\u662f\u306f])\s*['\"]?(?=\S*\d)[^\s'\"]{{6,}}"
)
_RANDOM = re.compile(r"[A-Za-z0-9+/_=-]{20,}")


def holds_no_secret(case: GuardInput) -> str | None:
    """The first new text that looks like a key, token or password; None if none. The reason never repeats it."""
    for match in case.new_matches(_KEY):
        return case.holds("secret", f"what looks like a key: {masked(match[0])}", match[0])
    for match in case.new_matches(_RANDOM):
        if _is_random(match[0]):
            return case.holds("secret", f"a random-looking token: {masked(match[0])}", match[0])
    return None


def _is_random(text: str) -> bool:
    """At least 3.5 bits a character and four changes between letters and digits: not a word, name or identifier."""
    counts = Counter(text).values()
    entropy = -sum(n / len(text) * math.log2(n / len(text)) for n in counts)
    changes = len(re.findall(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", text))
    return entropy >= 3.5 and changes >= 4
