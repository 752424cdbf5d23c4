"""What a condition over trace files may hold: functions of one row that end soon and lengthen no text."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final


def words(*lines: str) -> frozenset[str]:
    """The words of the lines."""
    return frozenset(" ".join(lines).split())


Node = dict[str, Any]
"""An expression, as DuckDB's `json_serialize_sql` writes it."""

FUNCTIONS: Mapping[str, str] = {
    "text": "contains ends_with instr lcase left length len lower ltrim position prefix regexp_full_match "
    "regexp_matches replace right rtrim split_part starts_with strlen strpos substr substring suffix trim ucase upper",
    "choice": "greatest if least nullif",
    "number": "abs ceil ceiling floor isfinite isinf isnan round sign trunc",
    "time": "date_diff date_part date_trunc datediff datepart datetrunc day dayname dayofweek dayofyear epoch epoch_ms "
    "epoch_ns epoch_us hour isodow make_timestamp minute month monthname quarter second strftime strptime timezone "
    "to_timestamp try_strptime week year",
    "list": "array_contains array_has array_length list_contains list_has list_has_any",
    "JSON": "json_array_length json_contains json_exists json_extract json_extract_path json_extract_path_text "
    "json_extract_string json_type json_valid",
}
"""The functions that a condition may call, by what they are about."""
_WRITTEN_OTHERWISE: Final = (
    "~~ !~~ ~~* !~~* ~~~ ^@ like_escape ilike_escape not_like_escape not_ilike_escape + - * / // % ->> list_value "
    "to_years to_months to_weeks to_days to_hours to_minutes to_seconds to_milliseconds to_microseconds"
)
"""What operators, lists and intervals are called in the tree."""
_ALLOWED: Final = words(*FUNCTIONS.values(), _WRITTEN_OTHERWISE)

_CLASSES: Final = words(
    "BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION LAMBDA OPERATOR TYPE"
)
_OPERATORS: Final = words(
    "ARRAY_EXTRACT COMPARE_IN COMPARE_NOT_IN OPERATOR_COALESCE OPERATOR_IS_NOT_NULL OPERATOR_IS_NULL OPERATOR_NOT "
    "OPERATOR_TRY"
)
_REFUSED: Mapping[str, str] = {
    "SUBQUERY": "a subquery",
    "WINDOW": "a window function",
    "PARAMETER": "a parameter of a prepared statement",
    "STAR": "a star or COLUMNS(...)",
    "DEFAULT": "DEFAULT",
    "POSITIONAL_REFERENCE": "the number of a column",
    "ARRAY_SLICE": "a slice of a list",
    "GROUPING_FUNCTION": "GROUPING",
}
_TYPES: Final = words(
    "bigint bool boolean char date datetime decimal double float float4 float8 hugeint int int2 int4 int8 integer "
    "interval json numeric real smallint string text time timestamp timestamp_ms timestamp_ns timestamp_s timestamptz "
    "tinyint ubigint uhugeint uinteger usmallint utinyint uuid varchar"
) | {"timestamp with time zone"}

_LIKE: Final = ("~~", "!~~", "~~*", "!~~*", "~~~", "like_escape", "ilike_escape", "not_like_escape", "not_ilike_escape")
_PATTERNS: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(_LIKE, (1,)),
    **dict.fromkeys(("->>", "regexp_matches", "regexp_full_match"), (1,)),
    "replace": (1, 2),
    **dict.fromkeys(("strptime", "try_strptime", "strftime"), (1,)),
    **dict.fromkeys(("json_extract", "json_extract_string", "json_extract_path", "json_extract_path_text"), (1,)),
}
"""Which arguments of a function are patterns, formats or paths. They are written out: a trace must not choose them."""
LONGEST_PATTERN: Final = 1000
MOST_REPEATS: Final = 100
"""The product of all counts in a regular expression: `(a{10}){10}` is as far as it goes."""
MOST_GAPS: Final = 20
"""Of a LIKE or GLOB pattern: the `%` and `*`, each of which may read the rest of the text again."""
DEEPEST: Final = 100
_SHOWN: Final = 30
_LONGEST_NAME: Final = 120


def refusal(root: Node) -> str | None:
    """Why the expression may not be evaluated, without any text of the condition; None if it may."""
    for node, depth in nodes_of(root):
        if depth > DEEPEST:
            return f"it nests expressions more than {DEEPEST} deep; write it flatter"
        if reason := _refusal(node):
            return reason
    return None


def column_refusal(names: Sequence[str], columns: Collection[str]) -> str:
    """The reason for a name that is no column's, with the nearest that are."""
    name = ".".join(names)
    shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
    near = get_close_matches(name[:_LONGEST_NAME], [column[:_LONGEST_NAME] for column in columns], n=5)
    hint = f"; the nearest: {listed(near)}" if near else ""
    return f'there is no column "{shown}"{hint}'


