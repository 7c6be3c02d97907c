"""One row of an export → events. Pure; every fault is Malformed and says row, column, found and
expected.

A row says how things stand, not what happened. So it becomes up to three events, whose keys hold
what they say: the application came in; where it stands now, if that is further; and who the
candidate is. A row that is read again is the same events; a row that has changed brings the one
that is new.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parseaddr
from hashlib import blake2b
from typing import Any

from warmline.core.candidates import normal_email
from warmline.core.errors import Malformed
from warmline.core.events import (
    ApplicationFacts,
    ApplicationStatus,
    CandidateFacts,
    Event,
    EventKind,
    JobFacts,
    Person,
    StageFacts,
    StageKind,
)
from warmline.kit.exports import dates
from warmline.kit.exports.cells import NOTHING, split_name
from warmline.kit.exports.columns import (
    Column,
    Recognition,
    is_prospect_word,
    plain,
    stage_kind,
    status_of,
    yes_or_no,
)

ID_CHARS_MAX = 100
SHOWN_CHARS_MAX = 40
LIST_MAX = 50
_BETWEEN_EMAILS = re.compile(r"[;,|\s]+")
_BETWEEN_PHONES = re.compile(r"[;,|\n]+")
_BETWEEN_LINKS = re.compile(r"[;,|\s]+")
_BETWEEN_TAGS = re.compile(r"[;,|\n]+")


@dataclass(frozen=True, slots=True)
class Reader:
    """How rows are read: the settings of the connection."""

    recognition: Recognition
    stages: Mapping[str, StageKind]
    date_order: str

    def events(self, body: bytes, received_at: datetime) -> list[Event]:
        return _Row(self, body, received_at).events()


class _Row:
    def __init__(self, reader: Reader, body: bytes, received_at: datetime) -> None:
        found = _load(body)
        self._reader, self._received_at = reader, received_at
        self._file, self._number = found["file"], found["row"]
        if found.get("fault"):
            raise self._malformed(str(found["fault"]))
        self._data = found["data"]
        self._header = reader.recognition.columns(tuple(self._data)).header
        order = reader.date_order
        self._order = str(found.get("date_order") or "") if order == "auto" else order

    def _malformed(self, reason: str) -> Malformed:
        return Malformed(f"{self._file}, row {self._number}: {reason}")

    def _bad(self, column: Column, expected: str) -> Malformed:
        shown = "".join(c if c.isprintable() else " " for c in self._text(column))
        shown = " ".join("***" if "@" in word else word for word in shown.split())
        shown = shown if len(shown) <= SHOWN_CHARS_MAX else f"{shown[:SHOWN_CHARS_MAX]}…"
        return self._malformed(
            f"column {self._header[column]!r}: found {shown!r}; expected {expected}"
        )

    # -- cells

    def _value(self, column: Column) -> object:
        header = self._header.get(column)
        return None if header is None else self._data.get(header)

    def _text(self, column: Column) -> str:
        value = self._value(column)
        if value is None:
            return ""
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # a spreadsheet writes the id 42 as 42.0
        text = " ".join(_clean(str(value)).split())
        return "" if text.casefold() in NOTHING else text

    def _list(self, column: Column, between: re.Pattern[str]) -> list[str]:
        value = self._value(column)
        text = _clean(value) if isinstance(value, str) else self._text(column)
        parts = (" ".join(part.split()) for part in between.split(text))
        return list(dict.fromkeys(p for p in parts if p.casefold() not in NOTHING))[:LIST_MAX]

    def _date(self, column: Column) -> datetime | None:
        try:
            return dates.read_date(self._value(column), self._order)
        except dates.Ambiguous:
            expected = f"{dates.EXPECTED}, or date_order set to dmy or mdy"
            raise self._bad(column, expected) from None
        except (ValueError, OverflowError, OSError):
            raise self._bad(column, dates.EXPECTED) from None

    def _flag(self, column: Column) -> bool | None:
        word = self._text(column)
        if not word:
            return None
        flag = yes_or_no(word)
        if flag is None:
            raise self._bad(column, "yes or no")
        return flag

    # -- facts

    def events(self) -> list[Event]:
        candidate = self._candidate()
        application = self._application(candidate)
        at = [
            moment
            for column in (Column.UPDATED_AT, Column.STAGE_AT)
            if (moment := self._date(column)) is not None
        ]
        hired_at = self._date(Column.HIRED_AT)
        if application is None:
            return [self._updated(candidate, None, self._latest(at))]
        at += [m for m in (application.applied_at, application.rejected_at, hired_at) if m]
        latest = self._latest(at)
        if application.prospect:
            return [self._updated(candidate, application, latest)]
        submitted = Event(
            kind=EventKind.APPLICATION_SUBMITTED,
            key=f"application.submitted:{application.external_id}",
            word=self._text(Column.STATUS) or self._text(Column.STAGE) or "row",
            occurred_at=self._latest([application.applied_at] if application.applied_at else []),
            candidate=candidate,
            application=application,
            fields=self._fields(),
        )
        standing = self._standing(candidate, application, hired_at, latest)
        updated = self._updated(candidate, None, latest)
        return [submitted, updated, *([standing] if standing else [])]

    def _latest(self, moments: list[datetime]) -> datetime | None:
        """Never after the arrival: a mistyped year must not stand above every later change."""
        return min(max(moments), self._received_at) if moments else None

    def _updated(
        self,
        candidate: CandidateFacts,
        application: ApplicationFacts | None,
        at: datetime | None,
    ) -> Event:
        mark = _digest(repr(candidate), repr(application) if application else "")
        return Event(
            kind=EventKind.CANDIDATE_UPDATED,
            key=f"candidate.updated:{candidate.external_id}:{mark}",
            word="row",
            occurred_at=at,
            candidate=candidate,
            application=application,
        )

    def _standing(
        self,
        candidate: CandidateFacts,
        application: ApplicationFacts,
        hired_at: datetime | None,
        latest: datetime | None,
    ) -> Event | None:
        """Where the application stands now; None where it has only come in."""
        number, stage = application.external_id, application.stage
        at: datetime | None
        match application.status:
            case ApplicationStatus.REJECTED:
                kind, at, mark = EventKind.APPLICATION_REJECTED, application.rejected_at, ""
            case ApplicationStatus.HIRED:
                kind, at, mark = EventKind.APPLICATION_HIRED, hired_at, ""
            case _:
                if stage is None or stage.kind is StageKind.APPLIED:
                    return None
                kind, at = EventKind.APPLICATION_STAGE_CHANGED, self._date(Column.STAGE_AT)
                mark = stage.external_id
        # With a time in the key, an application that returns to a former stage is heard again.
        when = at or self._date(Column.UPDATED_AT)
        stamp = when.astimezone(UTC).isoformat() if when else ""
        return Event(
            kind=kind,
            key=":".join((kind.value, number, mark, stamp)),
            word=self._text(Column.STATUS) or self._text(Column.STAGE),
            occurred_at=self._latest([at]) if at else latest,
            candidate=candidate,
            application=application,
            fields=self._fields(),
        )

    def _fields(self) -> dict[str, str]:
        reason = self._text(Column.REJECTION_REASON)
        return {"reason": reason} if reason else {}

    def _candidate(self) -> CandidateFacts:
        emails = self._emails()
        first, last = self._names()
        phones = tuple(self._list(Column.PHONE, _BETWEEN_PHONES))
        given = self._text(Column.CANDIDATE_ID)
        if not (given or emails or first or last):
            raise self._malformed(
                "found no name, no e-mail address and no candidate id; expected one at least"
            )
        has_tags = Column.TAGS in self._header
        return CandidateFacts(
            external_id=_short(given) or self._derived_id(emails, first, last, phones),
            first_name=first or None,
            last_name=last or None,
            emails=emails,
            phones=phones,
            tags=tuple(self._list(Column.TAGS, _BETWEEN_TAGS)) if has_tags else None,
            can_email=self._can_email(),
            owner=self._owner(),
            links=tuple(self._list(Column.LINK, _BETWEEN_LINKS)),
            employer=self._text(Column.EMPLOYER) or None,
            place=self._text(Column.PLACE) or None,
        )

    def _derived_id(
        self, emails: tuple[str, ...], first: str, last: str, phones: tuple[str, ...]
    ) -> str:
        """The same for the same person in every export, as far as the row tells people apart."""
        normal = next((n for email in emails if (n := normal_email(email))), "")
        if normal:
            return f"mail-{_digest(normal)}"
        if phones:
            digits = "".join(c for c in phones[0] if c.isdigit())
            return f"phone-{_digest(plain(first + last), digits)}"
        # A name alone is shared by many, and two people must not become one.
        role, applied = self._text(Column.APPLIED_ROLE), self._text(Column.APPLIED_AT)
        if role and applied:
            return f"name-{_digest(plain(first + last), plain(role), applied)}"
        return f"row-{content_key(self._data)[:24]}"

    def _emails(self) -> tuple[str, ...]:
        found: list[str] = []
        for column in (Column.EMAIL, Column.OTHER_EMAIL):
            found += [part for part in self._list(column, _BETWEEN_EMAILS) if "@" in part]
        return tuple(
            dict.fromkeys(part.strip("<>()[]\"'").removeprefix("mailto:") for part in found)
        )

    def _names(self) -> tuple[str, str]:
        first, last = self._text(Column.FIRST_NAME), self._text(Column.LAST_NAME)
        if first or last:
            return first, last
        return split_name(self._text(Column.NAME))

    def _owner(self) -> Person | None:
        name, email = self._text(Column.OWNER), self._text(Column.OWNER_EMAIL)
        if "@" in name:
            name, address = parseaddr(name)
            email = email or address
        return Person(name=name, email=email if "@" in email else "") if name or email else None

    def _can_email(self) -> bool | None:
        word = self._text(Column.DO_NOT_CONTACT)
        # A date or a reason in this column means that there was an opt-out; doubt counts as one.
        if word and yes_or_no(word) is not False:
            return False
        allowed = self._flag(Column.CAN_EMAIL)
        if allowed is False:
            return False
        return True if allowed or word else None

    def _application(self, candidate: CandidateFacts) -> ApplicationFacts | None:
        role, given = self._text(Column.APPLIED_ROLE), self._text(Column.APPLICATION_ID)
        if not role and not given:
            return None
        applied_at = self._date(Column.APPLIED_AT)
        job = self._job(role) if role else None
        status_word, stage_name = self._text(Column.STATUS), self._text(Column.STAGE)
        stage = self._stage(stage_name) if stage_name else None
        rejected_at = self._date(Column.REJECTED_AT)
        status = self._status(status_word, stage, rejected_at)
        if not given:
            day = applied_at.date().isoformat() if applied_at else ""
            given = f"row-{_digest(candidate.external_id, job.external_id if job else '', day)}"
        return ApplicationFacts(
            external_id=_short(given),
            status=status,
            applied_at=applied_at,
            rejected_at=rejected_at if status is ApplicationStatus.REJECTED else None,
            prospect=bool(self._flag(Column.PROSPECT))
            or is_prospect_word(status_word)
            or is_prospect_word(stage_name),
            job=job,
            stage=stage,
            url=self._text(Column.URL),
        )

    def _job(self, role: str) -> JobFacts:
        given = self._text(Column.JOB_ID)
        return JobFacts(
            external_id=_short(given) or f"title-{_digest(plain(role))}",
            title=role,
            department=self._text(Column.DEPARTMENT),
            office=self._text(Column.OFFICE),
        )

    def _stage(self, name: str) -> StageFacts:
        kind = stage_kind(name, self._reader.stages)
        return StageFacts(
            external_id=_short(" ".join(name.casefold().split())), name=name, kind=kind
        )

    def _status(
        self, word: str, stage: StageFacts | None, rejected_at: datetime | None
    ) -> ApplicationStatus | None:
        """The word first, then the yes or no, then the dates, then the stage. An archived one may
        have been hired: the reason or the stage says so."""
        said = status_of(word) if word else None
        hired = (
            (stage is not None and stage.kind is StageKind.HIRED)
            or status_of(self._text(Column.REJECTION_REASON)) is ApplicationStatus.HIRED
            or (self._date(Column.HIRED_AT) is not None and said is not ApplicationStatus.ACTIVE)
        )
        if plain(word) in ("archived", "closed", "inactive") and hired:
            return ApplicationStatus.HIRED
        if said is not None and said is not ApplicationStatus.ACTIVE:
            return said
        if hired:
            return ApplicationStatus.HIRED
        if self._flag(Column.REJECTED) or (stage and stage.kind is StageKind.REJECTED):
            return ApplicationStatus.REJECTED
        if said is None and rejected_at is not None:
            return ApplicationStatus.REJECTED
        if said is not None:
            return said
        return ApplicationStatus.ACTIVE if stage is not None and not word else None


def _clean(text: str) -> str:
    """Without what a database cannot hold: NUL, and half a surrogate pair."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def content_key(data: Mapping[str, Any]) -> str:
    """Names a row by what it says: the same in every file and place, and for empty columns more."""
    said = {k: v for k, v in data.items() if v not in (None, "")}
    return _digest(json.dumps(said, sort_keys=True, ensure_ascii=False), size=20)


def _digest(*parts: str, size: int = 10) -> str:
    text = "\x1f".join(parts)
    return blake2b(text.encode("utf-8", "replace"), digest_size=size).hexdigest()


def _short(text: str) -> str:
    """As it is where it is short enough to be an id; else cut, and told apart by a hash."""
    return text if len(text) <= ID_CHARS_MAX else f"{text[:60]}-{_digest(text)}"


def _load(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("the row is no JSON; expected one as this connector makes them") from None
    if not isinstance(found, dict) or not isinstance(found.get("data"), dict):
        raise Malformed("found no row; expected an object with file, row and data")
    return {"file": "file", "row": "?"} | found
