"""May this mail leave? Whoever said no is not written to, whatever else is true (I5, I11)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.core.events import ApplicationStatus, StageKind
from warmline.core.policy import NO_ADDRESS, OVERDUE_AFTER, CandidateState, hold
from warmline.core.sequences import StepClass


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
