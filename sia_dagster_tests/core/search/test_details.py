"""Names and numbers of an example are replaced alike in request and answer, or the example is not used."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.records.policy import Example
from sia_dagster.core.search.few_shot.details import INVENTED, without_details

SMALL = "from me to you, ms"
"""Words that others write in small letters are no names."""


def invented(request: str, answer: str = "", *others: str, holders: int = 1, turn: int = 0) -> Example | None:
    shown = Example(input=request, output=answer)
    return without_details(shown, (request, answer, *others), lambda _: holders, turn)


@pytest.mark.parametrize(
    ("request_", "answer", "expected"),
    [
        ("Dear Mara Lind", "Mara Lind", ("Dear Alex Morgan", "Alex Morgan")),
        ("From Mara Lind", "To Mara Lind", ("From Alex Morgan", "To Alex Morgan")),
        ("Mara Ines Lind here", "To Ms Lind, Mara", ("Alex Morgan here", "To Ms Morgan, Alex")),
        ("Mara Lind for Tom Okafor", "Tom Okafor", ("Alex Morgan for Robin Hayes", "Robin Hayes")),
        ("4711 and 0815, not 12", "0815", ("1234 and 2345, not 12", "2345")),
        ("from 4711-0815", "4711", ("from 1234-2345", "1234")),
        ("Thank You Anna, thank you", "", ("Thank You Anna, thank you", "")),
        ("Lind\nMara", "Anna. Lind", ("Lind\nMara", "Anna. Lind")),
        ("AB4711 stays", "X", ("AB4711 stays", "X")),
        ("Жанна Ларина пишет", "Ларина", ("Alex Morgan пишет", "Morgan")),
        ("no details", "none", ("no details", "none")),
    ],
)
def test_details_are_replaced_alike(request_: str, answer: str, expected: tuple[str, str]) -> None:
    assert invented(request_, answer, SMALL) == Example(input=expected[0], output=expected[1])


def test_what_several_sources_write_is_nobodys() -> None:
    text = "Call Harbour Goods, room 4711"
    assert invented(text, holders=3) == Example(input=text, output="")


def test_no_invented_name_is_somebodys() -> None:
    used = [name for pair in INVENTED[:3] for name in pair]
    assert invented("From Mara Lind", "", SMALL, *used) == Example(input="From Sam Ellis", output="")
    assert invented("From Mara Lind", "", SMALL, *used, "Ellis") is None


def test_each_turn_invents_others() -> None:
    found = {str(invented("Mara Lind 4711", turn=turn)) for turn in range(4)}
    assert len(found) == 4


def test_with_too_many_details_there_is_no_example() -> None:
    assert invented("Ann Lee; Bo Kim; Cy Fox; Di Wu; Ed Poe") is None
    assert invented("12345678901") is None
    assert invented("1111 2222 3333 4444 5555 6666 7777 8888") is None


@given(st.text(max_size=80), st.text(max_size=80), st.integers(0, 9))
def test_any_text_keeps_its_form(request: str, answer: str, turn: int) -> None:
    found = invented(request, answer, turn=turn)
    if found is not None:
        assert found.input.count("\n") == request.count("\n")
        assert invented(found.input, found.output, holders=3) == found
