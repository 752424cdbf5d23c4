"""What the code promises of itself: layers, sizes, names, and a lock that pins what it needs."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from sia_dagster_tests.places import ROOT

PACKAGE = sorted((ROOT / "sia_dagster").rglob("*.py"))


TESTS = sorted(path for name in ("sia_dagster_tests", "simulation") for path in (ROOT / name).rglob("*.py"))


FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "base", "handler", "handlers", "manager", "data", "common"}


KNOWN_SIGNATURES = {"sia_dagster/runners/llm_classify.py:llm_classify", "sia_dagster/runners/orchestrator.py:__init__"}
"""Functions for scripts, whose parameters are those that the users of this field's libraries know and write by name."""


class Function(NamedTuple):
    """One function of the package, nested ones included."""

    where: str
    """File and name."""
    lines: int
    parameters: int


def functions() -> Iterator[Function]:
    for path in PACKAGE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                yield Function(f"{path.relative_to(ROOT)}:{node.name}", lines, _parameters(node.args))


def _parameters(given: ast.arguments) -> int:
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in {"self", "cls"}])


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    return [Requirement(text) for group in (project["project"]["dependencies"], *extras) for text in group]


def locked() -> dict[str, tuple[Version, int]]:
    """By name, the pinned version and how many hashes it has."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    found: dict[str, tuple[Version, int]] = {}
    for entry in entries:
        pin = re.match(r"(?P<name>[\w.-]+)(?:\[[\w,-]+\])?==(?P<version>[\w.+!-]+)", entry)
        assert pin, entry.splitlines()[0]
        hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry)
        found[canonicalize_name(pin["name"])] = (Version(pin["version"]), len(hashes))
    return found


def test_imports_go_down_the_layers_only() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [sys.executable, str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_functions_are_short() -> None:
    found = list(functions())
    lines = [function.lines for function in found]
    assert [function for function in found if function.lines > 40] == []
    assert median(lines) <= 10
    assert quantiles(lines, n=10)[-1] <= 30


def test_functions_take_six_parameters_at_most() -> None:
    assert [f for f in functions() if f.parameters > 6 and f.where not in KNOWN_SIGNATURES] == []


def test_modules_are_short() -> None:
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE}
    assert {str(path.relative_to(ROOT)): size for path, size in sizes.items() if size > 350} == {}


def test_module_names_say_what_they_hold() -> None:
    parts = {part for path in PACKAGE for part in path.relative_to(ROOT).with_suffix("").parts}
    assert parts & FORBIDDEN_NAMES == set()
    assert {part for part in parts if part.endswith(("_utils", "_helpers", "_manager", "_handler", "_base"))} == set()


def test_every_module_and_every_public_thing_says_what_it_is() -> None:
    nameless = [
        f"{path.relative_to(ROOT)}:{getattr(node, 'name', '')}"
        for path in PACKAGE
        for node in _public(ast.parse(path.read_text(encoding="utf-8")))
        if not ast.get_docstring(node)
    ]
    assert nameless == []


def _public(tree: ast.Module) -> Iterator[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    yield tree
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node


def test_nothing_is_left_for_later() -> None:
    """Skipped is only what needs the Phoenix server, loudly, where it is not installed; in CI that is a failure."""
    later = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b|pytest\.(mark\.)?skip|unittest\.mock")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in [*PACKAGE, *TESTS]
        if path not in {Path(__file__), ROOT / "sia_dagster_tests" / "fakes" / "phoenix_server.py"}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if later.search(line)
    ]
    assert found == []


def test_there_is_at_least_as_much_test_as_code() -> None:
    code, tests = (sum(len(p.read_text(encoding="utf-8").splitlines()) for p in paths) for paths in (PACKAGE, TESTS))
    assert tests >= code


HEAVY = ("dagster", "pandas", "openai", "duckdb", "numpy", "scipy", "pyarrow", "fsspec", "yaml", "aiohttp")


@pytest.mark.parametrize(
    ("module", "light_of"),
    [
        ("sia_dagster", (*HEAVY, "pydantic")),
        ("sia_dagster.core.records.sample", HEAVY),
        ("sia_dagster.core.records.report", HEAVY),
        ("sia_dagster.policy_in_force", HEAVY),
        ("sia_dagster.cli", ("dagster", "pandas", "duckdb", "openai", "scipy", "pyarrow")),
        ("sia_dagster.definitions", ("pandas", "duckdb", "openai", "scipy", "pyarrow", "aiohttp", "dagster_pandas")),
    ],
)
def test_what_is_heavy_is_imported_when_it_is_used(tmp_path: Path, module: str, light_of: tuple[str, ...]) -> None:
    script = f"import {module}, sys; print(*(name for name in {light_of!r} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.stdout) == ("", "\n")


def test_the_lock_pins_every_requirement_within_its_bounds() -> None:
    pins = locked()
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not locked"
        assert requirement.specifier.contains(pins[name][0]), f"{name} {pins[name][0]} is not {requirement.specifier}"


def test_every_pin_has_a_hash_and_no_address() -> None:
    pins = locked()
    assert [name for name, (_, hashes) in pins.items() if not hashes] == []
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*--?(index|extra-index|find-links|i\b|f\b)", text, re.MULTILINE)
