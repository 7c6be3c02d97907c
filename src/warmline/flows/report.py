"""Figures over both systems, from the one ledger."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q

from warmline.core.events import ApplicationStatus
from warmline.core.metrics import FIRST_TOUCH_AIM_S, FirstTouch, first_touch
from warmline.flows.alerts import ChannelState, last_drill, states
from warmline.flows.pauses import called, standing
from warmline.flows.runtime import Runtime
from warmline.store.models import (
    Action,
    Application,
    Delivery,
    Event,
    ExternalId,
    Incident,
    Message,
    Pause,
    Suppression,
)
from warmline.store.statuses import ActionStatus, DeliveryStatus, IncidentStatus, MessageStatus

SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class StepCount:
    """Messages of one step of a sequence, by status."""

    sequence: str
    step: int
    name: str
    counts: dict[str, int]

    @property
    def sent(self) -> int:
        return self.counts.get(MessageStatus.HANDED_OFF, 0)

    @property
    def waiting(self) -> int:
        return sum(
            self.counts.get(s, 0)
            for s in (MessageStatus.PLANNED, MessageStatus.CLAIMED, MessageStatus.SENDING)
        )

    @property
    def held(self) -> int:
        return self.counts.get(MessageStatus.HELD, 0)

    @property
    def refused(self) -> int:
        return self.counts.get(MessageStatus.REFUSED, 0)

    @property
    def unknown(self) -> int:
        return self.counts.get(MessageStatus.UNKNOWN, 0)


@dataclass(frozen=True, slots=True)
class Slow:
    """A first touch over the aim: whom, and how long it took in seconds."""

    candidate_id: int
    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Overview:
    at: datetime
    applicants: int
    applications: int
    contacts: int
    suppressed: int
    touch: FirstTouch
    slow: list[Slow]
    untouched: int
    steps: list[StepCount]
    incidents: list[Incident]
    incidents_open: int
    incidents_total: int
    actions_failed: int
    actions_waiting: int
    deliveries: dict[str, int]
    unknown_words: list[tuple[str, str, int]]
    channels: list[ChannelState]
    drilled: Incident | None

    @property
    def unheard(self) -> bool:
        """Whether every channel of the alerts fails: then this page is the only one that tells."""
        return bool(self.channels) and all(channel.failing for channel in self.channels)

    pauses: list[tuple[str, Pause]]


def overview(runtime: Runtime, *, days: int = 30) -> Overview:
    """The whole picture; time to first touch over the last `days` days."""
    now = runtime.now()
    real = Application.objects.filter(prospect=False).exclude(status=ApplicationStatus.DELETED)
    touch, slow = touches(since=now - timedelta(days=days))
    incidents = Incident.objects.select_related("candidate")
    live = ~Q(status=IncidentStatus.RESOLVED)
    waiting = Message.objects.filter(step=1, handed_off_at__isnull=True).filter(
        enrolment__application__isnull=False
    )
    return Overview(
        at=now,
        applicants=real.values("candidate").distinct().count(),
        applications=real.count(),
        contacts=ExternalId.objects.filter(contact=True, gone_at__isnull=True).count(),
        suppressed=Suppression.objects.count(),
        touch=touch,
        slow=slow[:SHOWN_MAX],
        untouched=waiting.count(),
        steps=steps(runtime),
        incidents=[
            *incidents.filter(live).order_by("-last_at")[:SHOWN_MAX],
            *incidents.exclude(live).order_by("-resolved_at")[:SHOWN_MAX],
        ],
        incidents_open=incidents.filter(live).count(),
        incidents_total=incidents.count(),
        actions_failed=Action.objects.filter(status=ActionStatus.REFUSED).count(),
        actions_waiting=Action.objects.filter(
            status__in=[ActionStatus.PLANNED, ActionStatus.UNKNOWN, ActionStatus.CLAIMED]
        ).count(),
        deliveries=_deliveries(),
        unknown_words=_unknown_words(),
        channels=states(runtime.channels),
        drilled=last_drill(),
        pauses=[(called(row.scope, row.name), row) for row in standing()],
    )


def touches(*, since: datetime) -> tuple[FirstTouch, list[Slow]]:
    """Application in the ATS to first mail handed over, per candidate; the slow ones, worst
    first."""
    rows = (
        Message.objects.filter(
            step=1,
            handed_off_at__gte=since,
            enrolment__application__applied_at__isnull=False,
        )
        .select_related("candidate", "enrolment__application")
        .only(
            "handed_off_at",
            "candidate__first_name",
            "candidate__last_name",
            "enrolment__application__applied_at",
        )
    )
    slow: list[Slow] = []
    seconds: list[float] = []
    for row in rows.iterator():
        application = row.enrolment.application
        if application is None or application.applied_at is None or row.handed_off_at is None:
            continue
        took_s = max(0.0, (row.handed_off_at - application.applied_at).total_seconds())
        seconds.append(took_s)
        if took_s > FIRST_TOUCH_AIM_S:
            slow.append(Slow(row.candidate_id, row.candidate.name, took_s))
    return first_touch(seconds), sorted(slow, key=lambda s: -s.seconds)


def steps(runtime: Runtime) -> list[StepCount]:
    """Every step of every sequence in the project, and of any other that has messages."""
    counts: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    for row in Message.objects.values_list("enrolment__sequence", "step", "status").annotate(
        n=Count("id")
    ):
        sequence, step, status, n = row
        counts[sequence, step][status] = n
    names = {
        (name, step.number): step.name
        for name, loaded in runtime.project.sequences.items()
        for step in loaded.sequence.steps
    }
    return [
        StepCount(
            sequence,
            step,
            names.get((sequence, step), "(no longer in the files)"),
            counts.get((sequence, step), {}),
        )
        for sequence, step in sorted(set(names) | set(counts))
    ]


def _deliveries() -> dict[str, int]:
    found = dict(Delivery.objects.values_list("status").annotate(n=Count("id")))
    return {status.value: found.get(status.value, 0) for status in DeliveryStatus}


def _unknown_words() -> list[tuple[str, str, int]]:
    """Vendor words that nobody here knows, most frequent first: connection, word, count."""
    rows = (
        Event.objects.filter(kind="unknown")
        .values_list("connection", "word")
        .annotate(n=Count("id"))
        .order_by("-n")
    )
    return [(connection, word, n) for connection, word, n in rows[:SHOWN_MAX]]
