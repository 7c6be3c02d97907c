"""Every candidate is in exactly one of the four segments, and a rule says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.core.conditions import BadCondition, Condition
from warmline.core.engagement import ACTS, CONFIDENCE, HUMAN, Act, is_act, score
from warmline.core.events import EventKind, StageKind
from warmline.core.segments import (
    HORIZON_DAYS,
    MONTH,
    STAGE_ORDER,
    History,
    Rule,
    Segment,
    SegmentRules,
    default_rules,
    furthest,
)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def made(rows: list[tuple[Segment, str, str]] | None = None, months: int = 24) -> SegmentRules:
    return SegmentRules(
        rules=tuple(
            Rule(segment, name, Condition(when) if when else None)
            for segment, name, when in rows or default_rules()
        ),
        late_stages=(StageKind.FINAL, StageKind.OFFER),
        archived_after_months=months,
        half_life=timedelta(days=90),
        nurture_above=10,
    )


RULES = made()
moments = st.timedeltas(timedelta(days=-4000), timedelta(0)).map(lambda d: NOW + d)
acts = st.lists(st.builds(Act, st.sampled_from(sorted(ACTS)), moments), max_size=5)
few = st.integers(0, 3)
histories = st.builds(
    History,
    active=few,
    rejected=few,
    hired=few,
    reached=st.sampled_from(["", *STAGE_ORDER]),
    last_sign=st.none() | moments,
    acts=acts.map(tuple),
)


def placed(**known: object) -> tuple[Segment, str]:
    known.setdefault("last_sign", NOW - timedelta(days=1))
    found = RULES.place(History(**known), now=NOW)  # type: ignore[arg-type]
    return found.segment, found.rule


@given(histories)
def test_everybody_is_in_exactly_one_segment_by_the_first_rule_that_holds(known: History) -> None:
    found = RULES.place(known, now=NOW)
    context = RULES.context(found.evidence)
    first = next(r for r in RULES.rules if r.when is None or r.when.holds(context))
    assert (found.segment, found.rule) == (first.segment, first.name)


@given(histories)
def test_the_next_look_comes_before_time_alone_has_changed_the_segment(known: History) -> None:
    found = RULES.place(known, now=NOW)
    assert NOW < found.next_at <= NOW + timedelta(days=HORIZON_DAYS)
    day = NOW + timedelta(days=1)
    while day < found.next_at:
        assert RULES.place(known, now=day).segment is found.segment
        day += timedelta(days=1)


@pytest.mark.parametrize(
    ("known", "segment"),
    [
        ({"active": 1}, Segment.ACTIVE_APPLICANT),
        ({"active": 1, "rejected": 2, "reached": "final"}, Segment.ACTIVE_APPLICANT),
        ({"rejected": 1, "reached": "final"}, Segment.SILVER_MEDALIST),
        ({"rejected": 1, "reached": "offer"}, Segment.SILVER_MEDALIST),
        ({"rejected": 1, "reached": "interview"}, Segment.ARCHIVED),
        ({"rejected": 1, "hired": 1, "reached": "offer"}, Segment.ARCHIVED),
        ({}, Segment.PASSIVE_LEAD),
    ],
)
def test_the_guides_four_segments(known: dict[str, object], segment: Segment) -> None:
    assert placed(**known)[0] is segment


@pytest.mark.parametrize("known", [{"active": 1}, {"rejected": 1, "reached": "final"}, {}])
def test_after_24_months_without_a_sign_everybody_is_archived(known: dict[str, object]) -> None:
    last = NOW - 24 * MONTH
    assert placed(**known, last_sign=last) == (Segment.ARCHIVED, "quiet for long")
    assert placed(**known, last_sign=last + timedelta(seconds=1))[0] is not Segment.ARCHIVED


def test_the_day_on_which_somebody_falls_quiet_is_foreseen() -> None:
    known = History(last_sign=NOW - 24 * MONTH + timedelta(days=9, hours=1))
    found = RULES.place(known, now=NOW)
    assert found.segment is Segment.PASSIVE_LEAD
    assert found.next_at == NOW + timedelta(days=10)
    assert RULES.place(known, now=found.next_at).segment is Segment.ARCHIVED


@given(st.sampled_from(["", *STAGE_ORDER]), st.sampled_from(["", *STAGE_ORDER]))
def test_the_furthest_stage_is_the_same_from_either_side(one: str, other: str) -> None:
    assert furthest(one, other) == furthest(other, one)
    assert furthest("screen", "final") == "final"
    assert furthest("offer", "rejected") == "offer"


def test_a_rule_that_names_what_is_not_there_is_told() -> None:
    wrong = Rule(Segment.ARCHIVED, "typo", Condition("mnths_quiet > 3"))
    with pytest.raises(BadCondition):
        RULES.check(wrong)
    with pytest.raises(BadCondition, match="neither true nor false"):
        RULES.check(replace(wrong, when=Condition("months_quiet + 3")))


@given(acts, st.randoms(use_true_random=False))
def test_the_order_of_acts_does_not_matter_to_the_score(found: list[Act], dice: object) -> None:
    turned = list(found)
    dice.shuffle(turned)  # type: ignore[attr-defined]
    half_life = timedelta(days=90)
    assert score(found, half_life=half_life, now=NOW) == score(turned, half_life=half_life, now=NOW)


def test_a_score_halves_with_each_half_life() -> None:
    reply = [Act(EventKind.MESSAGE_REPLIED, NOW)]
    at = [score(reply, half_life=timedelta(days=90), now=NOW + timedelta(days=d)) for d in (0, 90)]
    assert at == [20.0, 10.0]


def test_i9_only_a_click_that_a_human_made_is_an_act_and_an_open_never_is() -> None:
    assert is_act(EventKind.MESSAGE_CLICKED, {CONFIDENCE: HUMAN})
    assert not is_act(EventKind.MESSAGE_CLICKED, {CONFIDENCE: "machine"})
    assert not is_act(EventKind.MESSAGE_CLICKED, {})
    assert not is_act(EventKind.MESSAGE_OPENED, {CONFIDENCE: HUMAN})


@pytest.mark.parametrize("days", [0, 45, 89, 91])
def test_a_passive_lead_is_nurtured_above_the_line_only(days: int) -> None:
    points = score([Act(EventKind.MESSAGE_REPLIED, NOW)], half_life=RULES.half_life, now=NOW)
    hold = RULES.nurture_hold(Segment.PASSIVE_LEAD, points, NOW, now=NOW + timedelta(days=days))
    assert bool(hold) is (days > 90)
    assert not RULES.nurture_hold(Segment.SILVER_MEDALIST, 0, NOW, now=NOW)
    assert RULES.nurture_hold(Segment.ARCHIVED, 99, NOW, now=NOW)
