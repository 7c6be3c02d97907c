"""When to try again: never at once, never in step, never later than the longest wait."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from warmline.core.retries import (
    ATTEMPTS_MAX,
    FIRST_S,
    GIVE_UP_AFTER,
    LONGEST_S,
    asked_wait_s,
    backoff_s,
    given_up,
)

attempts = st.integers(1, 10_000)
chances = st.floats(0, 0.999_999)


@given(attempts, chances)
def test_a_wait_has_bounds(attempt: int, chance: float) -> None:
    assert FIRST_S / 2 <= backoff_s(attempt, chance) < LONGEST_S


@given(attempts)
def test_chance_spreads_a_wait_over_its_upper_half(attempt: int) -> None:
    whole = 2 * backoff_s(attempt, 0.0)
    assert backoff_s(attempt, 0.5) == 0.75 * whole
    assert backoff_s(attempt, 0.999_999) <= whole


@given(attempts, chances)
def test_waits_never_shrink(attempt: int, chance: float) -> None:
    assert backoff_s(attempt, chance) <= backoff_s(attempt + 1, chance)


def test_waits_double_until_the_longest() -> None:
    assert [2 * backoff_s(n, 0.0) for n in range(1, 5)] == [5.0, 10.0, 20.0, 40.0]
    assert 2 * backoff_s(12, 0.0) == LONGEST_S


@given(st.floats(0, 3600), chances)
def test_a_wait_that_was_asked_for_is_kept(after_s: float, chance: float) -> None:
    assert after_s <= asked_wait_s(after_s, chance) <= after_s * 1.2


def test_work_is_given_up_after_a_day_and_a_half_of_trying() -> None:
    assert not given_up(ATTEMPTS_MAX - 1)
    assert given_up(ATTEMPTS_MAX)
    tried_s = sum(backoff_s(n, 0.5) for n in range(1, ATTEMPTS_MAX))
    assert abs(timedelta(seconds=tried_s) - GIVE_UP_AFTER) < timedelta(hours=1)
