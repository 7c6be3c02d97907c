"""A generated export of an applicant tracking system in which it is known who is who.

The generator knows nothing of the matcher. Each duplicate is one that a person could tell from the
two records; how often which difficulty comes stands in `bench.identity.rates`. The same seed gives
the same bytes.
"""

from __future__ import annotations

import csv
import heapq
import random
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from bench.identity import rates
from bench.identity.companies import Companies, agencies
from bench.identity.contacts import Addresses, letters, phone
from bench.identity.duplicates import Duplicates, kinds
from bench.identity.records import Person, Record, surname
from bench.identity.rows import HEADERS, Rows
from bench.identity.words import Names, Split, Weighted, names

VERSION = 2
"""Goes up with every change to what is generated: figures of two versions are of two tasks."""
FIRST_TEST_SEED = 1001
_BULK = 4096
_IDS = 89_999_999  # of eight digits
_STRIDE = 55_623_059  # has no divisor in common with _IDS: no id comes twice


def split_of(seed: int) -> Split:
    """Seeds from 1001 on are the test split, which nothing is tuned on; the others are dev."""
    return "test" if seed >= FIRST_TEST_SEED else "dev"


@dataclass(frozen=True)
class Truth:
    """Where the files are, and what is in them.

    `export`: the records, as an ATS exports them. `truth` (record, person): who each one is.
    `duplicates` (one, other, kind): each pair of records of one person, a row for each difficulty.
    `lookalikes` (record, kind, group): records of one group are of different people who share
    something. All are CSV.
    """

    folder: Path
    records: int
    people: int

    @property
    def export(self) -> Path:
        return self.folder / "export.csv"

    @property
    def truth(self) -> Path:
        return self.folder / "truth.csv"

    @property
    def duplicates(self) -> Path:
        return self.folder / "duplicates.csv"

    @property
    def lookalikes(self) -> Path:
        return self.folder / "lookalikes.csv"


def generate(folder: Path, *, people: int, seed: int) -> Truth:
    """Writes the files of `Truth` into `folder` (which must be there): `people` different people,
    and some 3 % more records than that."""
    with ExitStack() as stack:

        def table(name: str) -> Any:
            path = folder / f"{name}.csv"
            return csv.writer(stack.enter_context(path.open("w", encoding="utf-8", newline="")))

        export, truth = table("export"), table("truth")
        town = Town(random.Random(seed), people, split_of(seed))
        town.pairs, town.lookalikes = table("duplicates"), table("lookalikes")
        export.writerow(HEADERS)
        truth.writerow(["record", "person"])
        town.pairs.writerow(["one", "other", "kind"])
        town.lookalikes.writerow(["record", "kind", "group"])
        rows = Rows(town.rng)
        count = 0
        for record in town.records():
            export.writerow(rows.row(record))
            truth.writerow([record.id, record.person])
            count += 1
    return Truth(folder, records=count, people=people)


