"""When to try again: never at once, never in step, never later than the longest wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from warmline.core.retries import ATTEMPTS_MAX, FIRST_S, LONGEST_S, backoff_s

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


def test_all_tries_together_outlast_a_day_and_end_within_two() -> None:
    shortest = sum(backoff_s(n, 0.0) for n in range(1, ATTEMPTS_MAX))
    longest = sum(backoff_s(n, 0.999) for n in range(1, ATTEMPTS_MAX))
    assert shortest > 12 * 3600
    assert longest < 48 * 3600
