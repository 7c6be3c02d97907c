"""The mail catcher as one object: its store, its faults and its HTTP side."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

from warmline.sandbox.clock import Now, utc_now
from warmline.sandbox.faults import SMTP_KINDS, FaultPlan
from warmline.sandbox.front import RequestLog
from warmline.sandbox.mailbox.store import MailStore


class Mailbox:
    """What was caught, and the faults on the way in."""

    def __init__(
        self, *, now: Now = utc_now, rng: random.Random | None = None, spool: Path | None = None
    ) -> None:
        """With `spool`, a restarted catcher still has the mails of before."""
        rng = rng or random.Random(0)
        self.now = now
        self.store = MailStore(now, spool=spool)
        self.faults = FaultPlan(SMTP_KINDS, seed=rng.randrange(2**31))
        self.log = RequestLog(now)
        self.closing = threading.Event()

    def state(self) -> dict[str, Any]:
        """Counts for the control API."""
        return self.store.state()

    def close(self) -> None:
        """Close the spool."""
        self.closing.set()
        self.store.close()
