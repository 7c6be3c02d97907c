"""Deliveries into events, events into the ledger, triggers into actions. One lane a connection.

A batch is one transaction: its deliveries are read, or none is. When a batch fails, its
deliveries are taken one by one, and the events of a bad one too, so that an event stops itself
and nobody else's: least of all an opt-out beside it.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import Error as DatabaseTrouble
from django.db import InterfaceError, OperationalError

from warmline.core.errors import Malformed
from warmline.core.events import ApplicationStatus, Event, EventKind
from warmline.core.segments import Placement
from warmline.flows import authority, hints
from warmline.flows.about_mail import MailNews, take_in
from warmline.flows.batch import APPLICATION_DELETED, Applied, Heard, clean, record_of
from warmline.flows.consents import give
from warmline.flows.facts import Facts
from warmline.flows.incidents import open_incident, resolve
from warmline.flows.opt_out import stop_mail, suppress, suppress_candidate
from warmline.flows.plan import Plan
from warmline.flows.reconsider import reconsider
from warmline.flows.release import release_addressed, release_refused
from warmline.flows.runtime import Lane, Runtime
from warmline.flows.segment import follow
from warmline.ports import Channel
from warmline.store.db import lock_records, writing
from warmline.store.models import Delivery
from warmline.store.models import Event as EventRow
from warmline.store.statuses import DeliveryStatus, EventEffect, SuppressionReason

log = logging.getLogger("warmline.interpret")

BATCH = 40
# After so many failures of our own the delivery is set aside for a person, with an incident.
ATTEMPTS_MAX = 3
# A vendor's clock may be ahead of ours by so much; a time beyond it would outrank all later news.
AHEAD_MAX = timedelta(minutes=5)
# Good deliveries end the incident of bad ones only after so long without one: not once a second.
STRANGERS_QUIET_FOR = timedelta(hours=1)
# A first reading of the whole ATS sets off nothing for what is older.
HISTORY_AFTER = timedelta(days=1)
# The ledger is away, or too busy: no fault of the delivery.
_AWAY = (OperationalError, InterfaceError)


@dataclass(slots=True)
class _Read:
    """A delivery and what its bytes say."""

    row: Delivery
    events: list[Event]
    status: DeliveryStatus
    reason: str = ""


def drain(runtime: Runtime, connection: str) -> bool:
    """Interpret what waits, at most one batch. True where there may be more."""
    waiting = Delivery.objects.filter(connection=connection, status=DeliveryStatus.RECEIVED)
    if hints.wait(runtime, connection):
        waiting = waiting.exclude(channel=Channel.WEBHOOK)
    rows = list(waiting.order_by("id")[:BATCH])
    if not rows:
        return False
    followed = hints.follow(runtime, connection, rows)
    read = [_parse(runtime, row, followed) for row in rows if row.pk not in followed.waiting]
    if not read:
        return len(rows) == BATCH  # what is behind the hints that wait
    more = len(rows) == BATCH or bool(followed.read)
    try:
        lanes = _commit(runtime, connection, read)
    except Exception as error:
        _log(f"action=interpret_batch connection={connection} deliveries={len(rows)}", error)
        lanes = _one_by_one(runtime, connection, read)
        more = more and not isinstance(error, _AWAY)  # the tick looks again
    runtime.poke(lanes)
    return more


def _parse(runtime: Runtime, row: Delivery, followed: hints.Followed) -> _Read:
    if row.pk in followed.refused:
        return _Read(row, [], DeliveryStatus.FAILED, followed.refused[row.pk])
    try:
        events = runtime.connectors[row.connection].parse(hints.received_of(row))
    except Malformed as error:
        return _Read(row, [], DeliveryStatus.MALFORMED, error.reason)
    except Exception as error:  # a connector's bug must not stop the lane
        _log(f"action=parse connection={row.connection} delivery={row.pk}", error)
        return _Read(row, [], DeliveryStatus.FAILED, f"reading it failed: {type(error).__name__}")
    told = events or row.pk in followed.read
    return _Read(row, events, DeliveryStatus.INTERPRETED if told else DeliveryStatus.UNMAPPED)


def _one_by_one(runtime: Runtime, connection: str, read: Sequence[_Read]) -> set[Lane]:
    lanes: set[Lane] = set()
    for one in read:
        try:
            lanes |= _commit(runtime, connection, [one])
        except Exception as error:
            _log(f"action=interpret connection={connection} delivery={one.row.pk}", error)
            lanes |= _each_event(runtime, connection, one)
            _failed(runtime, one, error)
    return lanes


def _each_event(runtime: Runtime, connection: str, one: _Read) -> set[Lane]:
    """What can be applied of a delivery that fails as a whole. It stays to be read: the events
    that were applied now are known then."""
    lanes: set[Lane] = set()
    for event in one.events if len(one.events) > 1 else ():
        try:
            alone = replace(one, events=[event], status=DeliveryStatus.RECEIVED)
            lanes |= _commit(runtime, connection, [alone])
        except Exception as error:
            _log(f"action=interpret_event connection={connection} delivery={one.row.pk}", error)
    return lanes


def _log(what: str, error: Exception) -> None:
    """A database quotes the values that it refused: its errors are told by type and constraint."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DatabaseTrouble):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        log.error("%s", what, exc_info=error)
        return
    driver = cause.__cause__
    constraint = getattr(getattr(driver, "diag", None), "constraint_name", None) or getattr(
        driver, "sqlite_errorname", ""
    )
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s error=%s constraint=%s\n%s", what, type(cause).__name__, constraint, where)


