"""Figures over both systems, from plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

# The guide's promise: the first welcome mail within five minutes of the application.
FIRST_TOUCH_AIM_S = 300.0


@dataclass(frozen=True, slots=True)
class FirstTouch:
    """Time to first touch, in seconds. The figures are None where nobody was touched yet."""

    count: int
    median_s: float | None
    p99_s: float | None
    max_s: float | None
    share_in_aim: float | None


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank, of values in ascending order; `share` in (0, 1]."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def first_touch(seconds: Sequence[float]) -> FirstTouch:
    if not seconds:
        return FirstTouch(0, None, None, None, None)
    ordered = sorted(seconds)
    within = sum(1 for value in ordered if value <= FIRST_TOUCH_AIM_S)
    return FirstTouch(
        count=len(ordered),
        median_s=percentile(ordered, 0.5),
        p99_s=percentile(ordered, 0.99),
        max_s=ordered[-1],
        share_in_aim=within / len(ordered),
    )
