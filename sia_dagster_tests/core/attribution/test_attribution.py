"""Every sample of a window is attributed to the prompt that gave it, and every prompt says how much it gave."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_dagster.core.attribution import Attribution, attribute
from sia_dagster.core.openinference.recorded_template import placeholders
from sia_dagster.core.records.policy import Actions, PolicyShare
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.sample import Sample
from sia_dagster_tests.corpora.spoken import (
    DESK,
    DESK_LATER,
    START,
    TITLES,
    customer,
    fill,
    filled,
    recorded,
    spoke,
    version,
)

NAMED = Actions(system_prompt=DESK, variables=("customer", "since"), model="model-a")
LATER = NAMED.model_copy(update={"system_prompt": DESK_LATER})


def attributed(samples: Sequence[Sample], *known: PolicyVersion) -> Attribution:
    """Attributed by a registry whose last entry is in force; whatever else, no sample is lost or sent otherwise."""
    found = attribute(samples, known, known[-1] if known else None)
    assert [s.span_id for s in found.samples] == [s.span_id for s in samples]
    assert sum(p.samples for p in found.policies) == len(samples)
    for sample, place in zip(found.samples, found.places, strict=True):
        policy = found.policies[place]
        assert (
            Actions(system_prompt=policy.system_prompt, variables=policy.variables).render(sample.variables)
            == sample.system_prompt
        )
        assert sample.template in (None, policy.system_prompt)
    return found


def summaries(found: Attribution) -> list[tuple[str, int | None, bool, bool, int]]:
    return [(p.origin, p.version, p.in_force, p.same_call, p.samples) for p in found.policies]


def test_the_registrys_prompts_are_known_by_what_was_recorded_or_by_their_fixed_text() -> None:
    first = version(1, LATER, replaced=NAMED)
    samples = [*recorded(range(10), DESK_LATER), *filled(range(10, 30), DESK_LATER), *filled(range(30, 36))]
    found = attributed(samples, first)
    assert summaries(found) == [("registry", 1, True, True, 30), ("registry", 0, False, True, 6)]
    assert [s.variables for s in found.samples] == [customer(n) for n in range(36)]
    assert found.policies[0].variables == ("customer", "since")


def test_the_newest_version_of_a_text_is_named_and_the_one_in_force_goes_first() -> None:
    back = version(3, NAMED, kind="rollback", restores=1)
    found = attributed(filled(range(8)), version(1, NAMED), version(2, LATER), back)
    assert summaries(found) == [("registry", 3, True, True, 8)]
    found = attributed(filled(range(8), DESK_LATER), version(1, NAMED), version(2, LATER), back)
    assert summaries(found) == [("registry", 2, False, True, 8)]


def test_constant_prompts_are_known_by_equality_alone() -> None:
    plain, more = Actions(system_prompt=TITLES), Actions(system_prompt=TITLES + " Be witty.")
    samples = [spoke(0, TITLES), spoke(1, TITLES + " Be witty."), spoke(2, TITLES + " ")]
    found = attributed(samples, version(1, plain), version(2, more))
    assert summaries(found) == [
        ("registry", 2, True, True, 1),
        ("registry", 1, False, True, 1),
        ("as_sent", None, False, True, 1),
    ]


def test_a_short_template_fits_prompts_it_never_gave_so_only_records_show_that_it_spoke() -> None:
    greet = Actions(system_prompt="Greet {name}.", variables=("name",))
    samples = [spoke(0, "Greet Ada."), spoke(1, "Greet Bob.", variables={"name": "Bob"})]
    assert summaries(attributed(samples, version(1, greet))) == [
        ("registry", 1, True, True, 1),
        ("as_sent", None, False, True, 1),
    ]


def test_recorded_variables_that_do_not_refill_give_way_to_the_prompt_that_was_sent() -> None:
    stale = spoke(0, fill(DESK, customer(0)), variables={"customer": "Somebody Else", "since": "1999", "tier": "gold"})
    found = attributed([stale], version(1, NAMED))
    assert found.samples[0].variables == {**customer(0), "tier": "gold"}


def test_what_some_spans_record_tells_the_others_apart() -> None:
    found = attributed([*recorded(range(4)), *filled(range(4, 9))])
    assert summaries(found) == [("recorded", None, True, True, 9)]
    assert found.samples[8].variables == customer(8)
    assert found.samples[8].template == DESK


def test_text_written_behind_the_last_variable_by_hand_is_no_value_where_spans_record_what_was_filled_in() -> None:
    short = "You answer the customers of a bicycle shop in five sentences at most. The customer is {customer}."
    edited = short + "\nName the order in every answer. Never promise a refund."
    base = Actions(system_prompt=short, variables=("customer",))
    known = version(1, base.model_copy(update={"system_prompt": short + "\nBe warm."}), replaced=base)
    values = [{"customer": customer(n)["customer"]} for n in range(12)]
    said = [spoke(n, fill(edited, values[n]), template=edited, variables=values[n]) for n in range(8)]
    silent = [spoke(n, fill(edited, values[n])) for n in range(8, 12)]
    found = attributed([*said, *silent], known)
    assert summaries(found) == [("recorded", None, False, True, 12)]
    assert [s.variables for s in found.samples] == values
    assert summaries(attributed(silent, known)) == [("registry", 0, False, True, 4)]


def test_templates_that_nobody_recorded_are_recovered() -> None:
    found = attributed(filled(range(60)))
    assert summaries(found) == [("recovered", None, True, True, 60)]
    assert found.policies[0].variables == ("value_1", "value_2")
    assert [s.variables["value_1"] for s in found.samples] == [customer(n)["customer"] for n in range(60)]
    assert not found.refused


def test_versions_that_were_recovered_share_the_names_of_what_stands_between_the_same_words() -> None:
    found = attributed([*filled(range(60)), *filled(range(60, 100), DESK_LATER)])
    assert summaries(found) == [("recovered", None, True, True, 60), ("recovered", None, False, True, 40)]
    assert found.policies[0].variables == found.policies[1].variables
    assert found.samples[99].variables == {"value_1": customer(99)["customer"], "value_2": customer(99)["since"]}
    named = attributed(filled(range(60), DESK_LATER), version(1, NAMED))
    assert summaries(named) == [("recovered", None, False, True, 60)]
    assert named.samples[0].variables == customer(0)


def test_a_slot_of_another_place_never_takes_a_name_of_the_policy_in_force() -> None:
    moved = (
        "It is {since} since they came to us, the oldest bicycle shop in town. You answer its customers by the hour, "
        "today the one called {customer} from the list. Be polite, and promise no refund at all, to anybody."
    )
    found = attributed(filled(range(60), moved), version(1, NAMED))
    (policy,) = found.policies
    assert policy.origin == "recovered"
    assert not set(policy.variables) & {"customer", "since"}


def test_another_call_is_told_from_a_version_by_its_text() -> None:
    found = attributed(
        [*filled(range(40)), *filled(range(40, 60), DESK_LATER), *(spoke(n, TITLES) for n in range(60, 90))]
    )
    assert [(p.samples, p.same_call) for p in found.policies] == [(40, True), (30, False), (20, True)]
    assert found.policies[1].origin == "as_sent"


def test_a_prompt_rewritten_as_a_whole_is_the_call_where_no_version_speaks() -> None:
    rewritten = [*(spoke(n, TITLES) for n in range(9)), spoke(9, TITLES + " Be witty.")]
    assert summaries(attributed(rewritten, version(1, NAMED))) == [
        ("as_sent", None, False, True, 9),
        ("as_sent", None, False, True, 1),
    ]
    found = attributed([*rewritten, *filled([10])], version(1, NAMED))
    assert [(p.in_force, p.same_call, p.samples) for p in found.policies] == [
        (True, True, 1),
        (False, False, 9),
        (False, False, 1),
    ]


def test_a_recovered_text_that_holds_a_name_in_braces_speaks_as_it_was_sent() -> None:
    """Its slot would take the name that the text already has in braces, and the two could not be told apart."""
    later = DESK_LATER + " Sign with {customer} as it is."
    sent = [
        spoke(n, later.replace("{customer}", customer(n)["customer"], 1).replace("{since}", customer(n)["since"]))
        for n in range(60)
    ]
    found = attributed(sent, version(1, NAMED))
    assert {p.origin for p in found.policies} == {"as_sent"}
    assert all(p.same_call for p in found.policies)


def test_without_system_prompts_one_policy_speaks() -> None:
    found = attributed([spoke(n, "") for n in range(12)])
    assert summaries(found) == [("as_sent", None, True, True, 12)]
    assert attributed([spoke(0, ""), *(spoke(n, TITLES) for n in range(1, 4))]).policies[1].same_call is False


def test_names_models_and_times_of_each_prompt_are_counted() -> None:
    samples = [spoke(0, TITLES), spoke(1, TITLES, model="b"), spoke(2, TITLES, model="b", name="Title"), spoke(3, "Hi")]
    policy = attributed(samples).policies[0]
    assert policy == PolicyShare(
        system_prompt=TITLES,
        origin="as_sent",
        in_force=True,
        samples=3,
        share=0.75,
        names={"ChatCompletion": 2, "Title": 1},
        models={"b": 2, "model-a": 1},
        first=START,
        last=START + timedelta(minutes=2),
    )
    assert list(policy.models) == ["b", "model-a"]


def test_prompts_without_a_template_say_why() -> None:
    words = [f"{a} {b} {c}" for a in ("red", "old") for b in ("boats", "hats") for c in ("sail", "burn", "sing")]
    found = attributed([spoke(n, text) for n, text in enumerate(words)])
    assert {p.origin for p in found.policies} == {"as_sent"}
    assert len(found.policies) == len(words)
    (why,) = found.refused
    assert f"{len(words)} of them" in why


def test_a_fill_that_can_be_read_in_two_ways_is_flagged() -> None:
    twice = "Answer the customers of the shop in a friendly tone. First {one} and {two} are what they bought."
    policy = Actions(system_prompt=twice, variables=("one", "two"))
    plain = spoke(0, fill(twice, {"one": "a bell", "two": "a lamp"}))
    unclear = spoke(1, fill(twice, {"one": "a bell and a horn", "two": "a lamp"}))
    known = spoke(2, unclear.system_prompt, variables={"one": "a bell", "two": "a horn and a lamp"})
    found = attributed([plain, unclear, known], version(1, policy))
    assert found.ambiguous == {"span-001"}
    assert found.samples[2].variables == known.variables


def test_an_empty_window_has_no_policies() -> None:
    assert attributed([]) == Attribution()
    assert attributed([], version(1, NAMED)) == Attribution()


def mixed() -> list[Sample]:
    first = [*filled(range(25)), *filled(range(25, 50), DESK_LATER), *recorded(range(50, 54), "Call {customer}.")]
    return [*first, *(spoke(n, TITLES) for n in range(54, 60)), *(spoke(n, f"No. {n}") for n in range(60, 66))]


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(66)), st.booleans())
def test_the_order_of_samples_changes_nothing(order: Sequence[int], registered: bool) -> None:
    samples, known = mixed(), [version(1, NAMED)] if registered else []
    one, other = attributed(samples, *known), attributed([samples[place] for place in order], *known)
    assert [p.model_dump_json() for p in one.policies] == [p.model_dump_json() for p in other.policies]
    assert one.refused == other.refused
    assert [one.samples[place] for place in order] == list(other.samples)


PIECES = st.text(alphabet='abc {}".\n\\é', max_size=12)


@settings(deadline=None)
@given(
    st.lists(PIECES, min_size=1, max_size=4),
    st.lists(st.dictionaries(st.sampled_from(["a", "b", "value_1"]), PIECES, max_size=3), min_size=1, max_size=6),
    PIECES,
)
def test_whatever_was_sent_is_refilled_exactly(
    parts: Sequence[str], fills: Sequence[Mapping[str, str]], other: str
) -> None:
    """Prompts of braces, quotes and line breaks, some with records, under a registry that may fit some of them."""
    template = "{a}, the words of a call that are enough. ".join(parts) + "{value_1}"
    policy = Actions(system_prompt=template, variables=placeholders(template, ["a", "b", "value_1"]))
    values = [{"a": "x", "b": "y", "value_1": "z", **given} for given in fills]
    samples = [spoke(n, policy.render(v), variables=v if n % 2 else {}) for n, v in enumerate(values)]
    attributed([*samples, spoke(90, other), spoke(91, template)], version(1, policy))
    attributed([*samples, spoke(90, other), spoke(91, template)])


@pytest.mark.parametrize("hostile", ["{" * 5000, "{{customer}}" * 500, "\N{NULL}", "a" * 100_000, "{customer} " * 2000])
def test_hostile_prompts_stay_what_they_are(hostile: str) -> None:
    found = attributed([*filled(range(6)), spoke(6, hostile)], version(1, NAMED))
    assert found.policies[0].samples == 6
    assert found.samples[6].system_prompt == hostile
