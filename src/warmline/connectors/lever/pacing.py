"""Keeping within Lever's rate: it allows ten calls a second, twenty at once, and names no time to
wait when it is too much."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from warmline.core.errors import Throttled

# A little below the vendor's own figures (10 and 20): its clock is not ours.
RATE_PER_S = 9.0
BURST = 18
BACK_OFF_FIRST_S, BACK_OFF_LONGEST_S = 10.0, 600.0


class Pace:
    """A token bucket on the given clock. Thread-safe. Never sleeps: it raises Throttled."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._left = float(BURST)
        self._at = self._seconds()
        self._kept_away_until = 0.0
        self._refused = 0

    def take(self) -> None:
        """Use up one call, or raise Throttled with the seconds until a whole burst is possible
        again: work that is cut off half-way begins anew, and must be able to get through."""
        with self._lock:
            now = self._seconds()
            if 0 < self._kept_away_until - now <= BACK_OFF_LONGEST_S:
                raise Throttled("Lever asked to wait", after_s=self._kept_away_until - now)
            passed = max(0.0, now - self._at)  # a clock that was set back gives nothing
            self._left = min(float(BURST), self._left + passed * RATE_PER_S)
            self._at = now
            if self._left < 1:
                after_s = (BURST - self._left) / RATE_PER_S
                raise Throttled("Lever's rate is kept to: the rest follows", after_s=after_s)
            self._left -= 1

    def refused(self) -> float:
        """Lever said 429 all the same: keep away, twice as long each time. Returns the seconds."""
        with self._lock:
            wait_s = min(BACK_OFF_FIRST_S * 2.0**self._refused, BACK_OFF_LONGEST_S)
            self._refused = min(self._refused + 1, 10)
            self._left = 0.0
            self._kept_away_until = self._seconds() + wait_s
            return wait_s

    def answered(self) -> None:
        self._refused = 0

    def _seconds(self) -> float:
        return self._now().timestamp()
