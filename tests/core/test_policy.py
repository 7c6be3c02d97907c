"""May this mail leave? Whoever said no is not written to, whatever else is true (I5, I11)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.core.events import ApplicationStatus, StageKind
from warmline.core.policy import (
    NO_ADDRESS,
    OVERDUE_AFTER,
    CandidateState,
    Frequency,
    HoldCode,
    Quiet,
    Rules,
    Wishes,
    hold,
)
from warmline.core.sequences import StepClass
from warmline.core.timing import Days, Window, next_fit


def hold_reason(*args: Any, **kwargs: Any) -> str:
    held = hold(*args, **kwargs)
    return held.words if held else ""


NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ACTIVE = ((ApplicationStatus.ACTIVE, StageKind.APPLIED),)

states = st.builds(
    CandidateState,
    has_address=st.booleans(),
    suppressed=st.sampled_from(["", "bounced (mail)", "unsubscribed (one-click)"]),
    do_not_contact=st.booleans(),
    merged=st.booleans(),
    erased=st.booleans(),
    applications=st.lists(
        st.tuples(st.sampled_from(ApplicationStatus), st.none() | st.sampled_from(StageKind)),
        max_size=4,
    ),
)
classes = st.sampled_from(StepClass)
dues = st.timedeltas(timedelta(days=-5), timedelta(days=1)).map(lambda delta: NOW + delta)


@given(states, classes, dues)
def test_whoever_said_no_or_is_gone_gets_nothing_whatever_else(
    state: CandidateState, step_class: StepClass, due_at: datetime
) -> None:
    reason = hold_reason(step_class, state, due_at=due_at, now=NOW)
    if state.suppressed or state.do_not_contact or state.merged or state.erased:
        assert reason
    if not state.has_address:
        assert reason
    if NOW - due_at > OVERDUE_AFTER:
        assert reason


@given(states, classes, dues)
def test_only_somebody_with_an_address_and_nothing_against_it_is_written_to(
    state: CandidateState, step_class: StepClass, due_at: datetime
) -> None:
    if hold_reason(step_class, state, due_at=due_at, now=NOW) == "":
        assert state.has_address
        assert (state.suppressed, state.do_not_contact) == ("", False)
        assert (state.merged, state.erased) == (False, False)
        if step_class is StepClass.MARKETING:
            assert all(status is not ApplicationStatus.HIRED for status, _ in state.applications)


@given(states, dues)
def test_a_receipt_is_never_held_for_more_than_nurture_is(
    state: CandidateState, due_at: datetime
) -> None:
    if hold_reason(StepClass.TRANSACTIONAL, state, due_at=due_at, now=NOW):
        assert hold_reason(StepClass.MARKETING, state, due_at=due_at, now=NOW)


@given(states, classes, dues)
def test_waiting_for_an_address_is_said_only_where_one_would_help(
    state: CandidateState, step_class: StepClass, due_at: datetime
) -> None:
    if hold_reason(step_class, state, due_at=due_at, now=NOW) == NO_ADDRESS:
        assert not state.erased
        assert not state.merged


@pytest.mark.parametrize(
    ("applications", "reason"),
    [
        (ACTIVE, ""),
        ((), ""),
        (((ApplicationStatus.ACTIVE, None),), ""),
        (((ApplicationStatus.ACTIVE, StageKind.SCREEN),), ""),
        (((ApplicationStatus.ACTIVE, StageKind.INTERVIEW),), "interviewing"),
        (((ApplicationStatus.ACTIVE, StageKind.FINAL),), "interviewing"),
        (((ApplicationStatus.ACTIVE, StageKind.OFFER), *ACTIVE), "interviewing"),
        (((ApplicationStatus.HIRED, None), *ACTIVE), "hired"),
        (((ApplicationStatus.REJECTED, StageKind.OFFER),), "no application is active"),
        (((ApplicationStatus.DELETED, None),), "no application is active"),
        (((ApplicationStatus.REJECTED, StageKind.OFFER), *ACTIVE), ""),
    ],
)
def test_where_somebody_stands_holds_nurture_and_never_a_receipt(
    applications: tuple[tuple[ApplicationStatus, StageKind | None], ...], reason: str
) -> None:
    state = CandidateState(has_address=True, applications=applications)
    found = hold_reason(StepClass.MARKETING, state, due_at=NOW, now=NOW)
    assert found.startswith(reason)
    assert bool(found) == bool(reason)
    assert hold_reason(StepClass.TRANSACTIONAL, state, due_at=NOW, now=NOW) == ""


def test_a_mail_is_overdue_after_the_limit_and_not_at_it() -> None:
    state = CandidateState(has_address=True, applications=ACTIVE)
    for step_class in StepClass:
        at_limit = hold_reason(step_class, state, due_at=NOW - OVERDUE_AFTER, now=NOW)
        after = hold_reason(
            step_class, state, due_at=NOW - OVERDUE_AFTER - timedelta(seconds=1), now=NOW
        )
        assert at_limit == ""
        assert after.startswith("overdue")


def test_the_reason_of_a_suppression_is_kept() -> None:
    state = replace(CandidateState(has_address=True), suppressed="complained (crm)")
    found = hold_reason(StepClass.TRANSACTIONAL, state, due_at=NOW, now=NOW)
    assert found == "suppressed: complained (crm)"


# Caps

moments = st.integers(0, 90 * 24).map(lambda hours: NOW + timedelta(hours=hours))


@given(
    st.lists(moments, max_size=40),
    st.integers(1, 5),
    st.integers(1, 30),
    st.integers(0, 10),
    st.booleans(),
)
def test_whatever_the_order_of_due_times_no_stretch_holds_more_than_the_cap(
    dues: list[datetime], mails: int, days: int, between: int, by_night: bool
) -> None:
    """Each mail is asked for when it falls due, and again whenever it was told to come again."""
    quiet = Quiet(time(20), time(8)) if by_night else None
    rules = Rules(frequency=Frequency(mails, days), quiet=quiet)
    wishes = Wishes(days_between=between)
    sent: list[datetime] = []
    waiting = sorted(dues)
    while waiting:
        now = waiting.pop(0)
        state = CandidateState(has_address=True, wishes=wishes, sent=tuple(sent))
        held = hold(StepClass.MARKETING, state, due_at=now, now=now, rules=rules)
        if held is None:
            sent.append(now)
            continue
        assert held.until is not None
        assert held.until > now
        waiting = sorted([*waiting, held.until])
    assert len(sent) == len(dues)
    for first in sent:
        assert sum(first <= at < first + timedelta(days=days) for at in sent) <= mails
    gaps = [b - a for a, b in pairwise(sent)]
    assert all(gap >= timedelta(days=between) for gap in gaps)
    assert not by_night or all(8 <= at.hour < 20 for at in sent)


def test_nurture_leaves_within_the_hours_of_its_sequence_and_a_receipt_at_any() -> None:
    """Whatever moved it: a full day of the sender's ends at midnight in UTC."""
    monday = datetime(2026, 3, 9, 9, tzinfo=UTC)
    zone, window = ZoneInfo("America/New_York"), Window(time(9), time(17), Days.BUSINESS)
    fit = partial(next_fit, zone=zone, window=window)
    state = CandidateState(has_address=True, zone=zone)
    saturday = datetime(2026, 3, 7, 15, tzinfo=UTC)
    held = hold(StepClass.MARKETING, state, due_at=saturday, now=saturday, fit=fit)
    assert held is not None
    assert (held.code, held.until) == (HoldCode.WINDOW, monday + timedelta(hours=4))
    assert held.until is not None
    due_at = held.until
    assert hold(StepClass.MARKETING, state, due_at=due_at, now=due_at, fit=fit) is None
    assert hold(StepClass.TRANSACTIONAL, state, due_at=saturday, now=saturday, fit=fit) is None


