"""Which column is which field, which stage is which kind, which word is which status.

The tables hold the headers and words of the usual exports (Greenhouse, Lever, Workable,
SmartRecruiters, Ashby) and of spreadsheets made by hand. Headers compare by their letters and
digits alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from warmline.core.errors import ConfigError
from warmline.core.events import ApplicationStatus, StageKind


class Column(StrEnum):
    """What a column can be. The names are those of the `columns` setting."""

    CANDIDATE_ID = "candidate_id"
    APPLICATION_ID = "application_id"
    NAME = "name"
    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"
    EMAIL = "email"
    OTHER_EMAIL = "other_email"
    PHONE = "phone"
    LINK = "link"  # a profile elsewhere: LinkedIn, GitHub, …
    EMPLOYER = "employer"
    PLACE = "place"  # where the person lives
    TAGS = "tags"
    OWNER = "owner"
    OWNER_EMAIL = "owner_email"
    APPLIED_ROLE = "applied_role"
    JOB_ID = "job_id"
    DEPARTMENT = "department"
    OFFICE = "office"
    SOURCE = "source"
    STAGE = "stage"
    STATUS = "status"
    APPLIED_AT = "applied_at"
    STAGE_AT = "stage_at"
    REJECTED_AT = "rejected_at"
    HIRED_AT = "hired_at"
    UPDATED_AT = "updated_at"
    REJECTION_REASON = "rejection_reason"
    REJECTED = "rejected"  # yes or no
    PROSPECT = "prospect"  # yes or no
    DO_NOT_CONTACT = "do_not_contact"  # yes, no, or since when
    CAN_EMAIL = "can_email"  # yes or no
    URL = "url"


DATES = (
    Column.APPLIED_AT, Column.STAGE_AT, Column.REJECTED_AT, Column.HIRED_AT, Column.UPDATED_AT,
)  # fmt: skip

# What a sync needs, with the columns of which one is enough.
NEEDED: Mapping[str, tuple[Column, ...]] = {
    "email": (Column.EMAIL, Column.OTHER_EMAIL),
    "name": (Column.NAME, Column.FIRST_NAME, Column.LAST_NAME),
    "applied_role": (Column.APPLIED_ROLE,),
    "stage": (Column.STAGE,),
    "owner": (Column.OWNER, Column.OWNER_EMAIL),
    "applied_at": (Column.APPLIED_AT,),
}

HEADERS: Mapping[Column, str] = {
    Column.CANDIDATE_ID: "candidate id, candidate number, person id, profile id, contact id",
    Column.APPLICATION_ID: "application id, opportunity id, candidacy id, submission id",
    Column.NAME: "name, full name, candidate name, candidate, applicant name, applicant, "
    "candidate full name, contact name",
    Column.FIRST_NAME: "first name, given name, candidate first name, forename, first",
    Column.LAST_NAME: "last name, surname, family name, candidate last name, last",
    Column.EMAIL: "email, emails, email address, email addresses, candidate email, "
    "candidate emails, candidate email address, primary email, primary email address, "
    "personal email, contact email, applicant email, mail, candidate email addresses, "
    "primary email address value, candidate primary email address value",
    Column.OTHER_EMAIL: "other email, other emails, alternate email, alternate email addresses, "
    "alternate email address, secondary email, additional emails, work email",
    Column.PHONE: "phone, phones, phone number, phone numbers, mobile, mobile phone, telephone, "
    "candidate phone, candidate phone number, candidate phone numbers, primary phone, "
    "primary phone number, cell",
    Column.LINK: "linkedin, linkedin url, linkedin profile, linkedin profile url, linkedin link, "
    "github, github url, website, websites, website addresses, social media, "
    "social media addresses, social profiles, profile links, links",
    Column.EMPLOYER: "company, company name, current company, employer, current employer, "
    "candidate company, organisation, organization",
    Column.PLACE: "candidate location, current location, home location, city, town, place, "
    "candidate city, address, addresses, candidate address, home address",
    Column.TAGS: "tags, tag, candidate tags, labels, candidate labels",
    Column.OWNER: "recruiter, recruiters, recruiter name, owner, owner name, candidate owner, "
    "opportunity owner, recruiter owner, recruiting owner, assigned recruiter, assigned to, "
    "lead recruiter, responsible recruiter",
    Column.OWNER_EMAIL: "recruiter email, recruiter email address, owner email, "
    "owner email address, candidate owner email, opportunity owner email, recruiter owner email",
    Column.APPLIED_ROLE: "job, jobs, job title, job name, position, position title, role, "
    "role title, applied role, applied for, applied job, position applied for, posting, "
    "posting title, job posting, requisition, requisition title, requisition name, vacancy, "
    "opening, opening title, application job",
    Column.JOB_ID: "job id, requisition id, posting id, req id, job code, job shortcode, "
    "shortcode, job requisition id, job ref number",
    Column.DEPARTMENT: "department, departments, job department, team, job team",
    Column.OFFICE: "office, offices, job office, job location, posting location",
    Column.SOURCE: "source, candidate source, application source, source name, lead source, "
    "origin, sourced from, referral source, source title, source public name",
    Column.STAGE: "stage, current stage, stage name, pipeline stage, candidate stage, "
    "application stage, current interview stage, current stage name, hiring stage, "
    "interview stage, workflow step, pipeline step, step, current interview stage title, "
    "stage title, current stage title",
    Column.STATUS: "status, application status, candidate status, current status, disposition, "
    "application state, candidate state, state",
    Column.APPLIED_AT: "applied at, applied date, application date, date applied, applied on, "
    "applied, submitted at, submitted on, submission date, date submitted, "
    "application submitted at, application created at, date of application",
    Column.STAGE_AT: "stage changed at, stage changed, stage date, last advanced at, "
    "entered stage at, moved to stage at, last stage change, current stage since",
    Column.REJECTED_AT: "rejected at, rejected date, rejected on, date rejected, rejection date, "
    "disqualified at, disqualification date, withdrawn at",
    Column.HIRED_AT: "hired at, hire date, hired date, hired on, date hired",
    Column.UPDATED_AT: "updated at, last updated, last updated at, updated date, last activity, "
    "last activity at, last activity date, modified at, last modified, last modified at, "
    "last interaction, last interaction at, last interaction date",
    Column.REJECTION_REASON: "rejection reason, reason for rejection, archive reason, archived "
    "reason, disqualification reason, withdrawal reason",
    Column.REJECTED: "disqualified, rejected, withdrew, withdrawn, is rejected",
    Column.PROSPECT: "prospect, is prospect, sourced, is sourced, lead",
    Column.DO_NOT_CONTACT: "do not contact, do not email, dnc, unsubscribed, unsubscribed at, "
    "opted out, opt out, email opt out, opt out date",
    Column.CAN_EMAIL: "can email, email allowed, can contact, email opt in, "
    "email consent, marketing consent",
    Column.URL: "candidate url, profile url, application url, candidate link, profile link, "
    "greenhouse url, lever url, ashby url, workable url",
}  # fmt: skip

# Headers that say it only where no column above does.
WEAK_HEADERS: Mapping[Column, str] = {
    Column.CANDIDATE_ID: "id",
    Column.TAGS: "skills, skill tags, skills tags",
    Column.APPLIED_AT: "created at, created, created date, date created, created on, added at, "
    "added on, date added",
    Column.REJECTED_AT: "archived at, archive date, archived on",
    Column.REJECTED: "archived",
    Column.URL: "url, link, hosted url",
    Column.PLACE: "location",
}

_STATUSES: Mapping[ApplicationStatus, str] = {
    ApplicationStatus.ACTIVE: "active, open, new, in review, in process, in progress, in pipeline, "
    "pending, interview, interviewing, offer, offered, qualified, under review, applied, screening",
    ApplicationStatus.REJECTED: "rejected, declined, not selected, not hired, disqualified, "
    "archived, withdrawn, withdrew, candidate withdrew, offer declined, closed, unsuccessful, "
    "not a fit, no hire, turned down, inactive",
    ApplicationStatus.HIRED: "hired, offer accepted, joined, onboarded, onboarding, placed",
    ApplicationStatus.DELETED: "deleted, removed",
}  # fmt: skip
_PROSPECT_WORDS = "prospect, lead, sourced, sourcing, potential candidate, not applied"
_YES = frozenset({"yes", "y", "true", "t", "1", "x", "ja", "oui", "si"})
_NO = frozenset({"no", "n", "false", "f", "0", "nein", "non", "-", "never", "none", "null"})

# The first that fits wins: "Offer accepted" is hired, "Final interview" is final.
_STAGE_WORDS: tuple[tuple[StageKind, re.Pattern[str]], ...] = (
    (StageKind.REJECTED, re.compile(
        r"\b(reject(ed|ion)?|not selected|disqualified|archived?|withdr(ew|awn)|"
        r"(offer )?declined|unsuccessful|closed)\b")),
    (StageKind.HIRED, re.compile(
        r"\b(hired?|offer accepted|onboard(ing|ed)?|joined|placed)\b")),
    (StageKind.OFFER, re.compile(
        r"\b(offers?|offered|references?|background|contract|pre[ -]?boarding)\b")),
    (StageKind.FINAL, re.compile(r"\b(finals?|finalists?|executive|last round)\b")),
    (StageKind.SCREEN, re.compile(
        r"\b((pre)?screen(s|ed|ing)?|preliminary|assessments?|take[ -]?home|test|challenge)\b")),
    (StageKind.INTERVIEW, re.compile(
        r"\b(interviews?|interviewing|on[ -]?sites?|face[ -]to[ -]face|hiring manager|panel|"
        r"(first|second|third|1st|2nd|3rd) round)\b")),
    (StageKind.APPLIED, re.compile(
        r"\b(applications?|applied|applicants?|new|inbox|(resume|cv) review|in review)\b")),
)  # fmt: skip

_NOT_LETTERS = re.compile(r"[\W_]+")
_REPEATED = re.compile(r" \(\d+\)$")  # what `reading` puts behind a header that came before


def plain(text: str) -> str:
    """For comparing headers and words: letters and digits alone."""
    return _NOT_LETTERS.sub("", text.casefold())


def _table(words: Mapping[Column, str]) -> dict[str, Column]:
    return {plain(word): column for column, text in words.items() for word in text.split(",")}


_BY_HEADER, _BY_WEAK_HEADER = _table(HEADERS), _table(WEAK_HEADERS)
_BY_STATUS = {plain(word): s for s, text in _STATUSES.items() for word in text.split(",")}
_PROSPECTS = frozenset(plain(word) for word in _PROSPECT_WORDS.split(","))


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of one file are. `doubled` are headers that another header came before."""

    header: Mapping[Column, str]
    doubled: Mapping[str, Column] = field(default_factory=dict)


