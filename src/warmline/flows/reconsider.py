"""News that came before its record was known here: read again once the record is."""

from __future__ import annotations

from collections.abc import Collection

from warmline.core.events import EventKind
from warmline.flows.runtime import Lane, intake_lane
from warmline.store.db import lock_records
from warmline.store.models import Delivery, Event
from warmline.store.statuses import DeliveryStatus, EventEffect

# A vendor word that we do not know waits for no record. A deletion is no news of a record that
# became known after it: that it was heard is what keeps older news from making the record.
_NOT_WAITING = (EventKind.UNKNOWN, EventKind.CANDIDATE_DELETED)


def reconsider(connection: str, records: Collection[str]) -> set[Lane]:
    """These records became known just now: the deliveries of events that had come too early for
    them wait for interpretation again. The caller holds the transaction that makes them known.
    Returns the lanes to poke.

    Only a record that is new sets this off, so an event that stays unknown is not read for ever.
    """
    if not records:
        return set()
    lock_records(connection)
    early = Event.objects.filter(
        connection=connection, effect=EventEffect.UNKNOWN, record__in=records
    ).exclude(kind__in=_NOT_WAITING)
    again = Delivery.objects.filter(
        pk__in=early.values("delivery"), status=DeliveryStatus.INTERPRETED
    ).update(status=DeliveryStatus.RECEIVED, attempts=0)
    return {intake_lane(connection)} if again else set()