def test_a_receipt_is_under_no_cap() -> None:
    rules = Rules(frequency=Frequency(1, 30), quiet=Quiet(time(0), time(23)))
    state = CandidateState(has_address=True, sent=(NOW,), wishes=Wishes(days_between=30))
    assert hold(StepClass.TRANSACTIONAL, state, due_at=NOW, now=NOW, rules=rules) is None


@pytest.mark.parametrize(
    ("state", "code", "for_good"),
    [
        (CandidateState(True, erased=True), HoldCode.ERASED, True),
        (CandidateState(True, suppressed="bounced"), HoldCode.SUPPRESSED, True),
        (CandidateState(False), HoldCode.NO_ADDRESS, False),
        (
            CandidateState(True, applications=[(ApplicationStatus.HIRED, None)]),
            HoldCode.HIRED,
            True,
        ),
        (CandidateState(True, no_consent="no consent"), HoldCode.CONSENT, False),
        (CandidateState(True, nurture_hold="archived"), HoldCode.SEGMENT, False),
        (CandidateState(True, wishes=Wishes(topics_off=["roles"])), HoldCode.TOPIC, True),
    ],
)
def test_a_hold_says_whether_it_is_for_good(
    state: CandidateState, code: HoldCode, for_good: bool
) -> None:
    held = hold(StepClass.MARKETING, state, topic="roles", due_at=NOW, now=NOW)
    assert held is not None
    assert (held.code, held.for_good, held.until) == (code, for_good, None)


