"""When to try again: exponential, jittered, bounded."""

from __future__ import annotations

from datetime import timedelta

FIRST_S = 5.0
LONGEST_S = 600.0
# Longer than the longest vendor outage we plan for, shorter than anybody's patience. After it the
# work is on the failed list, where a person can replay it.
GIVE_UP_AFTER = timedelta(hours=36)
_SLOW_TRIES = 7  # tries until the wait has grown to the longest
ATTEMPTS_MAX = _SLOW_TRIES + int(GIVE_UP_AFTER.total_seconds() / (LONGEST_S * 0.75))


def backoff_s(attempt: int, chance: float) -> float:
    """Seconds to wait before try number `attempt` + 1; `attempt` from 1, `chance` in [0, 1).

    Between half and the whole of the doubling step, so that many failures do not return at once.
    """
    step: float = min(FIRST_S * 2.0 ** (min(attempt, 20) - 1), LONGEST_S)
    return step * (0.5 + chance / 2)


def asked_wait_s(after_s: float, chance: float) -> float:
    """Seconds to wait where the other side named them: never less, and up to a fifth more, so
    that what waited does not return in one moment. Such a wait is not a failed try."""
    return after_s * (1 + chance / 5)


def given_up(attempts: int) -> bool:
    """Whether trying has gone on for about GIVE_UP_AFTER. Time in which nobody tried (the process
    was off, a message waited for an address) does not count."""
    return attempts >= ATTEMPTS_MAX
