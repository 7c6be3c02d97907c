"""How often each trigger ran and failed: the sync errors by trigger that the guide asks for.

A failure is an action that was refused for good, or a difference that the daily comparison found
and no event explains. What failed at first and got through is none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Q, QuerySet

from warmline.store.models import Action, Drift
from warmline.store.statuses import ActionStatus

WINDOW = timedelta(days=7)
ERROR_RATE_MAX = 0.02  # the guide: over 2 % again and again is investigated
_ENDED = (ActionStatus.DONE, ActionStatus.ALREADY_DONE, ActionStatus.REFUSED)


@dataclass(frozen=True, slots=True)
class Runs:
    """`last`: when it was last set off, ever. The counts are of the window: actions that ended,
    those that were refused, and differences found."""

    last: datetime | None = None
    ended: int = 0
    refused: int = 0
    drifted: int = 0

    @property
    def failed(self) -> int:
        return self.refused + self.drifted

    @property
    def runs(self) -> int:
        """A difference found counts as a run that should have been."""
        return self.ended + self.drifted

    @property
    def rate(self) -> float:
        """Failures a run."""
        return self.failed / self.runs if self.runs else 0.0


def runs(now: datetime, *, window: timedelta = WINDOW) -> dict[str, Runs]:
    """By the trigger's name, those of verbs (`backfill`) included."""
    since = now - window
    recent = Q(planned_at__gte=since)
    rows = (
        Action.objects.order_by()
        .values_list("trigger")
        .annotate(
            last=Max("planned_at"),
            ended=Count("id", filter=recent & Q(status__in=_ENDED)),
            refused=Count("id", filter=recent & Q(status=ActionStatus.REFUSED)),
        )
    )
    drifted = _drifted(since)
    found = {
        trigger: Runs(last, ended, refused, drifted.get(trigger, 0))
        for trigger, last, ended, refused in rows
    }
    return {**{name: Runs(drifted=n) for name, n in drifted.items()}, **found}


def failing(now: datetime, *, window: timedelta = WINDOW) -> dict[str, Runs]:
    """The triggers that failed in the window at all, without `last`: quick enough for every minute.
    What was refused has an index of its own, and only of its triggers the runs are counted."""
    since = now - window
    refused = _counted(Action.objects.filter(status=ActionStatus.REFUSED, planned_at__gte=since))
    drifted = _drifted(since)
    names = set(refused) | set(drifted)
    if not names:
        return {}
    ended = _counted(
        Action.objects.filter(pk__gte=_first_planned(since), status__in=_ENDED, trigger__in=names)
    )
    return {
        name: Runs(None, ended.get(name, 0), refused.get(name, 0), drifted.get(name, 0))
        for name in names
    }


def _drifted(since: datetime) -> dict[str, int]:
    return _counted(Drift.objects.filter(found_at__gte=since))


def _counted(rows: QuerySet[Any]) -> dict[str, int]:
    return dict(rows.order_by().values_list("trigger").annotate(n=Count("id")))


def _first_planned(since: datetime) -> int:
    """The number of about the first action planned since then. Numbers and times grow together,
    so halving finds it in twenty steps, and no index is kept for it."""
    ends = Action.objects.order_by("pk")
    first, last = ends.first(), ends.last()
    if first is None or last is None:
        return 0
    low, high = first.pk, last.pk
    while low < high:
        middle = (low + high) // 2
        row = ends.filter(pk__gte=middle).values_list("pk", "planned_at").first()
        if row is None or row[1] >= since:
            high = middle
        else:
            low = row[0] + 1
    return int(low)
