"""An evaluator that is a Python function of one sample."""

import difflib
import importlib
import inspect
from collections.abc import Callable
from functools import cached_property
from types import CodeType, ModuleType
from typing import Any

from sia_dagster.core.config.loop import CodeConfig
from sia_dagster.core.errors import ConfigError, EndpointRefused, SpendCapReached
from sia_dagster.core.evaluators.result import Scale, raised, read_result
from sia_dagster.core.evaluators.time_limit import Function, call_within
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import JsonObject, fingerprint


def import_function(path: str) -> Function:
    """The function at `package.module:name`. Raises ConfigError that names the part of the path that fails."""
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise ConfigError(f"{path!r} is not the path of a function: write package.module:function")
    function = getattr(_import_module(path, module_name), name, None)
    if function is None:
        near = difflib.get_close_matches(name, dir(importlib.import_module(module_name)), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{path!r}: the module {module_name!r} has no {name!r}{hint}")
    if not callable(function):
        raise ConfigError(f"{path!r}: {name!r} is a {type(function).__name__}, not a function of a sample")
    return function  # type: ignore[no-any-return]  # callable() narrows an attribute to an unknown signature


def _import_module(path: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        advice = (
            "is it installed, and is its folder the configuration's or on PYTHONPATH?"
            if error.name and f"{name}.".startswith(f"{error.name}.")
            else f"{name!r} needs it: install it"
        )
        raise ConfigError(f"{path!r}: there is no module {error.name!r}; {advice}") from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{path!r}: {raised(f'importing {name!r}', error)['error']}") from error


class CodeEvaluator:
    """Scores with a function of a sample, sync or async. Implements `Evaluator`.

    Whatever the function raises or returns concerns its row alone. Several samples are scored at a time. A call that
    hangs, waiting or computing, is abandoned after the time limit and cannot delay the end of the process.
    """

    def __init__(self, config: CodeConfig, function: Function, *, primary: bool = False) -> None:
        """`function` is what `config.function` names."""
        self._config, self._function, self._primary = config, function, primary
        self._scale = Scale(low=config.low, high=config.high)
        identity = {"kind": "code", "function": config.function, "code": source_of(function)}
        self._may_not_apply = config.not_applicable == "allowed"
        declared = {"not_applicable": config.not_applicable} if self._may_not_apply else {}
        self._fingerprint = fingerprint({**identity, "low": config.low, "high": config.high, **declared})

    @cached_property
    def constant(self) -> EvalConstant:
        """Its criteria are the function's docstring."""
        return EvalConstant(
            name=self._config.name,
            kind="code",
            fingerprint=self._fingerprint,
            criteria=inspect.getdoc(self._function) or "",
            low=self._scale.low,
            high=self._scale.high,
            primary=self._primary,
        )

    async def score(self, sample: Sample, draw: str) -> EvalMetrics:
        """Call the function. An exception, a hang and a result that is not a score are errors of this row."""
        limit = self._config.timeout_seconds
        outcome = await call_within(limit, self._function, sample, self._read)
        if outcome is None:
            return self._row(error=f"{self._config.function} gave no answer within {limit:g} s")
        if isinstance(stops := outcome.get("stops"), BaseException):
            raise stops
        return self._row(**outcome)

    def _read(self, result: Any, error: BaseException | None) -> JsonObject:
        """The fields of the row; `stops` is an error that must stop the stage."""
        if isinstance(error, EndpointRefused | SpendCapReached):
            return {"stops": error}
        if error is not None:
            return raised(self._config.function, error)
        return read_result(result, self._scale, may_not_apply=self._may_not_apply)

    def _row(self, **fields: Any) -> EvalMetrics:
        return EvalMetrics(**{"name": self._config.name, "fingerprint": self._fingerprint, "source": "code", **fields})


def source_of(function: Callable[..., Any]) -> object:
    """What a fingerprint takes of a function: its source, else its bytecode, else nothing."""
    target = function if inspect.isroutine(function) or inspect.isclass(function) else type(function)
    try:
        return _source(target)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return _bytecode(code) if isinstance(code, CodeType) else ""


def _source(target: Callable[..., Any], tries: int = 3) -> str:
    """The source text, which is read again where another thread disturbed it.

    CPython 3.11 counts the depth of its parser for all threads at once (its issue 106905).
    """
    try:
        return inspect.getsource(target)
    except SystemError:
        if tries == 1:
            raise
        return _source(target, tries - 1)


def _bytecode(code: CodeType) -> JsonObject:
    """Instructions, names and constants; not file names and line numbers, which do not change what it does."""
    constants = [_bytecode(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return {"code": code.co_code.hex(), "names": code.co_names, "constants": constants}
