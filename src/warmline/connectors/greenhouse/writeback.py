"""What is written to candidates: the segment's tag, the re-engagement flag, do-not-contact.

Every part is read before it is written, and what is so already costs no write. The tag comes first,
then one PATCH of single fields (never of a collection: that would replace it), then the note. So a
note of ours says that the action is done on this record, and nothing of it is done again, even
where a recruiter has taken a part of it back since.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from warmline.connectors.greenhouse import customfields, notes, tags
from warmline.connectors.greenhouse.customfields import CustomFields, Proof
from warmline.connectors.greenhouse.fates import CANDIDATES, Fate, Pen, Run, Task
from warmline.connectors.greenhouse.harvest import Harvest, is_id, row_id
from warmline.connectors.greenhouse.notes import Note
from warmline.connectors.greenhouse.taglist import TagList, plain
from warmline.core.actions import OF_THE_EVENT, Action, ActionKind, TagChange
from warmline.core.errors import AuthFailed, Malformed, Refused, Unreachable
from warmline.core.outcomes import Outcome, OutcomeKind

RECORDS_MAX = 50  # of one action; a person with more is no person
WITH_NOTE = frozenset({ActionKind.CANDIDATE_FLAG, ActionKind.CANDIDATE_DO_NOT_CONTACT})
KINDS = WITH_NOTE | {ActionKind.CANDIDATE_TAG}


@dataclass(frozen=True, slots=True)
class Settings:
    """Of the connection. `fields`: field → name_key of a custom field. `user_id`: the author of
    notes; empty: whom the credential stands for."""

    reengaged_tag: str
    do_not_contact_tag: str
    fields: Mapping[str, str]
    user_id: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What one record is to look like. `fields`: field → value for its custom field."""

    change: TagChange
    note: Note | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    stop_email: bool = False


class WriteBack:
    """Writes to the candidates of one account. Thread-safe."""

    def __init__(
        self, harvest: Harvest, settings: Settings, *, now: Callable[[], datetime]
    ) -> None:
        self._harvest = harvest
        self._settings = settings
        self._now = now
        self._tags = TagList(harvest, now=now)
        self._fields = CustomFields(harvest, settings.fields, now=now)
        self._proof = Proof()
        self._permitted: set[str] = set()

    def apply(self, actions: Sequence[Action]) -> list[Outcome]:
        """One outcome an action, in order; `detail` has the number of `written` changes and the
        ids of records that are `gone`. Raises Throttled, Unreachable or AuthFailed where nothing
        could be read and so nothing was written."""
        ended: dict[int, Outcome] = {}
        tasks: list[Task[Wish]] = []
        for index, action in enumerate(actions):
            if reason := _unfit(action):
                ended[index] = Outcome(OutcomeKind.REFUSED, reason)
                continue
            try:
                wish = self._wish(action)
            except Refused as error:  # before anything is sent
                ended[index] = Outcome(OutcomeKind.REFUSED, error.reason)
            except AuthFailed as error:  # the custom fields may not be read: others go on
                ended[index] = Outcome(OutcomeKind.LATER, f"{error.reason}: {error.hint}")
            else:
                tasks += [Task(index, record, wish) for record in dict.fromkeys(_records(action))]
        pen = Pen(self._harvest, self._permitted)
        work = _Writing(self._harvest, self._tags, self._fields, self._proof, pen, self._settings)
        run = Run(self._harvest, work, pen, self._now, tasks)
        if tasks:
            work.start(tasks)
            run.go()
        return [
            ended.get(index) or run.outcome(index, _already(action))
            for index, action in enumerate(actions)
        ]

    def find(self, action: Action) -> Outcome | None:
        """DONE where it is so on every record that still stands: the tags, or else the note that is
        written last. None where it is not, or where none stands. Raises where it cannot be read."""
        if _unfit(action):
            return None
        if action.tags is not None and action.kind is ActionKind.CANDIDATE_TAG:
            return tags.find(self._harvest, self._tags, action.tags)
        records = dict.fromkeys(action.records)
        mark = notes.marker(action.key)
        marked = notes.read_markers(self._harvest, records)
        lacking = [record for record in records if mark not in marked[record]]
        return tags.found_but(self._harvest, records, lacking)

    def _wish(self, action: Action) -> Wish:
        if action.tags is not None and action.kind is ActionKind.CANDIDATE_TAG:
            return Wish(action.tags)
        stop = action.kind is ActionKind.CANDIDATE_DO_NOT_CONTACT
        tag = self._settings.do_not_contact_tag if stop else self._settings.reengaged_tag
        told = {name: text for name, text in action.fields.items() if name in OF_THE_EVENT}
        return Wish(
            TagChange(action.records, tag),
            notes.note(action.kind, action.key, told),
            self._fields.values(told),
            stop,
        )


