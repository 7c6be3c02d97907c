"""Deliveries into events, events into the ledger, triggers into actions. One lane a connection.

A batch is one transaction: its deliveries are read, or none is. When a batch fails, its
deliveries are taken one by one, so that a bad one stops itself and nobody else.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from warmline.core.candidates import normal_email
from warmline.core.errors import Malformed
from warmline.core.events import Event, EventKind
from warmline.flows.batch import Applied, Heard, clean
from warmline.flows.facts import Facts
from warmline.flows.incidents import open_incident, resolve
from warmline.flows.opt_out import stop_mail, suppress, suppress_candidate
from warmline.flows.plan import Plan
from warmline.flows.release import release_addressed, release_refused
from warmline.flows.runtime import Lane, Runtime
from warmline.ports import Channel, Received
from warmline.store.db import writing
from warmline.store.models import Delivery
from warmline.store.models import Event as EventRow
from warmline.store.statuses import DeliveryStatus, EventEffect, SuppressionReason

log = logging.getLogger("warmline.interpret")

BATCH = 40
# After so many failures of our own the delivery is set aside for a person, with an incident.
ATTEMPTS_MAX = 3


@dataclass(slots=True)
class _Read:
    """A delivery and what its bytes say."""

    row: Delivery
    events: list[Event]
    status: DeliveryStatus
    reason: str = ""


def drain(runtime: Runtime, connection: str) -> bool:
    """Interpret what waits, at most one batch. True where there may be more."""
    rows = list(
        Delivery.objects.filter(connection=connection, status=DeliveryStatus.RECEIVED).order_by(
            "id"
        )[:BATCH]
    )
    if not rows:
        return False
    read = [_parse(runtime, row) for row in rows]
    try:
        lanes = _commit(runtime, connection, read)
    except Exception:
        log.exception("action=interpret_batch connection=%s deliveries=%d", connection, len(rows))
        lanes = _one_by_one(runtime, connection, read)
    runtime.poke(lanes)
    return len(rows) == BATCH


def _parse(runtime: Runtime, row: Delivery) -> _Read:
    received = Received(
        channel=Channel(row.channel),
        body=bytes(row.body),
        received_at=row.received_at,
        headers=row.headers,
        method=row.method,
        url=row.url,
        stream=row.stream,
    )
    try:
        events = runtime.connectors[row.connection].parse(received)
    except Malformed as error:
        return _Read(row, [], DeliveryStatus.MALFORMED, error.reason)
    except Exception as error:  # a connector's bug must not stop the lane
        log.exception("action=parse connection=%s delivery=%d", row.connection, row.pk)
        return _Read(row, [], DeliveryStatus.FAILED, f"reading it failed: {type(error).__name__}")
    return _Read(row, events, DeliveryStatus.INTERPRETED if events else DeliveryStatus.UNMAPPED)


def _one_by_one(runtime: Runtime, connection: str, read: Sequence[_Read]) -> set[Lane]:
    lanes: set[Lane] = set()
    for one in read:
        try:
            lanes |= _commit(runtime, connection, [one])
        except Exception as error:
            log.exception("action=interpret connection=%s delivery=%d", connection, one.row.pk)
            _failed(runtime, one, error)
    return lanes


def _failed(runtime: Runtime, one: _Read, error: Exception) -> None:
    attempts = one.row.attempts + 1
    reason = f"it could not be applied: {type(error).__name__}"
    with writing():
        Delivery.objects.filter(pk=one.row.pk, status=DeliveryStatus.RECEIVED).update(
            attempts=attempts,
            reason=reason,
            status=DeliveryStatus.FAILED if attempts >= ATTEMPTS_MAX else DeliveryStatus.RECEIVED,
        )
        _incident(one.row, reason, runtime.now())


def _incident(row: Delivery, reason: str, now: datetime) -> None:
    open_incident(
        f"{row.connection}:delivery:{row.key}",
        reason,
        now=now,
        connection=row.connection,
        record=f"delivery {row.pk}",
        hint=f"look at it, mend the cause, then `warmline replay {row.pk}`",
    )


def _commit(runtime: Runtime, connection: str, read: Sequence[_Read]) -> set[Lane]:
    """One transaction for these deliveries. Returns the lanes that have work now."""
    now = runtime.now()
    with writing():
        ours = set(
            Delivery.objects.select_for_update(skip_locked=True)
            .filter(pk__in=[r.row.pk for r in read], status=DeliveryStatus.RECEIVED)
            .values_list("pk", flat=True)
        )
        read = [r for r in read if r.row.pk in ours]
        fresh = _unseen(connection, read)
        heard = [h for _, h in fresh]
        facts = Facts(connection, is_crm=runtime.role(connection) == "crm", heard=heard)
        plan = Plan(runtime, connection, now)
        made: list[tuple[EventRow, Heard, Applied, _Read]] = []
        for one, h in fresh:
            applied = facts.apply(h)
            row = _event_row(connection, one.row, h, applied, now)
            made.append((row, h, applied, one))
        facts.flush()
        for row, h, applied, _ in made:
            applied.candidate = facts.standing(applied.candidate)
            row.candidate, row.application = applied.candidate, applied.application
            _opt_outs(connection, h, applied)
        EventRow.objects.bulk_create([row for row, *_ in made])
        for row, h, applied, one in made:
            if applied.effect is EventEffect.APPLIED and applied.candidate is not None:
                plan.add(row, h, applied, live=one.row.channel == Channel.WEBHOOK)
        if any(r.row.channel == Channel.WEBHOOK for r in read):
            keys = [f"{connection}:signature", f"{connection}:setup"]
            resolve(keys, "signed deliveries come in", now=now)
        lanes = plan.write() | release_addressed(facts.addressed, now)
        _finish(read, now)
    return lanes


def _unseen(connection: str, read: Sequence[_Read]) -> list[tuple[_Read, Heard]]:
    """The events that the ledger does not have, once each, in order of arrival (I2)."""
    keys = {clean(e.key, 250) for r in read for e in r.events}
    seen = set(
        EventRow.objects.filter(connection=connection, key__in=keys).values_list("key", flat=True)
    )
    fresh: list[tuple[_Read, Heard]] = []
    for one in read:
        for event in one.events:
            key = clean(event.key, 250)
            if key in seen:
                continue
            seen.add(key)
            at = event.occurred_at or one.row.received_at
            fresh.append((one, Heard(event, at, one.row.received_at)))
    return fresh


def _event_row(
    connection: str, delivery: Delivery, heard: Heard, applied: Applied, now: datetime
) -> EventRow:
    candidate = heard.event.candidate
    return EventRow(
        connection=connection,
        key=clean(heard.event.key, 250),
        kind=applied.kind,
        word=clean(heard.event.word, 100),
        record=clean(candidate.external_id, 128) if candidate else "",
        occurred_at=heard.at,
        recorded_at=now,
        delivery=delivery,
        effect=applied.effect,
        fields={k: clean(v, 2000) for k, v in heard.event.fields.items()},
    )


_OPT_OUTS = {
    EventKind.CANDIDATE_UNSUBSCRIBED: SuppressionReason.UNSUBSCRIBED,
    EventKind.CONSENT_WITHDRAWN: SuppressionReason.UNSUBSCRIBED,
    EventKind.MESSAGE_COMPLAINED: SuppressionReason.COMPLAINED,
    EventKind.MESSAGE_BOUNCED: SuppressionReason.BOUNCED,
}


def _opt_outs(connection: str, heard: Heard, applied: Applied) -> None:
    """Heard with the event, committed with the event (I5)."""
    reason = _OPT_OUTS.get(heard.event.kind)
    if reason is None or applied.candidate is None:
        return
    address = normal_email(heard.event.fields.get("address", ""))
    if reason is SuppressionReason.BOUNCED and address is not None:
        suppress([address], reason, source=connection, now=heard.at)
        stop_mail(applied.candidate, reason)
    else:
        suppress_candidate(applied.candidate, reason, source=connection, now=heard.at)


def _finish(read: Sequence[_Read], now: datetime) -> None:
    """Each delivery to its status, by compare-and-swap from `received`."""
    groups: dict[tuple[DeliveryStatus, str], list[Delivery]] = {}
    for one in read:
        groups.setdefault((one.status, one.reason), []).append(one.row)
    for (status, reason), rows in groups.items():
        Delivery.objects.filter(
            pk__in=[row.pk for row in rows], status=DeliveryStatus.RECEIVED
        ).update(status=status, reason=reason)
        if status in (DeliveryStatus.MALFORMED, DeliveryStatus.FAILED):
            for row in rows:
                _incident(row, reason, now)
        elif any(row.attempts or row.reason for row in rows):
            resolve(
                [f"{row.connection}:delivery:{row.key}" for row in rows],
                "interpreted after all",
                now=now,
            )


def replay(runtime: Runtime, delivery_id: int) -> Delivery | None:
    """Have a kept delivery interpreted again, and what was refused of it tried again. What it
    changed already happens once (I2). None where there is no such delivery."""
    with writing():
        row = Delivery.objects.filter(pk=delivery_id).first()
        if row is None:
            return None
        row.status, row.attempts, row.reason = DeliveryStatus.RECEIVED, 0, "replayed"
        row.save(update_fields=["status", "attempts", "reason"])
        release_refused(row, runtime.now())
    return row
