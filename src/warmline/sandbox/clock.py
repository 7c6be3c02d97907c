"""Time as the simulators see it: a callable that is passed in, so that a test can own the hours."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Now = Callable[[], datetime]
"""Gives the present moment, aware and in UTC."""


def utc_now() -> datetime:
    """The real clock: the only place in the sandbox that reads it."""
    return datetime.now(UTC)


class VirtualClock:
    """A clock that stands still until it is told to move. Call it to read it."""

    def __init__(self, start: datetime) -> None:
        """Begin at `start`, which must be aware."""
        self._now = start.astimezone(UTC)
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> datetime:
        """Move forward by `seconds` and return the new moment."""
        with self._lock:
            self._now += timedelta(seconds=seconds)
            return self._now

    def set(self, moment: datetime) -> datetime:
        """Move to `moment`, which may not lie in the past."""
        with self._lock:
            if moment < self._now:
                raise ValueError("A clock does not run backwards.")
            self._now = moment.astimezone(UTC)
            return self._now


def iso_ms(moment: datetime) -> str:
    """`2026-01-31T09:30:00.000Z`: fixed width, so that text order is time order."""
    at = moment.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def parse_iso(text: str) -> datetime:
    """An ISO 8601 moment; one without an offset is read as UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970, as HubSpot counts."""
    return int(moment.timestamp() * 1000)
