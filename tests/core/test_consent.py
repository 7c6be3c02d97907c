"""What an unspoken consent rests on, and for how long the law lets it stand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.config.policy import PolicyFile
from warmline.core.consent import (
    APPLICATION,
    EXPRESS,
    RELATIONSHIP,
    Consent,
    Law,
    basis_now,
    implied,
    months_after,
    why_not,
)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
CASL, CNIL = PolicyFile().law("CA"), PolicyFile().law("FR")


def ago(months: int, days: int = 0) -> datetime:
    return months_after(NOW, -months) - timedelta(days=days)


@pytest.mark.parametrize(
    ("law", "applied", "met", "basis"),
    [
        (CASL, ago(5), None, APPLICATION),
        (CASL, ago(6, 1), None, None),
        (CASL, ago(20), ago(19), RELATIONSHIP),
        (CASL, ago(25), ago(24, 1), None),
        (CNIL, ago(23), None, APPLICATION),
        (CNIL, ago(24, 1), None, None),
        (CNIL, ago(30), ago(23), RELATIONSHIP),
        (CNIL, None, None, None),
    ],
)
def test_the_law_says_how_long_an_application_and_dealings_count(
    law: Law, applied: datetime | None, met: datetime | None, basis: str | None
) -> None:
    found = list(implied(law, applied=[applied] if applied else [], dealings=[met] if met else []))
    standing = basis_now(found, now=NOW)
    assert (standing.basis if standing else None) == basis
    assert bool(why_not(found, law, now=NOW)) == (basis is None)


def test_a_spoken_yes_has_no_end_and_goes_first() -> None:
    spoken = Consent(EXPRESS, ago(200), None, "express (warmline)")
    found = [*implied(CASL, applied=[ago(1)], dealings=[ago(1)]), spoken]
    assert basis_now(found, now=NOW) == spoken


def test_a_consent_stands_until_its_moment_and_not_at_it() -> None:
    one = Consent(APPLICATION, NOW, NOW + timedelta(days=1))
    assert one.stands(NOW + timedelta(days=1) - timedelta(seconds=1))
    assert not one.stands(NOW + timedelta(days=1))


def test_why_nobody_may_write_says_when_it_ended() -> None:
    assert why_not([], CNIL, now=NOW) == "no consent: they never applied, and never said yes"
    ended = [*implied(CNIL, applied=[datetime(2023, 5, 31, tzinfo=UTC)], dealings=[])]
    assert why_not(ended, CNIL, now=NOW) == "no consent stands: the last one ended on 2025-05-31"


def test_the_file_overrules_the_law_and_the_default_country_by_country() -> None:
    file = PolicyFile.model_validate(
        {
            "consent": {
                "CA": {"application_months": 3, "relationship_months": 12},
                "US": {"required": False},
                "default": {"application_months": 12},
            }
        }
    )
    assert file.law("CA") == Law(3, 12, clicks=False)
    assert file.law("DE") == file.law("") == Law(12, 12)
    assert why_not([], file.law("US"), now=NOW) == ""


def test_no_months_is_no_consent() -> None:
    assert list(implied(Law(0, 0), applied=[NOW], dealings=[NOW])) == []


@given(st.integers(0, 40_000).map(lambda days: NOW - timedelta(days=days)), st.integers(0, 120))
def test_months_after_is_a_day_of_the_month_meant(moment: datetime, months: int) -> None:
    later = months_after(moment, months)
    assert (later.year * 12 + later.month) - (moment.year * 12 + moment.month) == months
    assert later.day in (moment.day, 28, 29, 30)
    assert later.time() == moment.time()
