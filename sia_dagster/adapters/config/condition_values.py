"""The variables of `traces.where`: filled in when a query is sent, and kept out of everything that people can read."""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from sia_dagster.adapters.config import environment
from sia_dagster.core.errors import TraceError

LONGEST_CONDITION: Final = 20_000
"""Characters of a condition, as it is written and with its values. A list of five hundred ids fits."""
_PIECE: Final = 4
"""Characters of a value that no message may hold in a row: stores quote a filter in part, cut or in capitals."""
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_WORD = re.compile(r"[\w.]+")
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")


class ConditionValues(NamedTuple):
    """A condition with a mark for each `${NAME}`, and the values behind the marks."""

    marked: str
    """The condition; each mark is a plain word, so it is part of a text or else stands where a name may stand."""
    names: Mapping[str, str]
    """Variable by mark."""
    values: Mapping[str, str]
    """Value by variable."""

    def __repr__(self) -> str:
        return f"ConditionValues of {sorted(self.values)}"

    def text(self, text: str) -> str:
        """`text` of the condition's language, between quotes, with the values."""
        return self._words.sub(lambda mark: self.values[self.names[mark[0]]], text)

    def _spaced(self, word: str) -> str:
        """A word outside of quotes with its number; a minus may not meet another, which begins a remark in SQL."""
        number = self.number(word)
        return word if number is None else f" {number}" if number.startswith("-") else number

    @property
    def _words(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self.names)) or r"(?!)")

    def number(self, name: str) -> str | None:
        """The value for a name that is a mark, which must be a number; None for another name.

        Raises TraceError that names the variable.
        """
        if name not in self.names:
            self.refuse_marks(name)
            return None
        variable = self.names[name]
        if not _NUMBER.fullmatch(self.values[variable]):
            raise _refused(
                f"${{{variable}}} stands outside of quotes, where its value must be a plain number; "
                f"write '${{{variable}}}'"
            )
        return self.values[variable]

    def refuse_marks(self, rest: str) -> None:
        """Raise TraceError where a mark stands in what is neither a text nor a number."""
        for mark, name in self.names.items():
            if mark.casefold() in rest.casefold():
                raise _refused(f"${{{name}}} may only stand in a text between quotes, or for a number")

    def plain(self) -> str:
        """The condition with its values, for a language that is not parsed here.

        Raises TraceError for a value that could end the text it stands in.
        """
        for name in self.names.values():
            if not self.values[name].isprintable() or set(self.values[name]) & set("'\"\\"):
                message = f"the value of {name} holds a quote, a backslash or a control character"
                raise _refused(f"{message}, which this trace store's filter cannot hold")
        parts = re.split(f"({_QUOTED.pattern})", self.marked)
        outside = (_WORD.sub(lambda word: self._spaced(word[0]), part) for part in parts[::2])
        inside = [*map(self.text, parts[1::2]), ""]
        return "".join(part for pair in zip(outside, inside, strict=True) for part in pair)

    def shown(self, reason: str) -> str:
        """A reason as people may read it: as it is, or without its text where that holds a piece of a value."""
        for mark, name in self.names.items():
            reason = reason.replace(mark, f"${{{name}}}")
        names = sorted(name for name, value in self.values.items() if _holds(reason, value))
        if not names:
            return reason
        variables = ", ".join(f"${{{name}}}" for name in names)
        return f"the reason is not shown, since it quotes the value of {variables}"


def condition_values(where: str, variable: Callable[[str], str | None] = environment.read) -> ConditionValues:
    """Read the variables of a condition now.

    Raises TraceError, without a value: a condition or a value that is too long, a reference that names no variable, a
    variable that is not set or holds bytes that are no text.
    """
    if len(where) > LONGEST_CONDITION:
        raise _refused(f"the condition has {len(where):,} characters; write at most {LONGEST_CONDITION:,}")
    word = "sia_variable"
    while word in where.casefold():
        word += "_"
    marks: dict[str, str] = {}

    def mark(match: re.Match[str]) -> str:
        if match[1] is None:
            return "${"
        if not match[2] or not environment.NAME.fullmatch(match[1]):
            message = "`${` begins the name of an environment variable, as in ${NAME}; `$${` writes it"
            raise _refused(message)
        return marks.setdefault(match[1], f"{word}_{len(marks)}_x")

    marked = environment.REFERENCE.sub(mark, where)
    values = {name: _value(name, variable) for name in marks}
    if sum(marked.count(marks[name]) * len(value) for name, value in values.items()) > LONGEST_CONDITION:
        message = f"with the values of {', '.join(marks)} the condition is too long; at most {LONGEST_CONDITION:,}"
        raise _refused(f"{message} characters")
    return ConditionValues(marked, {mark: name for name, mark in marks.items()}, values)


def _refused(message: str) -> TraceError:
    return TraceError(f"traces.where cannot be used: {message}")


def _value(name: str, variable: Callable[[str], str | None]) -> str:
    value = variable(name)
    if value is None:
        raise _refused(environment.missing(name))
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _refused(f"the value of {name} is not UTF-8 text; set it again")
    return value


def _holds(text: str, value: str) -> bool:
    """Whether `text` holds a piece of `value`, in any case; of a shorter value the whole."""
    text, value = text.casefold(), value.casefold()
    length = min(_PIECE, len(value))
    return any(value[start : start + length] in text for start in range(len(value) - length + 1))
