"""May somebody be written to about jobs at all? What they agreed to, and what the law lets stand.

A spoken consent stands until it is withdrawn. An unspoken one follows from what the person did, and
for how long is for the law where they are: Canada's CASL says six months from an application and
two years from dealings such as interviews; the CNIL, for the GDPR, two years from the last contact.
"""

from __future__ import annotations

import calendar
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

# The words of `store.statuses.ConsentBasis`.
EXPRESS, APPLICATION, RELATIONSHIP, IMPORTED = "express", "application", "relationship", "imported"
# What somebody said themselves goes before what follows from what they did.
_STRONGEST_FIRST = (EXPRESS, RELATIONSHIP, APPLICATION, IMPORTED)


@dataclass(frozen=True, slots=True)
class Law:
    """What a jurisdiction lets an unspoken consent stand for, in months; 0: not at all. `clicks`:
    a click that the person made is a contact like an inquiry; to Canada it is none."""

    application_months: int
    relationship_months: int
    required: bool = True
    clicks: bool = True


@dataclass(frozen=True, slots=True)
class Consent:
    """`until` None: until it is withdrawn. `why` says in words what it rests on."""

    basis: str
    since: datetime
    until: datetime | None = None
    why: str = ""

    def stands(self, now: datetime) -> bool:
        return self.until is None or now < self.until


def implied(
    law: Law, *, applied: Iterable[datetime], dealings: Iterable[datetime]
) -> Iterator[Consent]:
    """What follows from the last application (or inquiry), and from the last dealings."""
    for basis, moments, months in (
        (APPLICATION, applied, law.application_months),
        (RELATIONSHIP, dealings, law.relationship_months),
    ):
        last = max(moments, default=None)
        if last is not None and months:
            yield Consent(basis, last, months_after(last, months), f"{basis} of {last:%Y-%m-%d}")


def basis_now(consents: Collection[Consent], *, now: datetime) -> Consent | None:
    """The consent that stands, the strongest of them; None where none does."""
    standing = [one for one in consents if one.stands(now)]
    return min(
        standing, key=lambda one: (_STRONGEST_FIRST.index(one.basis), one.since), default=None
    )


def why_not(consents: Collection[Consent], law: Law, *, now: datetime) -> str:
    """Why nobody may write to them about jobs, in words; empty where somebody may."""
    if not law.required or basis_now(consents, now=now) is not None:
        return ""
    last = max((one.until for one in consents if one.until is not None), default=None)
    if last is None:
        return "no consent: they never applied, and never said yes"
    return f"no consent stands: the last one ended on {last:%Y-%m-%d}"


def months_after(moment: datetime, months: int) -> datetime:
    """So many calendar months later; the last day of a month that has no such day."""
    years, month = divmod(moment.month - 1 + months, 12)
    year = moment.year + years
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)
