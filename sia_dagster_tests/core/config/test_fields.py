"""A field of a section is described where it is declared."""

import sys
from types import ModuleType
from typing import Any

import pytest

from sia_dagster.core.config.fields import Section


class Wheel(Section):
    size: int
    """In centimetres,
    without the tyre.
    """
    spokes: int = 28
    name: str = ""
    """What the maker calls it."""


class SmallWheel(Wheel):
    spokes: int = 20
    """Fewer than on a large one."""


def test_the_text_below_a_field_is_its_description_and_is_inherited() -> None:
    described = {name: field.description for name, field in Wheel.model_fields.items()}
    assert described == {
        "size": "In centimetres,\nwithout the tyre.",
        "spokes": None,
        "name": "What the maker calls it.",
    }
    inherited = {name: field.description for name, field in SmallWheel.model_fields.items()}
    assert inherited == described | {"spokes": "Fewer than on a large one."}


def test_a_section_whose_source_is_not_there_works_without_descriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "compiled_alone", ModuleType("compiled_alone"))
    section: Any = type("Bell", (Section,), {"__module__": "compiled_alone", "__annotations__": {"volume": int}})
    assert section.model_fields["volume"].description is None
    assert section.model_validate({"volume": 3}).model_dump() == {"volume": 3}
