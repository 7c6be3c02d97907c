"""What a candidate asks for on the preference page: to hear nothing for a while, or less often, or
not of everything. Kept as one row a person; the policy and the program follow it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from warmline.flows.own_events import find, standing
from warmline.flows.runtime import Runtime
from warmline.store.db import writing
from warmline.store.models import Message, Preference, Suppression
from warmline.store.queries import lock_candidate
from warmline.store.statuses import SuppressionReason

# Months of a pause, and days between two letters, that the page offers.
PAUSES = (1, 3, 6)
SPACES = (0, 30, 60, 90)
MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Wishes:
    """As they stand. `stopped`: the person gets no letters at all; no page brings that back."""

    paused_until: datetime | None = None
    days_between: int = 0
    topics_off: frozenset[str] = frozenset()
    language: str = ""
    stopped: bool = False


def topics(runtime: Runtime) -> list[str]:
    """The topics that the project's letters are marked with, in the order of the alphabet."""
    sequences = runtime.project.sequences.values()
    return sorted({topic for loaded in sequences for topic in loaded.topics.values()})


def wishes(message: Message, now: datetime) -> Wishes:
    candidate = standing(message)
    row = Preference.objects.filter(candidate=candidate).first()
    said_no = Suppression.objects.filter(address__in=candidate.emails.values("normal")).exclude(
        reason=SuppressionReason.BOUNCED
    )
    stopped = bool(candidate.opted_out) or candidate.do_not_contact or said_no.exists()
    if row is None:
        return Wishes(stopped=stopped)
    waits = row.paused_until is not None and row.paused_until > now
    return Wishes(
        paused_until=row.paused_until if waits else None,
        days_between=row.days_between,
        topics_off=frozenset(row.topics_off),
        language=row.language,
        stopped=stopped,
    )


def wish(
    runtime: Runtime,
    message_id: int,
    *,
    months: int | None,
    days_between: int,
    topics_on: Collection[str] | None,
    language: str,
) -> bool:
    """Keep what was asked for. `months` None: a pause stays as it is; 0: it ends. `topics_on` None:
    topics stay as they are. False where there is no such message."""
    now = runtime.now()
    with writing():
        message = find(message_id)
        if message is None:
            return False
        candidate = standing(message)
        lock_candidate(candidate.pk)
        row = Preference.objects.filter(candidate=candidate).first() or Preference(
            candidate=candidate
        )
        if months is not None:
            row.paused_until = now + months * MONTH if months else None
        row.days_between = days_between
        if topics_on is not None:
            row.topics_off = [topic for topic in topics(runtime) if topic not in topics_on]
        row.language, row.updated_at = language, now
        row.save()
    return True
