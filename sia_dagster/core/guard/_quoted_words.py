"""No quoted wording of a trace: it may be a password for other treatment, or a phrase that somebody wants said."""

import re
from functools import cache
from typing import Final

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._impersonal_words import is_impersonal
from sia_dagster.core.guard._text import shown
from sia_dagster.core.guard._traffic import FROM_OUTSIDE
from sia_dagster.core.guard._words import is_unspaced, words_of

RULE: Final = "quoted wording"
MOST_WORDS: Final = 3
_QUOTED: Final = re.compile(
    '"([^"\n]{2,80})"|\u201c([^\u201d\n]{2,80})\u201d|\u201e([^\u201c\u201d\n]{2,80})[\u201c\u201d]'
    "|\u00ab[ \u00a0]?([^\u00bb\n]{2,80}?)[ \u00a0]?\u00bb|\u300c([^\u300d\n]{1,80})\u300d"
    "|\u300e([^\u300f\n]{1,80})\u300f|(?<!\\w)'([^'\n]{2,80})'(?!\\w)|\u2018([^\u2019\n]{2,80})\u2019|`([^`\n]{2,80})`"
)


def quotes_no_trace(case: GuardInput) -> Findings:
    """New quoted words that a user, a tool or a variable wrote, held by few sources: a person must look.

    Words for things and greetings (`impersonal_words.txt`) are everybody's; four words and more are left to the rule of
    shared text, which knows what many ask.
    """
    known = _words(case.known)
    spoken = cache(lambda: [(text, _words(text.text)) for text in case.traffic.texts if text.author in FROM_OUTSIDE])
    for match in case.new_matches(_QUOTED):
        words = words_of(next(filter(None, match.groups())))
        quoted = " ".join(words) if any(map(is_unspaced, words)) else f" {' '.join(words)} "
        if len(words) > MOST_WORDS or all(map(is_impersonal, words)) or quoted in known:
            continue
        holders = [text for text, said in spoken() if quoted in said]
        if holders and len({text.by for text in holders}) < case.traffic.many:
            what = f"the candidate quotes {shown(match[0])}"
            yield case.finding("person", RULE, what, holders[0].place)


def _words(text: str) -> str:
    return f" {' '.join(words_of(text))} "
