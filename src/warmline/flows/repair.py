"""Differences between the ledger and another system, kept, counted and mended.

What is ours to write is written again; what the other side knows and we do not is heard as the
event that never came.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from warmline.core.actions import ActionKind
from warmline.core.events import CandidateFacts, EventKind
from warmline.core.events import Event as CoreEvent
from warmline.core.triggers import OWN
from warmline.flows.incidents import open_incident
from warmline.flows.intake import delivery_row
from warmline.flows.interpret import take
from warmline.flows.plan import ACTION_KEY_MAX
from warmline.flows.runtime import Lane, Runtime, act_lane
from warmline.flows.segment import own_delivery
from warmline.ports import Channel, Received
from warmline.store.models import Action, Drift, Event, ExternalId
from warmline.store.statuses import EventEffect, lane_of

SHOWN_CHARS_MAX = 500
OPT_OUT, TAG, DO_NOT_CONTACT = "opt_out", "tag", "do_not_contact"
# How the cursors, the deliveries and the events of comparing are called.
STREAM = "compare"


@dataclass(frozen=True, slots=True)
class Difference:
    """`what`: a field, or one of OPT_OUT, TAG, DO_NOT_CONTACT. `ours`: the ledger is right and the
    other side is written to; else the other side told us something that we had not heard."""

    record: str
    candidate_id: int
    what: str
    trigger: str
    expected: str
    found: str
    ours: bool = True


def repair_all(
    runtime: Runtime,
    connection: str,
    looked: Sequence[ExternalId],
    differences: Sequence[Difference],
    now: datetime,
) -> set[Lane]:
    """Keep what differs, close what no longer does, and mend. The caller holds the transaction."""
    _settle(connection, looked, differences, now)
    if not differences:
        return set()
    Drift.objects.bulk_create(
        [
            Drift(
                connection=connection,
                record=d.record,
                candidate_id=d.candidate_id,
                what=d.what,
                trigger=d.trigger[:100],
                expected=d.expected[:SHOWN_CHARS_MAX],
                found=d.found[:SHOWN_CHARS_MAX],
                found_at=now,
            )
            for d in differences
        ],
        ignore_conflicts=True,
    )
    for trigger in sorted({d.trigger for d in differences}):
        mine = [d for d in differences if d.trigger == trigger]
        open_incident(
            f"drift:{connection}:{trigger}",
            f"{connection} did not hold what it should: {_words(mine)}",
            now=now,
            connection=connection,
            trigger=trigger,
            record=f"candidate {mine[0].candidate_id}",
            candidate_id=mine[0].candidate_id,
            hint="it is repaired by itself; `warmline reconcile` shows each difference",
            count=len(mine),
        )
    lanes = _hear(runtime, connection, [d for d in differences if not d.ours])
    return lanes | _write_again(connection, [d for d in differences if d.ours], now)


def _words(differences: Sequence[Difference]) -> str:
    """Which things, without their values: those may be personal."""
    return ", ".join(sorted({d.what for d in differences}))


def _settle(
    connection: str, looked: Sequence[ExternalId], differences: Sequence[Difference], now: datetime
) -> None:
    """What was open of these records and is not found any more was repaired."""
    still = {(d.record, d.what) for d in differences}
    rows = Drift.objects.filter(
        connection=connection,
        record__in=[row.external_id for row in looked],
        repaired_at__isnull=True,
    )
    over = [row.pk for row in rows if (row.record, row.what) not in still]
    Drift.objects.filter(pk__in=over).update(repaired_at=now)


def _hear(runtime: Runtime, connection: str, differences: Sequence[Difference]) -> set[Lane]:
    """The events that never came, on the road of all others."""
    if not differences:
        return set()
    stamp = runtime.now().isoformat()
    events = [
        CoreEvent(
            kind=EventKind.CANDIDATE_UNSUBSCRIBED
            if d.what == OPT_OUT
            else EventKind.CANDIDATE_UPDATED,
            key=f"compared:{d.record}:{d.what}:{stamp}",
            word="compared",
            candidate=CandidateFacts(external_id=d.record, can_email=False),
        )
        for d in differences
    ]
    body = json.dumps([{"kind": e.kind, "key": e.key} for e in events]).encode()
    received = Received(Channel.POLL, body, runtime.now(), stream=STREAM)
    key = f"{STREAM}:{stamp}:{differences[0].record}"
    return take(runtime, delivery_row(connection, received, key), events)


def _write_again(connection: str, differences: Sequence[Difference], now: datetime) -> set[Lane]:
    """An action for each record and kind of repair. What we had taken for confirmed is not, and is
    forgotten first: else the action would find nothing to do."""
    by_record: dict[str, list[Difference]] = {}
    for d in differences:
        by_record.setdefault(d.record, []).append(d)
    if not by_record:
        return set()
    _forget(connection, by_record)
    key = f"{Channel.CLOCK}:{STREAM}:{connection}:{now.isoformat()}:{differences[0].record}"
    delivery = own_delivery(Channel.CLOCK, {"differences": len(differences)}, key, now)
    events = {
        record: Event(
            connection=OWN,
            key=f"candidate.drifted:{connection}:{record}:{now.isoformat()}",
            kind=EventKind.CANDIDATE_DRIFTED,
            word=_words(found)[:100],
            record=record,
            occurred_at=now,
            recorded_at=now,
            delivery=delivery,
            candidate_id=found[0].candidate_id,
            effect=EventEffect.APPLIED,
            fields={"connection": connection, "what": _words(found)},
        )
        for record, found in by_record.items()
    }
    Event.objects.bulk_create(events.values())
    actions = [
        action
        for record, found in by_record.items()
        for action in _actions(connection, events[record], found, now)
    ]
    Action.objects.bulk_create(actions, ignore_conflicts=True)
    return {act_lane(connection, action.lane) for action in actions}


def _forget(connection: str, by_record: Mapping[str, Collection[Difference]]) -> None:
    for row in ExternalId.objects.filter(connection=connection, external_id__in=by_record):
        wrong = {d.what for d in by_record[row.external_id]}
        row.written = {name: text for name, text in row.written.items() if name not in wrong}
        row.segment = "" if TAG in wrong else row.segment
        row.save(update_fields=["written", "segment"])


_KINDS: Mapping[str, ActionKind] = {
    OPT_OUT: ActionKind.CONTACT_OPT_OUT,
    TAG: ActionKind.CANDIDATE_TAG,
    DO_NOT_CONTACT: ActionKind.CANDIDATE_DO_NOT_CONTACT,
}


def _actions(
    connection: str, event: Event, differences: Sequence[Difference], now: datetime
) -> Iterable[Action]:
    by_kind: dict[tuple[ActionKind, str], list[str]] = {}
    for d in differences:
        kind = _KINDS.get(d.what, ActionKind.CONTACT_UPSERT)
        by_kind.setdefault((kind, d.trigger), []).append(d.what)
    for (kind, trigger), whats in by_kind.items():
        halves = {"first_name", "last_name"}
        fields = [w for w in whats if w not in halves] + ["name"] * bool(halves & set(whats))
        yield Action(
            key=f"drift|{kind}|{trigger}|{event.key}"[:ACTION_KEY_MAX],
            trigger=trigger[:100],
            kind=kind,
            target=connection,
            passes=fields if kind is ActionKind.CONTACT_UPSERT else [],
            candidate_id=differences[0].candidate_id,
            event=event,
            planned_at=now,
            due_at=now,
            lane=lane_of(differences[0].candidate_id),
        )
