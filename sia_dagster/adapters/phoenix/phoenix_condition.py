"""The condition `traces.where` in Phoenix's filter language, a Python expression over a span, with its variables."""

import ast

from sia_dagster.adapters.config.condition_values import ConditionValues, condition_values
from sia_dagster.core.errors import TraceError


def phoenix_condition(where: str) -> tuple[str, ConditionValues]:
    """The condition as Phoenix is to read it, and the values in it, which are for Phoenix alone.

    Raises TraceError, without a value, for anything but a single expression that can be put in brackets.
    """
    values = condition_values(where)
    if not values.marked.strip():
        return "", values
    try:
        compile(values.marked.strip(), "traces.where", "eval", dont_inherit=True)
        tree = ast.parse(values.marked.strip(), mode="eval") if values.values else None
        return (ast.unparse(_Fill(values).visit(tree)) if tree else values.marked.strip()), values
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        shown = repr(where if len(where) <= _SHOWN else f"{where[:_SHOWN]}...")
        raise TraceError(
            f"traces.where cannot be used: {shown} is not a Python expression over a span; write one such as "
            "name == 'ChatCompletion'"
        ) from (None if values.values else error)


_SHOWN = 500
"""Characters of a condition that an error repeats."""


class _Fill(ast.NodeTransformer):
    """Puts values into texts, and numbers in place of names."""

    def __init__(self, values: ConditionValues) -> None:
        self._values = values

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        if isinstance(node.value, str):
            return ast.copy_location(ast.Constant(self._values.text(node.value)), node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        number = self._values.number(node.id)
        return node if number is None else ast.parse(number, mode="eval").body

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name in ("attr", "arg"):
            self._values.refuse_marks(str(getattr(node, name, "")))
        return super().generic_visit(node)
