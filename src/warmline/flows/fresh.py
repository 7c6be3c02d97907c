"""How somebody stands is read again in the ATS before a nurture mail leaves, where what the ledger
knows is older than `policy.ats_minutes`.

A poll from its cursor on does it: one call, or a few, tell what changed for everybody, and the news
takes the road that all news takes. No lane waits for an ATS that is down: its nurture mails do.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from warmline.core.policy import Hold, HoldCode
from warmline.core.sequences import StepClass
from warmline.flows import interpret
from warmline.flows.pauses import paused
from warmline.flows.reconcile import fresh_at, poll
from warmline.flows.runtime import Runtime
from warmline.ports import Channel
from warmline.store.models import Delivery, Message
from warmline.store.statuses import DeliveryStatus, MessageStatus

# Where it could not be read: when a mail asks again.
LOOK_AGAIN = timedelta(minutes=1)
_READ_BY_US = (Channel.POLL, Channel.HISTORY)


def read_again(runtime: Runtime, lanes: list[int], now: datetime) -> Hold | None:
    """See to it that the ledger knows how people stand, where nurture mail is due in these lanes.
    None where it does; else what holds such mail. Not called within a transaction."""
    stale = stale_ats(runtime, now)
    if not stale or not _nurture_due(lanes, now):
        return None if not stale else _hold(stale[0], now)
    for name in stale:
        if runtime.engine_polls:
            runtime.poll_now.add(name)
        else:
            _read(runtime, name, now)
    stale = stale_ats(runtime, now)
    return _hold(stale[0], now) if stale else None


def stale_ats(runtime: Runtime, now: datetime) -> list[str]:
    """The applicant tracking systems of which we know too little."""
    minutes = runtime.project.file.policy.ats_minutes
    if not minutes:
        return []
    since = now - timedelta(minutes=minutes)
    return [
        name
        for name in runtime.connections_that("lists_changes")
        if runtime.role(name) == "ats" and not _known_since(name, since)
    ]


def _known_since(name: str, since: datetime) -> bool:
    """Polled since then, and what came of it is in the ledger."""
    read_at = fresh_at(name)
    if read_at is None or read_at < since:
        return False
    unread = Delivery.objects.filter(
        connection=name, status=DeliveryStatus.RECEIVED, channel__in=_READ_BY_US
    )
    return not unread.exists()


def _read(runtime: Runtime, name: str, now: datetime) -> None:
    """Where no engine does it. Trouble is the poll's incident, and not tried again at once."""
    tried = runtime.fresh_tried_at.get(name)
    just_now = tried is not None and timedelta(0) <= now - tried < LOOK_AGAIN
    if just_now or paused().connection(name):
        return
    runtime.fresh_tried_at[name] = now
    poll(runtime, name)
    while interpret.drain(runtime, name):
        pass


def _nurture_due(lanes: list[int], now: datetime) -> bool:
    return Message.objects.filter(
        status=MessageStatus.PLANNED,
        due_at__lte=now,
        lane__in=lanes,
        step_class=StepClass.MARKETING,
    ).exists()


def _hold(name: str, now: datetime) -> Hold:
    words = f"{name} could not be asked how they stand"
    return Hold(HoldCode.STALE, words, now + LOOK_AGAIN)