class Recognition:
    """Headers → columns: as configured, then by the tables, the first header of a field winning."""

    def __init__(self, configured: Mapping[Column, str]) -> None:
        self.configured = dict(configured)
        self._known: dict[tuple[str, ...], Columns] = {}

    def columns(self, headers: tuple[str, ...]) -> Columns:
        found = self._known.get(headers)
        if found is None:
            if len(self._known) >= 1000:  # objects of a JSON file may each have other keys
                self._known.clear()
            found = self._known[headers] = self._recognise(headers)
        return found

    def require(self, headers: Iterable[str], file: str) -> None:
        """ConfigError where a configured header is not among these."""
        present = tuple(headers)
        for column, header in self.configured.items():
            if _actual(header, present) is None:
                shown = ", ".join(repr(each[:60]) for each in present[:40]) or "no header at all"
                raise ConfigError(
                    f"columns.{column}: expected a header {header!r}; found {shown}", file=file
                )

    def _recognise(self, headers: tuple[str, ...]) -> Columns:
        taken: dict[Column, str] = {}
        for column, wanted in self.configured.items():
            actual = _actual(wanted, headers)
            if actual is not None:
                taken[column] = actual
        used = set(taken.values())
        doubled: dict[str, Column] = {}
        for table in (_BY_HEADER, _BY_WEAK_HEADER):
            settled = set(taken) if table is _BY_WEAK_HEADER else set(self.configured)
            for header in headers:
                named = table.get(plain(_REPEATED.sub("", header)))
                if named is None or header in used or named in settled:
                    continue
                if named in taken:
                    if not _same_object(header, taken[named]):
                        doubled[header] = named
                else:
                    taken[named] = header
                    used.add(header)
        return Columns(taken, doubled)