class _Writing:
    """The work of one run (`fates.Work`). Not shared by threads."""

    def __init__(
        self,
        harvest: Harvest,
        tag_list: TagList,
        fields: CustomFields,
        proof: Proof,
        pen: Pen,
        settings: Settings,
    ) -> None:
        self._harvest, self._tag_list, self._fields = harvest, tag_list, fields
        self._proof, self._pen, self._settings = proof, pen, settings
        self._tagger = tags.Tagger(harvest, tag_list, pen)
        self._noted: set[str] = set()  # records that get a note
        self._patched: set[str] = set()  # and those of which single fields are written
        self._markers: dict[str, set[str]] = {}
        self._rows: dict[str, Mapping[str, Any]] = {}

    def start(self, tasks: Sequence[Task[Wish]]) -> None:
        """Read what they need. Where the credentials may not read notes or candidates, tags are
        written all the same."""
        self._tagger.read({task.record for task in tasks})
        noted = [task for task in tasks if task.wish.note is not None]
        self._noted = {task.record for task in noted}
        self._patched = {t.record for t in noted if t.wish.fields or t.wish.stop_email}
        try:
            self._read_rest(self._noted)
        except AuthFailed as error:
            for task in noted:
                task.end(Fate.LATER, f"{error.reason}: {error.hint}")

    def read(self, records: Collection[str]) -> None:
        self._tagger.read(records)
        self._read_rest(records)

    def _read_rest(self, records: Collection[str]) -> None:
        if noted := self._noted.intersection(records):
            self._markers |= notes.read_markers(self._harvest, noted)
        if patched := self._patched.intersection(records):
            self._rows |= _rows(self._harvest, patched)

    def refresh(self) -> None:
        self._tag_list.refresh()

    def change(self, task: Task[Wish]) -> None:
        wish, note = task.wish, task.wish.note
        if note is not None and note.marker in self._markers[task.record]:
            return
        if task.record in self._patched and task.record not in self._rows:
            raise Refused("Greenhouse does not list the candidate")  # gone? looked at again
        if note is not None and wish.fields and self._proof.reason:
            raise Refused(self._proof.reason)
        self._tagger.change(task, wish.change)
        if wish.fields or wish.stop_email:
            self._patch(task)
        if note is not None:
            self._note(task, note)

    def _patch(self, task: Task[Wish]) -> None:
        row = self._rows[task.record]
        there = customfields.standing_values(row)
        named = self._fields.named(task.wish.fields)
        values = customfields.to_write(task.wish.fields, named, there)
        body: dict[str, object] = {}
        if task.wish.stop_email and row.get("can_email") is not False:
            body["can_email"] = False
        if values:
            body["custom_fields"] = customfields.as_body(values)
        if not body:
            return
        answer = self._pen.write(task, "PATCH", f"{CANDIDATES}/{task.record}", body)
        if values and self._proof.open:
            self._prove(task, there, answer, tuple(values))
        known = row.get("custom_fields")
        merged = {**(known if isinstance(known, dict) else {}), **values}
        said = {"can_email": False} if "can_email" in body else {}
        self._rows[task.record] = {**row, **said, "custom_fields": merged}

    def _prove(
        self, task: Task[Wish], before: Mapping[str, Any], answer: object, ours: Sequence[str]
    ) -> None:
        if not isinstance(answer, dict) or "custom_fields" not in answer:  # a 204 tells nothing
            answer = _rows(self._harvest, [task.record]).get(task.record)
        if answer is None:  # deleted just now
            return
        after = customfields.standing_values(answer)
        if lost := self._proof.lost(before, after, ours):
            again = {**after, **lost}
            body = {"custom_fields": customfields.as_body(again)}
            self._pen.write(task, "PATCH", f"{CANDIDATES}/{task.record}", body)
            raise Refused(self._proof.reason)

    def _note(self, task: Task[Wish], note: Note) -> None:
        body: dict[str, object] = {
            "candidate_id": int(task.record),
            "body": note.body,
            "visibility": notes.VISIBILITY,
            "note_type": "NOTE",
        }
        if self._settings.user_id:
            body["user_id"] = int(self._settings.user_id)
        self._pen.write(task, "POST", notes.NOTES, body)
        self._markers[task.record].add(note.marker)


def _rows(harvest: Harvest, records: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """Record → the candidate as Greenhouse lists it; without those that it does not list. Raises
    Unreachable where the answer cannot be read."""
    try:
        return {row_id(row): row for row in harvest.look_up(CANDIDATES, records)}
    except (Malformed, Refused) as error:
        raise Unreachable(error.reason) from None


def _records(action: Action) -> tuple[str, ...]:
    if action.kind is not ActionKind.CANDIDATE_TAG:
        return action.records
    return action.tags.records if action.tags is not None else ()


def _already(action: Action) -> str:
    tagging = action.kind is ActionKind.CANDIDATE_TAG
    return "tagged so already" if tagging else "written already: its note is there"


def _unfit(action: Action) -> str:
    """Why the action cannot be one of ours; empty where it can."""
    if action.kind not in KINDS:
        return f"Greenhouse cannot do {action.kind}"
    records, change = _records(action), action.tags
    if not records:
        what = "tag" if action.kind is ActionKind.CANDIDATE_TAG else "write to"
        return f"the action names no record to {what}"
    if action.kind is ActionKind.CANDIDATE_TAG and not (
        change and (plain(change.add) or any(map(plain, change.remove)))
    ):
        return "the action names no tag"
    if len(records) > RECORDS_MAX:
        return f"{len(records)} records of one candidate, expected at most {RECORDS_MAX}"
    if not all(map(is_id, records)):
        return "a record's id is not a number, as Greenhouse's are"
    return ""
