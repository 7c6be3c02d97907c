"""A person's word on a message: it arrived, or send it."""

from __future__ import annotations

from datetime import datetime

from django.db.models import DateTimeField, F, Value
from django.db.models.functions import Coalesce

from warmline.core.errors import WarmlineError
from warmline.flows.incidents import resolve
from warmline.store.db import writing
from warmline.store.models import Message
from warmline.store.statuses import MessageStatus

# What a person may decide about: no answer came, our rule held it until it may have
# lapsed, or the server refused it.
OPEN = (
    MessageStatus.UNKNOWN, MessageStatus.HELD, MessageStatus.REFUSED, MessageStatus.EXPIRED,
)  # fmt: skip


def waiting_for_a_word() -> list[Message]:
    """Messages whose hand-over was never answered, oldest first."""
    rows = Message.objects.filter(status=MessageStatus.UNKNOWN).order_by("id")
    return list(rows.select_related("candidate", "enrolment"))


def settle(message_id: int, *, arrived: bool, who: str, now: datetime) -> Message:
    """`arrived`: it counts as handed off. Otherwise it is planned again, and the policy is asked
    again before it leaves. Raises WarmlineError for a message that nobody need decide about."""
    expected = (MessageStatus.UNKNOWN,) if arrived else OPEN
    with writing():
        rows = Message.objects.filter(pk=message_id, status__in=expected)
        if arrived:
            moved = rows.update(
                status=MessageStatus.HANDED_OFF,
                handed_off_at=Coalesce(F("sending_at"), Value(now, DateTimeField())),
                settled_by=who[:64],
            )
        else:
            moved = rows.update(
                status=MessageStatus.PLANNED,
                planned_at=now,
                due_at=now,
                attempts=0,
                expires_at=None,
                settled_by=who[:64],
            )
        message = Message.objects.filter(pk=message_id).first()
        if message is None:
            raise WarmlineError(f"there is no message {message_id}")
        if not moved:
            raise WarmlineError(
                f"message {message_id} is {message.status}; expected {' or '.join(expected)}"
            )
        resolve(
            [f"message:{message.pk}"],
            f"settled by {who}: {'it arrived' if arrived else 'send it'}",
            now=now,
        )
    return message
