"""A person's word on a message: it arrived, or send it."""

from __future__ import annotations

from datetime import datetime

from warmline.core.errors import WarmlineError
from warmline.flows.incidents import resolve
from warmline.store.db import writing
from warmline.store.models import Message
from warmline.store.statuses import MessageStatus

# What a person may decide about: no answer came, our rule held it, or the server refused it.
OPEN = (MessageStatus.UNKNOWN, MessageStatus.HELD, MessageStatus.REFUSED)


def waiting_for_a_word() -> list[Message]:
    """Messages whose hand-over was never answered, oldest first."""
    rows = Message.objects.filter(status=MessageStatus.UNKNOWN).order_by("id")
    return list(rows.select_related("candidate", "enrolment"))


def settle(message_id: int, *, arrived: bool, who: str, now: datetime) -> Message:
    """`arrived`: it counts as handed off. Otherwise it is planned again, and the policy is asked
    again before it leaves. Raises WarmlineError for a message that nobody need decide about."""
    with writing():
        message = Message.objects.filter(pk=message_id).first()
        if message is None:
            raise WarmlineError(f"there is no message {message_id}")
        if message.status not in OPEN or (arrived and message.status != MessageStatus.UNKNOWN):
            raise WarmlineError(
                f"message {message_id} is {message.status}; expected "
                f"{'unknown' if arrived else 'unknown, held or refused'}"
            )
        if arrived:
            message.status = MessageStatus.HANDED_OFF
            message.handed_off_at = message.sending_at or now
        else:
            message.status, message.attempts = MessageStatus.PLANNED, 0
            message.planned_at = message.due_at = now
        message.settled_by = who[:64]
        message.save(
            update_fields=[
                "status",
                "handed_off_at",
                "planned_at",
                "due_at",
                "attempts",
                "settled_by",
            ]
        )
        resolve(
            [f"message:{message.pk}"],
            f"settled by {who}: {'it arrived' if arrived else 'send it'}",
            now=now,
        )
    return message
