"""A recorded template is believed only where filling it in gives the prompt that was sent."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.openinference.recorded_template import placeholders, trusted_text
from sia_dagster.core.records.policy import Actions


def refilled(text: str | None, variables: Mapping[str, str]) -> str | None:
    """What a policy with this text sends."""
    if text is None:
        return None
    return Actions(system_prompt=text, variables=placeholders(text, variables)).render(variables)


@pytest.mark.parametrize(
    ("template", "sent", "text"),
    [
        ("Greet {name}.", "Greet Ada.", "Greet {name}."),
        ("Greet {{name}}.", "Greet Ada.", "Greet {{name}}."),
        ("Greet {{ name }}.", "Greet Ada.", "Greet {{ name }}."),
        ("Greet {{{name}}}.", "Greet Ada.", "Greet {{name}}."),
        ("Greet {{& name }}.", "Greet Ada.", "Greet {{name}}."),
        ("Greet {{ name }}.\n", "Greet Ada.", "Greet {{ name }}."),
        ("Greet {{ name }}.\n", "Greet Ada.\n", "Greet {{ name }}.\n"),
        ('As {{"a": 1}}, {name}.', 'As {"a": 1}, Ada.', 'As {"a": 1}, {name}.'),
        ("As {{{name}}}.", "As {Ada}.", "As {{{name}}}."),
        ("As {{{{ {name} }}}}.", "As {{ Ada }}.", "As {{ {name} }}."),
        ("A constant.", "A constant.", "A constant."),
        ("{{}} braces {{}}", "{} braces {}", "{} braces {}"),
    ],
)
def test_every_way_to_write_plain_variables_is_read(template: str, sent: str, text: str | None) -> None:
    variables = {"name": "Ada"}
    found = trusted_text(template, variables, sent)
    assert found == text
    assert refilled(found, variables) == sent


@pytest.mark.parametrize(
    ("template", "sent"),
    [
        ("Greet {name}.", "Greet Bob."),
        ("Greet {{ name | upper }}.", "Greet ADA."),
        ("Greet {name!r}.", "Greet 'Ada'."),
        ("Greet {name:>5}.", "Greet   Ada."),
        ("Greet {} and {0}.", "Greet Ada and Ada."),
        ("{{#name}}Greet.{{/name}}", "Greet."),
        ("{% if name %}Greet.{% endif %}", "Greet."),
        ("Write {{name}} for {name}.", "Write {name} for Ada."),
        ("Greet {name", "Greet Ada"),
        ("Greet }", "Greet "),
        ("", ""),
        (None, "Greet Ada."),
        (["Greet {name}."], "Greet Ada."),
        ({"text": "Greet {name}."}, "Greet Ada."),
    ],
)
def test_a_template_that_does_not_give_the_prompt_is_not_believed(template: object, sent: str) -> None:
    assert trusted_text(template, {"name": "Ada"}, sent) is None


TEXTS = st.text(alphabet="ab {}\n\\", max_size=8)


@given(st.lists(TEXTS, min_size=1, max_size=4), TEXTS)
def test_format_strings_are_read_or_not_believed_but_never_wrong(parts: list[str], value: str) -> None:
    template = "{name}".join(part.replace("{", "{{").replace("}", "}}") for part in parts)
    sent = template.format(name=value)
    found = trusted_text(template, {"name": value}, sent)
    assert refilled(found, {"name": value}) in (None, sent)
    if template and not any(brace in part for part in parts for brace in "{}"):
        assert found == template


@given(TEXTS, st.dictionaries(st.sampled_from(["a", "b", "a b"]), TEXTS), TEXTS)
def test_whatever_is_recorded_what_is_believed_refills(template: str, variables: dict[str, str], sent: str) -> None:
    assert refilled(trusted_text(template, variables, sent), variables) in (None, sent)
    assert trusted_text(template, {}, template) == (template or None)
