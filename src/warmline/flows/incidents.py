"""Failures being handled: opened at the first, counted after it, resolved by success or by hand.

One open incident a key is a unique key of the database, so that two runners cannot open two.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import F

from warmline.store.models import Incident
from warmline.store.statuses import IncidentStatus

log = logging.getLogger("warmline.incidents")


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
            )
        ],
        ignore_conflicts=True,
    )
    log.error("action=incident_opened key=%s record=%s reason=%s", key, record, reason)


def resolve(
    keys: Collection[str], resolution: str, *, now: datetime, quiet_for: timedelta = timedelta(0)
) -> int:
    """Close the open incidents with these keys, where nothing was added to them for `quiet_for`.
    Returns how many there were."""
    closed = (
        Incident.objects.filter(key__in=[key[:400] for key in keys], last_at__lte=now - quiet_for)
        .exclude(status=IncidentStatus.RESOLVED)
        .update(status=IncidentStatus.RESOLVED, resolved_at=now, resolution=resolution)
    )
    if closed:
        log.info("action=incident_resolved keys=%s resolution=%s", sorted(keys), resolution)
    return closed
