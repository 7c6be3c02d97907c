"""Reading what webhooks do not tell: polls, on the same road as the webhooks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from warmline.core.errors import AuthFailed, Throttled, WarmlineError
from warmline.flows.incidents import (
    credentials_key,
    credentials_refused,
    open_incident,
    resolve,
)
from warmline.flows.intake import delivery_row
from warmline.flows.runtime import PACED_S, Runtime, intake_lane
from warmline.ports import Channel, Page, Received
from warmline.store.db import writing
from warmline.store.models import Cursor, Delivery

log = logging.getLogger("warmline.reconcile")

Sleep = Callable[[float], object]
# A vendor that asks to wait so often without a page between is not going to give one.
WAITS_MAX = 20
WAIT_S_MAX = 120.0


def poll(
    runtime: Runtime,
    connection: str,
    *,
    channel: Channel = Channel.POLL,
    seen: Callable[[int], None] = lambda records: None,
    sleep: Sleep | None = None,
) -> int:
    """Read every stream from its cursor on. Returns how many records came that were not known.

    A page's records and the cursor after it are one commit: a kill repeats at most the page in
    hand. Trouble is an incident; the next poll goes on where this one stopped. `seen` is told the
    number of records of each page. With `sleep`, a vendor that asks to wait is waited for.
    """
    connector = runtime.connectors[connection]
    total, began = 0, runtime.now()
    try:
        for stream in connector.streams():
            cursor, made = Cursor.objects.get_or_create(connection=connection, stream=stream)
            if made and channel is Channel.POLL:
                cursor.position = connector.start(now=runtime.now())
            total += _sweep(runtime, connection, stream, cursor, channel, seen, sleep)
            if runtime.stopping.is_set():
                return total
    except WarmlineError as error:
        if channel is Channel.IMPORT:
            raise  # whoever asked for it is told
        if isinstance(error, Throttled) and error.after_s <= PACED_S:
            runtime.poll_again_s[connection] = error.after_s
            return total  # its own pace: it goes on from here in a moment
        log.warning("action=poll connection=%s reason=%s", connection, error.reason)
        with writing():
            if isinstance(error, AuthFailed):
                credentials_refused(
                    connection, "read", error.reason, now=runtime.now(), hint=error.hint
                )
            else:
                open_incident(
                    f"{connection}:poll",
                    error.reason,
                    now=runtime.now(),
                    connection=connection,
                    hint=error.hint or "it is tried again by itself",
                )
        return total
    with writing():
        keys = [f"{connection}:poll", credentials_key(connection, "read")]
        resolve(keys, "it can be read again", now=runtime.now())
        if channel is Channel.POLL:
            mark_fresh(connection, began)
    return total


# What says when the last poll began that read every stream to its end: the ledger knows as much.
_FRESH = "fresh"


def mark_fresh(connection: str, began: datetime) -> None:
    Cursor.objects.update_or_create(
        connection=connection, stream=_FRESH, defaults={"read_at": began}
    )


def fresh_at(connection: str) -> datetime | None:
    """How old the ledger's knowledge of this connection is at most; None: nobody has polled."""
    row = Cursor.objects.filter(connection=connection, stream=_FRESH).first()
    return row.read_at if row else None


# What marks a history as read, and the cursors while it is read.
_HISTORY = "history"


def history_is_read(connection: str) -> bool:
    return Cursor.objects.filter(
        connection=connection, stream=_HISTORY, read_at__isnull=False
    ).exists()


def read_history(
    runtime: Runtime,
    connection: str,
    *,
    seen: Callable[[int], None] = lambda records: None,
    sleep: Sleep | None = None,
) -> int:
    """Read every record there is, once, to know who is there: what happened long ago sets off
    nothing. Returns how many records came. Resumable: a kill repeats at most the page in hand.
    Raises WarmlineError for what the other side says; with `sleep`, it is waited for where it asks
    for that, as every ATS of some size does."""
    connector = runtime.connectors[connection]
    for stream in connector.streams():  # what changes meanwhile is for the polls
        cursor, made = Cursor.objects.get_or_create(connection=connection, stream=stream)
        if made:
            cursor.position = connector.start(now=runtime.now())
            cursor.save()
    total, began, at_once = 0, runtime.now(), True
    for stream in connector.streams():
        cursor, _ = Cursor.objects.get_or_create(
            connection=connection, stream=f"{_HISTORY}:{stream}"
        )
        at_once = at_once and not cursor.position
        if cursor.position == _READ:
            continue
        total += _sweep(runtime, connection, stream, cursor, Channel.HISTORY, seen, sleep)
        if runtime.stopping.is_set():
            return total
        with writing():
            cursor.position = _READ
            cursor.save()
    with writing():
        Cursor.objects.update_or_create(
            connection=connection, stream=_HISTORY, defaults={"read_at": runtime.now()}
        )
        if at_once:
            mark_fresh(connection, began)
    return total


# The position of a stream of the history that is read to its end.
_READ = "read"


def _sweep(
    runtime: Runtime,
    connection: str,
    stream: str,
    cursor: Cursor,
    channel: Channel,
    seen: Callable[[int], None],
    sleep: Sleep | None,
) -> int:
    """Keep page after page of one stream. Returns how many records were not known."""
    fresh = waits = 0
    while True:
        try:
            pages = runtime.connectors[connection].changes(
                stream, cursor.position, now=runtime.now()
            )
            for page in pages:
                fresh += _keep(runtime, connection, cursor, page, channel)
                waits = 0
                seen(len(page.records))
                if runtime.stopping.is_set():
                    break
            return fresh
        except Throttled as error:
            waits += 1
            pace = runtime.stopping.wait if error.after_s <= PACED_S else None
            # A history is read to its end; a poll goes on with the next one.
            wait = sleep or (pace if channel is Channel.HISTORY else None)
            if wait is None or waits > WAITS_MAX:
                raise
            wait(min(error.after_s, WAIT_S_MAX))
            if runtime.stopping.is_set():
                return fresh


def _keep(runtime: Runtime, connection: str, cursor: Cursor, page: Page, channel: Channel) -> int:
    now = runtime.now()
    rows = [
        delivery_row(
            connection,
            Received(channel=channel, body=record.body, received_at=now, stream=page.stream),
            f"{channel}:{record.key}",
        )
        for record in page.records
    ]
    with writing():
        before = Delivery.objects.filter(connection=connection, key__in=[r.key for r in rows])
        known = before.count()
        Delivery.objects.bulk_create(rows, ignore_conflicts=True)
        cursor.position, cursor.read_at = page.cursor, now
        cursor.save()
    runtime.poke([intake_lane(connection)])
    return len(rows) - known