class Town:
    """Everybody there is, one after the other."""

    pairs: Any
    lookalikes: Any

    def __init__(self, rng: random.Random, people: int, split: Split) -> None:
        self.rng = rng
        self._people = people
        self._person = self._record = self._group = 0
        cultures, shares = names(split)
        self._culture = self._stream(cultures, shares)
        self._words: dict[int, Iterator[str]] = {}
        self._companies = Companies(rng, people, split)
        self._company = self._stream(self._companies.all, self._companies.sums)
        self._addresses = Addresses(rng)
        count = max(2, round(people * rates.AGENCY / rates.AGENCY_PEOPLE))
        self._agencies = agencies(rng, count)
        self._further = [number for number, _ in rates.FURTHER]
        self._weights = [weight for _, weight in rates.FURTHER]
        mean = sum(n * w for n, w in rates.FURTHER) / sum(self._weights)
        self._doubled = rates.DUPLICATES / (1 - rates.DUPLICATES) / mean
        self._duplicates = Duplicates(rng, self._companies, self._addresses, self.word)
        self._earlier: deque[Person] = deque(maxlen=1000)

    def _stream(self, values: Sequence[Any], sums: Sequence[float]) -> Iterator[Any]:
        """Draws without end, many at a time: that is what makes it fast."""
        while True:
            yield from self.rng.choices(values, cum_weights=sums, k=_BULK)

    def word(self, weighted: Weighted) -> str:
        stream = self._words.get(id(weighted))
        if stream is None:
            stream = self._words[id(weighted)] = self._stream(weighted.words, weighted.sums)
        drawn: str = next(stream)
        return drawn

    def records(self) -> Iterator[Record]:
        """Further records and relatives come anywhere behind the first, not next to it."""
        later: list[tuple[int, int, Record]] = []
        while self._person < self._people:
            while later and later[0][0] <= self._person:
                yield heapq.heappop(later)[2]
            person = self._somebody()
            first, *rest = self._records_of(person)
            rest += self._family(person, first)
            yield first
            left = self._people - self._person + 1
            for record in rest:
                due = self._person + int(self.rng.random() * left)
                heapq.heappush(later, (due, record.id, record))
        for _, _, record in sorted(later):
            yield record

    def _somebody(self) -> Person:
        rng, culture = self.rng, next(self._culture)
        chance = rng.random
        if chance() < rates.NAMESAKES and self._earlier:
            return self._namesake(self._earlier[int(chance() * len(self._earlier))])
        woman = chance() < 0.5
        others = next(self._culture) if chance() < rates.MIXED_NAMES else culture
        company = None if chance() < rates.NO_EMPLOYER else next(self._company)
        person = Person(
            number=self._next_person(),
            names=culture,
            woman=woman,
            first=self._first_name(others, woman=woman),
            middle=self._first_name(culture, woman=woman) if chance() < rates.MIDDLE_NAME else "",
            last=surname(self.word(culture.surnames), woman=woman),
            place="" if chance() < rates.NO_PLACE else self.word(culture.towns),
            company=company,
            phone=None if chance() < rates.NO_PHONE else phone(rng, culture.culture),
            emails=[],
            slug="",
        )
        self._reached(person)
        if chance() < 0.02:
            self._earlier.append(person)
        return person

    def _next_person(self) -> int:
        self._person += 1
        return self._person

    def _first_name(self, names: Names, *, woman: bool) -> str:
        words = names.women if woman else names.men
        one = self.word(words)
        if names.double and self.rng.random() < names.double:
            other = self.word(words)
            if other != one:
                return one + names.joint + (other if names.joint else other.lower())
        return one

    def _reached(self, person: Person) -> None:
        """Gives addresses and a profile to somebody who has a name."""
        chance = self.rng.random
        if chance() >= rates.NO_EMAIL:
            person.emails = [self._address(person)]
            if chance() < rates.SECOND_ADDRESS:
                person.emails.append(self._address(person))
        if chance() < rates.LINKEDIN:
            # LinkedIn's own default: the name and a serial number of eight hexadecimal digits.
            name = f"{letters(person.first)}-{letters(person.last)}"
            person.slug = f"{name}-{int(chance() * 2**32):08x}"

    def _address(self, person: Person) -> str:
        pick = self.rng.random()
        if pick < 0.06 and person.company:
            domain = person.company.domain
        elif pick < 0.09:
            domain = f"alumni-{letters(person.place or 'city')}.example.org"
        else:
            domain = self._addresses.domain(person.names.culture)
        return self._addresses.given(person.first, person.last, domain)

    def _records_of(self, person: Person) -> list[Record]:
        rng = self.rng
        record = Record(
            id=self._next_id(),
            person=person.number,
            first=_with_middle(person, rng.random()),
            last=person.last,
            emails=list(person.emails),
            phone=person.phone,
            slug=person.slug,
            employer=person.company.name if person.company else "",
            place=person.place,
        )
        person.record = record.id
        if person.like:
            self._alike("namesake", f"person {person.like}", person.like, record.id)
        made = [record]
        if rng.random() < self._doubled:
            if not (record.emails or record.phone):  # else nobody could tell
                person.emails = [self._address(person)]
                record.emails = list(person.emails)
            for _ in range(rng.choices(self._further, self._weights)[0]):
                made.append(self._duplicates.further(person, record, self._next_id()))
            record.sole = False
            for one, other in combinations(made, 2):
                for kind in kinds(one, other):
                    self.pairs.writerow([one.id, other.id, kind])
        else:
            self._in_common(person, record)
        return made

    def _next_id(self) -> int:
        """Unique, and scattered."""
        self._record += 1
        return 10_000_000 + self._record * _STRIDE % _IDS

    def _in_common(self, person: Person, record: Record) -> None:
        """What different people share without being relatives."""
        chance = self.rng.random
        pick = chance()
        if pick < rates.AGENCY:
            number = int(chance() * len(self._agencies))
            record.emails[:1] = [self._agencies[number]]
            self._alike("agency_address", f"agency {number}", record.id)
        elif pick < rates.AGENCY + rates.SWITCHBOARD:
            company = self._companies.large[int(chance() ** 2 * len(self._companies.large))]
            record.employer = company.name
            desk = str(100 + int(chance() * 900)) if chance() < 0.4 else ""
            record.phone = replace(company.switchboard, extension=desk)
            self._alike("switchboard", company.domain, record.id)
        elif pick < rates.AGENCY + rates.SWITCHBOARD + rates.RECYCLED_PHONE and self._earlier:
            before = self._earlier[int(chance() * len(self._earlier))]
            if before.phone and before.number != person.number:
                record.phone = before.phone
                self._alike("recycled_phone", before.phone.key, before.record, record.id)

    def _alike(self, kind: str, group: str, *records: int) -> None:
        self.lookalikes.writerows([record, kind, group] for record in records)

    def _family(self, person: Person, record: Record) -> list[Record]:
        """At times the records of one more of the family, more rarely of two."""
        chance = self.rng.random
        if chance() >= rates.HOUSEHOLDS:
            return []
        same_name = chance() < rates.SAME_NAME and not person.woman
        shared_phone = record.phone if chance() < rates.HOUSEHOLD_PHONE else None
        shared_mailbox = chance() < rates.HOUSEHOLD_MAILBOX and bool(record.emails)
        made, members = [], [record.id]
        for _ in range(2 if chance() < 0.2 and not same_name else 1):
            if self._person < self._people:
                relative = self._relative(person, same_name=same_name)
                if shared_phone:
                    relative.phone = shared_phone
                if shared_mailbox:
                    relative.emails = [record.emails[0]]
                made += self._records_of(relative)
                members.append(relative.record)
        group = f"family {person.number}"
        kind = "same_name_family" if same_name else "family"
        self._alike(f"{kind}_{'phone' if shared_phone else 'place'}", group, *members)
        if shared_mailbox:
            self._alike("family_mailbox", group, *members)
        return made

    def _relative(self, person: Person, *, same_name: bool) -> Person:
        """Spouse, sister or brother, or child; the son may have the father's name."""
        woman = not same_name and self.rng.random() < 0.5
        first = person.first
        while first == person.first and not same_name:
            first = self._first_name(person.names, woman=woman)
        relative = replace(
            person,
            number=self._next_person(),
            woman=woman,
            first=first,
            middle="",
            last=surname(person.last, woman=woman),
            company=next(self._company),
            phone=phone(self.rng, person.names.culture),
            emails=[],
            slug="",
        )
        self._reached(relative)
        return relative

    def _namesake(self, person: Person) -> Person:
        """Somebody else of the same name in the same town, reached otherwise, working elsewhere."""
        namesake = replace(
            person,
            number=self._next_person(),
            middle="",
            company=next(self._company),
            phone=phone(self.rng, person.names.culture),
            emails=[],
            slug="",
        )
        if namesake.company is person.company:
            namesake.company = None
        self._reached(namesake)
        namesake.like = person.record
        return namesake


def _with_middle(person: Person, chance: float) -> str:
    if not person.middle or person.middle in person.first:
        return person.first
    return f"{person.first} {person.middle if chance < 0.6 else person.middle[0] + '.'}"
