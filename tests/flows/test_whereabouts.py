"""Where a person is, by what they wrote; and the file that says where everybody else is."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.cli.starter import copy_starter
from warmline.config.project import load
from warmline.core.errors import ConfigError
from warmline.flows.places import spot
from warmline.flows.whereabouts import Whereabouts, is_holiday, where_is
from warmline.store.models import Candidate

POLICY = """
policy:
  zone: Europe/Berlin
  country: DE
  offices:
    Lisbon: {zone: Europe/Lisbon, country: PT}
    HQ: {zone: Europe/Vienna}
"""


@pytest.mark.parametrize(
    ("written", "country", "zone"),
    [
        ("Lisbon", "PT", "Europe/Lisbon"),
        ("LISBOA", "PT", "Europe/Lisbon"),
        ("Greater Lisbon Area", "PT", "Europe/Lisbon"),
        ("London", "GB", "Europe/London"),
        ("London, ON", "CA", "America/Toronto"),
        ("12 Mill Lane, Bristol BS1 4ND", "GB", "Europe/London"),
        ("München, Deutschland", "DE", "Europe/Berlin"),
        ("Berlin, DE", "DE", "Europe/Berlin"),
        ("Halle (Saale)", "DE", "Europe/Berlin"),
        ("Portland, OR 97201", "US", "America/Los_Angeles"),
        ("Portland, Maine", "US", "America/New_York"),
        ("Portland OR", "US", "America/Los_Angeles"),
        ("San Jose, CA", "US", "America/Los_Angeles"),
        ("Toronto, CA", "CA", "America/Toronto"),
        ("Bangalore, IN", "IN", "Asia/Kolkata"),
        ("Washington, D.C.", "US", "America/New_York"),
        ("Texas, USA", "US", "America/Chicago"),
        ("Atlanta, Georgia", "US", "America/New_York"),
        ("Tbilisi, Georgia", "GE", "Asia/Tbilisi"),
        ("São Paulo - SP, Brasil", "BR", "America/Sao_Paulo"),
        ("Remote - Germany", "DE", "Europe/Berlin"),
        ("Remote (US)", "US", "America/New_York"),
        ("Ireland", "IE", "Europe/Dublin"),
        ("東京", "JP", "Asia/Tokyo"),
    ],
)
def test_a_place_as_written_is_found(written: str, country: str, zone: str) -> None:
    assert spot(written) == (country, zone)


@pytest.mark.parametrize("written", ["", "  ", "Remote", "1 Work Road", "in", "la", "12345", ",;"])
def test_what_names_no_place_is_none(written: str) -> None:
    assert spot(written) is None


@given(st.text(max_size=300))
def test_no_words_are_too_odd_to_be_asked_for(written: str) -> None:
    spot(written)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy_starter(tmp_path / "project")
    return tmp_path / "project"


def _with(folder: Path, policy: str) -> Any:
    path = folder / "warmline.yaml"
    text = path.read_text().partition("\npolicy:")[0]
    path.write_text(text + "\n" + policy.lstrip("\n"))
    return load(folder)


def test_a_persons_place_goes_before_their_telephone_their_office_and_the_policy(
    folder: Path,
) -> None:
    project = _with(folder, POLICY)
    ada = Candidate(place="Toronto", phones=["+1 415 555 0123"])
    assert where_is(project, ada, "Lisbon") == Whereabouts("CA", "America/Toronto", "place")
    ada.place = "somewhere else"
    assert where_is(project, ada, "Lisbon") == Whereabouts("US", "America/Los_Angeles", "telephone")
    ada.phones = ["415 555 0123", "x"]
    assert where_is(project, ada, "lisbon ") == Whereabouts("PT", "Europe/Lisbon", "office")
    assert where_is(project, ada, "HQ") == Whereabouts("DE", "Europe/Vienna", "office")
    assert where_is(project, ada, "Dublin") == Whereabouts("IE", "Europe/Dublin", "office")
    assert where_is(project, ada, "Floor 3") == Whereabouts("DE", "Europe/Berlin", "policy")


@pytest.mark.parametrize(
    ("number", "country", "zone"),
    [
        ("+44 20 7946 0958", "GB", "Europe/London"),
        ("0044 20 7946 0958", "GB", "Europe/London"),
        ("+49 1512 3456789", "DE", "Europe/Berlin"),
        ("+7 916 123 45 67", "RU", "Europe/Moscow"),
        ("+61 412 345 678", "AU", "Australia/Sydney"),
        ("+212 522 123456", "MA", "Africa/Casablanca"),
    ],
)
def test_a_telephone_number_tells_a_country_and_its_usual_zone(
    folder: Path, number: str, country: str, zone: str
) -> None:
    found = where_is(load(folder), Candidate(phones=[number]))
    assert found == Whereabouts(country, zone, "telephone")


def test_holidays_are_the_countrys_and_an_unknown_country_has_none() -> None:
    assert is_holiday("DE", date(2026, 10, 3))
    assert not is_holiday("DE", date(2026, 7, 4))
    assert is_holiday("US", date(2026, 7, 3))  # as observed: the fourth is a Saturday
    assert not is_holiday("", date(2026, 1, 1))
    assert not is_holiday("XX", date(2026, 1, 1))


@pytest.mark.parametrize(
    ("wrong", "line", "said"),
    [
        ("  zone: Europe/Berlyn", 2, "IANA time zone"),
        ("  country: Germany", 2, "two letters of a country"),
        ("  offices: {Lisbon: {zone: Lisbon}}", 2, "IANA time zone"),
        ("  offices:\n    Lisbon:\n      zone: Europe/Lisbon\n      country: pt", 5, "two letters"),
        ("  offices: {Lisbon: Europe/Lisbon}", 2, "dictionary"),
        ("  quiet_hours: {from: 1200, to: '08:00'}", 2, "in quotes"),
        ("  quiet_hours: {from: '25:00', to: '08:00'}", 2, "quiet_hours.from"),
        ("  quiet_hours: {from: '08:00', to: '08:00'}", 2, "the same time"),
        ("  frequency: {mails: 0, days: 30}", 2, "frequency.mails"),
        ("  senders: {warm_up: {growth: 1}}", 2, "growth"),
        ("  consent: {Canada: {application_months: 6}}", 2, "Canada"),
        ("  overdue: 3", 2, "policy.overdue is not a setting"),
    ],
)
def test_a_wrong_policy_is_named_with_its_line(
    folder: Path, wrong: str, line: int, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        _with(folder, f"policy:\n{wrong}\n")
    before = (folder / "warmline.yaml").read_text().partition("\npolicy:")[0].count("\n") + 1
    assert caught.value.line == before + line
