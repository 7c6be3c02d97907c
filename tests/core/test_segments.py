"""Every candidate is in exactly one of the four segments, and a rule in words says why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.core.events import ApplicationStatus, StageKind
from warmline.core.segments import Candidacy, Segment, SegmentRules, segment_of

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
RULES = SegmentRules(frozenset({StageKind.FINAL, StageKind.OFFER}), archived_after_days=730)

candidacies = st.lists(
    st.builds(
        Candidacy,
        status=st.sampled_from(ApplicationStatus),
        stage=st.none() | st.sampled_from(StageKind),
        prospect=st.booleans(),
    ),
    max_size=5,
)
rules = st.builds(
    SegmentRules,
    late_stages=st.frozensets(st.sampled_from(StageKind)),
    archived_after_days=st.integers(1, 3650),
)
activity = st.timedeltas(timedelta(days=-4000), timedelta(days=30)).map(lambda d: NOW + d)


def segment(*found: Candidacy, days_ago: float = 1) -> Segment:
    last = NOW - timedelta(days=days_ago)
    return segment_of(found, last_activity=last, rules=RULES, now=NOW)[0]


@given(candidacies, activity, rules)
def test_everybody_is_in_exactly_one_segment_and_a_rule_says_why(
    found: list[Candidacy], last: datetime, rules: SegmentRules
) -> None:
    where, why = segment_of(found, last_activity=last, rules=rules, now=NOW)
    assert where in Segment
    assert why


@given(candidacies, activity, rules, st.randoms(use_true_random=False))
def test_the_order_of_applications_does_not_matter(
    found: list[Candidacy], last: datetime, rules: SegmentRules, dice: object
) -> None:
    turned = list(found)
    dice.shuffle(turned)  # type: ignore[attr-defined]
    one = segment_of(found, last_activity=last, rules=rules, now=NOW)
    assert segment_of(turned, last_activity=last, rules=rules, now=NOW) == one


@given(candidacies, rules)
def test_after_so_long_without_activity_everybody_is_archived(
    found: list[Candidacy], rules: SegmentRules
) -> None:
    last = NOW - timedelta(days=rules.archived_after_days, seconds=1)
    assert segment_of(found, last_activity=last, rules=rules, now=NOW)[0] is Segment.ARCHIVED


@given(candidacies, rules)
def test_a_live_application_makes_an_active_applicant_whatever_else(
    found: list[Candidacy], rules: SegmentRules
) -> None:
    live = Candidacy(ApplicationStatus.ACTIVE, None, prospect=False)
    last = NOW - timedelta(days=rules.archived_after_days)
    where, _ = segment_of([*found, live], last_activity=last, rules=rules, now=NOW)
    assert where is Segment.ACTIVE_APPLICANT


A, R, H, D = (
    ApplicationStatus.ACTIVE,
    ApplicationStatus.REJECTED,
    ApplicationStatus.HIRED,
    ApplicationStatus.DELETED,
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], Segment.PASSIVE_LEAD),
        ([Candidacy(A, None, prospect=True)], Segment.PASSIVE_LEAD),
        ([Candidacy(A, StageKind.OFFER, prospect=True)], Segment.PASSIVE_LEAD),
        ([Candidacy(D, StageKind.OFFER, prospect=False)], Segment.PASSIVE_LEAD),
        ([Candidacy(A, StageKind.APPLIED, prospect=False)], Segment.ACTIVE_APPLICANT),
        ([Candidacy(R, StageKind.APPLIED, prospect=False)], Segment.ARCHIVED),
        ([Candidacy(R, None, prospect=False)], Segment.ARCHIVED),
        ([Candidacy(R, StageKind.INTERVIEW, prospect=False)], Segment.ARCHIVED),
        ([Candidacy(R, StageKind.FINAL, prospect=False)], Segment.SILVER_MEDALIST),
        ([Candidacy(R, StageKind.OFFER, prospect=False)], Segment.SILVER_MEDALIST),
        ([Candidacy(H, StageKind.OFFER, prospect=False)], Segment.ARCHIVED),
        (
            [Candidacy(H, StageKind.OFFER, prospect=False), Candidacy(R, StageKind.FINAL, False)],
            Segment.ARCHIVED,
        ),
    ],
)
def test_the_guides_four_segments(found: list[Candidacy], expected: Segment) -> None:
    assert segment(*found) is expected


def test_the_last_day_counts_as_activity() -> None:
    live = Candidacy(A, None, prospect=False)
    assert segment(live, days_ago=730) is Segment.ACTIVE_APPLICANT
    assert segment(live, days_ago=730.001) is Segment.ARCHIVED
