"""Where candidates stand by the segment rules, and who may be nurtured there."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from warmline.core.segments import Placement, Segment
from warmline.flows.runtime import Runtime
from warmline.store.queries import histories


def placements(
    runtime: Runtime, candidate_ids: Collection[int], now: datetime
) -> dict[int, Placement]:
    """Where each candidate stands at `now`. Who was merged or erased is left out."""
    rules = runtime.project.segment_rules
    found = histories(sorted(candidate_ids))
    return {pk: rules.place(history, now=now) for pk, history in found.items()}


def why_not(runtime: Runtime, placement: Placement | None, wanted: Segment) -> str:
    """Why somebody who stands here is not enrolled in a sequence for `wanted`; empty where they
    may be."""
    if placement is None:
        return "the candidate is no longer there"
    if placement.segment is not wanted:
        return f"{placement.segment} ({placement.rule}), and not {wanted}"
    now, rules = runtime.now(), runtime.project.segment_rules
    return rules.nurture_hold(placement.segment, placement.score, now, now=now)
