"""What is written back to a candidate's record: the flag of somebody who is warm again, and the
mark of somebody who is not to be written to.

Each is a tag, a change of the record and a note, in this order, and each is read before it is
written: so that a second try finishes what a first one began, and doubles nothing. The note carries
a mark made of the action's key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from warmline.connectors.greenhouse.harvest import Harvest, NotAllowed, is_id, number_of, row_id
from warmline.connectors.greenhouse.tags import CANDIDATES, GONE, RECORDS_MAX, Tags
from warmline.core.actions import Action, ActionKind, TagChange
from warmline.core.errors import (
    AuthFailed,
    Malformed,
    Refused,
    Throttled,
    Unreachable,
    Unsure,
)
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.ports import Standing

NOTES = "notes"
KINDS = frozenset({ActionKind.CANDIDATE_FLAG, ActionKind.CANDIDATE_DO_NOT_CONTACT})
# Fields of a flag that custom fields may hold (the setting `fields`).
FLAG_FIELDS = ("click_date", "email_subject", "link_url")
NOTE_CHARS_MAX = 1000
_DATE, _TEXTS = "date", frozenset({"short_text", "long_text", "url"})


@dataclass(frozen=True, slots=True)
class Marks:
    """The connection's settings: the two tags, and Warmline field → custom field's `name_key`."""

    reengaged_tag: str
    do_not_contact_tag: str
    user_id: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    def tag(self, kind: ActionKind) -> str:
        flag = kind is ActionKind.CANDIDATE_FLAG
        return self.reengaged_tag if flag else self.do_not_contact_tag


class WriteBack:
    """Of one account. Thread-safe."""

    def __init__(self, harvest: Harvest, tags: Tags, marks: Marks) -> None:
        self._harvest, self._tags, self._marks = harvest, tags, marks
        # Methods that Greenhouse has let us use: a 403 after that is about the one record.
        self._permitted: set[str] = set()

    def apply(self, actions: Sequence[Action]) -> list[Outcome]:
        """One outcome an action, in order; never raises for what Greenhouse says. Once it asks to
        wait, or refuses the credentials, the rest waits too."""
        outcomes: list[Outcome] = []
        stop: Outcome | None = None
        for action in actions:
            if stop is None:
                said = self._apply(action)
                outcomes.append(said)
                waits = said.kind is OutcomeKind.LATER
                stop = replace(said, detail={}) if waits else None
            else:
                outcomes.append(stop)
        return outcomes

    def _apply(self, action: Action) -> Outcome:
        try:
            return self._one(action)
        except Throttled as error:
            return Outcome(OutcomeKind.LATER, error.reason, after_s=error.after_s)
        except Unsure as error:
            return Outcome(OutcomeKind.UNKNOWN, error.reason)
        except Refused as error:
            return Outcome(OutcomeKind.REFUSED, ": ".join(filter(None, (error.reason, error.hint))))
        except AuthFailed as error:
            reason = f"{error.reason}: {error.hint}"
            return Outcome(OutcomeKind.LATER, reason, detail={"scope": "credentials"})
        except (Unreachable, Malformed) as error:
            return Outcome(OutcomeKind.LATER, error.reason)

    def _one(self, action: Action) -> Outcome:
        if unfit := _unfit(action):
            return Outcome(OutcomeKind.REFUSED, unfit)
        tagged = self._tags.apply([self._tagging(action)])[0]
        if tagged.kind not in (OutcomeKind.DONE, OutcomeKind.ALREADY_DONE):
            return tagged
        rows = self._rows(action.records)
        if not rows:
            return Outcome(OutcomeKind.REFUSED, GONE + ", ".join(action.records))
        written = int(tagged.detail.get("written", 0))
        changes = {record: self._change(action, row) for record, row in rows.items()}
        for record, change in changes.items():
            if change:
                self._write("PATCH", f"{CANDIDATES}/{record}", change)
                written += 1
        for record in sorted(set(rows) - self._noted(rows, action)):
            self._write("POST", NOTES, self._note(action, record))
            written += 1
        if not written:
            return Outcome(OutcomeKind.ALREADY_DONE, "marked so already")
        return Outcome(OutcomeKind.DONE, detail={"written": str(written)})

    def find(self, action: Action) -> Outcome | None:
        """DONE where every record that still stands carries the tag, the change and the note.
        Raises where it cannot be read."""
        if _unfit(action):
            return None
        tagged = self._tags.find(self._tagging(action))
        if tagged is None:
            return None
        try:
            rows = self._rows(action.records)
            if not rows or any(self._change(action, row) for row in rows.values()):
                return None
            noted = self._noted(rows, action)
        except (Malformed, Refused) as error:
            raise Unreachable(error.reason) from None
        return None if set(rows) - noted else Outcome(OutcomeKind.DONE, "found written")

    def _tagging(self, action: Action) -> Action:
        change = TagChange(action.records, self._marks.tag(action.kind))
        return replace(action, kind=ActionKind.CANDIDATE_TAG, tags=change)

    def _rows(self, records: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The records that still stand."""
        found = {row_id(row): row for row in self._harvest.look_up(CANDIDATES, records)}
        return {record: found[record] for record in dict.fromkeys(records) if record in found}

    def _change(self, action: Action, row: Mapping[str, Any]) -> dict[str, object]:
        """What is to be changed of the record; empty where it is so already."""
        if action.kind is ActionKind.CANDIDATE_DO_NOT_CONTACT:
            return {} if row.get("can_email") is False else {"can_email": False}
        there = row.get("custom_fields")
        fields = {
            key: self._value(name, key, action.fields[name], there)
            for name, key in self._marks.fields.items()
            if name in action.fields
        }
        if not fields or not isinstance(there, Mapping) or self._newer(action, fields, there):
            return {}
        differ = {key: value for key, value in fields.items() if _held(there, key) != value}
        return (
            {"custom_fields": [{"name_key": k, "value": v} for k, v in sorted(differ.items())]}
            if differ
            else {}
        )

    def _value(self, name: str, key: str, text: str, there: object) -> str:
        """The value as the custom field takes it. Raises Refused before anything is sent where it
        cannot hold it."""
        definition = there.get(key) if isinstance(there, Mapping) else None
        if not isinstance(definition, Mapping):
            raise Refused(
                f"Greenhouse has no candidate field {key!r} for {name}",
                hint="create it under Configure, Custom Options, or correct the setting fields",
            )
        kind = str(definition.get("type") or "")
        if kind == _DATE and name == "click_date":
            return text[:10]
        if kind not in _TEXTS:
            raise Refused(f"the candidate field {key!r} is of the type {kind!r}: {name} is text")
        return text

    def _newer(self, action: Action, fields: Mapping[str, str], there: Mapping[str, Any]) -> bool:
        """Whether a later click stands there: an old one never overwrites it (I6)."""
        key = self._marks.fields.get("click_date", "")
        return key in fields and _held(there, key) > fields[key]

    def _noted(self, rows: Mapping[str, object], action: Action) -> set[str]:
        """The records that carry this action's note."""
        mark = mark_of(action)
        notes = self._harvest.look_up(NOTES, rows, by="candidate_ids")
        return {
            number_of(note, "candidate_id") for note in notes if mark in str(note.get("body") or "")
        }

    def _note(self, action: Action, record: str) -> dict[str, object]:
        body: dict[str, object] = {
            "candidate_id": int(record),
            "body": f"{_words(action)} {mark_of(action)}",
            "visibility": "public",
            "note_type": "NOTE",
        }
        if self._marks.user_id.isdecimal():
            body["user_id"] = int(self._marks.user_id)
        return body

    def _write(self, method: str, path: str, body: Mapping[str, object]) -> None:
        try:
            self._harvest.write(method, path, body)
        except NotAllowed as error:
            if method not in self._permitted:
                raise
            # It lets us do the same to others: this is about the one record.
            raise Refused(error.reason, status=403, hint=error.hint) from None
        self._permitted.add(method)


