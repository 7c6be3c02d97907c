"""Further records of a person who is there already, and what makes each hard to recognise."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from bench.identity import rates
from bench.identity.companies import Companies
from bench.identity.contacts import Addresses, mailbox, otherwise, phone
from bench.identity.noise import NICKNAMES, plain, slip, typo
from bench.identity.records import Person, Record, surname
from bench.identity.words import Weighted

_KEYS = ("same_address", "same_mailbox", "old_address")
_HEAVY = frozenset({"surname_changed", "initial"})
"""They leave so little of a name that nothing else may be unlike."""


def kinds(one: Record, other: Record) -> list[str]:
    """What makes this pair hard to recognise: first what the two share (one of `same_address`,
    `same_mailbox`, `old_address`, `phone_only`, `link_only`, `no_shared_key`), then what happened
    to either of them."""
    mine, theirs = set(map(mailbox, one.emails)), set(map(mailbox, other.emails))
    if one.emails and other.emails and one.emails[0] == other.emails[0]:
        shared = "same_address"
    elif one.emails and other.emails and mailbox(one.emails[0]) == mailbox(other.emails[0]):
        shared = "same_mailbox"
    elif mine & theirs:
        shared = "old_address"
    elif one.phone and other.phone and one.phone.key == other.phone.key:
        shared = "phone_only"
    elif one.slug and one.slug == other.slug:
        shared = "link_only"
    else:
        shared = "no_shared_key"
    return [shared, *dict.fromkeys(one.kinds + other.kinds)]


class Duplicates:
    """Makes further records. `word` draws a word of a weighted list."""

    def __init__(
        self,
        rng: random.Random,
        companies: Companies,
        addresses: Addresses,
        word: Callable[[Weighted], str],
    ) -> None:
        self._rng = rng
        self._companies = companies
        self._addresses = addresses
        self._word = word
        self._relations = [name for name, _ in rates.RELATIONS], [w for _, w in rates.RELATIONS]
        self._phones = [name for name, _ in rates.PHONE_AFTER], [w for _, w in rates.PHONE_AFTER]
        self._noises = [name for name, _ in rates.NAME_NOISE], [w for _, w in rates.NAME_NOISE]

    def further(self, person: Person, first: Record, record_id: int) -> Record:
        """Another record of `person`, whose first one is `first` (and may get a LinkedIn profile
        here, where that is what the two shall share)."""
        record = replace(first, id=record_id, emails=list(first.emails), kinds=[], sole=False)
        relation = self._relation(person, first)
        self._relate(relation, person, first, record)
        self._rename(relation, person, record)
        self._drift(relation, record)
        return record

    def _relation(self, person: Person, first: Record) -> str:
        """As the rates say, or the nearest to it that this person's first record allows."""
        names, weights = self._relations
        relation = self._rng.choices(names, weights)[0]
        if relation == "no_shared_key" and not _decidable(person, first):
            relation = "phone_only"
        if relation in ("phone_only", "email_typo", "no_email") and not first.phone:
            relation = "same_address"
        if relation == "email_typo" and not first.emails:
            relation = "phone_only"
        if relation in _KEYS and not first.emails:
            relation = "phone_only" if first.phone else "link_only"
        return relation

    def _relate(self, relation: str, person: Person, first: Record, record: Record) -> None:
        rng = self._rng
        if relation in _KEYS:
            self._same_mailbox(relation, person, record)
            return
        if rng.random() < 0.6:
            record.slug = ""
        if relation == "no_email":
            record.emails = []
            record.kinds.append("no_email")
        elif relation == "email_typo":
            local, _, domain = first.emails[0].partition("@")
            # Misspelt: another mailbox, or none. `free`: nobody else's here.
            record.emails = [self._addresses.free(slip(rng, local), domain)]
            record.kinds.append("email_typo")
        elif relation == "no_shared_key" and not (first.employer and first.place):
            local = first.emails[0].partition("@")[0]
            record.emails = [self._at_another_provider(person, local, first.emails[0])]
            record.kinds.append("same_local_part")
        else:
            record.emails = [self._address(person)]
        if relation in ("link_only", "no_shared_key"):
            record.phone = phone(rng, person.names.culture) if rng.random() < 0.6 else None
            record.kinds.append("changed_phone" if record.phone else "no_phone")
            if relation == "no_shared_key":
                record.slug = ""
            else:
                record.slug = first.slug = first.slug or _slug(rng, person)

    def _same_mailbox(self, relation: str, person: Person, record: Record) -> None:
        rng = self._rng
        if relation == "same_mailbox":
            record.emails[0], kind = otherwise(rng, record.emails[0])
            record.kinds.append(kind)
        elif relation == "old_address":
            record.emails.insert(0, self._address(person))
        names, weights = self._phones
        after = rng.choices(names, weights)[0]
        if after == "changed_phone":
            record.phone = phone(rng, person.names.culture)
        elif after == "no_phone":
            record.phone = None
        if after != "same":
            record.kinds.append(after)
        if rng.random() < 0.5:
            record.slug = ""

    def _address(self, person: Person) -> str:
        domain = self._addresses.domain(person.names.culture)
        return self._addresses.given(person.first, person.last, domain)

    def _at_another_provider(self, person: Person, local: str, before: str) -> str:
        domain = before.partition("@")[2]
        while domain in before:
            domain = self._addresses.domain(person.names.culture)
        return self._addresses.free(local, domain)

    def _rename(self, relation: str, person: Person, record: Record) -> None:
        """Once, at times twice. Where no key is shared, the name stays recognisable."""
        rng = self._rng
        names, weights = self._noises
        kind = rng.choices(names, weights)[0]
        if kind == "surname_changed" and not person.woman and rng.random() > rates.MEN_CHANGE:
            kind = ""
        if relation == "no_shared_key" and kind in _HEAVY:
            kind = ""
        if kind and self._renamed(kind, person, record):
            record.kinds.append(kind)
            if kind not in _HEAVY and rng.random() < rates.SECOND_NOISE:
                second = rng.choices(names, weights)[0]
                if second not in ("", kind, *_HEAVY) and self._renamed(second, person, record):
                    record.kinds.append(second)
        if rng.random() < rates.CAPITALS:
            change = str.upper if rng.random() < 0.6 else str.lower
            record.first, record.last = change(record.first), change(record.last)

    def _renamed(self, kind: str, person: Person, record: Record) -> bool:
        """Changes the record's name; whether it could."""
        rng, before = self._rng, (record.first, record.last)
        if kind == "typo":
            if rng.random() < 0.5:
                record.first = typo(rng, record.first)
            else:
                record.last = typo(rng, record.last)
        elif kind == "nickname" and person.first in NICKNAMES:
            record.first = rng.choice(NICKNAMES[person.first])
        elif kind == "middle_name":
            other = person.names.women if person.woman else person.names.men
            middle = person.middle or self._word(other)
            if middle in person.first:
                return False
            record.first = f"{person.first} {middle}" if " " not in record.first else person.first
        elif kind == "accents_lost":
            record.first, record.last = plain(record.first), plain(record.last)
        elif kind == "swapped_names":
            record.first, record.last = record.last, record.first
        elif kind == "surname_changed":
            new = surname(self._word(person.names.surnames), woman=person.woman)
            both = rng.random() < rates.HYPHENATED
            record.last = f"{record.last}-{new}" if both else new
        elif kind == "initial":
            record.first = person.first[0] + rng.choice(("", "."))
        return before != (record.first, record.last)

    def _drift(self, relation: str, record: Record) -> None:
        """Time passes: another employer, another town, the same employer written otherwise."""
        rng = self._rng
        settled = relation == "no_shared_key" and "same_local_part" not in record.kinds
        settled |= relation not in _KEYS and not _HEAVY.isdisjoint(record.kinds)
        if not settled and record.employer and rng.random() < rates.EMPLOYER_CHANGED:
            companies = self._companies
            record.employer = rng.choices(companies.all, cum_weights=companies.sums)[0].name
            record.kinds.append("employer_changed")
        elif record.employer and rng.random() < rates.EMPLOYER_OTHERWISE:
            record.employer = self._companies.otherwise(record.employer)
        if not settled and record.place and rng.random() < rates.MOVED:
            record.place = ""


def _decidable(person: Person, first: Record) -> bool:
    """Whether somebody could tell by other things than a key: the same town and the same employer,
    which is not a large one; or the same uncommon local part at another provider."""
    if first.place and first.employer:
        return not (person.company and person.company.large)
    if not first.emails:
        return False
    local = first.emails[0].partition("@")[0]
    return any(letter.isdigit() for letter in local) and len(local) >= 8


def _slug(rng: random.Random, person: Person) -> str:
    name = f"{plain(person.first)}-{plain(person.last)}".lower().replace(" ", "-").replace("'", "")
    return f"{name}-{int(rng.random() * 2**32):08x}"