def _same_object(one: str, other: str) -> bool:
    """In JSON, `recruiter` (null in one row) and `recruiter.name` (in the next)."""
    return one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _actual(wanted: str, headers: tuple[str, ...]) -> str | None:
    """The header as the file writes it: the same text, else the same letters and digits."""
    if wanted in headers:
        return wanted
    same = [header for header in headers if plain(header) == plain(wanted)]
    return same[0] if same else None


def configured_columns(raw: object, where: str) -> dict[Column, str]:
    """The `columns` setting, checked."""
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where}: columns is {raw!r}; expected field: header")
    found: dict[Column, str] = {}
    for name, header in raw.items():
        if name not in list(Column):
            raise ConfigError(
                f"{where}: columns.{name} is no field; expected one of {', '.join(Column)}"
            )
        if not isinstance(header, str) or not header.strip():
            raise ConfigError(f"{where}: columns.{name} is {header!r}; expected a header's text")
        for other, text in found.items():
            if plain(text) == plain(header) or text == header:
                raise ConfigError(
                    f"{where}: the header {header!r} is configured twice: as {other} and as "
                    f"{name}; expected one field a header"
                )
        found[Column(name)] = header.strip()
    return found


def configured_stages(raw: object, where: str) -> dict[str, StageKind]:
    """The `stages` setting, checked."""
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where}: stages is {raw!r}; expected stage name: kind")
    found: dict[str, StageKind] = {}
    for name, kind in raw.items():
        if kind not in list(StageKind):
            raise ConfigError(
                f"{where}: stages.{name} is {kind!r}; expected one of {', '.join(StageKind)}"
            )
        found[plain(str(name))] = StageKind(kind)
    return found


def stage_kind(name: str, own: Mapping[str, StageKind]) -> StageKind | None:
    """The customer's own table first, then the words. None: say it under `stages`."""
    configured = own.get(plain(name))
    if configured is not None:
        return configured
    words = " ".join(name.casefold().replace("_", " ").split())
    return next((kind for kind, pattern in _STAGE_WORDS if pattern.search(words)), None)


def status_of(word: str) -> ApplicationStatus | None:
    return _BY_STATUS.get(plain(word))


def is_prospect_word(word: str) -> bool:
    return plain(word) in _PROSPECTS


def yes_or_no(word: str) -> bool | None:
    """None where it is neither."""
    text = word.strip().casefold()
    if text in _YES:
        return True
    return False if text in _NO else None
