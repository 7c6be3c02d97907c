"""Time to first touch: the guide's promise, in figures."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from warmline.core.metrics import FIRST_TOUCH_AIM_S, FirstTouch, first_touch, percentile

seconds = st.lists(st.floats(0, 1e7), min_size=1, max_size=200)


def test_nobody_touched_yet_has_no_figures() -> None:
    assert first_touch([]) == FirstTouch(0, None, None, None, None)


@given(seconds)
def test_the_figures_are_in_order_and_among_the_values(values: list[float]) -> None:
    found = first_touch(values)
    assert found.count == len(values)
    assert found.median_s is not None
    assert found.p99_s is not None
    assert found.max_s is not None
    assert min(values) <= found.median_s <= found.p99_s <= found.max_s == max(values)
    assert {found.median_s, found.p99_s, found.max_s} <= set(values)


@given(seconds)
def test_the_share_in_aim_counts_those_within_five_minutes(values: list[float]) -> None:
    share = first_touch(values).share_in_aim
    assert share is not None
    assert share * len(values) == len([v for v in values if v <= 300.0])


@given(seconds, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(values: list[float], dice: object) -> None:
    turned = list(values)
    dice.shuffle(turned)  # type: ignore[attr-defined]
    assert first_touch(turned) == first_touch(values)


def test_the_aim_is_the_guides_five_minutes_and_includes_its_end() -> None:
    assert FIRST_TOUCH_AIM_S == 300.0
    assert first_touch([300.0, 300.1]).share_in_aim == 0.5


def test_percentiles_are_by_nearest_rank() -> None:
    hundred = [float(n) for n in range(1, 101)]
    assert percentile(hundred, 0.5) == 50.0
    assert percentile(hundred, 0.99) == 99.0
    assert percentile(hundred, 1.0) == 100.0
    assert percentile([7.0], 0.01) == 7.0
