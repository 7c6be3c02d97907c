"""What Warmline writes to Lever: tags on opportunities, and a note that says why.

A tag is added or taken off by itself, so no recruiter's tag is ever written over. Every opportunity
of the person carries it. A note is left once: it ends with a mark made of the action's key, and is
looked for before it is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from warmline.connectors.lever.api import Account, NotAllowed, Row, has_id, is_id
from warmline.core.actions import Action, ActionKind
from warmline.core.errors import (
    AuthFailed,
    Malformed,
    Refused,
    Throttled,
    Unreachable,
    Unsure,
    WarmlineError,
)
from warmline.core.outcomes import Outcome, OutcomeKind

BATCH_MAX = 5
RECORDS_MAX = 50  # of one action; a person with more is no person
FLAG_TAG = "warmline:re-engaged"
DO_NOT_CONTACT_TAG = "do-not-contact"
NOTES_LOOKED_AT_MAX = 8  # newest opportunities of a person whose notes are searched for ours
VALUE_LENGTH_MAX = 500

KINDS = frozenset(
    {ActionKind.CANDIDATE_TAG, ActionKind.CANDIDATE_FLAG, ActionKind.CANDIDATE_DO_NOT_CONTACT}
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to stand on every opportunity of these people; `note`, where one is to be left, on
    one opportunity of each."""

    records: tuple[str, ...]
    add: str
    remove: tuple[str, ...] = ()
    note: str = ""
    mark: str = ""


@dataclass(slots=True)
class _Done:
    """What came of one action so far."""

    writes: int = 0
    gone: list[str] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)  # opportunities that a write did not find


class Writing:
    """Of one account. Thread-safe: it keeps nothing."""

    def __init__(self, account: Account, *, now: Callable[[], datetime]) -> None:
        self._account = account
        self._now = now

    def apply(self, actions: Sequence[Action]) -> list[Outcome]:
        """One outcome an action, in order; `detail` has the number of `written` changes and the
        ids of records that are `gone`. After the first that has to wait, the rest waits too."""
        outcomes: list[Outcome] = []
        wait: Outcome | None = None
        for action in actions:
            outcome = self._one(action) if wait is None else wait
            if outcome.kind in (OutcomeKind.LATER, OutcomeKind.UNKNOWN) and wait is None:
                wait = Outcome(OutcomeKind.LATER, outcome.reason, after_s=outcome.after_s)
            outcomes.append(outcome)
        return outcomes

    def find(self, action: Action) -> Outcome | None:
        """DONE where everything stands as the action would have it; else None. Raises where it
        cannot be read."""
        wanted = wanted_of(action)
        if isinstance(wanted, str):
            return None
        standing = 0
        for record in wanted.records:
            rows = self._opportunities(record)
            standing += bool(rows)
            if any(_lacks(row, wanted) or _extra(row, wanted) for row in rows):
                return None
            if rows and wanted.mark and not self._noted(rows, wanted.mark):
                return None
        return Outcome(OutcomeKind.DONE, "found written") if standing else None

    def _one(self, action: Action) -> Outcome:
        wanted = wanted_of(action)
        if isinstance(wanted, str):
            return Outcome(OutcomeKind.REFUSED, wanted)
        done = _Done()
        try:
            for record in wanted.records:
                self._record(record, wanted, done)
        except Throttled as error:
            return _outcome(OutcomeKind.LATER, error.reason, done, after_s=error.after_s)
        except Unsure as error:
            return _outcome(OutcomeKind.UNKNOWN, error.reason, done)
        except Refused as error:
            return _outcome(OutcomeKind.REFUSED, error.reason, done)
        except (NotAllowed, AuthFailed) as error:
            return _outcome(OutcomeKind.LATER, f"{error.reason}: {error.hint}", done)
        except WarmlineError as error:
            return _outcome(OutcomeKind.LATER, error.reason, done)
        if len(done.gone) == len(wanted.records):
            gone = ", ".join(done.gone)
            return _outcome(
                OutcomeKind.REFUSED, f"Lever has no opportunity of this person: {gone}", done
            )
        if not done.writes:
            return _outcome(OutcomeKind.ALREADY_DONE, "it stands there already", done)
        return _outcome(OutcomeKind.DONE, "", done)

    def _record(self, record: str, wanted: Wanted, done: _Done) -> None:
        """The new tag before the old ones come off: a stop in between leaves one too many, never
        none. The note last, and once."""
        rows = self._opportunities(record)
        if not rows:
            done.gone.append(record)
            return
        for row in rows:
            if _lacks(row, wanted):
                self._write(row["id"], "addTags", {"tags": [wanted.add]}, done)
            if extra := _extra(row, wanted):
                self._write(row["id"], "removeTags", {"tags": extra}, done)
        if wanted.mark and not self._noted(rows, wanted.mark):
            row = next((row for row in reversed(rows) if not row.get("archived")), rows[-1])
            body = {"value": f"{wanted.note}\n{wanted.mark}", "notifyFollowers": False}
            self._write(row["id"], "notes", body, done)
        if done.absent:
            self._look_again(record, done)

    def _write(self, opportunity: str, verb: str, body: object, done: _Done) -> None:
        try:
            self._account.write(f"opportunities/{opportunity}/{verb}", body)
        except Refused as error:
            if error.status != 404:
                raise
            done.absent.add(opportunity)
        else:
            done.writes += 1

    def _look_again(self, record: str, done: _Done) -> None:
        """Deleted since it was listed? What is listed still was not written, whatever it says."""
        there = {row["id"] for row in self._opportunities(record)}
        if done.absent & there:
            raise Refused("Lever lists an opportunity that it does not know when it is written to")
        done.absent.clear()
        if not there:
            done.gone.append(record)

    def _opportunities(self, record: str) -> list[Row]:
        """Read before each write. Raises Unreachable where the answer is none that can be read:
        nothing was written because of it."""
        try:
            return [row for row in self._account.opportunities(record) if has_id(row)]
        except Malformed as error:
            raise Unreachable(error.reason) from None

    def _noted(self, rows: Sequence[Row], mark: str) -> bool:
        newest = rows[-NOTES_LOOKED_AT_MAX:]
        try:
            return any(
                mark in str(part.get("value") or "")
                for row in reversed(newest)
                for note in self._account.rows(f"opportunities/{row['id']}/notes")
                if not note.get("deletedAt")
                for part in note.get("fields") or ()
                if isinstance(part, dict)
            )
        except Malformed as error:
            raise Unreachable(error.reason) from None