# Quiet hours

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Cairo"]
clocks = st.times().map(lambda t: t.replace(second=0, microsecond=0))


@given(
    st.integers(0, 365 * 24 * 60).map(lambda minutes: NOW + timedelta(minutes=minutes)),
    st.sampled_from(ZONES),
    clocks,
    clocks,
)
def test_after_the_quiet_hours_it_is_not_quiet_and_they_are_over_soon(
    moment: datetime, name: str, opens: time, closes: time
) -> None:
    if opens == closes:
        return
    zone, quiet = ZoneInfo(name), Quiet(opens, closes)
    free = quiet.over(moment, zone)
    local = free.astimezone(zone).time()
    inside = opens <= local < closes if opens < closes else local >= opens or local < closes
    assert not inside
    assert moment <= free <= moment + timedelta(hours=50)
    assert quiet.over(free, zone) == free


@pytest.mark.parametrize(
    ("moment", "free"),
    [
        # The clock goes from 02:00 to 03:00: the night is an hour shorter.
        (datetime(2026, 3, 28, 20, 0, tzinfo=UTC), datetime(2026, 3, 29, 6, 0, tzinfo=UTC)),
        # And from 03:00 back to 02:00: an hour longer.
        (datetime(2026, 10, 24, 19, 0, tzinfo=UTC), datetime(2026, 10, 25, 7, 0, tzinfo=UTC)),
        (datetime(2026, 3, 30, 18, 30, tzinfo=UTC), datetime(2026, 3, 31, 6, 0, tzinfo=UTC)),
        (datetime(2026, 3, 30, 17, 59, tzinfo=UTC), datetime(2026, 3, 30, 17, 59, tzinfo=UTC)),
    ],
)
def test_a_morning_is_a_morning_on_the_nights_that_the_clock_changes(
    moment: datetime, free: datetime
) -> None:
    assert Quiet(time(20), time(8)).over(moment, ZoneInfo("Europe/Berlin")) == free


def test_an_end_that_comes_twice_in_one_night_is_kept_both_times() -> None:
    """Quiet until 02:30; at 03:00 it is 02:00 again, and quiet again until the second 02:30."""
    berlin, quiet = ZoneInfo("Europe/Berlin"), Quiet(time(20), time(2, 30))
    second = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10, for the second time
    assert quiet.over(second, berlin) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
