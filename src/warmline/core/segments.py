"""Which of the four segments a candidate is in. Every candidate is in exactly one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from warmline.core.events import ApplicationStatus, StageKind


class Segment(StrEnum):
    ACTIVE_APPLICANT = "active_applicant"  # an application of theirs is in a pipeline
    SILVER_MEDALIST = "silver_medalist"  # reached a late stage and was not hired
    PASSIVE_LEAD = "passive_lead"  # sourced, never applied
    ARCHIVED = "archived"  # no sign of life for long, or nothing left to talk about


@dataclass(frozen=True, slots=True)
class SegmentRules:
    """`late_stages`: the kinds that make a silver medalist. `archived_after_days`: without any
    activity for so long, a candidate is archived (the guide: 24 months)."""

    late_stages: frozenset[StageKind]
    archived_after_days: int


@dataclass(frozen=True, slots=True)
class Candidacy:
    """What the rules look at in one application."""

    status: ApplicationStatus
    stage: StageKind | None
    prospect: bool


def segment_of(
    candidacies: Collection[Candidacy],
    *,
    last_activity: datetime,
    rules: SegmentRules,
    now: datetime,
) -> tuple[Segment, str]:
    """The segment, and the rule that put the candidate there, in words."""
    if now - last_activity > timedelta(days=rules.archived_after_days):
        return Segment.ARCHIVED, f"no activity for {rules.archived_after_days} days"
    real = [c for c in candidacies if not c.prospect and c.status is not ApplicationStatus.DELETED]
    if any(c.status is ApplicationStatus.ACTIVE for c in real):
        return Segment.ACTIVE_APPLICANT, "an application is in a pipeline"
    if any(c.status is ApplicationStatus.HIRED for c in real):
        return Segment.ARCHIVED, "hired"
    if any(c.stage in rules.late_stages for c in real):
        return Segment.SILVER_MEDALIST, "reached a late stage and was not hired"
    if not real:
        return Segment.PASSIVE_LEAD, "sourced, never applied"
    return Segment.ARCHIVED, "rejected before a late stage, and no other application"
