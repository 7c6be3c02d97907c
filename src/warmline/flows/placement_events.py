"""The event of somebody's placement in a segment: found, or made where history placed them in
silence. What a person orders for everybody hangs on it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from warmline.core.events import EventKind
from warmline.core.triggers import OWN
from warmline.store.models import Delivery, Event, Segmentation
from warmline.store.statuses import EventEffect


def placement_events(
    rows: Sequence[Segmentation], delivery: Delivery, now: datetime
) -> list[Event]:
    """One event a row. The caller holds the transaction; `delivery` says whose order it was."""
    keys = {f"candidate.segmented:{row.pk}:{row.moves}": row for row in rows}
    found = {e.key: e for e in Event.objects.filter(connection=OWN, key__in=keys)}
    made = [
        Event(
            connection=OWN,
            key=key,
            kind=EventKind.CANDIDATE_SEGMENTED,
            word=row.segment,
            occurred_at=row.since,
            recorded_at=now,
            delivery=delivery,
            candidate_id=row.pk,
            effect=EventEffect.APPLIED,
            fields={"before": "", "segment": row.segment, "rule": row.rule},
        )
        for key, row in keys.items()
        if key not in found
    ]
    Event.objects.bulk_create(made)
    return [*found.values(), *made]
