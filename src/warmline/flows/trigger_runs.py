"""How often each trigger ran and failed: the sync errors by trigger that the guide asks for.

A failure is an action that was refused for good, or a difference that the daily comparison found
and no event explains. What failed at first and got through is none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Q

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
    def rate(self) -> float:
        """Failures a run; a difference found counts as a run that should have been."""
        total = self.ended + self.drifted
        return self.failed / total if total else 0.0


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
    drifted = dict(
        Drift.objects.filter(found_at__gte=since)
        .order_by()
        .values_list("trigger")
        .annotate(n=Count("id"))
    )
    found = {
        trigger: Runs(last, ended, refused, drifted.get(trigger, 0))
        for trigger, last, ended, refused in rows
    }
    return {**{name: Runs(drifted=n) for name, n in drifted.items()}, **found}