def wanted_of(action: Action) -> Wanted | str:
    """What the action asks for, or why it cannot be one of ours."""
    if action.kind not in KINDS:
        return f"Lever cannot do {action.kind}"
    change = action.tags
    if action.kind is ActionKind.CANDIDATE_TAG:
        if change is None or not change.add.strip():
            return "the action names no tag"
        wanted = Wanted(change.records, change.add.strip(), change.remove)
    elif action.kind is ActionKind.CANDIDATE_FLAG:
        wanted = Wanted(action.records, FLAG_TAG, (), _flag_note(action), mark_of(action.key))
    else:
        note = _do_not_contact_note(action)
        wanted = Wanted(action.records, DO_NOT_CONTACT_TAG, (), note, mark_of(action.key))
    if not wanted.records:
        return "the action names no record"
    if len(wanted.records) > RECORDS_MAX:
        return f"{len(wanted.records)} records of one candidate, expected at most {RECORDS_MAX}"
    if not all(map(is_id, wanted.records)):
        return "a record's id is none that Lever could have given"
    return wanted


def mark_of(key: str) -> str:
    """What a note of ours ends with, the same for the same action."""
    return f"[warmline {hashlib.sha256(key.encode()).hexdigest()[:24]}]"


def plain(tag: str) -> str:
    """The form in which two tags are the same: without case and stray blanks."""
    return " ".join(tag.casefold().split())


def _flag_note(action: Action) -> str:
    lines = ["Warm again: clicked a link in a mail from Warmline."]
    for name, label in (
        ("click_date", "Date"),
        ("email_subject", "Subject"),
        ("link_url", "Link"),
    ):
        if value := action.fields.get(name, "").strip():
            lines.append(f"{label}: {value[:VALUE_LENGTH_MAX]}")
    return "\n".join(lines)


def _do_not_contact_note(action: Action) -> str:
    date = action.fields.get("unsubscribe_date", "").strip()[:VALUE_LENGTH_MAX]
    said = "Do not contact: unsubscribed from all mail."
    return f"{said}\nDate: {date}" if date else said


def _tags(row: Row) -> list[str]:
    found = row.get("tags")
    return [tag for tag in found if isinstance(tag, str)] if isinstance(found, list) else []


def _lacks(row: Row, wanted: Wanted) -> bool:
    return plain(wanted.add) not in map(plain, _tags(row))


def _extra(row: Row, wanted: Wanted) -> list[str]:
    """Of the tags that are to come off, those that are there, as they are written there."""
    unwanted = set(map(plain, wanted.remove)) - {plain(wanted.add)}
    return [tag for tag in _tags(row) if plain(tag) in unwanted]


def _outcome(
    kind: OutcomeKind, reason: str, done: _Done, *, after_s: float | None = None
) -> Outcome:
    detail = {"written": str(done.writes)} if done.writes else {}
    if done.gone:
        detail["gone"] = ",".join(done.gone)
    return Outcome(kind, reason, after_s=after_s, detail=detail)
