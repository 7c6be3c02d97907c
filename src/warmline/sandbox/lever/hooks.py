"""The webhooks of the simulated Lever: one subscription an event, each with a token of its own."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from warmline.sandbox.clock import Now, epoch_ms
from warmline.sandbox.control import CallError
from warmline.sandbox.lever.world import Row
from warmline.sandbox.outbox import Outbox, Parcel, Signed

EVENTS = (
    "applicationCreated", "candidateHired", "candidateStageChange", "candidateArchiveChange",
    "candidateDeleted", "interviewCreated", "interviewUpdated", "interviewDeleted",
    "contactCreated", "contactUpdated",
)  # fmt: skip
# Five attempts; how far apart is not told.
RETRIES_S = (30.0, 300.0, 1800.0, 7200.0)


class Hooks:
    """The subscriptions, and the queue of what is on the way. They lead to one address."""

    def __init__(self, now: Now, rng: random.Random) -> None:
        """No subscription yet; `rng` gives delays, faults, ids and tokens."""
        self._moment = now
        self._keys = rng
        self._captured = threading.local()
        self.webhooks: dict[str, Row] = {}
        self.outbox = Outbox(
            now=now,
            rng=random.Random(rng.randrange(2**31)),
            retries_s=RETRIES_S,
            sign=_sign,
            accepted=lambda status: 200 <= status < 300,
        )

    def add_webhook(self, event: str, url: str) -> Row:
        """One subscription. Its signature token is told here and never again."""
        if event not in EVENTS:
            raise CallError(f"There is no event {event!r}; known: {', '.join(EVENTS)}.")
        at = epoch_ms(self._moment())
        row: Row = {
            "id": f"{self._keys.getrandbits(128):032x}",
            "event": event,
            "url": url,
            "configuration": {"signatureToken": f"{self._keys.getrandbits(192):048x}"},
            "createdAt": at,
            "updatedAt": at,
        }
        self.webhooks[row["id"]] = row
        self.outbox.url, self.outbox.active = url, True
        return row

    def set_webhook(self, url: str, secret: str = "") -> dict[str, Any]:
        """Every event to this address from now on. With `secret`, all are signed with it; Lever
        makes a token of its own for each."""
        self.webhooks.clear()
        rows = [self.add_webhook(event, url) for event in EVENTS]
        for row in rows if secret else ():
            row["configuration"]["signatureToken"] = secret
        tokens = [row["configuration"]["signatureToken"] for row in rows]
        return {"url": url, "active": True, "tokens": list(dict.fromkeys(tokens))}

    @contextmanager
    def captured(self) -> Iterator[list[Signed]]:
        """Within it, this thread's webhooks are put into the list, signed, instead of sent."""
        built: list[Signed] = []
        self._captured.into = built
        try:
            yield built
        finally:
            self._captured.into = None

    # Inside

    def _emit(self, event: str, row: Row, **more: Any) -> None:
        number = row["id"]
        said = {"opportunityId": number, "candidateId": number, "contactId": row["contact"]}
        self._send(event, {**said, **more})

    def _emit_contact(self, event: str, contact: str) -> None:
        when = "createdAt" if event == "contactCreated" else "updatedAt"
        self._send(
            event, {"contactId": contact, "accountId": "acc", when: epoch_ms(self._moment())}
        )

    def _emit_interview(self, event: str, row: Row, when: str) -> None:
        said = {"interviewId": row["id"], "panelId": row["panel"], when: epoch_ms(self._moment())}
        self._send(event, {**said, "opportunityId": row["opportunityId"]})

    def _send(self, event: str, data: Row) -> None:
        for hook in self.webhooks.values():
            if hook["event"] != event:
                continue
            key = hook["configuration"]["signatureToken"]
            body = self.envelope(event, data, key)
            into: list[Signed] | None = getattr(self._captured, "into", None)
            if into is not None:
                into.append(_sign(Parcel(0, 0, [{"body": body}])))
            else:
                self.outbox.put(event, {"body": body})

    def envelope(self, event: str, data: Row, key: str, triggered_at: int | None = None) -> bytes:
        """A webhook's body: signed over the token and the time, and nothing else."""
        at = epoch_ms(self._moment()) if triggered_at is None else triggered_at
        token = f"{self._keys.getrandbits(160):040x}"
        signature = hmac.new(key.encode(), f"{token}{at}".encode(), hashlib.sha256).hexdigest()
        said = {"triggeredAt": at, "event": event, "token": token, "signature": signature}
        return json.dumps({**said, "data": data}).encode()


def _sign(parcel: Parcel) -> Signed:
    headers = {"Content-Type": "application/json", "User-Agent": "Lever"}
    return headers, parcel.events[0]["body"]
