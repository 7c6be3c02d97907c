"""When to try again: exponential, jittered, bounded."""

from __future__ import annotations

FIRST_S = 5.0
LONGEST_S = 3600.0
# About a day and a half with the figures above: longer than the longest vendor outage we plan
# for, shorter than anybody's patience. After it the work is on the failed list.
ATTEMPTS_MAX = 40


def backoff_s(attempt: int, chance: float) -> float:
    """Seconds to wait before try number `attempt` + 1; `attempt` from 1, `chance` in [0, 1).

    Between half and the whole of the doubling step, so that many failures do not return at once.
    """
    step: float = min(FIRST_S * 2.0 ** (min(attempt, 20) - 1), LONGEST_S)
    return step * (0.5 + chance / 2)
