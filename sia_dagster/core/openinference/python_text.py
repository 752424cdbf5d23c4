"""Reads what Python prints for lists, objects and messages, where it was stored in place of JSON. Nothing is run."""

import ast
import re
import warnings
from typing import Any, Final

from sia_dagster.core.openinference.roles import role_of_type

LONGEST: Final = 500_000
"""Characters of a printed value that are read: parsing takes many times their memory."""
_FAILURES = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError)
_CLASS = (
    r"(?:\w{1,40}\.){0,6}(?=[A-Z])\w{0,40}"
    r"(?:Message|Chunk|Completion|Response|Result|Generation|Output|Event|Choice|Candidate)\w{0,20}"
)
_OBJECT = re.compile(rf"\s*(?:{_CLASS}|(?:np\.|numpy\.)?array)\(")
_LOOKS = re.compile(r"\s*(?:[\[{(]\s*[\[{('\"\w\])}<-]|b['\"]|" + _OBJECT.pattern + ")")
_STRING = r"'(?:[^'\\]|\\.)*(?:'|\Z)|\"(?:[^\"\\]|\\.)*(?:\"|\Z)"
_BETWEEN = re.compile(
    rf"(?P<string>{_STRING})|<[\w.]+: (?P<value>{_STRING}|-?\d+)>|(?P<object><[\w.]+ (?:'[\w.]*'|[^<>'\"]*)>)"
    r"|(?P<gap>(?<=[}\])])\s+(?=[{\[\w]))",
    re.DOTALL,
)
"""Texts, which stay; enum members and objects, which are no expressions; gaps where numpy prints no comma."""
_FIELDS = re.compile(r"\s*(?:content|generations|id|text)=['\"\[].{0,500000} \w+=", re.DOTALL)
_FIELD = re.compile(rf"({_STRING})|(?<![,(\s])\s(?=[a-z_]\w{{0,40}}=)", re.DOTALL)
"""How pydantic's objects print themselves, LangChain's messages among them: `content='Hi' additional_kwargs={} ...`."""
_OPAQUE = re.compile(
    r"<[\w.]+(?: [\w.]+)* (?:object|at 0x)[^<>]*>|<(?:async_)?(?:generator|coroutine)[^<>]*>|<Response \[\d+[^<>]*>",
    re.I,
)


def is_opaque(text: str) -> bool:
    """Whether the text is what Python prints for an object that does not show what it holds."""
    return text.startswith("<") and _OPAQUE.fullmatch(text.strip()) is not None


def is_printed_object(text: str) -> bool:
    """Whether the text is what Python prints for an object of a model's library, or for one of any class alone."""
    plain = text.strip()
    return bool(_OPAQUE.fullmatch(plain)) or (plain.endswith(")") and _OBJECT.match(plain) is not None)


def read_printed(text: str) -> Any:
    """The value that Python printed, as JSON has it: tuples and arrays are lists, objects have their fields.

    Bytes are their text. An object whose class names a role (`AIMessage`) has it as `type`, a chunk its class. Raises
    ValueError for anything else.
    """
    if len(text) <= LONGEST and _FIELDS.match(text):
        name = "AIMessage" if text.lstrip().startswith("content=") else "Result"
        text = f"{name}({_FIELD.sub(lambda found: found[1] or ', ', text.strip())})"
    if len(text) > LONGEST or not _LOOKS.match(text):
        raise ValueError("neither JSON nor a printed Python value")
    try:
        return _value(_parsed(text.strip()))
    except _FAILURES as error:
        raise ValueError(f"neither JSON nor a printed Python value ({type(error).__name__})") from None


def _parsed(text: str) -> ast.expr:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text, mode="eval").body
        except SyntaxError:
            return ast.parse(_BETWEEN.sub(_as_expression, text), mode="eval").body


def _as_expression(found: re.Match[str]) -> str:
    if found["string"]:
        return found["string"]
    if found["gap"]:
        return ", "
    return found["value"] or "None"


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, str | int | float | bytes)):
        return node.value.decode("utf-8", "replace") if isinstance(node.value, bytes) else node.value
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {str(_value(key)): _value(value) for key, value in pairs if key is not None}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value  # type: ignore[operator] # TypeError for a text, which the caller expects
    if isinstance(node, ast.Name) and node.id in ("nan", "NaN", "NaT"):
        return None
    if isinstance(node, ast.Call):
        return _instance(node)
    raise ValueError(f"{type(node).__name__} is no value")


def _instance(node: ast.Call) -> Any:
    """An array's list, a number's or a text's value, or an object's fields; None for an object without these."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name == "array" or (len(node.args) == 1 and not node.keywords):
        return _value(node.args[0]) if node.args else []
    fields = {keyword.arg: _value(keyword.value) for keyword in node.keywords if keyword.arg}
    role = role_of_type(name)
    kind = name if name.endswith("Chunk") else role
    return ({"type": kind} if role else {}) | fields if fields else None
