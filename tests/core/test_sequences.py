"""Steps fall due whole days after the enrolment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from warmline.core.sequences import Sequence, Step, StepClass

days = st.lists(st.integers(0, 3650), min_size=1, max_size=8).map(sorted)
moments = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001 - Hypothesis adds the zone
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def sequence(on: list[int]) -> Sequence:
    steps = tuple(
        Step(number=i, day=day, name=f"step {i}", step_class=StepClass.MARKETING)
        for i, day in enumerate(on, start=1)
    )
    return Sequence(name="s", title="S", version="v", steps=steps)


@given(days, moments)
def test_a_step_is_due_its_days_after_the_enrolment_and_in_order(
    on: list[int], enrolled_at: datetime
) -> None:
    found = sequence(on)
    due = [found.due_at(step, enrolled_at) for step in found.steps]
    assert due == [enrolled_at + timedelta(days=day) for day in on]
    assert due == sorted(due)
    assert due[0] >= enrolled_at


@given(days, st.integers(-3, 12))
def test_a_step_is_found_by_its_number_or_not_at_all(on: list[int], number: int) -> None:
    step = sequence(on).step(number)
    if 1 <= number <= len(on):
        assert step is not None
        assert step.number == number
    else:
        assert step is None


def test_a_step_of_day_0_is_due_at_once() -> None:
    at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    found = sequence([0, 3, 7])
    assert [found.due_at(s, at).day for s in found.steps] == [2, 5, 9]
