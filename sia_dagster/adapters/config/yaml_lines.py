"""Reads YAML with the line of every key and `${NAME}` filled in; problems are collected, not raised one by one."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from sia_dagster.adapters.config.environment import NAME, REFERENCE
from sia_dagster.adapters.config.keys import Key, dotted, is_condition, is_public, is_secret
from sia_dagster.core.errors import ConfigError

Variable = Callable[[str], str | None]
"""Gives an environment variable's value; None where it is not set."""
_EXAMPLES = {"api_key": "OPENAI_API_KEY", "completions": "SIA_COMPLETIONS", "webhook": "SIA_WEBHOOK"}
MOST_VALUES = 20_000
"""Keys, values and sections of a file; a hundred loops have some ten thousand."""
MOST_WRITTEN_OUT = 100_000
"""The same with each alias as what it refers to."""
LONGEST_MESSAGE = 1000
LONGEST_KEY = 200


class Problem(NamedTuple):
    """One problem in the file."""

    line: int
    key: Key
    message: str


@dataclass
class YamlDocument:
    """What a file says. Keys are text as written; values that were filled in stay text."""

    value: Any = None
    lines: dict[Key, int] = field(default_factory=dict)
    """The line of each key and item, counted from 1."""
    problems: list[Problem] = field(default_factory=list)
    filled: dict[str, str] = field(default_factory=dict)
    """What came from the environment -> how it is written in the file; none of it may stand in a message."""

    def line(self, key: Key) -> int:
        """The line of `key`, or of the nearest section around it."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)

    def mask(self, message: str) -> str:
        """`message` with everything that came from the environment as it is written in the file."""
        for value in sorted(self.filled, key=len, reverse=True):
            # A short value is looked for between quotes only: `1` stands in many a message by itself.
            found, put = (value, self.filled[value]) if len(value) > 3 else (repr(value), repr(self.filled[value]))
            message = message.replace(found, put)
        return message


def read_document(content: bytes, *, file: str, variable: Variable) -> YamlDocument:
    """Parse one document. Raises ConfigError with the line where it is no YAML or no UTF-8; all else is collected.

    A document that is nested too deeply, or is too large as it stands or by its aliases, is refused before it is built.
    """
    try:
        loader = _Loader(content.decode("utf-8-sig"))
        node = loader.get_single_node()
        document = YamlDocument()
        if node is not None:
            _refuse_too_large(node)
            document.lines[()] = node.start_mark.line + 1
            document.value = _Reader(loader, document, variable).value(node, ())
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError("the file is not UTF-8 text; save it as UTF-8", line=line, file=file) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        sentence = " ".join(part for part in (error.context, error.problem) if part)
        message = shortened(f"invalid YAML: {sentence}", LONGEST_MESSAGE)
        raise ConfigError(message, line=mark.line + 1 if mark else None, file=file) from error
    except RecursionError as error:
        raise ConfigError("the file nests values too deeply; a configuration has some ten levels", file=file) from error
    except yaml.YAMLError as error:
        raise ConfigError(
            "invalid YAML: the file holds a control character; write it as plain text", file=file
        ) from error
    return document


def shortened(text: str, longest: int) -> str:
    """`text`, or its beginning and its end where it is longer: messages end with what to do."""
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} [...] {text[-half:]}"


def _refuse_too_large(root: yaml.Node) -> None:
    """Raise MarkedYAMLError where the aliases, written out, come to more than MOST_WRITTEN_OUT.

    Each node is counted once, after what is in it, so that a few lines cannot keep the reader busy for years. An alias
    inside of what it refers to counts as nothing here.
    """
    sizes: dict[int, int] = {}
    waiting = [(root, False)]
    while waiting:
        node, is_left = waiting.pop()
        inner = _inner(node)
        if is_left:
            sizes[id(node)] = 1 + sum(sizes[id(each)] for each in inner)
        elif id(node) not in sizes:
            sizes[id(node)] = 0
            waiting += [(node, True), *((each, False) for each in inner)]
        if sizes[id(node)] > MOST_WRITTEN_OUT:
            problem = f"its aliases, written out, come to more than {MOST_WRITTEN_OUT:,} values"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


class _Loader(yaml.SafeLoader):
    """Safe YAML where only `true` and `false` are booleans: a rail may be called `yes`, and dates stay text.

    Raises MarkedYAMLError as soon as a document has more than MOST_VALUES values, and for an escape of no character.
    """

    _values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._values += 1
        if self._values > MOST_VALUES:
            problem = f"the file holds more than {MOST_VALUES:,} values, so it is no configuration"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.get_mark())
        return super().compose_node(parent, index)

    def fetch_more_tokens(self) -> None:
        try:
            super().fetch_more_tokens()
        except (ValueError, OverflowError) as error:  # of Python's own `chr` and `int`: `"\\UFFFFFFFF"`
            problem = "a number or an escape is too large; write it as plain text"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.get_mark()) from error


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), "tTfF")


class _Reader:
    """Turns nodes into values, and writes lines and problems into the document."""

    def __init__(self, loader: _Loader, document: YamlDocument, variable: Variable) -> None:
        self._loader, self._document, self._variable = loader, document, variable
        self._open: list[yaml.Node] = []

    def value(self, node: yaml.Node, key: Key) -> Any:
        if any(node is outer for outer in self._open):
            self._problem(node, key, "this alias is inside of what it refers to")
            return None
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, key)
            if isinstance(node, yaml.SequenceNode):
                return [self._item(item, (*key, index)) for index, item in enumerate(node.value)]
            return self._scalar(node, key)
        finally:
            self._open.pop()

    def _item(self, node: yaml.Node, key: Key) -> Any:
        self._document.lines[key] = node.start_mark.line + 1
        return self.value(node, key)

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        self._refuse_duplicates(node, key)
        self._loader.flatten_mapping(node)
        found: dict[str, Any] = {}
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode) or not _is_text(name.value):
                self._problem(name, key, "a key must be one word; put text that holds braces or brackets in quotes")
                continue
            inner = (*key, name.value)
            self._document.lines[inner] = name.start_mark.line + 1
            found[name.value] = self.value(value, inner)
        return found

    def _refuse_duplicates(self, node: yaml.MappingNode, key: Key) -> None:
        seen: dict[str, int] = {}
        for name, _ in node.value:
            if not isinstance(name, yaml.ScalarNode):
                continue
            if name.value in seen:
                first = seen[name.value]
                self._problem(name, (*key, name.value), f"this key is already in line {first}; keep one of them")
            seen.setdefault(name.value, name.start_mark.line + 1)

    def _scalar(self, node: yaml.Node, key: Key) -> Any:
        value = self._constructed(node, key)
        if is_secret(key):
            return self._secret(node, key, value)
        if not isinstance(value, str) or "${" not in value:
            return value
        filled = REFERENCE.sub(lambda match: self._reference(match, node, key), value)
        if is_condition(key):
            return value
        if filled != value:
            self._document.filled.setdefault(filled, value)
        return filled

    def _constructed(self, node: yaml.Node, key: Key) -> Any:
        try:
            value = self._loader.construct_object(node)
            if not isinstance(value, str) or _is_text(value):
                return value
            self._problem(node, key, "this text holds half a character (a surrogate); write the whole one")
        except (
            ValueError,
            LookupError,
            OverflowError,
            TypeError,
            AttributeError,
        ):  # of Python's own constructors: `!!int x`, thousands of digits
            self._problem(node, key, "this is not a value of its kind; write it as plain text, a number or true/false")
        return None

    def _secret(self, node: yaml.Node, key: Key, value: Any) -> str | None:
        """The name of the variable, which must be set."""
        if value is None:
            return None
        if is_public(key, value):
            return str(value)
        match = re.fullmatch(r"\$\{([^}]*)\}", str(value).strip())
        if match is None or not NAME.fullmatch(match[1]):
            name = _EXAMPLES[str(key[-1])]
            self._problem(
                node,
                key,
                f"must be exactly ${{NAME}} of an environment variable: a secret in a file ends up in version control "
                f"and in logs; export {name}=... and write `{key[-1]}: ${{{name}}}`",
            )
            return None
        if self._variable(match[1]) is None:
            self._missing(node, key, match[1])
        return match[1]

    def _reference(self, match: re.Match[str], node: yaml.Node, key: Key) -> str:
        """The value of one `${NAME}`."""
        if match[1] is None:
            return "${"
        if not match[2] or not NAME.fullmatch(match[1]):
            self._problem(node, key, "`${` begins the name of an environment variable, as in ${NAME}; `$${` writes it")
            return match[0]
        value = self._variable(match[1])
        if value is None:
            self._missing(node, key, match[1])
            return match[0]
        self._document.filled[value] = match[0]
        return value

    def _missing(self, node: yaml.Node, key: Key, name: str) -> None:
        self._problem(
            node,
            key,
            f"the environment variable {name} is not set; export {name}=... or put it in .env beside the file",
        )

    def _problem(self, node: yaml.Node, key: Key, message: str) -> None:
        self._document.problems.append(Problem(node.start_mark.line + 1, key, message))


def _is_text(value: str) -> bool:
    """Whether the text can be written: an escape can name half a character."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def first_problem(problems: list[Problem], *, file: str, unread: int = 0) -> ConfigError:
    """An error for the first problem by line, which names the places of the others. What it quotes is cut.

    `unread` is the number of problems that are not among `problems`.
    """
    first, *others = sorted(set(problems), key=lambda p: (p.line, dotted(p.key), p.message))
    places = ", ".join(f"{_place(p.key) or 'the file'} (line {p.line})" for p in others[:5])
    etc = ", ..." if len(others) > 5 else ""
    rest = f"; {len(others) + unread} more problems: {places}{etc}" if others else ""
    message = shortened(first.message, LONGEST_MESSAGE) + rest
    return ConfigError(message, key=_place(first.key), line=first.line, file=file)


def _place(key: Key) -> str:
    return shortened(dotted(key), LONGEST_KEY)
