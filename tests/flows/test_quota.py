"""A sender's day: how it warms up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from warmline.flows.quota import limit_of


def test_a_limit_grows_by_the_days_on_which_mail_left() -> None:
    assert [limit_of(150, 20, 1.3, days) for days in range(10)] == [
        20, 26, 33, 43, 57, 74, 96, 125, 150, 150,
    ]  # fmt: skip


def test_without_a_warm_up_there_is_the_limit_alone() -> None:
    assert limit_of(150, None, 1, 0) == 150
    assert limit_of(None, 20, 1.3, 0) is None
    assert limit_of(10, 20, 1.3, 0) == 10


@given(st.integers(1, 10**6), st.integers(1, 10**5), st.floats(1.01, 10), st.integers(0, 10**6))
def test_no_day_is_under_the_first_nor_over_the_limit(
    top: int, first: int, growth: float, days: int
) -> None:
    found = limit_of(top, first, growth, days)
    assert found is not None
    assert min(first, top) <= found <= top
