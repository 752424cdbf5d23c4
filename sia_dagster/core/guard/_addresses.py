"""No address in a prompt: URLs, domains, links, however they are written."""

import re
from typing import Final

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._text import shown

_TOP_LEVEL = (
    "com|org|net|edu|gov|mil|int|info|biz|io|ai|dev|app|cloud|online|site|website|xyz|shop|store|tech|page|link|blog"
    "|click|live|news|pro|top|vip|wiki|example|local|internal|localhost|onion"
)
_COUNTRY = (
    "uk|de|fr|it|es|nl|be|ch|at|se|no|dk|fi|ie|pt|gr|cz|ru|ua|tr|cn|jp|kr|hk|tw|sg|in|au|nz|ca|us|mx|br|ar|za|eu"
    "|co|me|tv"
)
_FILE = re.compile(
    "md|py|ipynb|jsonl?|js|tsx?|jsx|txt|csv|tsv|xml|ya?ml|toml|ini|cfg|conf|log|sql|sh|html?|css|pdf|docx?|xlsx?|pptx?"
    "|odt|rtf|png|jpe?g|gif|svg|webp|heic|mp[34]|wav|parquet|java|[ch]pp|cs|go|rs|rb|php|exe|bat|cmd|msi|dmg|apk|dll"
    "|jar|lock|env|bak|tmp|pem|key|crt|cer|tar|gz|bz2|7z|xls|doc|ppt|eml|ics|vcf|psd|tiff?|bmp|avi|mkv|lua|kt|swift",
    re.IGNORECASE,
)
"""What follows a dot in the name of a file. Archives are missing: `.zip` is a top-level domain."""
_MODULES: Final = re.compile(
    "sys|os|np|pd|plt|df|self|this|cls|console|window|document|math|json|re|torch|tf|logging|datetime|request|response"
    "|process|module|req|res|ctx|asyncio|object|string|array|db|session|model|config|settings"
)
"""What stands before the dot in code: `sys.path`, `os.environ`, `self.name`."""
_END = r"[^\s<>\"']*[\w/]"
_ADDRESS = re.compile(
    rf"\b[a-zA-Z][a-zA-Z0-9+.-]{{0,30}}://{_END}|\bwww\.{_END}|\b(?:mailto|javascript|data):{_END}"
    rf"|(?:(?<!\w)@|(?<![\w@.-]))(?:[\w-]+\.)+(?:(?i:{_TOP_LEVEL})|{_COUNTRY})\b(?![\w@-])(?:/{_END})?"
    r"|<[A-Za-z]+\b[^<>\n]{0,80}\b(?:href|src|action)\s*=[^<>\n]*"
    r"|\]\(\s{0,20}[^)\s]{0,80}?[/.:][^)\s]{0,80}|^[ \t]*\[[^\]\n]+\]:[ \t]*\S*[/.]\S*",
    re.MULTILINE,
)
_SPELLED = re.compile(
    r"(?<![\w-])[\w-]+\s*[\[({<]\s*(?:dot|\.)\s*[\])}>]\s*[^\W\d_]{2,24}\b"
    r"|(?<![\w-])[\w-]+\s+dot\s+(?:com|org|net|edu|gov|info|biz|io|ai|dev|app|xyz|uk|de|fr|nl|ch|ru|cn|jp|eu|co)\b"
    r"|(?<![\w-])(?!(?:the|an?|any|or|and|of|to|use|with|in|your|for)\b)(?-i:[\w-]{3,}(?:\s+\.\s*|\.\s+)"
    r"(?:com|org|net|info|biz|xyz))\b",
    re.IGNORECASE,
)
_DOT: Final = (
    "dot|punkt|punto|point|ponto|punt|kropka|nokta|\u0442\u043e\u0447\u043a\u0430|\u03c4\u03b5\u03bb\u03b5\u03af\u03b1"
    "|\u0646\u0642\u0637\u0629|\u0921\u0949\u091f"
)
"""The word for a dot in thirteen languages; Chinese, Japanese, Korean and Thai have theirs in `_IN_WORDS`."""
_IN_WORDS: Final = re.compile(
    rf"\b(?:{_DOT})\b[\W_]{{1,6}}(?:\w{{1,6}}[\W_]{{1,3}}){{0,2}}(?:com|org|net|info|biz|io|ai|dev|app|xyz|de"
    rf"|ru|cn|fr|es|onion)\b"
    r"|(?:\u70b9|\u9ede|\u30c9\u30c3\u30c8|\ub2f7|\uc810|\u0e08\u0e38\u0e14)\s*(?:com|org|net|info|cn|jp|kr"
    r"|th|io|xyz)\b"
    r"|\bhxxps?\b|\bhttps?\s?[:/]|\b(?:slash|colon)\s+slash\b|\b(?:bit|t|goo|tinyurl|wa)[ ./]{1,3}(?:ly|me|gl"
    r"|co)\s?/\s?\w+"
    r"|(?<![\w@])@[A-Za-z]\w{2,}|\b[\w-]{2,40}\s?(?:\.|\u3002)\s?onion\b",
    re.IGNORECASE,
)
"""A domain in words, a scheme, a shortened link, a handle: it leads somewhere, but may be meant otherwise."""
_MACHINE: Final = re.compile(
    r"\blocalhost\b|(?<![\w.:])[A-Za-z][\w.-]{2,60}:\d{2,5}\b(?![:.\d])|\\\\[\w.-]+\\\w+", re.IGNORECASE
)
_DOTTED = re.compile(
    r"`[^`\n]*`|\{[^{}\n]*\}"  # code and placeholders, where a dot joins names
    r"|(?<![\w@.-])(?P<host>(?:[^\W_][\w-]*\.)+(?P<end>[^\W\d_]{2,24}|xn--[a-z0-9-]{2,59}))(?![\w@(-])"
)


def holds_no_address(case: GuardInput) -> Findings:
    """New URLs, links, bare domains, domains that are spelled out ("shop dot com"), and machines.

    One that a trace holds stops. Another may be the updater's own, or no address at all: a person must look.

    Two words that only a dot joins are taken for a domain, unless the end is that of a file's name or they are code:
    in backticks, called, or of a well-known module (`sys.path`).
    """
    for pattern in (_ADDRESS, _SPELLED, _DOTTED, _IN_WORDS, _MACHINE):
        for match in case.new_matches(pattern):
            if pattern is not _DOTTED or _is_host(match):
                action = case.sure(match[0]) if pattern in (_ADDRESS, _SPELLED, _DOTTED) else "person"
                yield case.holds(action, "URL", shown(match[0]), match[0])


def _is_host(match: re.Match[str]) -> bool:
    """Not an abbreviation (e.g.), version (v1.2), file's name, form of a date or end of a sentence (so.Then)."""
    labels = match["host"].split(".") if match["host"] else []
    if not labels or _FILE.fullmatch(match["end"]) or all(len(set(label)) == 1 for label in labels):
        return False
    first, before = labels[0], labels[-2]
    is_code = _MODULES.fullmatch(first) is not None or "_" in match["host"]
    is_word = len(before) > 1 and not before.isdecimal()
    return is_word and not is_code and (match["end"].isupper() or not match["end"][0].isupper())
