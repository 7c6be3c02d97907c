"""The window of calls that a vendor counts."""

from __future__ import annotations

from warmline.kit.pace import SPARE_MAX, Window


def answered(window: Window, *times: float, limit: int = 20, span_s: float = 10.0) -> Window:
    for at in times:
        window.answered(at, limit, span_s)
    return window


def test_before_the_vendor_named_a_limit_there_is_none() -> None:
    assert Window().full_s(5.0) == 0.0
    assert answered(Window(), *[1.0] * 50, limit=0).full_s(1.0) == 0.0


def test_a_tenth_is_left_free_and_the_oldest_call_makes_room() -> None:
    window = answered(Window(), *range(1, 18))  # 17 of 20, a second apart in a window of ten
    assert window.full_s(17.0) == 0.0
    full = answered(Window(), *[3.0 + n / 10 for n in range(18)])
    assert full.full_s(5.0) == 8.0  # until the first of them is ten seconds old
    assert full.full_s(13.0) == 0.0


def test_of_a_high_limit_no_more_is_left_free_than_may_be_under_way() -> None:
    window = answered(Window(), *[1.0] * (190 - SPARE_MAX - 1), limit=190)
    assert window.full_s(1.0) == 0.0
    window.answered(1.0, 190, 10.0)
    assert window.full_s(2.0) == 9.0


def test_more_calls_than_fit_wait_for_as_many_to_leave() -> None:
    window = answered(Window(), 0.0, 1.0, 2.0, 3.0, limit=2)
    assert window.full_s(3.0) == 9.0  # not before the call at 2.0 has left


def test_a_clock_that_was_set_back_forgets_what_is_to_come() -> None:
    window = answered(Window(), *[100.0] * 20)
    assert window.full_s(50.0) == 0.0
