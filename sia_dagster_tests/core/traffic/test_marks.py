"""Text that was hidden or cut is told from text that somebody wrote."""

import pytest

from sia_dagster.core.traffic.marks import hides_a_part, holds_placeholder, is_cut, is_hidden, speaks_of_hiding


@pytest.mark.parametrize(
    "text",
    [
        *(
            "__REDACTED__",
            "[REDACTED]",
            " <redacted> ",
            "***",
            "*****",
            "[FILTERED]",
            "<PII>",
            "[MASKED]",
            "xxxxx",
            "XXXX",
        ),
        *(
            "***REDACTED***",
            "{{REDACTED}}",
            "<REDACTED_EMAIL>",
            "[redacted by policy]",
            "[Content removed]",
            "%filtered%",
        ),
        *(
            "REDACTED",
            "Masked.",
            "\u2588\u2588\u2588",
            "<PERSON>",
            "[NAME_1]",
            "[hidden]",
            *("--- REDACTED ---", "REDACTED_BY_DLP", "sha256:" + "0a" * 32),
            "(anonymised)",
            *("[SENSITIVE DATA]", "<not captured>", "content not captured", "[DATA EXPUNGED]"),
            "<EMAIL_ADDRESS>",
        ),
    ],
)
def test_a_mark_alone_hides_a_text(text: str) -> None:
    assert is_hidden(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "Hi",
        "**Hello**",
        "[]",
        "---",
        "(no)",
        "x",
        "[A hidden gem that we found by chance in an old town of Spain]",
        "removed",
        "***a***",
        "[NAME",
    ],
)
def test_what_somebody_wrote_is_not_hidden(text: str) -> None:
    assert not is_hidden(text)
    assert not is_hidden("[REDACTED] " * 20), "marks in a long text are parts"


@pytest.mark.parametrize(
    "text",
    [
        "Call me at [REDACTED] now",
        "I am <redacted>, hello",
        "mail [EMAIL_REDACTED]",
        "to [REDACTED EMAIL]",
        "my ***REDACTED*** is",
        "a (redacted) b",
        "<masked:phone> rings",
        "[PII] x",
    ],
)
def test_a_mark_within_a_text_hides_a_part(text: str) -> None:
    assert hides_a_part(text)


@pytest.mark.parametrize(
    "text", ["***\nA line.\n***", "use a mask [mask] here", "**masked**", "a filtered list", "[Redaction rules]"]
)
def test_stars_and_words_are_text(text: str) -> None:
    assert not hides_a_part(text)


def test_a_prompt_that_asks_for_marks_speaks_of_hiding() -> None:
    assert speaks_of_hiding("Redact every name as [REDACTED].")
    assert speaks_of_hiding("Put a placeholder such as [REDACTED] in place of names.")
    assert not speaks_of_hiding("You serve [REDACTED] and its clients.")


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("I am <PERSON>.", True),
        ("mail [EMAIL_2]", True),
        ("{{NAME}}", True),
        ("<div>", False),
        ("[name]", False),
        ("A PERSON", False),
    ],
)
def test_placeholders_are_kinds_in_capitals_and_brackets(text: str, held: bool) -> None:
    assert holds_placeholder(text) == held


@pytest.mark.parametrize(
    "text",
    [
        *("abc... [truncated]", "abc...(truncated)", "abc<truncated>", "abc\u2026[+1234 chars]", "abc...truncated"),
        *(
            "abc [...truncated 500 chars]",
            "abc... (1234 more characters)",
            "abc [TRUNCATED]...",
            "abc...<1,200 more chars>\n",
        ),
        *(
            "x <truncated due to size exceeding limit>",
            "x [+5 tokens]",
            "x [trimmed]",
            "... [20 chars]",
            *("x <<truncated>>", "x\n-- output truncated --"),
            "x [cut off at 32kb]",
            *("x ...<snip>", "x [cut]", "x ...(content too long)", "x \u2026(+120 more)", "x ... 345 more characters"),
        ),
        *("a [... 500 characters omitted ...] b", "a [200 characters truncated] b"),
    ],
)
def test_a_text_that_says_so_was_cut(text: str) -> None:
    assert is_cut(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Write a title (max 60 characters)",
        "He said ... (and left)",
        "abc [...]",
        "a log [truncated] and more text",
        "Truncated cones",
        "It costs (12 B)",
        "omitted: [1] and [2]",
        *("We were cut (badly)", "It has ... 3 more colours", "and (+2 friends)"),
    ],
)
def test_a_text_that_speaks_of_length_was_not_cut(text: str) -> None:
    assert not is_cut(text)
