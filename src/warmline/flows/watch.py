"""What fails by not happening: silence, a lane that lags, a trigger that often fails, an incident
that nobody ends. Looked at by the tick, at most once a minute; each is one incident with a stable
key, which resolves by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max

from warmline.core.triggers import OWN
from warmline.flows.first_sync import waits
from warmline.flows.incidents import RESOLVE_WITHIN, open_incident, resolve
from warmline.flows.pauses import paused
from warmline.flows.runtime import Runtime
from warmline.flows.trigger_runs import ERROR_RATE_MAX, WINDOW, failing
from warmline.ports import Channel
from warmline.store.db import writing
from warmline.store.models import Action, Cursor, Delivery, Incident, Message
from warmline.store.statuses import ActionStatus, DeliveryStatus, IncidentStatus, MessageStatus

EVERY = timedelta(minutes=1)
QUIET_HOURS = 24.0
# Fewer runs say nothing: one failure of ten is no rate.
RUNS_MIN = 20
OVERDUE_KEY = "incidents:overdue"
_STREAM = "watch"
_LIVE = (Channel.WEBHOOK.value, Channel.POLL.value)


@dataclass(frozen=True, slots=True)
class Seen:
    """Something watched: `wrong` says what is wrong with it, and is empty where nothing is."""

    key: str
    wrong: str = ""
    connection: str = ""
    trigger: str = ""
    hint: str = ""


def watch(runtime: Runtime) -> None:
    """Look at everything, unless that was done less than a minute ago."""
    now = runtime.now()
    if runtime.watched_at is not None and timedelta(0) <= now - runtime.watched_at < EVERY:
        return
    if runtime.watching_since is None:
        runtime.watching_since = now
    runtime.watched_at = now
    seen = [*_quiet(runtime, now), *_lagging(runtime, now), *_error_rates(now), _overdue(now)]
    _write(seen, now)


def _write(seen: list[Seen], now: datetime) -> None:
    """Open what is wrong, end what is not any more. What stands already is left alone: it does
    not fail again each minute."""
    ours = ("quiet:", "lag:", "error-rate:", OVERDUE_KEY)
    live = Incident.objects.exclude(status=IncidentStatus.RESOLVED)
    standing = {
        key: reason for key, reason in live.values_list("key", "reason") if key.startswith(ours)
    }
    wrong = {one.key: one for one in seen if one.wrong}
    over = [key for key in standing if key not in wrong]
    fresh = [one for key, one in wrong.items() if key not in standing]
    changed = [one for key, one in wrong.items() if standing.get(key, one.wrong) != one.wrong]
    if not (over or fresh or changed):
        return
    with writing():
        if over:
            resolve(over, "it is so no more", now=now)
        for one in changed:
            live.filter(key=one.key).update(reason=one.wrong)
        for one in fresh:
            open_incident(
                one.key,
                one.wrong,
                now=now,
                connection=one.connection,
                trigger=one.trigger,
                hint=one.hint,
            )


# Silence


def _quiet(runtime: Runtime, now: datetime) -> Iterator[Seen]:
    """Connections that told of something once, and for too long of nothing. Weekends do not count:
    nobody moves candidates then."""
    hours_of, halted = runtime.project.file.alerts.quiet, paused()
    last = _last_heard()
    for name in runtime.connections_that("parses"):
        limit = hours_of.get(name, QUIET_HOURS)
        heard = last.get(name)
        if runtime.role(name) == "files" or not limit or heard is None or halted.connection(name):
            continue
        if weekday_time(heard, now) > timedelta(hours=limit):
            yield Seen(
                f"quiet:{name}",
                f"{name} has told of nothing since {heard:%Y-%m-%d %H:%M} UTC, which is over "
                f"{limit:g} hours of weekdays",
                connection=name,
                hint="see whether its webhooks are still switched on at the vendor, and run "
                f"`warmline check`; where it is usual, set alerts.quiet.{name}",
            )


def _last_heard() -> dict[str, datetime]:
    """When each connection's newest delivery came. How far the table was read is kept, so that a
    look reads only what came since the last one."""
    rows = {row.connection: row for row in Cursor.objects.filter(stream=_STREAM)}
    read_to = int(rows[OWN].position) if OWN in rows else 0
    fresh = Delivery.objects.filter(pk__gt=read_to)
    newest = fresh.aggregate(pk=Max("pk"))["pk"]
    if newest is None:
        return {name: row.read_at for name, row in rows.items() if row.read_at and name != OWN}
    found = dict(
        fresh.filter(pk__lte=newest, channel__in=_LIVE)
        .order_by()
        .values_list("connection")
        .annotate(Max("received_at"))
    )
    with writing():
        for name, at in found.items():
            Cursor.objects.update_or_create(
                connection=name, stream=_STREAM, defaults={"read_at": at}
            )
        Cursor.objects.update_or_create(
            connection=OWN, stream=_STREAM, defaults={"position": str(newest)}
        )
    kept = {name: row.read_at for name, row in rows.items() if row.read_at and name != OWN}
    return kept | found


def weekday_time(start: datetime, end: datetime) -> timedelta:
    """The time between the two that lies on Mondays to Fridays (UTC)."""
    total, at = timedelta(0), start
    whole_weeks = max(0, (end - start).days // 7)
    total += whole_weeks * timedelta(days=5)
    at += whole_weeks * timedelta(days=7)
    while at < end:
        midnight = (at + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        until = min(midnight, end)
        if at.weekday() < 5:
            total += until - at
        at = until
    return total


# Lanes


def _lagging(runtime: Runtime, now: datetime) -> Iterator[Seen]:
    """Families of lanes whose oldest due work waits for too long. The time before this process
    began to watch does not count: after a night switched off there is simply work to do."""
    bound = timedelta(minutes=runtime.project.file.alerts.lag_minutes)
    since = runtime.watching_since or now
    for family, oldest in _oldest_due(runtime, now):
        if oldest is not None and now - max(oldest, since) > bound and not waits(runtime, family):
            yield Seen(
                f"lag:{family}",
                f"work of {family} that was due at {oldest:%Y-%m-%d %H:%M} UTC is not done yet",
                connection=family.partition(":")[2],
                hint="more comes in than is done, or a thread hangs: look at the log and at the "
                "machine; restarting Warmline loses nothing",
            )


def _oldest_due(runtime: Runtime, now: datetime) -> Iterator[tuple[str, datetime | None]]:
    going = paused()
    for name in runtime.connections_that("parses"):
        unread = Delivery.objects.filter(connection=name, status=DeliveryStatus.RECEIVED)
        first = unread.order_by("id").values_list("received_at", flat=True).first()
        yield f"intake:{name}", first
    for name in runtime.connections_that("applies_actions"):
        # A whole ATS is tagged at the pace that its vendor allows: that is no lag.
        # What a person paused waits on their word.
        waiting = going.actions(
            Action.objects.filter(
                target=name,
                status__in=[ActionStatus.PLANNED, ActionStatus.UNKNOWN],
                due_at__lte=now,
            ).exclude(kind="candidate.tag")
        )
        yield f"act:{name}", waiting.order_by("due_at").values_list("due_at", flat=True).first()
    mails = going.messages(
        Message.objects.filter(status=MessageStatus.PLANNED, due_at__lte=now),
        runtime.project.file.mail.connection,
    )
    yield "mail", mails.order_by("due_at").values_list("due_at", flat=True).first()


# Rates


def _error_rates(now: datetime) -> Iterator[Seen]:
    for trigger, runs in failing(now).items():
        if runs.runs >= RUNS_MIN and runs.rate > ERROR_RATE_MAX:
            yield Seen(
                f"error-rate:{trigger}",
                f"over {ERROR_RATE_MAX:.0%} of the runs of this trigger failed in the last "
                f"{WINDOW.days} days: {runs.failed} of {runs.runs}",
                trigger=trigger,
                hint="look for what they have in common on the overview; `warmline triggers` "
                "counts them",
            )


# Incidents themselves


def _overdue(now: datetime) -> Seen:
    live = Incident.objects.exclude(status=IncidentStatus.RESOLVED)  # as the index says it
    rows = live.filter(opened_at__lt=now - RESOLVE_WITHIN, drill=False).exclude(key=OVERDUE_KEY)
    count = rows.count()
    oldest = rows.order_by("opened_at", "id").first() if count else None
    if oldest is None:
        return Seen(OVERDUE_KEY)
    many = f"{count} incidents are" if count > 1 else "an incident is"
    return Seen(
        OVERDUE_KEY,
        f"{many} open for over 24 hours, the oldest, number {oldest.pk}, since "
        f"{oldest.opened_at:%Y-%m-%d %H:%M} UTC: {oldest.reason}",
        connection=oldest.connection,
        trigger=oldest.trigger,
        hint="`warmline incidents` lists them; resolve each, or close it with "
        "`warmline incidents resolve NUMBER --why …`",
    )
