"""Every candidate in one segment, as events happen and as time passes.

A placement is a row of its own (`Segmentation`) with the rule and the evidence. A move is an event
`candidate.segmented` of Warmline's own, so that triggers can act on it: the tag in the ATS is one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from django.db.models import Count

from warmline.core.events import Event, EventKind
from warmline.core.segments import Placement, Segment
from warmline.core.triggers import OWN
from warmline.flows.batch import Applied, Heard
from warmline.flows.intake import delivery_row
from warmline.flows.placing import placements
from warmline.flows.plan import Plan
from warmline.flows.runtime import Lane, Runtime
from warmline.ports import Channel, Received
from warmline.store.db import writing
from warmline.store.models import Candidate, Delivery, Segmentation
from warmline.store.models import Event as EventRow
from warmline.store.queries import keep_placements
from warmline.store.statuses import DeliveryStatus, EventEffect

BATCH = 500
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Move:
    """`before` is empty for somebody who is placed for the first time; `number` counts a
    candidate's moves."""

    candidate_id: int
    before: str
    placement: Placement
    number: int

    @property
    def moved(self) -> bool:
        return self.before != self.placement.segment


def follow(
    runtime: Runtime,
    candidates: Iterable[Candidate],
    cause: Mapping[int, Delivery],
    now: datetime,
    *,
    again: Collection[int] = (),
) -> tuple[dict[int, Placement], Plan | None]:
    """Place these candidates anew. The caller holds the transaction that changed them, and writes
    the plan (None where nobody moved). `cause`: the delivery that changed a candidate, by id; whom
    it leaves out is moved without an event: history sets off nothing. `again`: who is told of
    although they stay where they are, because a record is theirs now that was not."""
    people = {candidate.pk: candidate for candidate in candidates}
    if not people:
        return {}, None
    placed = placements(runtime, people, now)
    moves = [
        m
        for m in _write(people, placed, now)
        if (m.moved or m.candidate_id in again) and m.candidate_id in cause
    ]
    return placed, _told(runtime, people, moves, cause, now)


def _write(
    people: Mapping[int, Candidate],
    placed: Mapping[int, Placement],
    now: datetime,
    *,
    again: bool = False,
) -> list[Move]:
    """The rows of those who are placed; the clock leaves those alone who are no longer there, and
    who may come back. `again`: their
    time had come, and the next one is written in any case."""
    rows = Segmentation.objects.in_bulk(sorted(people))
    gone = sorted(set(rows) - set(placed))
    if gone:
        Segmentation.objects.filter(pk__in=gone).update(next_at=NEVER)
    moves: list[Move] = []
    changed: list[tuple[int, Placement, int]] = []
    for pk, placement in placed.items():
        row = rows.get(pk)
        before = row.segment if row else ""
        number = (row.moves if row else 0) + (before != placement.segment)
        if row is None or again or not _stands(row, placement):
            changed.append((pk, placement, number))
        moves.append(Move(pk, before, placement, number))
    keep_placements(changed, now)
    return moves


def _stands(row: Segmentation, placement: Placement) -> bool:
    """Nothing new: the row stays as it is, and is looked at again when its time comes."""
    return (
        row.rule == placement.rule
        and row.score == placement.score
        and row.next_at <= placement.next_at
        and row.evidence == asdict(placement.evidence)
    )


def _told(
    runtime: Runtime,
    people: Mapping[int, Candidate],
    moves: Sequence[Move],
    cause: Mapping[int, Delivery],
    now: datetime,
) -> Plan | None:
    """Each move as an event, and what the triggers make of it."""
    if not moves:
        return None
    heard: list[tuple[EventRow, Heard, Applied]] = []
    for move in moves:
        candidate = people[move.candidate_id]
        event = Event(
            kind=EventKind.CANDIDATE_SEGMENTED,
            key=f"candidate.segmented:{candidate.pk}:{move.number}"
            + ("" if move.moved else f":{cause[candidate.pk].pk}"),
            word=move.placement.segment,
            occurred_at=now,
            fields={
                "before": move.before,
                "segment": move.placement.segment,
                "rule": move.placement.rule,
            },
        )
        row = EventRow(
            connection=OWN,
            key=event.key,
            kind=event.kind,
            word=event.word,
            occurred_at=now,
            recorded_at=now,
            delivery=cause[candidate.pk],
            candidate=candidate,
            effect=EventEffect.APPLIED,
            fields=event.fields,
        )
        applied = Applied(EventEffect.APPLIED, event.kind, candidate)
        heard.append((row, Heard(event, now, now), applied))
    EventRow.objects.bulk_create([row for row, *_ in heard])
    plan = Plan(runtime, OWN, now)
    for row, h, applied in heard:
        plan.add(row, h, applied, live=True)
    return plan