def records(harvest: Harvest, ids: Sequence[str]) -> list[Standing]:
    """Each record as it stands: its tags, and whether it may be written to. Greenhouse does not say
    what became of one that is gone."""
    wanted = [one for one in ids if is_id(one)]
    found = {row_id(row): row for row in harvest.look_up(CANDIDATES, wanted)}
    return [
        Standing(one, one, tags=_tags(found[one]), opted_out=found[one].get("can_email") is False)
        if one in found
        else Standing(one)
        for one in ids
    ]


def mark_of(action: Action) -> str:
    """What tells this action's note from others."""
    return f"[warmline {hashlib.sha256(action.key.encode()).hexdigest()[:12]}]"


def _unfit(action: Action) -> str:
    if action.kind not in KINDS:
        return f"Greenhouse cannot do {action.kind}"
    if not action.records:
        return "the action names no record to write to"
    if len(action.records) > RECORDS_MAX:
        return f"{len(action.records)} records of one candidate, expected at most {RECORDS_MAX}"
    if not all(map(is_id, action.records)):
        return "a record's id is not a number, as Greenhouse's are"
    return ""


def _words(action: Action) -> str:
    """The note's text, for recruiters."""
    said = action.fields
    if action.kind is ActionKind.CANDIDATE_DO_NOT_CONTACT:
        when = f" on {_day(said['unsubscribe_date'])}" if "unsubscribe_date" in said else ""
        return f"Do not contact: the person unsubscribed{when}. Nothing more is sent to them."
    when = f" on {_day(said['click_date'])}" if "click_date" in said else ""
    subject = f" in the mail “{said['email_subject']}”" if "email_subject" in said else ""
    link = f": {said['link_url']}" if "link_url" in said else ""
    return f"Warm again: the person answered or clicked{when}{subject}{link}."[:NOTE_CHARS_MAX]


def _day(text: str) -> str:
    """An ISO date or moment, for people; as it stands where it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    hour = f" at {at:%H:%M} UTC" if len(text) > 10 else ""
    return f"{at.day} {at:%B %Y}{hour}"


def _held(there: Mapping[str, Any], key: str) -> str:
    definition = there.get(key)
    value = definition.get("value") if isinstance(definition, Mapping) else None
    return value if isinstance(value, str) else ""


def _tags(row: Mapping[str, Any]) -> tuple[str, ...]:
    found = row.get("tags")
    return tuple(tag for tag in found if isinstance(tag, str)) if isinstance(found, list) else ()
