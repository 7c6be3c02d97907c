"""Acknowledge, then act: raw bytes are committed, and only then is the sender answered (I1)."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from warmline.core.errors import BadSignature, WarmlineError
from warmline.flows.incidents import open_incident
from warmline.flows.runtime import Runtime, intake_lane
from warmline.ports import Received
from warmline.store.db import writing
from warmline.store.models import Delivery
from warmline.store.statuses import DeliveryStatus

BODY_BYTES_MAX = 1024 * 1024
# More than so many deliveries in so many seconds are a burst: 150 a second.
BURST, BURST_WITHIN_S = 15, 0.1
KEY_CHARS_MAX = 200
# What is worth keeping of a request's headers: no cookies, no authorization.
_HEADERS_KEPT = ("content-type", "user-agent")


@dataclass(slots=True)
class _Waiting:
    row: Delivery
    done: bool = False
    error: Exception | None = None


class GroupCommit:
    """Commits what many requests bring at the same time in one transaction.

    Whoever gets the lock first commits for all who wait; the others find their work done. A row
    alone costs one commit, as before; eighty together cost little more than one.
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._arrivals: deque[float] = deque(maxlen=BURST)
        self._list = threading.Lock()
        self._leader = threading.Lock()

    def busy(self) -> bool:
        """Whether more come than a steady stream brings."""
        return len(self._arrivals) == BURST and monotonic() - self._arrivals[0] < BURST_WITHIN_S

    def commit(self, row: Delivery) -> None:
        """Return once the row is durable. Raises what the database raised."""
        mine = _Waiting(row)
        self._arrivals.append(monotonic())
        with self._list:
            self._waiting.append(mine)
        with self._leader:
            if not mine.done:
                with self._list:
                    batch, self._waiting = self._waiting, []
                _commit_all(batch)
        if mine.error is not None:
            raise mine.error


def _commit_all(batch: Sequence[_Waiting]) -> None:
    try:
        with writing():
            Delivery.objects.bulk_create([w.row for w in batch], ignore_conflicts=True)
    except Exception as error:  # each waiting request answers for itself
        for waiting in batch:
            waiting.error = error
    for waiting in batch:
        waiting.done = True


_commits = GroupCommit()


def busy() -> bool:
    """Whether a burst of webhooks is being taken in: what can wait should let it through, since a
    sender gives up after seconds and a lane does not mind."""
    return _commits.busy()


def turned_away(runtime: Runtime, connection: str, kind: str, reason: str, *, hint: str) -> None:
    """Count a delivery that nothing is kept of on the incident `<connection>:<kind>`."""
    now = runtime.now()
    count = runtime.strangers.count(f"{connection}:{kind}", now)
    if count:
        with writing():
            open_incident(
                f"{connection}:{kind}",
                reason,
                now=now,
                connection=connection,
                hint=hint,
                count=count,
            )


def delivery_row(connection: str, received: Received, key: str) -> Delivery:
    """The row for these bytes. Without a key of the sender's, a hash of the bytes is the key."""
    fallback = hashlib.sha256(received.stream.encode() + b"\0" + received.body).hexdigest()
    return Delivery(
        connection=connection,
        key=key[:KEY_CHARS_MAX] or f"sha256:{fallback}",
        channel=received.channel,
        stream=received.stream,
        method=received.method,
        url=received.url[:2000],
        headers={
            name: received.headers[name] for name in _HEADERS_KEPT if name in received.headers
        },
        body=received.body,
        received_at=received.received_at,
    )


def receive(runtime: Runtime, connection: str, received: Received) -> str:
    """Verify, commit, poke. Returns an empty text, or what is wrong with the body: that is kept
    too, as malformed, for whoever looks into it.

    Raises BadSignature (nothing is kept of a stranger's bytes, but an incident counts them) and
    whatever the database raises when it cannot commit: then nobody may be answered 2xx.
    """
    now = received.received_at
    connector = runtime.connectors[connection]
    try:
        connector.verify(received, now=now)
    except WarmlineError as error:
        kind = "signature" if isinstance(error, BadSignature) else "setup"
        reason = f"a delivery to /in/{connection} was turned away: {error.reason}"
        turned_away(runtime, connection, kind, reason, hint=error.hint)
        raise
    row = delivery_row(connection, received, connector.delivery_key(received))
    wrong = "" if _is_form(received) else _not_json(received.body)
    if wrong:
        row.status, row.reason = DeliveryStatus.MALFORMED, wrong
    _commits.commit(row)
    if wrong:
        with writing():
            open_incident(
                f"{connection}:malformed:{row.key}",
                f"a signed delivery could not be read: {wrong}",
                now=now,
                connection=connection,
                record=f"delivery {row.key}",
            )
    else:
        runtime.poke([intake_lane(connection)])
    return wrong


def _is_form(received: Received) -> bool:
    """Some mail providers post forms; their connector reads them."""
    kind = received.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in ("multipart/form-data", "application/x-www-form-urlencoded")


def _not_json(body: bytes) -> str:
    try:
        json.loads(body)
    except UnicodeDecodeError as error:
        return f"expected JSON in UTF-8; byte {error.start} is not UTF-8"
    except json.JSONDecodeError as error:
        return f"expected JSON; line {error.lineno} column {error.colno}: {error.msg}"
    except RecursionError:
        return "expected JSON; this is nested too deeply to read"
    except ValueError as error:  # a number of thousands of digits, for one
        return f"expected JSON; {error}"
    return ""
