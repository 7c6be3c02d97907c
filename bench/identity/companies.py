"""Invented employers, the large ones with a switchboard, and recruiting agencies."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import accumulate

from bench.identity.contacts import Phone, phone
from bench.identity.words import Split

_FIRST = """
North South East West Blue Green Silver Golden Bright Clear River Harbour Summit Granite Maple
Cedar Falcon Kestrel Orchid Juniper Cobalt Amber Lumen Nova Vertex Apex Delta Sigma Omni Inter
Euro Trans Nordic Atlas Orion Helio Terra Aqua Ferro Vita Medi Agri Data Cyber Quant Logi Pan
Prime Crown Anchor Beacon Bridge Castle Copper Crystal Echo Ember Forge Frost Grove Haven Iris
"""
_SECOND = """
gate field works stone mark line port path view point wood land ridge bank craft tech soft ware
net link wave base core flow grid lab mind nest peak quest rise scope span star tide
"""
_TRADES = """
Logistics Energy Health Insurance Software Analytics Foods Retail Systems Media Robotics Pharma
Consulting Bank Travel Design Education Engineering Mobility Telecom Textiles Water
"""
_FIRSTS, _SECONDS = _FIRST.split(), _SECOND.split()
_FORMS = ("Ltd", "GmbH", "Inc.", "S.A.", "AG", "LLC", "Group", "B.V.")
PEOPLE_OF_ONE = 120  # people a company, in the mean
LARGE = 20  # so many of the companies have a switchboard that people give


@dataclass(frozen=True, slots=True)
class Company:
    name: str
    domain: str
    switchboard: Phone
    large: bool


class Companies:
    """The employers of one export, the larger ones first; sizes fall as 1/(rank + 10)."""

    def __init__(self, rng: random.Random, people: int, split: Split) -> None:
        count = max(60, people // PEOPLE_OF_ONE)
        # Alternate stems, so that dev and test share few employers.
        firsts = _FIRSTS[0::2] if split == "dev" else _FIRSTS[1::2]
        every = [f"{a}{b} {c}" for a in firsts for b in _SECONDS for c in _TRADES.split()]
        rng.shuffle(every)
        self._rng = rng
        self.all = [
            Company(
                name,
                name.lower().replace(" ", "-") + ".example.com",
                phone(rng, rng.choice(("english", "german", "french", "spanish"))),
                rank < LARGE,
            )
            for rank, name in enumerate(every[:count])
        ]
        self.sums = list(accumulate(1 / (rank + 10) for rank in range(len(self.all))))
        self.large = self.all[:LARGE]

    def otherwise(self, name: str) -> str:
        """The same employer as others write it."""
        pick = self._rng.random()
        if pick < 0.5:
            return f"{name} {self._rng.choice(_FORMS)}"
        if pick < 0.7:
            return name.upper()
        return name.lower() if pick < 0.85 else name.split(" ")[0]


def agencies(rng: random.Random, count: int) -> list[str]:
    """Addresses of recruiting agencies: of a role, or of one consultant there."""
    made = []
    for number in range(count):
        domain = f"{rng.choice(_FIRSTS)}{rng.choice(_SECONDS)}{number}-talent.example.org".lower()
        role = rng.choice(("jobs", "cv", "candidates", "recruiting", "office"))
        person = f"{rng.choice('abcdefgh')}.{rng.choice(_SECONDS)}"
        made.append(f"{role if rng.random() < 0.6 else person}@{domain}")
    return made
