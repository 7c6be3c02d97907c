"""What an alert says: which record, which trigger, why, when, how often, where to look, what to do.

It is written when the alert leaves, so that it tells how things stand then. It goes to systems that
are not ours: no name, no whole address, no secret stands in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min, QuerySet, Sum

from warmline.core.candidates import masked
from warmline.flows.channels import Note
from warmline.flows.incidents import RESOLVE_WITHIN
from warmline.flows.runtime import Runtime
from warmline.store.models import Alert, ExternalId, Incident
from warmline.store.statuses import AlertKind, IncidentStatus

FIRST = 5  # records named of a storm
LISTED = 10  # lines of a reminder
TITLE_CHARS_MAX = 120
LINE_CHARS_MAX = 400
_ADDRESS = re.compile(r"[^\s@<>()\"',;:]+@[^\s@<>()\"',;]+")


def note_of(runtime: Runtime, alert: Alert) -> Note | None:
    """The message; None where nothing is left to tell."""
    rows = alert.incidents.order_by("id")
    if alert.kind == AlertKind.REMINDER:
        rows = rows.filter(status=IncidentStatus.OPEN)
    elif alert.kind == AlertKind.RESOLVED:
        rows = rows.filter(status=IncidentStatus.RESOLVED)
    first = list(rows[:LISTED])
    if not first:
        return None
    count = len(first) if len(first) < LISTED else rows.count()
    if alert.kind == AlertKind.REMINDER:
        title, lines = _reminder(runtime, first, count)
    elif alert.kind == AlertKind.RESOLVED:
        title, lines = _over(first, count)
    elif count == 1:
        title, lines = _one(runtime, first[0])
    else:
        title, lines = _storm(runtime, rows, first, count)
    title = f"[Warmline, {runtime.project.file.company}] {title}"
    lines.append(f"(alert {alert.pk})")
    return Note(
        alert.pk,
        _clean(title, TITLE_CHARS_MAX),
        "\n".join(_clean(line, LINE_CHARS_MAX) for line in lines),
    )


def _clean(text: str, chars: int) -> str:
    """One line, no whole address, no longer than that."""
    line = _ADDRESS.sub(lambda found: masked(found[0]), " ".join(text.split()))
    return line if len(line) <= chars else f"{line[: chars - 1]}…"


def _one(runtime: Runtime, incident: Incident) -> tuple[str, list[str]]:
    record = incident.record or incident.connection or "no single record"
    lines = [f"What failed: {incident.reason}", f"Record: {_record(incident)}"]
    if incident.trigger:
        lines.append(f"Trigger: {incident.trigger}")
    if incident.connection:
        lines.append(f"Connection: {incident.connection}")
    often = (
        f", {incident.count} times, last at {_moment(incident.last_at)}"
        if incident.count > 1
        else ", once"
    )
    lines.append(f"When: {_moment(incident.opened_at)}{often}")
    if incident.drill:
        lines.insert(0, "This is a drill: it failed on purpose, and there is nothing to do.")
    elif incident.resolved_at is not None:
        lines.append(f"Resolved since, at {_moment(incident.resolved_at)}: {incident.resolution}")
    else:
        lines.append(f"What to do: {incident.hint or 'look at the page, and at the log'}")
    lines.append(f"Page: {_link(runtime, incident)}")
    if incident.status == IncidentStatus.OPEN and not incident.drill:
        lines.append(
            f"`warmline incidents ack {incident.pk}` says that you look after it, and ends the "
            "reminders."
        )
    drill = "drill: " if incident.drill else ""
    over = "resolved since: " if incident.resolved_at and not incident.drill else ""
    return f"{drill}{over}{record}: {incident.reason}", lines


def _storm(
    runtime: Runtime, rows: QuerySet[Incident], first: Sequence[Incident], count: int
) -> tuple[str, list[str]]:
    figures = rows.order_by().aggregate(
        times=Sum("count"), since=Min("opened_at"), last=Max("last_at")
    )
    reasons = list(
        rows.order_by().values_list("reason").annotate(n=Count("id")).order_by("-n", "reason")[:3]
    )
    over = rows.filter(status=IncidentStatus.RESOLVED).count()
    what = first[0].trigger or first[0].connection or first[0].key
    lines = [f"What failed: {reason} ({n} of {count})" for reason, n in reasons]
    named = ", ".join(_record(incident) for incident in first[:FIRST])
    more = f" and {count - FIRST} more" if count > FIRST else ""
    lines.append(f"Records: {named}{more}")
    if first[0].trigger:
        lines.append(f"Trigger: {first[0].trigger}")
    if first[0].connection:
        lines.append(f"Connection: {first[0].connection}")
    lines.append(
        f"When: {_moment(figures['since'])} to {_moment(figures['last'])}, {figures['times']} times"
    )
    if over:
        lines.append(f"Resolved since: {over} of {count}")
    lines.append(f"What to do: {first[0].hint or 'look at the page, and at the log'}")
    lines.append(f"Page: {_page(runtime, '/#failures')}; the first: {_link(runtime, first[0])}")
    lines.append("`warmline incidents` lists them.")
    return f"{count} failures of one kind: {what}: {reasons[0][0]}", lines


def _reminder(runtime: Runtime, first: Sequence[Incident], count: int) -> tuple[str, list[str]]:
    now = runtime.now()
    lines = []
    for incident in first:
        age = now - incident.opened_at
        late = ", over 24 h" if age > RESOLVE_WITHIN else ""
        lines.append(
            f"Incident {incident.pk}, open for {_span(age)}{late}: "
            f"{incident.record or incident.connection or incident.key}: {incident.reason}"
        )
    if count > len(first):
        lines.append(f"And {count - len(first)} more: `warmline incidents`")
    lines.append("`warmline incidents ack NUMBER` says that you look after it.")
    lines.append(f"Page: {_page(runtime, '/#failures')}")
    failures = "failure is" if count == 1 else "failures are"
    return f"reminder: {count} {failures} open and not acknowledged", lines


def _over(first: Sequence[Incident], count: int) -> tuple[str, list[str]]:
    lines = [
        f"Incident {incident.pk}: {incident.record or incident.connection or incident.key}: "
        f"{incident.resolution}, after {_span(incident.resolved_at - incident.opened_at)}"
        for incident in first
        if incident.resolved_at is not None
    ]
    if count > len(first):
        lines.append(f"And {count - len(first)} more: `warmline incidents --all`")
    return f"resolved: {count} {'failure' if count == 1 else 'failures'}", lines


def _record(incident: Incident) -> str:
    """The record as it is called here, with its id in the systems that have it."""
    record = incident.record or "no single record"
    if incident.candidate_id is None:
        return record
    rows = ExternalId.objects.filter(candidate=incident.candidate_id, gone_at=None).order_by("id")
    ids = rows.values_list("connection", "external_id")[:3]
    known = [f"{connection} {number}" for connection, number in ids]
    return f"{record} ({', '.join(known)})" if known else record


def _link(runtime: Runtime, incident: Incident) -> str:
    if incident.candidate_id is None:
        return _page(runtime, "/#failures")
    return _page(runtime, f"/explain?q={incident.candidate_id}")


def _page(runtime: Runtime, path: str) -> str:
    """The pages answer on their own address, which is not the public one."""
    return f"{runtime.pages_url}{path}" if runtime.pages_url else f"{path} of Warmline's pages"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _span(span: timedelta) -> str:
    minutes = max(0, int(span.total_seconds()) // 60)
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours < 48 else f"{hours // 24} d {hours % 24} h"
