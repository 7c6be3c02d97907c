"""What strangers can cause at will, counted."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

QUIET_FOR = timedelta(seconds=1)


class Quiet:
    """Lets what strangers cause be written down once a second, with how often it was: nobody
    without a key may keep the disk busy."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[datetime | None, int]] = {}

    def count(self, key: str, now: datetime) -> int:
        """How many to write down now, this one included; 0: not yet."""
        with self._lock:
            last, waiting = self._counts.get(key, (None, 0))
            if last is not None and abs(now - last) < QUIET_FOR:
                self._counts[key] = (last, waiting + 1)
                return 0
            self._counts[key] = (now, 0)
            return waiting + 1
