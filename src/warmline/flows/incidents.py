"""Failures being handled: opened at the first, counted after it, told of, acknowledged, and
resolved by success or by hand.

One open incident a key is a unique key of the database, so that two runners cannot open two. That
an alert must be planned of it stands in the incident's own row (`tell_at`), so that nothing comes
between the two; `flows.alerts` does the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import Case, F, Q, QuerySet, Value, When

from warmline.core.errors import WarmlineError
from warmline.store.db import writing
from warmline.store.models import Incident
from warmline.store.statuses import IncidentStatus

log = logging.getLogger("warmline.incidents")

# What fails together is told of together: a batch that a vendor refuses is over in this time.
TELL_AFTER = timedelta(seconds=10)
# How soon a failure that was told of should be over.
RESOLVE_WITHIN = timedelta(hours=24)
# A delivery with such a key was made by `warmline alerts drill`, to fail.
DRILL = "drill:"

_CREDENTIALS_HINT = "renew them at the vendor and here, then start Warmline again"


def open_incident(
    key: str,
    reason: str,
    *,
    now: datetime,
    connection: str = "",
    trigger: str = "",
    record: str = "",
    candidate_id: int | None = None,
    hint: str = "",
    count: int = 1,
) -> None:
    """Open the incident, or count `count` more failures on the one that is open. `reason` is shown
    to people: no secret, no whole address."""
    key = key[:400]
    live = Incident.objects.filter(key=key).exclude(status=IncidentStatus.RESOLVED)
    if live.update(count=F("count") + count, last_at=now, reason=reason):
        return
    drill = f":delivery:{DRILL}" in key
    Incident.objects.bulk_create(
        [
            Incident(
                key=key,
                connection=connection,
                trigger=trigger[:100],
                record=record[:200],
                candidate_id=candidate_id,
                reason=reason,
                hint=hint,
                count=count,
                opened_at=now,
                last_at=now,
                drill=drill,
                tell_at=now if drill else now + TELL_AFTER,
            )
        ],
        ignore_conflicts=True,
    )
    log.error("action=incident_opened key=%s record=%s reason=%s", key, record, reason)


def credentials_refused(
    connection: str,
    work: str,
    reason: str,
    *,
    now: datetime,
    trigger: str = "",
    record: str = "",
    candidate_id: int | None = None,
    hint: str = "",
) -> None:
    """Its own incident at the first refusal: no waiting mends an expired credential. `work` is
    `read` or `write`, which may need different rights: each is over by its own success."""
    open_incident(
        f"{connection}:credentials:{work}",
        f"the credentials of {connection} are refused: {reason}",
        now=now,
        connection=connection,
        trigger=trigger,
        record=record,
        candidate_id=candidate_id,
        hint=hint or _CREDENTIALS_HINT,
    )


def credentials_key(connection: str, work: str) -> str:
    return f"{connection}:credentials:{work}"


def resolve(
    keys: Collection[str], resolution: str, *, now: datetime, quiet_for: timedelta = timedelta(0)
) -> int:
    """Close the open incidents with these keys, where nothing was added to them for `quiet_for`.
    Returns how many there were."""
    rows = Incident.objects.filter(
        key__in=[key[:400] for key in keys], last_at__lte=now - quiet_for
    )
    # One that was not told of yet still is: with how it ended.
    told = Case(When(told_at__isnull=False, then=Value(now)), default=F("tell_at"))
    closed = _close(rows, resolution, now=now, tell_at=told)
    if closed:
        log.info("action=incident_resolved keys=%s resolution=%s", sorted(keys), resolution)
    return closed


def _close(
    rows: QuerySet[Incident], resolution: str, *, now: datetime, by: str = "", **more: object
) -> int:
    return rows.exclude(status=IncidentStatus.RESOLVED).update(
        status=IncidentStatus.RESOLVED,
        resolved_at=now,
        resolution=resolution,
        resolved_by=by,
        remind_at=None,
        **more,
    )


# What people do


def acknowledge(number: int, *, who: str, now: datetime) -> None:
    """Somebody looks after it: no more reminders. Raises WarmlineError where it is not open."""
    with writing():
        moved = Incident.objects.filter(pk=number, status=IncidentStatus.OPEN).update(
            status=IncidentStatus.ACKNOWLEDGED,
            acknowledged_at=now,
            acknowledged_by=who[:64],
            remind_at=None,
        )
    if not moved:
        raise _not_so(number)
    log.info("action=incident_acknowledged incident=%d by=%s", number, who)


def resolve_by_hand(number: int, *, who: str, why: str, now: datetime) -> None:
    """Close one on a person's word. Raises WarmlineError where it is resolved, or not there."""
    if not why.strip():
        raise WarmlineError("say how it was resolved", hint='--why "what was done about it"')
    with writing():
        closed = _close(Incident.objects.filter(pk=number), why.strip(), now=now, by=who[:64])
    if not closed:
        raise _not_so(number)
    log.info("action=incident_resolved incident=%d by=%s", number, who)


def _not_so(number: int) -> WarmlineError:
    row = Incident.objects.filter(pk=number).first()
    if row is None:
        return WarmlineError(
            f"there is no incident {number}", hint="`warmline incidents --all` lists them"
        )
    if row.status == IncidentStatus.ACKNOWLEDGED:
        return WarmlineError(
            f"incident {number} was acknowledged by {row.acknowledged_by} at "
            f"{row.acknowledged_at:%Y-%m-%d %H:%M}Z"
        )
    return WarmlineError(
        f"incident {number} was resolved at {row.resolved_at:%Y-%m-%d %H:%M}Z: {row.resolution}"
    )


def listed(*, everything: bool = False, limit: int = 200) -> list[Incident]:
    """The open ones, oldest first; with `everything` also those that ended, newest first."""
    open_ones = Q(status__in=[IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED])
    found = list(Incident.objects.filter(open_ones).order_by("opened_at", "id")[:limit])
    if everything:
        found += Incident.objects.exclude(open_ones).order_by("-resolved_at", "-id")[:limit]
    return found


def took(incident: Incident, now: datetime) -> timedelta:
    """From the failure to its end, or until now: held against RESOLVE_WITHIN."""
    return (incident.resolved_at or now) - incident.opened_at
