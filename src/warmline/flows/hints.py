"""Webhooks that are hints: what they are about is read from its source, and takes the road of a
poll. Only then is the webhook itself interpreted, so that a kill in between reads it again."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from warmline.core.errors import Malformed, Refused, Throttled, WarmlineError
from warmline.core.retries import asked_wait_s, backoff_s
from warmline.flows.incidents import open_incident, resolve
from warmline.flows.intake import delivery_row
from warmline.flows.runtime import PACED_S, Runtime
from warmline.ports import Channel, FetchesRecords, Received, Record
from warmline.store.db import writing
from warmline.store.models import Delivery

WAIT_S_MIN = 1.0

log = logging.getLogger("warmline.hints")


@dataclass(slots=True)
class Followed:
    """Of a batch of deliveries: those that must wait, those that nothing could be read for with
    the reason, and whether records came."""

    waiting: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    read: set[int] = field(default_factory=set)


def wait(runtime: Runtime, connection: str) -> bool:
    """Whether this connection's hints wait for its source: nothing behind them has to."""
    _, until = runtime.hints_wait.get(connection, (0, None))
    return until is not None and runtime.now() < until


def follow(runtime: Runtime, connection: str, rows: Sequence[Delivery]) -> Followed:
    """Read what the hints among `rows` are about, in order; keep it beside them. At the first that
    has to wait, those after it wait too."""
    followed = Followed()
    if connection not in runtime.connections_that("fetches_records"):
        return followed
    for row in rows:
        if row.channel != Channel.WEBHOOK:
            continue
        if wait(runtime, connection):
            followed.waiting.add(row.pk)
            continue
        try:
            _read(runtime, connection, row)
            followed.read.add(row.pk)
            runtime.hints_wait.pop(connection, None)
        except (Malformed, Refused) as error:
            followed.refused[row.pk] = error.reason
        except WarmlineError as error:
            _hold(runtime, connection, row, error)
            followed.waiting.add(row.pk)
    if followed.read and not followed.waiting:
        with writing():
            resolve([f"{connection}:hints"], "it can be read again", now=runtime.now())
    return followed


def received_of(row: Delivery) -> Received:
    """A kept delivery, as the connector is given it."""
    return Received(
        channel=Channel(row.channel),
        body=bytes(row.body),
        received_at=row.received_at,
        headers=row.headers,
        method=row.method,
        url=row.url,
        stream=row.stream,
    )


def _read(runtime: Runtime, connection: str, row: Delivery) -> None:
    connector: FetchesRecords = runtime.connectors[connection]
    found: Mapping[str, Sequence[Record]] = connector.fetch(received_of(row))
    now = runtime.now()
    rows = [
        delivery_row(
            connection,
            Received(Channel.POLL, record.body, now, stream=stream),
            f"{Channel.POLL}:{record.key}",
        )
        for stream, records in found.items()
        for record in records
    ]
    with writing():
        Delivery.objects.bulk_create(rows, ignore_conflicts=True)


def _hold(runtime: Runtime, connection: str, row: Delivery, error: WarmlineError) -> None:
    now, chance = runtime.now(), runtime.chance()
    tries, _ = runtime.hints_wait.get(connection, (0, None))
    throttled = isinstance(error, Throttled)
    wait_s = (
        asked_wait_s(error.after_s, chance)
        if isinstance(error, Throttled)
        else backoff_s(tries + 1, chance)
    )
    runtime.hints_wait[connection] = (
        tries if throttled else tries + 1,
        now + timedelta(seconds=max(wait_s, WAIT_S_MIN)),
    )
    if isinstance(error, Throttled) and error.after_s <= PACED_S:
        return  # its own pace: no failure
    log.warning("action=follow_hint connection=%s reason=%s", connection, error.reason)
    with writing():
        open_incident(
            f"{connection}:hints",
            error.reason,
            now=now,
            connection=connection,
            record=f"delivery {row.pk}",
            hint=error.hint or "it is tried again by itself, and polls bring it too",
        )