def own_delivery(channel: Channel, what: Mapping[str, object], key: str, now: datetime) -> Delivery:
    """A row for what no system sent: time passed, or a person gave a word. The caller holds the
    transaction."""
    before = Delivery.objects.filter(connection=OWN, key__startswith=key).count()
    key = f"{key}:{before}" if before else key
    received = Received(channel=channel, body=json.dumps(what).encode(), received_at=now)
    row = delivery_row(OWN, received, key)
    row.status = DeliveryStatus.INTERPRETED
    row.save()
    return row


def tick(runtime: Runtime) -> set[Lane]:
    """Place anew whom time may have moved. Returns the lanes to poke."""
    lanes: set[Lane] = set()
    while not runtime.stopping.is_set():
        now = runtime.now()
        with writing():
            due = list(
                Segmentation.objects.select_for_update(of=("self",), skip_locked=True)
                .filter(next_at__lte=now)
                .select_related("candidate")
                .order_by("next_at")[:BATCH]
            )
            lanes |= _anew(runtime, [row.candidate for row in due], Channel.CLOCK, now)
        if len(due) < BATCH:
            break
    return lanes


def _anew(
    runtime: Runtime,
    people: Sequence[Candidate],
    channel: Channel,
    now: datetime,
    *,
    again: bool = False,
) -> set[Lane]:
    """Place these candidates anew on nobody's news. Only where somebody is told of is there a
    delivery that says why. The caller holds the transaction."""
    by_id = {candidate.pk: candidate for candidate in people}
    placed = placements(runtime, by_id, now)
    moved = [m for m in _write(by_id, placed, now, again=True) if m.moved or again]
    if not moved:
        return set()
    first = min(m.candidate_id for m in moved)
    key = f"{channel}:segments:{now.isoformat()}:{first}"
    delivery = own_delivery(channel, {"placed": len(by_id), "moved": len(moved)}, key, now)
    plan = _told(runtime, by_id, moved, dict.fromkeys(by_id, delivery), now)
    return plan.write(placed) if plan else set()


def tell(runtime: Runtime, moves: Sequence[Move], now: datetime) -> set[Lane]:
    """Moves that a person's order made, as events. The caller holds the transaction. Returns the
    lanes to poke."""
    if not moves:
        return set()
    people = Candidate.objects.in_bulk([m.candidate_id for m in moves])
    key = f"{Channel.OPERATOR}:segments:{now.isoformat()}:{moves[0].candidate_id}"
    delivery = own_delivery(Channel.OPERATOR, {"moved": len(moves)}, key, now)
    plan = _told(runtime, people, moves, dict.fromkeys(people, delivery), now)
    return plan.write({m.candidate_id: m.placement for m in moves}) if plan else set()


def place_now(runtime: Runtime, people: Sequence[Candidate]) -> set[Lane]:
    """Place these candidates, whom a person's word has changed, and have their records tagged
    anew. The caller holds the transaction. Returns the lanes to poke."""
    return _anew(runtime, people, Channel.OPERATOR, runtime.now(), again=True)


def counts() -> dict[Segment, int]:
    """How many candidates each segment has now."""
    there = Segmentation.objects.filter(candidate__merged_into=None, candidate__erased_at=None)
    found = dict(there.values_list("segment").annotate(n=Count("pk")))
    return {word: found.get(word, 0) for word in Segment}
