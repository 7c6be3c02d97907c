"""The segment's tag on each of a candidate's ATS records: what is to be written, and what is.

The tag is read from the placement when it is written and not when it was planned, so that an old
action that is handled late writes what is true now (I6).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from warmline.core.actions import TagChange
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.core.segments import Segment
from warmline.flows.runtime import Runtime
from warmline.store.models import ExternalId, Segmentation


@dataclass(frozen=True, slots=True)
class Tagging:
    """A candidate's records in one ATS, and the segment whose tag they are to carry."""

    change: TagChange
    segment: Segment
    records: tuple[int, ...]  # primary keys of the ExternalId rows


def taggings(
    runtime: Runtime, target: str, candidate_ids: Collection[int]
) -> dict[int, Tagging | Outcome]:
    """What to write for each candidate, or the outcome where there is nothing to write."""
    segments = {
        row.candidate_id: Segment(row.segment)
        for row in Segmentation.objects.filter(candidate__in=candidate_ids)
    }
    records: dict[int, list[ExternalId]] = {}
    rows = ExternalId.objects.filter(
        candidate__in=candidate_ids, connection=target, gone_at__isnull=True
    )
    for row in rows.order_by("id"):
        records.setdefault(row.candidate_id, []).append(row)
    return {
        pk: _tagging(runtime, segments.get(pk), records.get(pk, ())) for pk in set(candidate_ids)
    }


def _tagging(
    runtime: Runtime, segment: Segment | None, records: Iterable[ExternalId]
) -> Tagging | Outcome:
    if segment is None:
        return Outcome(OutcomeKind.SKIPPED, "the candidate was merged or deleted")
    mine = list(records)
    if not mine:
        return Outcome(OutcomeKind.SKIPPED, "no record there to tag")
    lacking = [row for row in mine if row.segment != segment]
    if not lacking:
        return Outcome(OutcomeKind.ALREADY_DONE, "the records carry the tag already")
    tag = runtime.project.file.segments.tag
    change = TagChange(
        records=tuple(row.external_id for row in lacking),
        add=tag(segment),
        remove=tuple(tag(other) for other in Segment if other is not segment),
    )
    return Tagging(change, segment, tuple(row.pk for row in lacking))


def doubt(taggings: Iterable[Tagging]) -> None:
    """Before a write: until it is confirmed nobody knows which tag these records carry. Else a
    lost answer would be forgotten where somebody moves back. The caller holds the transaction."""
    ids = [pk for one in taggings for pk in one.records]
    ExternalId.objects.filter(pk__in=ids).update(segment="")


def confirm(taggings: Iterable[Tagging]) -> None:
    """The ATS said that these records carry the tag now. The caller holds the transaction."""
    by_segment: dict[Segment, list[int]] = {}
    for one in taggings:
        by_segment.setdefault(one.segment, []).extend(one.records)
    for segment, ids in by_segment.items():
        ExternalId.objects.filter(pk__in=ids).update(segment=segment)
