"""Records as rows of an export: what stands beside a person's name, in the notations of life, with
the faults of hygiene that exports have."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from bench.identity import rates
from bench.identity.contacts import written, written_link
from bench.identity.records import Record

# As Greenhouse's own candidate reports and API fields name these; other systems are much alike.
HEADERS = (
    "Candidate ID", "First Name", "Last Name", "Email", "Other Emails", "Phone", "LinkedIn",
    "Company", "Location", "Job", "Department", "Stage", "Status", "Source", "Applied On",
    "Last Activity", "Recruiter", "Tags", "Do Not Contact",
)  # fmt: skip
LAST_DAY = date(2026, 10, 31)
DAYS = 4 * 365
_JOBS = (
    ("Software Engineer", "Engineering"), ("Senior Software Engineer", "Engineering"),
    ("Data Analyst", "Data"), ("Data Scientist", "Data"), ("Product Manager", "Product"),
    ("Product Designer", "Design"), ("Account Executive", "Sales"), ("Sales Manager", "Sales"),
    ("Customer Success Manager", "Customer Success"), ("Support Specialist", "Customer Success"),
    ("Recruiter", "People"), ("Office Manager", "People"), ("Financial Analyst", "Finance"),
    ("Accountant", "Finance"), ("Marketing Manager", "Marketing"), ("Copywriter", "Marketing"),
    ("DevOps Engineer", "Engineering"), ("QA Engineer", "Engineering"), ("Legal Counsel", "Legal"),
    ("Operations Associate", "Operations"), ("Warehouse Lead", "Operations"),
)  # fmt: skip
# Stage, status and how often: a funnel in which one of a hundred is hired.
_STANDS = (
    ("Application Review", "Rejected", 52), ("Application Review", "Active", 9),
    ("Phone Screen", "Rejected", 14), ("Phone Screen", "Active", 3),
    ("Face to Face", "Rejected", 8), ("Face to Face", "Active", 2),
    ("Final Interview", "Rejected", 3), ("Final Interview", "Active", 1),
    ("Offer", "Rejected", 1), ("Offer", "Hired", 2), ("Sourced", "Prospect", 5),
)  # fmt: skip
_SOURCES = ("LinkedIn", "Jobs page", "Referral", "Indeed", "Agency", "University fair", "Glassdoor")
_RECRUITERS = tuple(
    f"{first} {last}"
    for first in ("Ada", "Ben", "Cleo", "Dario", "Elin")
    for last in ("Marsh", "Okoye", "Petrov", "Quist")
)
_TAGS = (
    "",
    "",
    "",
    "Python",
    "Remote",
    "Referral",
    "French; Remote",
    "Silver medalist",
    "SQL; Python",
)
_BULK = 4096


class Rows:
    """Turns records into rows. Dates are ISO: the day applied within four years, and the last
    activity behind it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._days = [str(LAST_DAY - timedelta(days=back)) for back in range(DAYS)]
        self._job = self._stream(_JOBS)
        self._stand = self._stream(_STANDS, [weight for _, _, weight in _STANDS])
        self._source = self._stream(_SOURCES)
        self._recruiter = self._stream(_RECRUITERS)
        self._tags = self._stream(_TAGS)

    def _stream(self, words: Sequence, weights: Sequence[int] | None = None) -> Iterator:  # type: ignore[type-arg]
        while True:
            yield from self._rng.choices(words, weights, k=_BULK)

    def row(self, record: Record) -> list[str | int]:
        """One row under `HEADERS`. Addresses are made invalid only where the person has no other
        record: a duplicate must stay one that can be told."""
        rng, chance = self._rng, self._rng.random
        job, department = next(self._job)
        stage, status, _ = next(self._stand)
        applied = int(chance() * DAYS)
        last = int(applied * (1 - chance() ** 2))
        email = record.emails[0] if record.emails else ""
        if record.sole and email and chance() < rates.INVALID_EMAIL:
            email = self._invalid(email)
        row = [
            record.id, record.first, record.last, email, "; ".join(record.emails[1:]),
            written(rng, record.phone) if record.phone else "",
            written_link(rng, record.slug) if record.slug else "",
            record.employer, record.place, job, department,
            "" if chance() < rates.NO_STAGE else stage, status, next(self._source),
            self._days[applied], self._days[last],
            "" if chance() < rates.NO_OWNER else next(self._recruiter), next(self._tags),
            "Yes" if chance() < rates.DO_NOT_CONTACT else "No",
        ]  # fmt: skip
        if chance() < rates.IMPOSSIBLE_DATE:
            row[14] = rng.choice(("2031-02-11", "1970-01-01", "0026-03-02", "2025-02-30"))
        return row

    def _invalid(self, email: str) -> str:
        local, _, domain = email.partition("@")
        return self._rng.choice(
            (f"{local}@{domain.partition('.')[0]}", f"{local}(at){domain}", f"{local}@@{domain}",
             local, f"{local} @ {domain},", "n/a", f"{local}@{domain.replace('.', ',')}")
        )  # fmt: skip
