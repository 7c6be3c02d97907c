"""The webhooks of the simulated Greenhouse: signed, sent, or only built for those who post."""

from __future__ import annotations

import hashlib
import hmac
import random
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from warmline.sandbox.clock import Now
from warmline.sandbox.greenhouse import payloads
from warmline.sandbox.greenhouse.tables import Row
from warmline.sandbox.outbox import Outbox, Parcel, Signed

# Seven attempts over about fifteen hours (card A1).
RETRIES_S = tuple(minutes * 60.0 for minutes in (1, 15, 60, 120, 240, 480))


class Hooks:
    """One webhook: its address, its secret, and the queue of what is on the way to it."""

    def __init__(self, now: Now, rng: random.Random) -> None:
        """No address yet; `rng` gives delays, faults and event ids."""
        self.secret = ""
        self.outbox = Outbox(
            now=now,
            rng=random.Random(rng.randrange(2**31)),
            retries_s=RETRIES_S,
            sign=self._sign,
            accepted=lambda status: status == 200,
        )
        self._keys = random.Random(rng.randrange(2**31))
        self._captured = threading.local()

    def set_webhook(self, url: str, secret: str) -> dict[str, Any]:
        """Send webhooks to `url` from now on, if it answers the ping with 200."""
        self.secret = secret
        self.outbox.url = url
        payload = {"web_hook_id": 1, "application_id": None}
        ping = Parcel(0, 0, [{"body": payloads.body_of("ping", payload)}], self._key())
        status = self.outbox.post_now(ping)
        self.outbox.active = status == 200
        return {"url": url, "active": self.outbox.active, "ping_status": status}

    def build_webhook(
        self, action: str, payload: Row, secret: str | None = None
    ) -> tuple[dict[str, str], bytes]:
        """Headers and raw body of a webhook, signed, not sent: for callers that post themselves."""
        parcel = Parcel(0, 0, [{"body": payloads.body_of(action, payload)}], self._key())
        return self._sign(parcel, secret)

    @contextmanager
    def captured(self) -> Iterator[list[Signed]]:
        """Within it, this thread's webhooks are put into the list, signed, instead of sent."""
        built: list[Signed] = []
        self._captured.into = built
        try:
            yield built
        finally:
            self._captured.into = None

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Within it, this thread's webhooks are neither built nor sent."""
        self._captured.muted = True
        try:
            yield
        finally:
            self._captured.muted = False

    # Inside

    def _sign(self, parcel: Parcel, secret: str | None = None) -> Signed:
        body: bytes = parcel.events[0]["body"]
        key = (self.secret if secret is None else secret).encode()
        signature = hmac.new(key, body, hashlib.sha256).hexdigest()
        return {
            "Content-Type": "application/json",
            "Signature": f"sha256 {signature}",
            "Greenhouse-Event-ID": parcel.key,
            "User-Agent": "Greenhouse",
        }, body

    def _key(self) -> str:
        return str(uuid.UUID(int=self._keys.getrandbits(128), version=4))

    def _emit(self, action: str, payload: Row) -> None:
        if getattr(self._captured, "muted", False):
            return
        into: list[Signed] | None = getattr(self._captured, "into", None)
        if into is not None:
            into.append(self.build_webhook(action, payload))
        elif self.outbox.active:
            # Written down now: the rows may change before it is sent.
            self.outbox.put(action, {"body": payloads.body_of(action, payload)}, self._key())
        else:
            self.outbox.counts["not_configured"] += 1