def listed(columns: Collection[str]) -> str:
    """The first of the names, and how many more there are."""
    shown = ", ".join(f'"{name}"' for name in sorted(columns)[:_SHOWN])
    return f"{shown} and {len(columns) - _SHOWN:,} more" if len(columns) > _SHOWN else shown


def nodes_of(root: Node) -> Iterator[tuple[Node, int]]:
    """All expressions with how deep they are. A tree may be deeper than Python's stack."""
    waiting: list[tuple[Any, int]] = [(root, 0)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, list):
            waiting += [(item, depth) for item in value]
        elif isinstance(value, dict):
            if "class" in value:
                yield value, depth
                depth += 1
            waiting += [(item, depth) for item in value.values()]


def _refusal(node: Node) -> str | None:
    kind, sort = str(node["class"]), str(node["type"])
    if kind not in _CLASSES or (kind == "OPERATOR" and sort not in _OPERATORS):
        found = _REFUSED.get(kind) or _REFUSED.get(sort) or sort.lower().replace("_", " ")
        return f"it holds {found}: a condition reads its own row alone"
    if kind == "FUNCTION":
        return _function_refusal(node)
    if kind == "LAMBDA" and (node["syntax_type"] != "SINGLE_ARROW" or _text(node["expr"]) is None):
        return "`->` takes a key in quotes; put `(column -> 'key')` in brackets, since it binds weaker than `=`"
    if kind == "TYPE" and str(node["type_name"]).casefold() not in _TYPES | {"list"}:
        return f"it casts to the type {str(node['type_name'])[:_LONGEST_NAME]!r}; allowed: {', '.join(sorted(_TYPES))}"
    return None


def _function_refusal(node: Node) -> str | None:
    name = str(node["function_name"]).casefold()
    if name not in _ALLOWED or node["schema"] or node["catalog"]:
        known = "; ".join(f"{subject}: {names.replace(' ', ', ')}" for subject, names in FUNCTIONS.items())
        full = ".".join(part for part in (node["catalog"], node["schema"], name) if part)
        return (
            f"the function or operator `{full[:_LONGEST_NAME]}` is not allowed; allowed are comparisons, AND, OR, NOT, "
            "LIKE, ILIKE, SIMILAR TO, GLOB, IN, BETWEEN, IS NULL, CASE, CAST, TRY_CAST, COALESCE, IFNULL, arithmetic, "
            f"`->`, `->>`, and the functions of {known}"
        )
    if node["filter"] or node["distinct"] or node["order_bys"]["orders"]:
        return f"`{name}` stands with FILTER, DISTINCT or ORDER BY, as if it were an aggregate"
    values = [argument["expression"] for argument in node["arguments"]]
    if name == "list_value" and any(value["class"] != "CONSTANT" for value in values):
        return "a list in a condition holds texts and numbers alone"
    patterns = [_text(values[place]) for place in _PATTERNS.get(name, ()) if place < len(values)]
    return next(_faults_of(name, patterns), None)


def _faults_of(name: str, patterns: Sequence[str | None]) -> Iterator[str]:
    """What is wrong with the patterns of a function; None among them is one that is no text."""
    written = [pattern for pattern in patterns if pattern is not None]
    if len(written) < len(patterns):
        yield f"the pattern, format or path of `{name}` must be a text in quotes"
    if any(len(pattern) > LONGEST_PATTERN for pattern in written):
        yield f"a pattern of `{name}` has more than {LONGEST_PATTERN:,} characters"
    if name.startswith("regexp") and any(_repeats(pattern) > MOST_REPEATS for pattern in written):
        yield f"the counts of a regular expression, multiplied, come to more than {MOST_REPEATS}"
    if name in _LIKE and any(pattern.count("%") + pattern.count("*") > MOST_GAPS for pattern in written):
        yield f"a pattern of LIKE or GLOB has more than {MOST_GAPS} `%` or `*`"
    if name == "replace" and len(written) > 1 and len(written[1].encode()) > len(written[0].encode()):
        yield "`replace` may not lengthen a text: its third argument is at most as long as its second"
    if name.startswith("json") and any(".." in path or "**" in path for path in written):
        yield f"a path of `{name}` names its keys one by one, without `..` and `**`"


def _repeats(pattern: str) -> int:
    """The product of the largest counts of all `{n}` and `{n,m}`, as far as MOST_REPEATS decides."""
    product = 1
    for low, high in re.findall(r"\{([0-9]+)(?:,([0-9]*))?\}", pattern):
        product = min(MOST_REPEATS + 1, product * max(1, int((high or low)[:4])))
    return product


def _text(node: Node) -> str | None:
    """The text or whole number that the expression is; None for any other."""
    if node["class"] != "CONSTANT" or node["literal"]["kind"] not in ("STRING", "INTEGER"):
        return None
    return str(node["literal"]["text"])
