"""What Warmline hears by itself of a candidate (on its pages, by its links), on the same road as
the vendors' news: a delivery, an event once, segments, triggers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from warmline.core.events import Event, EventKind
from warmline.core.triggers import OWN
from warmline.flows.batch import Applied, Heard
from warmline.flows.intake import delivery_row
from warmline.flows.plan import Plan
from warmline.flows.runtime import Lane, Runtime
from warmline.flows.segment import follow
from warmline.ports import Channel, Received
from warmline.store.models import Candidate, Message
from warmline.store.models import Event as EventRow
from warmline.store.queries import lock_candidate
from warmline.store.statuses import DeliveryStatus, EventEffect


def happened(
    runtime: Runtime,
    kind: EventKind,
    key: str,
    message: Message,
    *,
    word: str,
    at: datetime,
    fields: Mapping[str, str] | None = None,
) -> tuple[EventRow | None, set[Lane]]:
    """The event, recorded, with the actions that triggers make of it; None where it was heard
    before. The caller holds the transaction, and pokes the lanes after it."""
    now = runtime.now()
    event = Event(kind=kind, key=key, word=word, occurred_at=at, fields=dict(fields or {}))
    candidate = standing(message)
    lock_candidate(candidate.pk)  # of two at once, the second sees what the first did
    if EventRow.objects.filter(connection=OWN, key=key).exists():
        return None, set()
    body = {"message": message.pk, "event": str(kind), "how": word}
    received = Received(channel=Channel.FORM, body=json.dumps(body).encode(), received_at=now)
    delivery = delivery_row(OWN, received, key)
    delivery.status = DeliveryStatus.INTERPRETED
    delivery.save()
    row = EventRow.objects.create(
        connection=OWN,
        key=key,
        kind=kind,
        word=word,
        occurred_at=at,
        recorded_at=now,
        delivery=delivery,
        candidate=candidate,
        message=message,
        effect=EventEffect.APPLIED,
        fields=event.fields,
    )
    placed, moves = follow(runtime, [candidate], {candidate.pk: delivery}, now)
    plan = Plan(runtime, OWN, now)
    applied = Applied(EventEffect.APPLIED, kind, candidate)
    plan.add(row, Heard(event, at, now), applied, live=True)
    lanes = plan.write(placed) | (moves.write(placed) if moves else set())
    return row, lanes


def standing(message: Message) -> Candidate:
    """The person whom the message was for, after all merges."""
    return message.candidate.merged_into or message.candidate


def find(message_id: int) -> Message | None:
    """The message with its candidate, enrolment, and what it was merged into."""
    rows = Message.objects.select_related("candidate__merged_into", "enrolment")
    return rows.filter(pk=message_id).first()
