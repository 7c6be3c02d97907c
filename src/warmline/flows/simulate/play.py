"""The virtual clock: it stops where something is due, and nowhere else.

What falls due within one stretch is done at its end, in one go, as an engine would that looks so
often. A stretch is a quarter of an hour or shorter, and never crosses a moment at which a day,
quiet hours or a send window begin or end in any time zone: nothing is judged by another rule than
at its own moment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from math import gcd

from django.db.models import Min, Model, QuerySet

from warmline.store.models import Action, Enrolment, Message, Segmentation
from warmline.store.statuses import ActionStatus, EnrolmentStatus, MessageStatus

QUARTER_MINUTES = 15  # the clocks of all time zones differ by whole quarters of an hour
# What no column tells of is looked at as often as this.
AT_LEAST = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """Virtual time: it moves when it is told to."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


def play(
    clock: Clock,
    until: datetime,
    settle: Callable[[], object],
    *,
    stretch: timedelta,
    stopping: threading.Event,
    told: Callable[[datetime], None] = lambda at: None,
) -> int:
    """Let `settle` do what is due, stop after stop, up to `until`. Returns the number of stops."""
    stops = 0
    while not stopping.is_set():
        settle()
        stops += 1
        told(clock.at)
        moment = min(next_due(clock.at), clock.at + AT_LEAST)
        if moment > until:
            break
        clock.at = min(end_of_stretch(moment, stretch), until)
    return stops


def stretch_for(clocks: Iterable[time]) -> timedelta:
    """The longest stretch that crosses none of these times of day."""
    return timedelta(minutes=gcd(QUARTER_MINUTES, *(clock.minute for clock in clocks)))


def end_of_stretch(moment: datetime, stretch: timedelta) -> datetime:
    """The last instant of the stretch that the moment is in."""
    return moment - (moment - _EPOCH) % stretch + stretch - _INSTANT


def next_due(now: datetime) -> datetime:
    """The first moment after now at which a column says that something is due. What has been due
    before waits for something else: a pause, or a person."""
    found = [
        rows.aggregate(first=Min(column))["first"]
        for rows, column in ((rows.filter(**{f"{c}__gt": now}), c) for rows, c in _timers())
    ]
    return min((at for at in found if at is not None), default=now + AT_LEAST)


def _timers() -> Iterator[tuple[QuerySet[Model], str]]:
    """Each by a partial index of its own."""
    yield Enrolment.objects.filter(status=EnrolmentStatus.ACTIVE), "next_due_at"
    yield Message.objects.filter(status=MessageStatus.PLANNED), "due_at"
    yield Message.objects.filter(status=MessageStatus.HELD, expires_at__isnull=False), "expires_at"
    yield Segmentation.objects.all(), "next_at"
    waiting = [ActionStatus.PLANNED, ActionStatus.UNKNOWN]
    yield Action.objects.filter(status__in=waiting), "due_at"
