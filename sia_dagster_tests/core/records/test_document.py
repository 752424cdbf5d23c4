"""Stored documents: format 1 is read under its old names, a newer format is refused, and format 2 is written."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sia_dagster.core.records.document import FORMAT, Document
from sia_dagster.core.records.gate import Look
from sia_dagster.core.records.judge_report import Anchors, JudgeReport, WatchRecord
from sia_dagster.core.records.next_window import NextWindowResults
from sia_dagster.core.records.registry import PolicyVersion, Promotion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions

FORMAT_1 = Path(__file__).parents[2] / "corpora" / "format_1"
"""Shortened documents of the demo, as the last version before formats were numbered stored them."""

KINDS: dict[str, type[Document]] = {
    "anchors": Anchors,
    "judge_report": JudgeReport,
    "look": Look,
    "next_window_results": NextWindowResults,
    "policy_update": PolicyUpdate,
    "policy_version": PolicyVersion,
    "promotion": Promotion,
    "state_actions": StateActions,
    "validation_report": ValidationReport,
    "watch_record": WatchRecord,
}


def stored(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FORMAT_1 / f"{name}.json").read_text(encoding="utf-8"))
    return document


def test_there_is_a_document_of_every_kind() -> None:
    assert {path.stem for path in FORMAT_1.iterdir()} == KINDS.keys()


@pytest.mark.parametrize("name", KINDS)
def test_a_document_of_format_1_keeps_every_value_under_the_new_names(name: str) -> None:
    kind, old = KINDS[name], stored(name)
    assert "format" not in old
    assert kind.renamed_in_2.keys() <= old.keys()
    new = kind.model_validate(old).model_dump(mode="json")
    for key, value in old.items():
        assert _same(new[kind.renamed_in_2.get(key, key)], value), key


def _same(new: Any, old: Any) -> bool:
    """Whether everything stored in `old` stands in `new`, which may have further keys."""
    if isinstance(old, dict):
        return all(key in new and _same(new[key], value) for key, value in old.items())
    if isinstance(old, list):
        return len(old) == len(new) and all(_same(n, o) for n, o in zip(new, old, strict=True))
    return bool(new == old)


@pytest.mark.parametrize("name", KINDS)
def test_what_is_written_names_its_format_and_is_read_again(name: str) -> None:
    document = KINDS[name].model_validate(stored(name))
    written = document.model_dump_json()
    assert json.loads(written)["format"] == FORMAT == 2
    assert KINDS[name].model_validate_json(written) == document


@pytest.mark.parametrize("given", [FORMAT + 1, "two"])
def test_a_newer_format_is_refused_with_what_to_do(given: object) -> None:
    with pytest.raises(ValidationError, match=rf"its format is {given}, .* up to 2: install a newer version"):
        Look.model_validate(stored("look") | {"format": given})


def test_format_2_has_no_old_names() -> None:
    with pytest.raises(ValidationError, match="evidence"):
        Look.model_validate(stored("look") | {"format": 2})


def test_a_report_of_format_1_was_not_void_and_still_says_when_a_holdout_was_reused() -> None:
    old = stored("validation_report")
    assert not ValidationReport.model_validate(old).void
    reused = ["this window's holdout was looked at before, at 2026-09-21T00:00+00:00", *old["reasons"]]
    assert ValidationReport.model_validate(old | {"reasons": reused}).is_holdout_reuse
    assert not ValidationReport.model_validate(old).is_holdout_reuse