def _failed(runtime: Runtime, one: _Read, error: Exception) -> None:
    attempts = one.row.attempts + (0 if isinstance(error, _AWAY) else 1)
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
        lock_records(connection)
        fresh, early = _unseen(connection, read)
        heard = [h for _, h in fresh]
        facts = Facts(
            connection,
            is_crm=runtime.role(connection) == "crm",
            heard=heard,
            own_tags=runtime.own_tags,
            wins=authority.owned(runtime, connection),
        )
        plan = Plan(runtime, connection, now)
        news = MailNews([h for _, h in fresh])
        addresses: dict[str, str] = {}
        made: list[_Made] = []
        for one, h in fresh:
            applied = facts.apply(h)
            row = early.get(h.event.key) or _event_row(connection, one.row, h, now)
            addresses[h.event.key] = news.place(h, applied)
            row.effect, row.kind, row.message = applied.effect, applied.kind, news.of(h)
            made.append((row, h, applied, one))
        facts.flush()
        for row, h, applied, _ in made:
            applied.candidate = facts.standing(applied.candidate)
            row.candidate, row.application = applied.candidate, applied.application
            _opt_outs(connection, h, applied, addresses[h.event.key])
        EventRow.objects.bulk_create([row for row, *_ in made if row.pk is None])
        if early:
            EventRow.objects.bulk_update(
                early.values(), ["effect", "kind", "candidate", "application", "message"]
            )
        for row, *_ in made:
            if row.kind == EventKind.CONSENT_GIVEN and row.effect == EventEffect.APPLIED:
                _consent(runtime, row)
        for row, h, applied, _ in made:
            if row.message is not None and applied.effect is EventEffect.APPLIED:
                plan.also(take_in(row, h, row.message, now))
        placed, moves = _follow(runtime, made, facts, now)
        for row, h, applied, one in made:
            told = applied.effect is EventEffect.APPLIED and applied.candidate is not None
            if told and not _history(one.row, h, now):
                live = one.row.channel == Channel.WEBHOOK and h.event.key not in early
                plan.add(row, h, applied, live=live)
        if any(r.row.channel == Channel.WEBHOOK for r in read):
            keys = [f"{connection}:signature", f"{connection}:setup"]
            resolve(keys, "signed deliveries come in", now=now, quiet_for=STRANGERS_QUIET_FOR)
        lanes = plan.write(placed) | release_addressed(facts.addressed, now)
        lanes |= moves.write(placed) if moves else set()
        _finish(read, now)
        # Last, for the events of this very batch that came too early too.
        lanes |= reconsider(connection, facts.learned)
    return lanes


_Made = tuple[EventRow, Heard, Applied, _Read]


def _history(delivery: Delivery, heard: Heard, now: datetime) -> bool:
    """Read once to know who is there: what happened long before sets off nothing. What is a day
    old or less may be news whose webhook comes a moment later, and is dealt with as such."""
    old = heard.event.occurred_at is None or now - heard.at > HISTORY_AFTER
    return delivery.channel == Channel.HISTORY and old


def _follow(
    runtime: Runtime, made: Sequence[_Made], facts: Facts, now: datetime
) -> tuple[dict[int, Placement], Plan | None]:
    """The segments of those whom these events changed. History moves people in silence."""
    again = {c.pk: c for c in (*facts.joined, *facts.recorded)}
    people = dict(again)
    cause: dict[int, Delivery] = {}
    for _, h, applied, one in made:
        candidate = applied.candidate
        if candidate is None:
            continue
        # Whatever the effect: an old stage move may tell how far somebody once came.
        people[candidate.pk] = candidate
        if not _history(one.row, h, now):
            cause[candidate.pk] = one.row
    if any(not _history(one.row, h, now) for _, h, _, one in made):
        for pk in again:
            cause.setdefault(pk, made[-1][3].row)
    return follow(runtime, people.values(), cause, now, again=again)


