"""Work that a killed runner left behind is taken up again."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from warmline.core.triggers import OWN
from warmline.flows.pauses import paused
from warmline.flows.quota import give_back
from warmline.flows.runtime import Lane, Runtime
from warmline.flows.send import CLAIM_FOR, settle_by_rule
from warmline.store.db import writing
from warmline.store.models import Action, Alert, Delivery, Message
from warmline.store.statuses import ActionStatus, AlertStatus, DeliveryStatus, MessageStatus


def recover(runtime: Runtime, *, alone: bool = False) -> int:
    """Give back every claim that has lapsed; with `alone` (no other runner can be alive) every
    claim that is not in hand here. Returns how many.

    An action may have reached the vendor: it is looked for first. A message that was only claimed
    was not sent; one whose hand-over had begun is an unknown.
    """
    now = runtime.now()
    lapsed = ~Q(claimed_by__in=runtime.live.copy())
    if not alone:
        # A batch of this process that is no longer in hand crashed: nobody else will end it.
        lapsed &= Q(claim_until__lt=now) | Q(claimed_by__startswith=runtime.token[:20])
    with writing():
        count = Action.objects.filter(lapsed, status=ActionStatus.CLAIMED).update(
            status=ActionStatus.UNKNOWN, due_at=now, claimed_by="", claim_until=None
        )
        count += _unclaim(Message.objects.filter(lapsed, status=MessageStatus.CLAIMED))
        # It may have arrived: rather twice than never.
        count += Alert.objects.filter(lapsed, status=AlertStatus.SENDING).update(
            status=AlertStatus.PLANNED, due_at=now, claimed_by="", claim_until=None
        )
        for message in Message.objects.filter(lapsed, status=MessageStatus.SENDING):
            settle_by_rule(runtime, message, "the process ended during the hand-over", now)
            count += 1
    return count


def _unclaim(rows: QuerySet[Message]) -> int:
    """Claimed and not begun: nothing was sent, and the sender's share of the day is free again."""
    held = list(rows.values_list("sender_address", "claim_until"))
    if not held:
        return 0
    give_back((sender, until - CLAIM_FOR) for sender, until in held if until is not None)
    return int(rows.update(status=MessageStatus.PLANNED, claimed_by="", claim_until=None))


def due_lanes(runtime: Runtime) -> set[Lane]:
    """Every lane that has work now, paused work left out: finds the lanes whose poke was lost."""
    now, stopped = runtime.now(), paused()
    lanes = {
        Lane(f"intake:{name}", 0)
        for name in Delivery.objects.filter(status=DeliveryStatus.RECEIVED)
        .order_by()
        .values_list("connection", flat=True)
        .distinct()
    }
    waiting = Action.objects.filter(
        status__in=[ActionStatus.PLANNED, ActionStatus.UNKNOWN], due_at__lte=now
    )
    # What Warmline does itself has no lane: `flows.enrol` takes it up.
    actions = stopped.actions(waiting).exclude(target=OWN)
    lanes |= {
        Lane(f"act:{target}", lane)
        for target, lane in actions.order_by().values_list("target", "lane").distinct()
    }
    due = Message.objects.filter(status=MessageStatus.PLANNED, due_at__lte=now)
    messages = stopped.messages(due, runtime.project.file.mail.connection)
    lanes |= {
        Lane("mail", lane) for lane in messages.order_by().values_list("lane", flat=True).distinct()
    }
    return lanes
