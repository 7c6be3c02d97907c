"""How close we are to a vendor's limit of so many calls in a rolling stretch of time."""

from __future__ import annotations

from collections import deque

# Of the limit is left free, for calls that are under way when it is nearly reached; so many at the
# most.
SPARE_SHARE, SPARE_MAX = 0.1, 8


class Window:
    """The calls that the vendor counted, by when it answered: never earlier than it counted them.
    The limit is the one that its last answer named. Not thread-safe: the door has a lock."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self._limit, self._span_s = 0, 0.0

    def answered(self, at: float, limit: int, span_s: float) -> None:
        """One more call was counted, under a limit of so many in `span_s` seconds."""
        self._limit, self._span_s = limit, span_s
        self._times.append(at)
        self._forget(at)

    def full_s(self, at: float) -> float:
        """How long until another call fits in; 0 where one does, or no limit is known."""
        self._forget(at)
        most = self._limit - min(SPARE_MAX, int(self._limit * SPARE_SHARE))
        if self._limit <= 0 or len(self._times) < most:
            return 0.0
        return self._times[len(self._times) - most] + self._span_s - at

    def _forget(self, at: float) -> None:
        """Those before the window; all of them where the clock was set back."""
        while self._times and not at - self._span_s < self._times[0] <= at:
            self._times.popleft()
