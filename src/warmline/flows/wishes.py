"""What two candidates who are one person asked for on the preference page: the strictest wins."""

from __future__ import annotations

from datetime import datetime

from warmline.flows.journal import Journal
from warmline.store.models import Candidate, Preference


def fold_wishes(kept: Candidate, folded: Candidate, journal: Journal, now: datetime) -> None:
    """The longer pause, the longer distance, every topic that either wants nothing of. The folded
    one's row stays theirs, so that taking the merge back brings both as they were."""
    theirs = Preference.objects.filter(candidate=folded).first()
    if theirs is None:
        return
    mine = Preference.objects.filter(candidate=kept).first()
    if mine is None:
        mine = Preference(candidate=kept, updated_at=now)
        mine.save(force_insert=True)
        journal.made([mine], updated_at=now)  # wishes of after the merge outlive its undoing
    pauses = [row.paused_until for row in (mine, theirs) if row.paused_until is not None]
    journal.update(
        [mine],
        paused_until=max(pauses, default=None),
        days_between=max(mine.days_between, theirs.days_between),
        topics_off=sorted({*mine.topics_off, *theirs.topics_off}),
        language=mine.language or theirs.language,
        updated_at=max(mine.updated_at, theirs.updated_at),
    )
