"""The words that invented people are made of: names of thirteen cultures, with how often each is
borne, and towns.

The lists are our own; the commonest stand first. Frequencies fall with the rank r as 1/(r + offset)
(Zipf's law with Mandelbrot's offset). The offsets are chosen so that the commonest surname is as
common as in life: García 3 to 4 in 100 Spaniards, Smith 1 to 2 in 100 in English-speaking
countries. Behind the lists stands a long tail, made of stems and
endings: in the US census of 2010, 62 % of 6.3 million surnames were borne by one person alone, and
a quarter of the Hispanics shared 26 (Comenetz, "Frequently occurring surnames in the 2010 census",
2016).
"""

from __future__ import annotations

import tomllib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Literal

Split = Literal["dev", "test"]
LINKS = ("", "er", "el", "en", "ar", "in", "al")
"""Between stem and ending, to make the tail long."""
KEPT_IN_BOTH = 3
"""The first names of each list are in both splits: common names are common everywhere."""


@dataclass(frozen=True)
class Culture:
    """A table of names.toml: lists of words, the commonest first.

    In per cent: `share` of all people; `listed` of the surnames that are on the list, the others
    being a stem and an ending, or two listed surnames where there are no stems; `double` of the
    first names that are two, joined by `joint`. The offsets are those of surnames and first names.
    """

    name: str
    share: int
    listed: int
    double: int
    joint: str
    offset: int
    first_offset: int
    women: str
    men: str
    surnames: str
    stems: str
    endings: str
    towns: str


def _cultures() -> list[Culture]:
    text = Path(__file__).with_name("names.toml").read_text("utf-8")
    return [Culture(name=name, **table) for name, table in tomllib.loads(text).items()]


@dataclass(frozen=True)
class Weighted:
    """Words and the running sum of their weights, as `random.choices` wants them."""

    words: Sequence[str]
    sums: Sequence[float]


@dataclass(frozen=True)
class Names:
    """What people of one culture are called, and where they live, in one split."""

    culture: str
    women: Weighted
    men: Weighted
    surnames: Weighted
    towns: Weighted
    double: float
    joint: str


def names(split: Split) -> tuple[list[Names], list[float]]:
    """The names of each culture, and the running sum of the cultures' shares.

    A quarter of each list (and of the stems of the tail) is of dev alone and a quarter of test
    alone, so that what was tuned on dev has not seen all names of test.
    """
    cultures = _cultures()
    made = [
        Names(
            one.name,
            women=_falling(_of_split(one.women, split), one.first_offset),
            men=_falling(_of_split(one.men, split), one.first_offset),
            surnames=_surnames(one, split),
            towns=_falling([_spaced(town) for town in one.towns.split()], 3),
            double=one.double / 100,
            joint=one.joint,
        )
        for one in cultures
    ]
    return made, list(accumulate(float(one.share) for one in cultures))


def _spaced(word: str) -> str:
    return word.replace("_", " ")


def _share(word: str) -> int:
    return zlib.crc32(word.encode()) % 4


def _of_split(text: str, split: Split) -> list[str]:
    foreign = 1 if split == "dev" else 0
    listed = text.split()
    return [
        _spaced(word)
        for rank, word in enumerate(listed)
        if rank < KEPT_IN_BOTH or _share(word) != foreign
    ]


def _falling(words: Sequence[str], offset: float) -> Weighted:
    return Weighted(words, list(accumulate(1 / (rank + offset) for rank in range(len(words)))))


def _surnames(culture: Culture, split: Split) -> Weighted:
    listed = _of_split(culture.surnames, split)
    if culture.listed == 100:
        return _falling(listed, culture.offset)
    if culture.stems:
        tail = [
            stem.replace("_", " ") + link + ending
            for stem in _of_split(culture.stems, split)
            for link in LINKS
            for ending in culture.endings.split()
        ]
    else:  # two surnames, as Spaniards and Portuguese bear them
        tail = [f"{one} {other}" for one in listed for other in listed if one != other]
    tail.sort(key=lambda word: zlib.crc32(word.encode()))
    head_weights = [1 / (rank + culture.offset) for rank in range(len(listed))]
    tail_weights = [1 / (rank + 200) ** 0.8 for rank in range(len(tail))]
    scale = (1 - culture.listed / 100) / (culture.listed / 100) * sum(head_weights)
    scale /= sum(tail_weights)
    weights = [*head_weights, *(weight * scale for weight in tail_weights)]
    return Weighted([*listed, *tail], list(accumulate(weights)))
