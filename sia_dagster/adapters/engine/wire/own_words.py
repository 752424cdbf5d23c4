"""An endpoint's own words in an error message: what it repeats of the request says nothing of the endpoint."""

import re
from collections.abc import Iterator
from typing import Final

_WORD: Final = re.compile(r"[\u0e00-\u0fff\u3040-\u9fff\uac00-\ud7af]|[^\W\u0e00-\u0fff\u3040-\u9fff\uac00-\ud7af]+")
"""A word; a letter where words have no blanks between them."""

_RUN = 4
"""Words in a row that count as repeated, with at least _RUN_LETTERS characters; fewer where they are a whole text."""

_RUN_LETTERS = 12

_WHOLE_WORDS, _WHOLE_LETTERS = range(2, 13), 6
"""Of a short text that counts where it is repeated as a whole."""

_ESCAPED: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[nrt\"'/\\])")

_QUOTED: Final = re.compile(
    r"""(?<!\w)(?:"(?:[^"\\]|\\.)*+(?:"|(?<=\.\.\.)$)"""
    r"""|'(?:[^']|'(?=\w))*+(?:'|(?<=\.\.\.)$)"""
    r"""|`[^`]*+`|\u201c[^\u201d]*+\u201d|\u300c[^\u300d]*+\u300d|\binput_value=.*?(?=, input_type=))""",
    re.DOTALL,
)
"""A quotation; one that was cut off ends with three dots. pydantic writes what it was given as `input_value=`."""

_QUOTED_WORDS = 3
"""With fewer it is a name (`The model 'x' does not exist`)."""

_AROUND: Final = re.compile(
    r"\d+|\w*error|\w*exception|errors|messages?|msg|details?|code|status|type|param|object|none|null|provider|returned"
    "|upstream|response|api|http|from|the|a|bad|request|litellm"
)
"""Words around a quotation that say only that it is an error: the quotation is then what another endpoint says."""


def own_words(message: str, sent: object = None, *, quotations: bool = True) -> str:
    """The message without what it repeats of the request's body `sent`, and without `quotations` of a few words.

    An endpoint may quote what the request does not hold in these words: a text in another form, or the model's own.
    """
    plain = _without_texts(_ESCAPED.sub(_unescaped, message), sent)
    if not quotations:
        return plain
    left = _QUOTED.sub(lambda found: " " if len(_words(found[0])) >= _QUOTED_WORDS else found[0], plain)
    return plain if only_names_an_error(left) else left


def only_names_an_error(text: str) -> bool:
    """Whether the text says no more than that there is an error, as a gateway puts it before a provider's words."""
    return all(_AROUND.fullmatch(word) for word in _words(text))


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else " "


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _without_texts(message: str, sent: object) -> str:
    """The message without each run of words that a text of the request contains."""
    spans = [found.span() for found in _WORD.finditer(message)]
    words = [message[start:end].casefold() for start, end in spans]
    runs, wholes = set[tuple[str, ...]](), set[tuple[str, ...]]()
    for text in map(_words, _texts(sent) if words else ()):
        runs.update(tuple(text[at : at + _RUN]) for at in range(len(text) - _RUN + 1))
        if len(text) in _WHOLE_WORDS and sum(map(len, text)) >= _WHOLE_LETTERS:
            wholes.add(tuple(text))
    whole, repeated = [False] * len(words), [False] * len(words)
    for at in range(len(words)):
        for each in [each for each in wholes if tuple(words[at : at + len(each)]) == each]:
            whole[at : at + len(each)] = [True] * len(each)
        if tuple(words[at : at + _RUN]) in runs:
            repeated[at : at + _RUN] = [True] * _RUN
    cut = [*_long_runs(spans, repeated), *(span for span, known in zip(spans, whole, strict=True) if known)]
    return _without_spans(message, cut)


def _long_runs(spans: list[tuple[int, int]], marked: list[bool]) -> Iterator[tuple[int, int]]:
    """From the first to the last character of each row of marked words that is long enough."""
    start: int | None = None
    for at, known in enumerate([*marked, False]):
        if known and start is None:
            start = spans[at][0]
        elif not known and start is not None:
            if spans[at - 1][1] - start >= _RUN_LETTERS:
                yield start, spans[at - 1][1]
            start = None


def _without_spans(text: str, spans: list[tuple[int, int]]) -> str:
    kept, done = list[str](), 0
    for start, end in sorted(spans):
        kept.append(text[done:start])
        done = max(done, end)
    return " ".join([*kept, text[done:]]) if spans else text


def _texts(value: object) -> Iterator[str]:
    """The texts of the body, but for the names of model and roles."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, part in value.items():
            if name not in ("model", "role", "type"):
                yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
