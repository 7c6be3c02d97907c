"""An operator hears of any failure within a minute: incidents into alerts, alerts to channels.

The outbox is a table. The tick plans: what opened is gathered by trigger and kind, so that a storm
is one message a minute. A lane of each channel sends: claim, hand over, write down. A channel that
fails keeps its own alerts waiting and becomes an incident, of which the other channels tell.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, QuerySet

from warmline.core.errors import WarmlineError
from warmline.core.retries import backoff_s
from warmline.flows.alert_text import note_of
from warmline.flows.incidents import open_incident, resolve
from warmline.flows.runtime import Lane, Runtime, alert_lane
from warmline.store.db import writing
from warmline.store.models import Alert, Incident
from warmline.store.statuses import AlertKind, AlertStatus, IncidentStatus

log = logging.getLogger("warmline.alerts")

# Two messages of one group are so far apart: with a tick, a hand-over and the gathering before the
# first one, whatever fails is told of within a minute.
APART = timedelta(seconds=50)
CLAIM_FOR = timedelta(seconds=120)
RETRY_S_MAX = 120.0
# Older than this an alert helps nobody: what is still open then is told of by the reminders.
GIVE_UP_AFTER = timedelta(hours=24)
BATCH = 5000
# What ended without ever being told of, because there was no channel, is told of so long.
TELL_WITHIN = timedelta(hours=24)
# Keys that end in the number of one record: its neighbours fail in the same way.
_NUMBERED = ("action:", "no-address:", "message:", "contacts:", "contact-merge:")
_BROKEN = "alerts:"


# Planning


def tick(runtime: Runtime) -> set[Lane]:
    """Plan the alerts that are due. Returns the lanes of the channels that have work."""
    if not runtime.channels:
        return set()
    now = runtime.now()
    _plan_news(runtime, now)
    _plan_reminders(runtime, now)
    waiting = Alert.objects.filter(status=AlertStatus.PLANNED, due_at__lte=now)
    names = waiting.order_by().values_list("channel", flat=True).distinct()
    found = set(names)
    if gone := found - set(runtime.channels):
        Alert.objects.filter(status=AlertStatus.PLANNED, channel__in=gone).update(
            status=AlertStatus.DROPPED, reason="the project has no such channel any more"
        )
    return {alert_lane(name) for name in found - gone}


def _plan_news(runtime: Runtime, now: datetime) -> None:
    """What opened and, where the project wants it, what is over: one message a group, as soon as
    the first of it is due and the last message of the group is a while ago."""
    rows = list(
        Incident.objects.filter(tell_at__isnull=False)
        .order_by("tell_at", "id")  # as the index has them
        .only("id", "key", "connection", "trigger", "status", "drill", "tell_at", "told_at")[:BATCH]
    )
    if not rows:
        return
    groups: dict[tuple[AlertKind, str], list[Incident]] = {}
    for row in rows:
        groups.setdefault(_group_of(row), []).append(row)
    last = dict(
        Alert.objects.filter(group__in={group for _, group in groups})
        .values_list("group")
        .annotate(Max("planned_at"))
    )
    for (kind, group), members in groups.items():
        due = min(row.tell_at for row in members if row.tell_at is not None)
        before = last.get(group) if kind is not AlertKind.DRILL else None
        if due > now or (before is not None and now < before + APART):
            continue
        with writing():
            _plan(runtime, kind, group, members, now)


def _plan(
    runtime: Runtime, kind: AlertKind, group: str, members: Sequence[Incident], now: datetime
) -> None:
    """Into the outbox, and off the list of what is to be told, in one transaction."""
    ids = [row.pk for row in members]
    if kind is AlertKind.RESOLVED:
        if runtime.project.file.alerts.resolutions:
            _put(runtime.channels, kind, group, ids, now)
        Incident.objects.filter(pk__in=ids).update(tell_at=None)
        return
    remind_at = now + timedelta(hours=runtime.project.file.alerts.reminder_hours)
    Incident.objects.filter(pk__in=ids).update(tell_at=None, told_at=now)
    Incident.objects.filter(pk__in=ids, status=IncidentStatus.OPEN, drill=False).update(
        remind_at=remind_at
    )
    stale = [
        row.pk
        for row in members
        if row.status == IncidentStatus.RESOLVED
        and row.tell_at is not None
        and row.tell_at < now - TELL_WITHIN
    ]
    fresh = [pk for pk in ids if pk not in set(stale)]
    broken = group.removeprefix(_BROKEN) if group.startswith(_BROKEN) else ""
    if fresh:  # a channel is not told that it is broken itself
        _put([name for name in runtime.channels if name != broken], kind, group, fresh, now)


def _plan_reminders(runtime: Runtime, now: datetime) -> None:
    """Still open, and nobody has acknowledged it: all of them in one message."""
    waiting = Incident.objects.filter(status=IncidentStatus.OPEN, remind_at__isnull=False)
    if not waiting.filter(remind_at__lte=now).exists():
        return
    with writing():
        ids = list(waiting.order_by("id").values_list("pk", flat=True)[:BATCH])
        again = now + timedelta(hours=runtime.project.file.alerts.reminder_hours)
        Incident.objects.filter(pk__in=ids).update(remind_at=again)
        _put(runtime.channels, AlertKind.REMINDER, AlertKind.REMINDER, ids, now)


def _put(
    channels: Iterable[str], kind: AlertKind, group: str, ids: Sequence[int], now: datetime
) -> None:
    """A row a channel. Where one of the group waits for its channel still, that one tells of these
    too. The caller holds the transaction."""
    link = Alert.incidents.through
    for channel in channels:
        row = (
            Alert.objects.select_for_update()
            .filter(channel=channel, group=group, kind=kind, status=AlertStatus.PLANNED)
            .first()
        )
        if row is None:
            row = Alert.objects.create(
                kind=kind, group=group, channel=channel, planned_at=now, due_at=now
            )
        else:
            Alert.objects.filter(pk=row.pk).update(planned_at=now, due_at=now)
        link.objects.bulk_create(
            [link(alert_id=row.pk, incident_id=pk) for pk in ids],
            ignore_conflicts=True,
            batch_size=400,
        )


def _group_of(row: Incident) -> tuple[AlertKind, str]:
    if row.told_at is not None:
        return AlertKind.RESOLVED, AlertKind.RESOLVED
    if row.drill:
        return AlertKind.DRILL, f"drill:{row.pk}"
    return AlertKind.OPENED, group_of(row.key, row.connection, row.trigger)


def group_of(key: str, connection: str, trigger: str) -> str:
    """What fails in one way: the kind of the key, the system, the trigger."""
    kind = next((start for start in _NUMBERED if key.startswith(start)), "")
    if not kind:
        kind = next(
            (f"{connection}{mark}" for mark in (":delivery:", ":malformed:") if mark in key), key
        )
        if kind == key:
            return key[:250]
    return f"{kind}{connection}:{trigger}"[:250]


# Sending


def drain(runtime: Runtime, name: str) -> bool:
    """Send the next alert of this channel. True where there may be more."""
    with runtime.claiming() as token:
        alert = _claim(runtime, name, token)
        if alert is None:
            return False
        note = note_of(runtime, alert)
        if note is None:
            with writing():
                _mine(alert, token).update(
                    status=AlertStatus.DROPPED,
                    reason="nothing in it was left to tell",
                    claimed_by="",
                    claim_until=None,
                )
            return True
        try:
            runtime.channels[name].send(note)
        except WarmlineError as error:
            _failed(runtime, alert, token, error.reason)
        except Exception as error:  # its text may hold the channel's secret
            log.error("action=alert channel=%s error=%s", name, type(error).__name__)
            _failed(runtime, alert, token, f"sending it failed: {type(error).__name__}")
        else:
            _sent(runtime, alert, token)
    return True


def _claim(runtime: Runtime, name: str, token: str) -> Alert | None:
    now = runtime.now()
    with writing():
        alert = (
            Alert.objects.select_for_update(skip_locked=True)
            .filter(channel=name, status=AlertStatus.PLANNED, due_at__lte=now)
            .order_by("due_at", "id")
            .first()
        )
        if alert is None:
            return None
        Alert.objects.filter(pk=alert.pk, status=AlertStatus.PLANNED).update(
            status=AlertStatus.SENDING, claimed_by=token, claim_until=now + CLAIM_FOR
        )
    return alert


def _mine(alert: Alert, token: str) -> QuerySet[Alert]:
    return Alert.objects.filter(pk=alert.pk, status=AlertStatus.SENDING, claimed_by=token)


def _sent(runtime: Runtime, alert: Alert, token: str) -> None:
    now = runtime.now()
    with writing():
        _mine(alert, token).update(
            status=AlertStatus.SENT,
            sent_at=now,
            tried_at=now,
            reason="",
            claimed_by="",
            claim_until=None,
        )
        if alert.kind in (AlertKind.OPENED, AlertKind.DRILL):
            told = Incident.objects.filter(
                pk__in=alert.incidents.order_by().values("pk"), alerted_at__isnull=True
            )
            told.update(alerted_at=now, alerted_by=alert.channel)
        resolve([f"{_BROKEN}{alert.channel}"], "it accepts alerts again", now=now)
    log.info("action=alert_sent alert=%d channel=%s kind=%s", alert.pk, alert.channel, alert.kind)


def _failed(runtime: Runtime, alert: Alert, token: str, reason: str) -> None:
    """Again later; a drill has its answer. Whoever else can be told is told of it."""
    now, attempts = runtime.now(), alert.attempts + 1
    over = alert.kind == AlertKind.DRILL or now - alert.planned_at >= GIVE_UP_AFTER
    wait_s = min(backoff_s(attempts, runtime.chance()), RETRY_S_MAX)
    with writing():
        _mine(alert, token).update(
            status=AlertStatus.FAILED if over else AlertStatus.PLANNED,
            attempts=attempts,
            tried_at=now,
            due_at=now + timedelta(seconds=wait_s),
            reason=reason,
            claimed_by="",
            claim_until=None,
        )
        open_incident(
            f"alerts:{alert.channel}",
            f"alerts do not get through by {alert.channel}: {reason}",
            now=now,
            hint="mend the channel or its URL, then `warmline alerts drill`; what waits for it is "
            "sent by itself",
        )
        if all(state.failing for state in states(runtime.channels)):
            log.error(
                "action=alerts_reach_nobody channels=%s reason=%s",
                ",".join(runtime.channels),
                reason,
            )


# How the channels stand


@dataclass(frozen=True, slots=True)
class ChannelState:
    """`failing`: its last try failed, for this `reason`. `waiting`: alerts that it keeps."""

    name: str
    what: str
    sent_at: datetime | None
    failing: bool
    reason: str
    waiting: int


def states(channels: Mapping[str, object]) -> list[ChannelState]:
    """In the order of the file."""
    found = []
    for name, channel in channels.items():
        mine = Alert.objects.filter(channel=name)
        last = mine.filter(tried_at__isnull=False).order_by("-tried_at", "-id").first()
        failing = last is not None and last.status != AlertStatus.SENT
        sent = mine.filter(status=AlertStatus.SENT).aggregate(at=Max("sent_at"))["at"]
        found.append(
            ChannelState(
                name=name,
                what=str(getattr(channel, "what", "")),
                sent_at=sent,
                failing=failing,
                reason=last.reason if last is not None and failing else "",
                waiting=mine.filter(status=AlertStatus.PLANNED).count(),
            )
        )
    return found


def last_drill() -> Incident | None:
    """The last drill whose alert arrived."""
    rows = Incident.objects.filter(drill=True, alerted_at__isnull=False)
    return rows.order_by("-alerted_at").first()