def _unseen(
    connection: str, read: Sequence[_Read]
) -> tuple[list[tuple[_Read, Heard]], dict[str, EventRow]]:
    """The events that the ledger does not have, once each, in order of arrival (I2). An event that
    was heard before its record was known is heard again: its rows, by the event's key."""
    keys = {clean(e.key, 250) for r in read for e in r.events}
    known = EventRow.objects.filter(connection=connection, key__in=keys)
    seen: set[str] = set()
    waiting: set[str] = set()
    for key, effect, kind in known.values_list("key", "effect", "kind"):
        unread = effect == EventEffect.UNKNOWN and kind != EventKind.UNKNOWN
        (waiting if unread else seen).add(key)
    rows = {row.key: row for row in known.filter(key__in=waiting)}
    early: dict[str, EventRow] = {}
    fresh: list[tuple[_Read, Heard]] = []
    for one in read:
        for event in one.events:
            key = clean(event.key, 250)
            if key in seen:
                continue
            seen.add(key)
            if key in rows:
                early[event.key] = rows[key]
            received_at = one.row.received_at
            at = min(event.occurred_at or received_at, received_at + AHEAD_MAX)
            fresh.append((one, Heard(event, at, received_at)))
    return fresh, early


def _event_row(connection: str, delivery: Delivery, heard: Heard, now: datetime) -> EventRow:
    event, fields = heard.event, dict(heard.event.fields)
    if event.application is not None and event.application.status is ApplicationStatus.DELETED:
        fields[APPLICATION_DELETED] = event.application.external_id
    return EventRow(
        connection=connection,
        key=clean(event.key, 250),
        word=clean(event.word, 100),
        record=record_of(event),
        occurred_at=heard.at,
        recorded_at=now,
        delivery=delivery,
        fields={k: clean(v, 2000) for k, v in fields.items()},
    )


_OPT_OUTS = {
    EventKind.CANDIDATE_UNSUBSCRIBED: SuppressionReason.UNSUBSCRIBED,
    EventKind.CONSENT_WITHDRAWN: SuppressionReason.UNSUBSCRIBED,
    EventKind.MESSAGE_COMPLAINED: SuppressionReason.COMPLAINED,
    EventKind.MESSAGE_BOUNCED: SuppressionReason.BOUNCED,
}


def _opt_outs(connection: str, heard: Heard, applied: Applied, named: str) -> None:
    """Heard with the event, committed with the event (I5). `named`: the address it is about."""
    reason = _OPT_OUTS.get(applied.kind)
    if reason is None or applied.candidate is None:
        return
    address = named or None
    if reason is SuppressionReason.BOUNCED and address is not None:
        suppress([address], reason, source=connection, now=heard.at)
        stop_mail(applied.candidate, reason, now=heard.at)
    else:
        suppress([address] if address else [], reason, source=connection, now=heard.at)
        suppress_candidate(applied.candidate, reason, source=connection, now=heard.at)


def _consent(runtime: Runtime, row: EventRow) -> None:
    if row.candidate is not None:
        give(runtime.project, row.candidate, row)


def _finish(read: Sequence[_Read], now: datetime) -> None:
    """Each delivery to its status, by compare-and-swap from `received`."""
    groups: dict[tuple[DeliveryStatus, str], list[Delivery]] = {}
    for one in read:
        groups.setdefault((one.status, one.reason), []).append(one.row)
    for (status, reason), rows in groups.items():
        if status is DeliveryStatus.RECEIVED:
            continue
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


def take(runtime: Runtime, delivery: Delivery, events: list[Event]) -> set[Lane]:
    """Events that no bytes tell of, on the same road as all others. The caller holds the
    transaction. Returns the lanes to poke."""
    delivery.save()
    one = _Read(delivery, events, DeliveryStatus.INTERPRETED)
    return _commit(runtime, delivery.connection, [one])


def replay(runtime: Runtime, delivery_id: int) -> Delivery | None:
    """Have a kept delivery interpreted again, and what was refused of it tried again. What it
    changed already happens once (I2). None where there is no such delivery.

    Where no connector reads it the status stays as it is: what people do on our own pages was
    applied when it came, and a connection may be gone from the project.
    """
    with writing():
        row = Delivery.objects.filter(pk=delivery_id).first()
        if row is None:
            return None
        if row.connection in runtime.connections_that("parses"):
            row.status, row.attempts, row.reason = DeliveryStatus.RECEIVED, 0, "replayed"
            row.save(update_fields=["status", "attempts", "reason"])
        release_refused(row, runtime.now())
    return row
