"""Reading what webhooks do not tell: polls, on the same road as the webhooks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

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


def poll(
    runtime: Runtime,
    connection: str,
    *,
    channel: Channel = Channel.POLL,
    seen: Callable[[int], None] = lambda records: None,
) -> int:
    """Read every stream from its cursor on. Returns how many records came that were not known.

    A page's records and the cursor after it are one commit: a kill repeats at most the page in
    hand. Trouble is an incident; the next poll goes on where this one stopped. `seen` is told the
    number of records of each page.
    """
    connector = runtime.connectors[connection]
    total = 0
    try:
        for stream in connector.streams():
            cursor, made = Cursor.objects.get_or_create(connection=connection, stream=stream)
            if made and channel is Channel.POLL:
                cursor.position = connector.start(now=runtime.now())
            for fresh in _sweep(runtime, connection, stream, cursor, channel, seen):
                total += fresh
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
    return total


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
) -> int:
    """Read every record there is, once, to know who is there: what happened long ago sets off
    nothing. Returns how many records came. Resumable: a kill repeats at most the page in hand.
    Raises WarmlineError for what the other side says."""
    connector = runtime.connectors[connection]
    for stream in connector.streams():  # what changes meanwhile is for the polls
        cursor, made = Cursor.objects.get_or_create(connection=connection, stream=stream)
        if made:
            cursor.position = connector.start(now=runtime.now())
            cursor.save()
    total = 0
    for stream in connector.streams():
        cursor, _ = Cursor.objects.get_or_create(
            connection=connection, stream=f"{_HISTORY}:{stream}"
        )
        if cursor.position == _READ:
            continue
        done = False
        while not done and not runtime.stopping.is_set():
            try:
                for fresh in _sweep(runtime, connection, stream, cursor, Channel.HISTORY, seen):
                    total += fresh
                done = True
            except Throttled as error:
                if error.after_s > PACED_S:
                    raise
                runtime.stopping.wait(error.after_s)  # its own pace: the sweep goes on from there
        if runtime.stopping.is_set():
            return total
        with writing():
            cursor.position = _READ
            cursor.save()
    with writing():
        Cursor.objects.update_or_create(
            connection=connection, stream=_HISTORY, defaults={"read_at": runtime.now()}
        )
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
) -> Iterator[int]:
    """Keep page after page of one stream. Yields how many records of each were not known."""
    pages = runtime.connectors[connection].changes(stream, cursor.position, now=runtime.now())
    for page in pages:
        fresh = _keep(runtime, connection, cursor, page, channel)
        seen(len(page.records))
        yield fresh
        if runtime.stopping.is_set():
            break


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
