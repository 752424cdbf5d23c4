"""The names that this package exports."""

import importlib.metadata

import pytest

import sia_dagster
from sia_dagster.core import errors
from sia_dagster.core.errors import SiaError


def test_these_names_are_exported_and_no_others() -> None:
    assert sia_dagster.__all__ == ["SelfImprovingLoop", "__version__", "load_policy"]
    assert set(sia_dagster.__all__) <= set(dir(sia_dagster))


def test_each_name_comes_from_its_home() -> None:
    from sia_dagster.component import SelfImprovingLoop
    from sia_dagster.policy_in_force import load_policy

    assert sia_dagster.load_policy is load_policy
    assert sia_dagster.SelfImprovingLoop is SelfImprovingLoop


def test_the_version_is_that_of_the_installed_package() -> None:
    assert sia_dagster.__version__ == importlib.metadata.version("sia-dagster")


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'sia_dagster' has no attribute 'load_polcy'"):
        sia_dagster.load_polcy  # noqa: B018 - the look-up is what is tested


def test_every_error_of_the_tree_is_drawn_in_its_docstring() -> None:
    named = [name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, SiaError)]
    assert errors.__doc__ is not None
    assert all(name in errors.__doc__ for name in named)
