"""A function is found by its path or the error says why not, and its fingerprint follows its code."""

from pathlib import Path
from typing import Any

import pytest

from sia_dagster.core.errors import ConfigError
from sia_dagster.core.evaluators.code import CodeEvaluator, import_function, source_of
from sia_dagster.core.evaluators.time_limit import Function
from sia_dagster.core.records.sample import Sample
from sia_dagster_tests.worlds.code_checks import Brief, BriefAsync, config, is_brief
from sia_dagster_tests.worlds.evaluation_samples import sample


def undocumented(item: Sample) -> bool:
    return is_brief(item)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shop_checks"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "rules.py").write_text("LIMIT = 5\n\ndef is_short(item):\n    return len(item.output) < LIMIT\n")
    (folder / "broken.py").write_text("raise RuntimeError('no licence')\n")
    (folder / "leaving.py").write_text("raise SystemExit(3)\n")
    (folder / "needy.py").write_text("import a_package_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_function_is_found_by_its_path(package: Path) -> None:
    assert import_function("shop_checks.rules:is_short")(sample("abc")) is True


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("shop_checks.rules", "write package.module:function"),
        (":is_short", "write package.module:function"),
        ("nowhere.rules:is_short", "there is no module 'nowhere'; is it installed"),
        ("shop_checks.rulez:is_short", "there is no module 'shop_checks.rulez'; is it installed"),
        ("shop_checks.needy:check", "no module 'a_package_nobody_has'; 'shop_checks.needy' needs it"),
        ("shop_checks.broken:check", "importing 'shop_checks.broken' raised RuntimeError: no licence"),
        ("shop_checks.leaving:check", "raised SystemExit: 3"),
        ("shop_checks.rules:is_shrot", "has no 'is_shrot'; did you mean 'is_short'?"),
        ("shop_checks.rules:zzz", "the module 'shop_checks.rules' has no 'zzz'"),
        ("shop_checks.rules:LIMIT", "'LIMIT' is a int, not a function of a sample"),
    ],
)
def test_a_path_that_fails_says_which_part(package: Path, path: str, part: str) -> None:
    with pytest.raises(ConfigError) as raised:
        import_function(path)
    assert part in str(raised.value)


def compiled(source: str, file: str) -> Function:
    names: dict[str, Any] = {}
    exec(compile(source, file, "exec"), names)
    function: Function = names["check"]
    return function


def identity(check: Function, **fields: Any) -> str:
    return CodeEvaluator(config(**fields), check).constant.fingerprint


def test_the_fingerprint_follows_the_code_the_path_and_the_range() -> None:
    assert identity(is_brief) == identity(is_brief)
    assert identity(is_brief) != identity(undocumented)
    assert identity(is_brief) != identity(is_brief, high=2)
    assert identity(is_brief) != identity(is_brief, function="other:is_brief")
    assert identity(Brief()) != identity(BriefAsync())


def test_without_source_the_fingerprint_is_of_the_bytecode() -> None:
    nested = "def check(item):\n    return (lambda x: x > {n})(len(item.output))"
    one, moved = compiled(nested.format(n=1), "one.py"), compiled("\n\n" + nested.format(n=1), "two.py")
    assert identity(one) == identity(moved)
    assert identity(one) != identity(compiled(nested.format(n=2), "one.py"))


def test_a_builtin_has_no_source() -> None:
    assert source_of(len) == ""


def test_the_constants_criteria_are_the_docstring() -> None:
    constant = CodeEvaluator(config(low=-1, high=2), is_brief, primary=True).constant
    assert constant.criteria == "Whether the answer has at most five words."
    assert (constant.kind, constant.low, constant.high, constant.primary) == ("code", -1.0, 2.0, True)
    assert CodeEvaluator(config(), undocumented).constant.criteria == ""
