"""Which of the four segments a candidate is in. Every candidate is in exactly one: the rules are
asked in order, and the last one takes everybody who is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from warmline.core.conditions import BadCondition, Condition
from warmline.core.engagement import Act, score
from warmline.core.events import StageKind

# A month, for counting: 24 of them are two years.
MONTH = timedelta(days=365.25 / 12)
# How far ahead is looked for a change that time alone makes. Whoever stands still is placed anew
# so often, and no later.
HORIZON_DAYS = 31
# The stages in order: the furthest one that an application ever stood at is what counts.
STAGE_ORDER: Mapping[str, int] = {
    StageKind.APPLIED: 1,
    StageKind.SCREEN: 2,
    StageKind.INTERVIEW: 3,
    StageKind.FINAL: 4,
    StageKind.OFFER: 5,
    StageKind.HIRED: 6,
}


class Segment(StrEnum):
    ACTIVE_APPLICANT = "active_applicant"  # an application of theirs is in a pipeline
    SILVER_MEDALIST = "silver_medalist"  # reached a late stage and was not hired
    PASSIVE_LEAD = "passive_lead"  # sourced, never applied
    ARCHIVED = "archived"  # no sign of life for long, or nothing left to talk about


def furthest(one: str, other: str) -> str:
    """Of two stage kinds the later one; an empty or unordered one counts for nothing."""
    return one if STAGE_ORDER.get(one, 0) >= STAGE_ORDER.get(other, 0) else other


@dataclass(frozen=True, slots=True)
class History:
    """What is known of a candidate, before time is brought in. Counts are of applications that
    still exist; prospects (sourced, not applied) are none. `last_sign`: the newest of sourced,
    applied, moved, rejected, and confirmed acts."""

    active: int = 0
    rejected: int = 0
    hired: int = 0
    reached: str = ""
    last_sign: datetime | None = None
    acts: tuple[Act, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a rule sees: few distinct values, so that a million people are a few thousand cases.
    `score` is in whole points."""

    active: int
    applied: int
    rejected: int
    hired: int
    reached: str
    months_quiet: int
    score: int


@dataclass(frozen=True, slots=True)
class Rule:
    """`when` is CEL over the names of `Evidence`, `late_stages` and `archived_after_months`; None
    holds for everybody."""

    segment: Segment
    name: str
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where somebody stands, by which rule, on what evidence, and until when time changes
    nothing."""

    segment: Segment
    rule: str
    evidence: Evidence
    score: float
    next_at: datetime


# The counts, the furthest stage, the months of silence and the score of somebody.
_Case = tuple[int, int, int, str, int, int]


@dataclass(frozen=True)
class SegmentRules:
    """`nurture_above`: a passive lead with a lower engagement score is not nurtured."""

    rules: tuple[Rule, ...]
    late_stages: tuple[StageKind, ...]
    archived_after_months: int
    half_life: timedelta
    nurture_above: float
    # What was decided for a case before: a million people are a few thousand cases.
    _known: dict[_Case, tuple[Rule, Evidence]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def place(self, history: History, *, now: datetime) -> Placement:
        """The segment at `now`, and the next day within the horizon on which it may be another."""
        rule, evidence, points = self._look(history, now)
        next_at = self._next(history, rule.segment, now)
        return Placement(rule.segment, rule.name, evidence, points, next_at)

    def nurture_hold(
        self, segment: str, points: float, placed_at: datetime | None, *, now: datetime
    ) -> str:
        """Why nobody of this segment, with this score at `placed_at`, is nurtured now; empty where
        they are. A sum of halving terms halves as one."""
        if segment == Segment.ARCHIVED:
            return "archived: nobody there is nurtured"
        if segment != Segment.PASSIVE_LEAD or placed_at is None:
            return ""
        left = points * 0.5 ** (max(now - placed_at, timedelta(0)) / self.half_life)
        if left >= self.nurture_above:
            return ""
        return f"the engagement score of {left:.1f} is under the line of {self.nurture_above:g}"

    def _next(self, history: History, segment: Segment, now: datetime) -> datetime:
        """Bisected by days. Should a rule hold, stop holding and hold again within the horizon,
        the horizon's end is when it is seen."""

        def same(days: int) -> bool:
            return self._look(history, now + timedelta(days=days))[0].segment is segment

        low, high = 0, HORIZON_DAYS
        if same(high):
            return now + timedelta(days=high)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if same(middle) else (low, middle)
        return now + timedelta(days=high)

    def _look(self, history: History, now: datetime) -> tuple[Rule, Evidence, float]:
        """The first rule that holds, what it saw, and the engagement score."""
        points = score(history.acts, half_life=self.half_life, now=now) if history.acts else 0.0
        quiet = max(0, (now - history.last_sign) // MONTH) if history.last_sign else 0
        case = (
            history.active, history.rejected, history.hired, history.reached, quiet, int(points),
        )  # fmt: skip
        known = self._known.get(case)
        if known is None:
            known = self._known[case] = self._decide(case)
        return *known, points

    def _decide(self, case: _Case) -> tuple[Rule, Evidence]:
        active, rejected, hired, reached, quiet, points = case
        applied = active + rejected + hired
        evidence = Evidence(active, applied, rejected, hired, reached, quiet, points)
        context = self.context(evidence)
        rule = next(rule for rule in self.rules if rule.when is None or rule.when.holds(context))
        return rule, evidence

    def context(self, evidence: Evidence) -> dict[str, Any]:
        return {
            "active": evidence.active,
            "applied": evidence.applied,
            "rejected": evidence.rejected,
            "hired": evidence.hired,
            "reached": evidence.reached,
            "months_quiet": evidence.months_quiet,
            "score": evidence.score,
            "late_stages": [str(stage) for stage in self.late_stages],
            "archived_after_months": self.archived_after_months,
        }

    def check(self, rule: Rule) -> None:
        """Raises BadCondition where the rule names what is not there, or does not say true or
        false."""
        if rule.when is not None:
            sample = Evidence(1, 1, 0, 0, "applied", 0, 0)
            found = rule.when.value(self.context(sample))
            if not isinstance(found, bool):
                raise BadCondition(f"it gives {found!r} and neither true nor false")


def default_rules() -> Sequence[tuple[Segment, str, str]]:
    """Segment, name and CEL of each rule, in order (the guide's four, completed so that everybody
    is somewhere)."""
    return (
        (Segment.ARCHIVED, "quiet for long", "months_quiet >= archived_after_months"),
        (Segment.ACTIVE_APPLICANT, "in a pipeline", "active > 0"),
        (Segment.ARCHIVED, "hired", "hired > 0"),
        (Segment.SILVER_MEDALIST, "reached a late stage, not hired", "reached in late_stages"),
        (Segment.PASSIVE_LEAD, "sourced, never applied", "applied == 0"),
        (Segment.ARCHIVED, "rejected before a late stage", ""),
    )
