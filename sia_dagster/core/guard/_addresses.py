"""No address in a prompt: URLs, domains, links, however they are written."""

import re
from typing import Final

from sia_dagster.core.guard._guard_input import GuardInput
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
    r"|\]\(\s*[^)\s]*[/.:][^)\s]*|^[ \t]*\[[^\]\n]+\]:[ \t]*\S*[/.]\S*",
    re.MULTILINE,
)
_SPELLED = re.compile(
    r"(?<![\w-])[\w-]+\s*[\[({<]\s*(?:dot|\.)\s*[\])}>]\s*[^\W\d_]{2,24}\b"
    r"|(?<![\w-])[\w-]+\s+dot\s+(?:com|org|net|edu|gov|info|biz|io|ai|dev|app|xyz|uk|de|fr|nl|ch|ru|cn|jp|eu|co)\b"
    r"|(?<![\w-])(?!(?:the|an?|any|or|and|of|to|use|with|in|your|for)\b)(?-i:[\w-]{3,}(?:\s+\.\s*|\.\s+)"
    r"(?:com|org|net|info|biz|xyz))\b",
    re.IGNORECASE,
)
_DOTTED = re.compile(
    r"`[^`\n]*`|\{[^{}\n]*\}"  # code and placeholders, where a dot joins names
    r"|(?<![\w@.-])(?P<host>(?:[^\W_][\w-]*\.)+(?P<end>[^\W\d_]{2,24}|xn--[a-z0-9-]{2,59}))(?![\w@(-])"
)


def holds_no_address(case: GuardInput) -> str | None:
    """The first new URL, link, bare domain or domain that is spelled out ("shop dot com"); None if there is none.

    Two words that only a dot joins are taken for a domain, unless the end is that of a file's name or they are code:
    in backticks, called, or of a well-known module (`sys.path`).
    """
    for pattern in (_ADDRESS, _SPELLED, _DOTTED):
        for match in case.new_matches(pattern):
            if pattern is not _DOTTED or _is_host(match):
                return case.holds("URL", shown(match[0]), match[0])
    return None


def _is_host(match: re.Match[str]) -> bool:
    """Not an abbreviation (e.g.), version (v1.2), file's name, form of a date or end of a sentence (so.Then)."""
    labels = match["host"].split(".") if match["host"] else []
    if not labels or _FILE.fullmatch(match["end"]) or all(len(set(label)) == 1 for label in labels):
        return False
    first, before = labels[0], labels[-2]
    is_code = _MODULES.fullmatch(first) is not None or "_" in match["host"]
    is_word = len(before) > 1 and not before.isdecimal()
    return is_word and not is_code and (match["end"].isupper() or not match["end"][0].isupper())
