"""Event → action: which rows of the trigger map an event sets off, and in which order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.core.actions import ActionKind
from warmline.core.conditions import BadCondition, Condition
from warmline.core.events import Event, EventKind
from warmline.core.triggers import Trigger, TriggerMap, matching

CONTEXT: dict[str, Any] = {
    "event": {"kind": "application.stage_changed", "word": "candidate_stage_change"},
    "candidate": {"name": "Ada Lind", "tags": ["vip"], "do_not_contact": False},
    "application": {"status": "active", "prospect": False, "role": "Head Baker"},
    "stage": {"name": "Final round", "kind": "final"},
}


def event(kind: EventKind = EventKind.APPLICATION_SUBMITTED) -> Event:
    return Event(kind=kind, key="k", word="w")


def trigger(name: str = "t", **values: Any) -> Trigger:
    row: dict[str, Any] = {
        "on": EventKind.APPLICATION_SUBMITTED,
        "source": "ats",
        "do": ActionKind.CONTACT_UPSERT,
        "target": "crm",
    }
    return Trigger(name=name, **{**row, **values})


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('stage.kind in ["interview", "final"]', True),
        ('stage.kind == "offer"', False),
        ('"vip" in candidate.tags', True),
        ('application.role == "Head Baker" && !candidate.do_not_contact', True),
        ('application.role.startsWith("Head")', True),
        ("true", True),
        ("false", False),
    ],
)
def test_a_condition_says_yes_or_no(text: str, holds: bool) -> None:
    assert Condition(text).holds(CONTEXT) is holds


@pytest.mark.parametrize(
    "text",
    [
        'stage.kind == "final"',
        'interview.status == "scheduled"',
        'candidate.no_such_thing == "x"',
        "nothing.at.all",
        'stage.kind != "final"',
    ],
)
def test_a_name_that_the_event_does_not_carry_makes_a_condition_false(text: str) -> None:
    assert Condition(text).holds({"event": {"kind": "x"}, "candidate": {"name": "Ada"}}) is False
    assert Condition(text).holds({}) is False


@pytest.mark.parametrize("text", ['"yes"', "1", "[true]", "candidate", "null"])
def test_only_true_is_true(text: str) -> None:
    assert Condition(text).holds(CONTEXT) is False


@pytest.mark.parametrize("text", ["stage.kind ==", "a b", "((", "stage.kind = 'final'", "'"])
def test_what_is_not_cel_is_said_in_one_line(text: str) -> None:
    with pytest.raises(BadCondition) as caught:
        Condition(text)
    assert str(caught.value)
    assert "\n" not in str(caught.value)


def test_asking_a_condition_changes_nothing() -> None:
    before = repr(CONTEXT)
    Condition('stage.kind == "final"').holds(CONTEXT)
    assert repr(CONTEXT) == before


def test_a_disabled_trigger_is_not_set_off() -> None:
    rows = [trigger("off", enabled=False), trigger("on")]
    assert [t.name for t in matching(rows, event(), "ats", {})] == ["on"]


def test_a_trigger_is_about_its_event_its_source_and_its_condition() -> None:
    rows = [
        trigger("other event", on=EventKind.APPLICATION_HIRED),
        trigger("other source", source="crm"),
        trigger("condition fails", when=Condition('stage.kind == "offer"')),
        trigger("condition holds", when=Condition('stage.kind == "final"')),
    ]
    assert [t.name for t in matching(rows, event(), "ats", CONTEXT)] == ["condition holds"]


kinds = st.sampled_from(list(EventKind)[:3])
sources = st.sampled_from(["ats", "crm", "warmline"])


@given(
    st.lists(st.builds(trigger, on=kinds, source=sources, enabled=st.booleans()), max_size=12),
    kinds,
    sources,
)
def test_the_map_finds_what_reading_its_rows_in_order_finds(
    rows: list[Trigger], kind: EventKind, source: str
) -> None:
    rows = [trigger(f"row {i}", on=t.on, source=t.source, enabled=t.enabled)
            for i, t in enumerate(rows)]  # fmt: skip
    found = TriggerMap(tuple(rows)).for_event(event(kind), source, {})
    assert found == [t for t in rows if t.enabled and t.on is kind and t.source == source]
