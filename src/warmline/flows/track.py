"""What candidates do on our public pages, as events on the same road as the vendors'."""

from __future__ import annotations

import json
from datetime import datetime

from warmline.core.events import Event, EventKind
from warmline.core.triggers import OWN
from warmline.flows.batch import Applied, Heard
from warmline.flows.intake import delivery_row
from warmline.flows.opt_out import suppress, suppress_candidate
from warmline.flows.plan import Plan
from warmline.flows.runtime import Runtime
from warmline.ports import Channel, Received
from warmline.store.db import writing
from warmline.store.models import Delivery, Message
from warmline.store.models import Event as EventRow
from warmline.store.statuses import DeliveryStatus, EventEffect, SuppressionReason


def unsubscribe(runtime: Runtime, message_id: int, *, how: str) -> bool:
    """The person who got this message wants no more. Done when this returns; done once however
    often it is asked. False where there is no such message. `how`: `one-click` or `page`."""
    now = runtime.now()
    with writing():
        message = (
            Message.objects.select_related("candidate__merged_into").filter(pk=message_id).first()
        )
        if message is None:
            return False
        candidate = message.candidate.merged_into or message.candidate
        event = Event(
            kind=EventKind.CANDIDATE_UNSUBSCRIBED,
            key=f"candidate.unsubscribed:{candidate.pk}:{message.pk}",
            word=how,
            occurred_at=now,
        )
        if EventRow.objects.filter(connection=OWN, key=event.key).exists():
            return True
        delivery = _delivery(event, message, now)
        suppress(
            [message.to_address] if message.to_address else [],
            SuppressionReason.UNSUBSCRIBED,
            source=how,
            now=now,
        )
        suppress_candidate(candidate, SuppressionReason.UNSUBSCRIBED, source=how, now=now)
        row = EventRow.objects.create(
            connection=OWN,
            key=event.key,
            kind=event.kind,
            word=how,
            occurred_at=now,
            recorded_at=now,
            delivery=delivery,
            candidate=candidate,
            effect=EventEffect.APPLIED,
        )
        plan = Plan(runtime, OWN, now)
        heard = Heard(event, now, now)
        plan.add(row, heard, Applied(EventEffect.APPLIED, event.kind, candidate), live=True)
        lanes = plan.write()
    runtime.poke(lanes)
    return True


def _delivery(event: Event, message: Message, now: datetime) -> Delivery:
    body = json.dumps({"message": message.pk, "act": "unsubscribe", "how": event.word}).encode()
    received = Received(channel=Channel.FORM, body=body, received_at=now)
    row = delivery_row(OWN, received, event.key)
    row.status = DeliveryStatus.INTERPRETED
    row.save()
    return row
