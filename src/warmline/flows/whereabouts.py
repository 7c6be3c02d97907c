"""Where a person is: their country, for the law, and their time zone, for the hour of a mail.

By the place that they wrote, else by their telephone's number, else by the office of the job, else
by `policy.zone` and `policy.country`; it says which. Nothing here asks anybody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays
import phonenumbers
from phonenumbers.timezone import time_zones_for_number

from warmline.config.project import Project
from warmline.flows.places import is_lived_in, spot, zone_of
from warmline.store.models import Candidate

PLACE, TELEPHONE, OFFICE, POLICY = "place", "telephone", "office", "policy"
_ABROAD = re.compile(r"^\s*00(?=[1-9])")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """`country` is two letters of ISO 3166, empty where nothing tells it; `zone` the name of an
    IANA time zone; `how` what told: place, telephone, office or policy."""

    country: str
    zone: str
    how: str

    @property
    def clock(self) -> ZoneInfo:
        return ZoneInfo(self.zone)


def where_is(project: Project, candidate: Candidate, office: str = "") -> Whereabouts:
    """Where this person most likely is. `office`: that of the job they are on the way to."""
    return (
        _by_place(candidate.place)
        or _by_phones(tuple(candidate.phones))
        or _by_office(project, office)
        or Whereabouts(project.file.policy.country, project.file.policy.zone, POLICY)
    )


def is_holiday(country: str, day: date) -> bool:
    """Whether it is a public holiday of the whole country. Of an unknown country none is."""
    return day in _holidays(country, day.year)


@lru_cache(maxsize=4096)
def _holidays(country: str, year: int) -> frozenset[date]:
    try:
        return frozenset(holidays.country_holidays(country, years=year)) if country else frozenset()
    except NotImplementedError:
        return frozenset()


def _by_place(place: str) -> Whereabouts | None:
    found = spot(place) if place else None
    return Whereabouts(found.country, found.zone, PLACE) if found else None


@lru_cache(maxsize=65_536)
def _by_phones(phones: Sequence[str]) -> Whereabouts | None:
    """By the first number that is written with its country's code."""
    for written in phones:
        try:
            number = phonenumbers.parse(_ABROAD.sub("+", str(written)))
        except phonenumbers.NumberParseException:
            continue
        country = phonenumbers.region_code_for_number(number) or ""
        zones = [z for z in time_zones_for_number(number) if z != "Etc/Unknown"]
        usual = zone_of(country)
        # A mobile telephone's code names a country, and every zone of it. The one zone that the
        # list has for a code may lie elsewhere: Morocco's is that of the Canary Islands there.
        alone = len(zones) == 1 and is_lived_in(country, zones[0])
        zone = zones[0] if alone else usual or next(iter(zones), "")
        if len(country) == 2 and country.isalpha() and zone:
            return Whereabouts(country, zone, TELEPHONE)
    return None


def _by_office(project: Project, office: str) -> Whereabouts | None:
    """As `policy.offices` says; where it says nothing, an office may be called like its city."""
    if not office:
        return None
    named = project.file.policy.office(office)
    if named is not None:
        return Whereabouts(named.country or project.file.policy.country, named.zone, OFFICE)
    found = spot(office)
    return Whereabouts(found.country, found.zone, OFFICE) if found else None
