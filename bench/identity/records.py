"""An invented person, and one record of one."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.identity.companies import Company
from bench.identity.contacts import Phone
from bench.identity.words import Names


@dataclass(slots=True)
class Person:
    """What a person is called and reached by. `record` is the first one made of them; `like` that
    of somebody else whose name they bear, or 0."""

    number: int
    names: Names
    woman: bool
    first: str
    middle: str
    last: str
    place: str
    company: Company | None
    phone: Phone | None
    emails: list[str]
    slug: str
    record: int = 0
    like: int = 0


@dataclass(slots=True)
class Record:
    """One row to be, before its notation: `emails` the preferred one first, `kinds` what makes it
    hard to recognise, `sole` whether its person has no other one."""

    id: int
    person: int
    first: str
    last: str
    emails: list[str]
    phone: Phone | None
    slug: str
    employer: str
    place: str
    kinds: list[str] = field(default_factory=list)
    sole: bool = True


def surname(last: str, *, woman: bool) -> str:
    """Polish surnames in -ski and -cki have a woman's form: Kowalski, Kowalska."""
    if woman and last.endswith(("ski", "cki")):
        return last[:-1] + "a"
    if not woman and last.endswith(("ska", "cka")):
        return last[:-1] + "i"
    return last
