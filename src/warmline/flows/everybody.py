"""All candidates placed at once: what would change, and the change itself.

For a first run, and when the rules have changed; day by day `flows.segment` follows. Stretch by
stretch of the candidates' ids, so that a million need little memory, and each stretch is one
transaction: stopped half-way it begins again and finds the first part done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Max

from warmline.core.segments import Segment
from warmline.flows.runtime import Runtime
from warmline.flows.segment import Move, tell
from warmline.store.db import writing
from warmline.store.models import Candidate, Segmentation
from warmline.store.queries import histories, keep_placements

STRETCH = 10_000


@dataclass(slots=True)
class Survey:
    """How many candidates each segment has by the rules as they are now, and how many move from
    where to where; `""` is where nobody was placed yet."""

    counts: Counter[Segment] = field(default_factory=Counter)
    moves: Counter[tuple[str, Segment]] = field(default_factory=Counter)

    @property
    def candidates(self) -> int:
        return self.counts.total()


def survey(
    runtime: Runtime,
    *,
    write: bool,
    told: Callable[[int], None] = lambda candidates: None,
    moved: Callable[[Move], None] = lambda move: None,
) -> Survey:
    """Place everybody. `told` hears how many ids were gone through, `moved` of each move. With
    `write` the placements are kept; moves of people who were placed before are events, and what
    their triggers ask for waits in the lanes."""
    found = Survey()
    top = Candidate.objects.aggregate(top=Max("pk"))["top"] or 0
    for low in range(0, top, STRETCH):
        if runtime.stopping.is_set():
            break
        _stretch(runtime, low, low + STRETCH, found, moved, write=write)
        told(min(STRETCH, top - low))
    return found


def _stretch(
    runtime: Runtime,
    low: int,
    high: int,
    found: Survey,
    moved: Callable[[Move], None],
    *,
    write: bool,
) -> None:
    now = runtime.now()
    if not write:
        _count(_placed(runtime, low, high, now), found, moved)
        return
    with writing():
        # PostgreSQL: whoever places one of these meanwhile waits, and then sees what we did.
        rows = Segmentation.objects.filter(pk__gt=low, pk__lte=high).select_for_update()
        list(rows.order_by("pk").values_list("pk"))
        placed = _placed(runtime, low, high, now)
        keep_placements([(m.candidate_id, m.placement, m.number) for m, new in placed if new], now)
        lanes = tell(runtime, [m for m, _ in placed if m.moved and m.before], now)
    _count(placed, found, moved)
    runtime.poke(lanes)


def _placed(runtime: Runtime, low: int, high: int, now: datetime) -> list[tuple[Move, bool]]:
    """Everybody of the stretch, and whether the row is to be written."""
    place = runtime.project.segment_rules.place
    rows = {
        row[0]: row
        for row in Segmentation.objects.filter(pk__gt=low, pk__lte=high).values_list(
            "candidate_id", "segment", "rule", "moves", "next_at"
        )
    }
    found: list[tuple[Move, bool]] = []
    for pk, history in histories(stretch=(low, high)).items():
        placement = place(history, now=now)
        _, before, rule, number, next_at = rows.get(pk, (pk, "", "", 0, None))
        same = before == placement.segment
        changed = not same or rule != placement.rule or next_at is None or next_at <= now
        found.append((Move(pk, before, placement, number if same else number + 1), changed))
    return found


def _count(placed: list[tuple[Move, bool]], found: Survey, moved: Callable[[Move], None]) -> None:
    for move, _ in placed:
        found.counts[move.placement.segment] += 1
        if move.moved:
            found.moves[(move.before, move.placement.segment)] += 1
            moved(move)
