"""Functions as people write them by accident: what they raise, return and print."""

import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from decimal import Decimal
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.sample import Sample


class Unreadable(Exception):
    """An exception whose text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Unkind(BaseException):
    """An exception that `except Exception` does not catch."""


def _refuse(*_: object) -> NoReturn:
    raise RuntimeError("do not ask")


_QUESTIONS = ("str", "repr", "float", "bool", "eq", "len", "iter", "hash")
Hostile = type("Hostile", (), {"item": _refuse} | {f"__{name}__": _refuse for name in _QUESTIONS})
"""A result of which every question raises."""


class Tensor:
    """A tensor of several numbers, as torch has them: its `item` raises an error of its own kind."""

    def __init__(self, *values: float) -> None:
        self._values = values

    def item(self) -> float:
        if len(self._values) != 1:
            raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")
        return self._values[0]

    def __repr__(self) -> str:
        return f"tensor({list(self._values)})"


class Late:
    """Can be awaited, though it is no coroutine."""

    def __init__(self, content: Any) -> None:
        self._content = content

    def __await__(self) -> Generator[None, None, Any]:
        yield from ()
        return self._content


def numbers() -> Iterator[float]:
    yield 1.0


async def later_numbers() -> AsyncIterator[float]:
    yield 1.0


RAISED: list[tuple[BaseException, str]] = [
    (ValueError("cut \ud83d"), "raised ValueError: cut \ufffd"),
    (Unreadable(), "raised Unreadable: its text cannot be read"),
    (Unkind("base"), "raised Unkind: base"),
    (SystemExit(3), "raised SystemExit: 3"),
    (KeyboardInterrupt("theirs"), "raised KeyboardInterrupt: theirs"),
    (GeneratorExit("over"), "raised GeneratorExit: over"),
    (RecursionError("too deep"), "raised RecursionError: too deep"),
    (MemoryError(), "raised MemoryError: "),
    (ValueError("x" * 9_999), "raised ValueError: xxx"),
    (KeyError(object()), "raised KeyError: <object object>"),
    (ExceptionGroup("both", [ValueError("a"), ValueError("b")]), "raised ExceptionGroup: both (2 sub-exceptions)"),
]
"""What a function raises, and what its row's error says."""

UNCHECKED: dict[str, Any] = {"name": "x", "score": "high"}
RETURNED: list[tuple[Callable[[], Any], str]] = [
    (lambda: None, "returned None (NoneType); a score is a bool, a number, a text or EvalMetrics; where the evaluator"),
    (lambda: {"score": 1}, "returned {'score': 1} (dict)"),
    (lambda: [1.0], "returned [1.0] (list)"),
    (lambda: b"good", "returned b'good' (bytes)"),
    (lambda: 1j, "returned 1j (complex)"),
    (lambda: float("nan"), "the score nan is not within"),
    (lambda: float("-inf"), "the score -inf is not within"),
    (lambda: Decimal("NaN"), "the score nan is not within"),
    (lambda: Decimal("sNaN"), "the score nan is not within"),
    (lambda: Decimal(7), "the score 7 is not within"),
    (lambda: 10**5_000, "the score inf is not within"),
    (lambda: pd.NA, "returned <NA> (NAType)"),
    (lambda: pd.NaT, "(NaTType)"),
    (lambda: np.array([0.5, 0.5]), "returned array([0.5, 0.5]) (ndarray)"),
    (lambda: np.float64("nan"), "the score nan is not within"),
    (lambda: np.ma.masked, "returned masked (MaskedConstant)"),
    (lambda: pd.Series([0.5, 0.5]), "(Series)"),
    (lambda: Tensor(0.5, 0.5), "returned tensor([0.5, 0.5]) (Tensor)"),
    (Hostile, "returned "),
    (lambda: Hostile, "(type)"),
    (object, "returned <object object> (object)"),
    (numbers, "(generator)"),
    (later_numbers, "(async_generator)"),
    (lambda: Late(Late(1.0)), "(Late)"),
    (lambda: "half \ud83d", "the label 'half \\ud83d' has no score"),
    (lambda: "x" * 1_000_000, "has 1,000,000 characters; at most 200 can be one"),
    (lambda: [0] * 5_000_000, "returned [0, 0, 0"),
    (lambda: EvalMetrics.model_construct(**UNCHECKED), "returned EvalMetrics whose score cannot be read"),
    (lambda: EvalMetrics(name="x", error="half \ud83d"), "half \ufffd"),
    (lambda: EvalMetrics(name="x", not_applicable=True), "there is no score"),
]
"""What makes a result, and what its row's error says."""

CASES = len(RAISED) + len(RETURNED)


def in_turn(sample: Sample) -> Any:
    """Raises and returns the cases above in turn, by the span, and prints noise."""
    sys.stdout.write(f"noise on stdout {sample.span_id}\n")
    with contextlib.suppress(UnicodeEncodeError):
        sys.stdout.write("half \ud83d")
    sys.stderr.write("noise on stderr\n")
    number = int(sample.span_id, 16) % CASES
    if number < len(RAISED):
        raise RAISED[number][0]
    return RETURNED[number - len(RAISED)][0]()


def on_even(sample: Sample) -> bool | None:
    """Applies to requests with an even number of characters alone."""
    return None if len(sample.request) % 2 else True
