"""The simulated Lever: what people do in it, and the webhooks that follow."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from warmline.sandbox.clock import Now, epoch_ms, parse_iso, utc_now
from warmline.sandbox.control import CallError
from warmline.sandbox.faults import FaultPlan
from warmline.sandbox.front import RequestLog
from warmline.sandbox.lever.hooks import Hooks
from warmline.sandbox.lever.world import Row, World
from warmline.sandbox.people import People, Person

# No secret: it opens nothing but this simulator.
API_KEY = "sandbox-lever-key"
VERBS = (
    "apply", "source", "move", "archive", "unarchive", "hire", "delete", "update_contact", "merge",
    "anonymize", "protect", "tag", "schedule_interview", "reschedule_interview",
    "cancel_interview", "delete_interview", "submit_feedback",
)  # fmt: skip


class Lever(Hooks):
    """One company's account. Every verb changes its world and sends the webhooks that follow.

    What is known of Lever and easily forgotten is so here: notes, feedback and a change of the
    person leave an opportunity's `updatedAt` as it is."""

    def __init__(
        self,
        *,
        now: Now = utc_now,
        rng: random.Random | None = None,
        api_key: str = API_KEY,
        rate: float = 10.0,
        burst: float = 20.0,
    ) -> None:
        """`forbidden` are listings that the key has no right to (`read notes`, `write tags`);
        without `sees_confidential` the key is shown nothing confidential."""
        rng = rng or random.Random(0)
        super().__init__(now, random.Random(rng.randrange(2**31)))
        self.now = now
        self.api_key = api_key
        self.rate, self.burst = rate, burst
        self.forbidden: set[str] = set()
        self.sees_confidential = True
        self.world = World(now, random.Random(rng.randrange(2**31)))
        self.people = People(random.Random(rng.randrange(2**31)))
        self.faults = FaultPlan(seed=rng.randrange(2**31))
        self.log = RequestLog(now)
        self.closing = threading.Event()
        self.offsets: dict[str, tuple[str, int]] = {}  # token → what it is of, and from where
        self.writes: Counter[str] = Counter()  # what the API was told: `add <opportunity> <tag>`

    # What applicants and recruiters do

    def apply(
        self,
        person: Person | Mapping[str, Any] | None = None,
        posting: str | None = None,
        *,
        contact: str | None = None,
        origin: str = "applied",
        confidential: bool = False,
        tags: Sequence[str] = (),
    ) -> Row:
        """Someone applies to a posting, by id or title (any, when none is named): someone new, or
        somebody whom Lever has already, by `contact` or by address."""
        with self.world.lock:
            job = self._posting(posting)
            whose = self._contact_for(person, contact)
            row = self.world.add_opportunity(
                whose, job, origin=origin, kind="posting", confidential=confidential
            )
            row["tags"] = list(tags)
            application = row["applications"][0]
            self._emit("applicationCreated", row, applicationId=application)
            return self.world.shown(row)

    def source(
        self,
        person: Person | Mapping[str, Any] | None = None,
        posting: str | None = None,
        *,
        tags: Sequence[str] = (),
    ) -> Row:
        """A recruiter adds someone who has not applied, with a posting in mind or without."""
        with self.world.lock:
            job = self._posting(posting) if posting else None
            whose = self._contact_for(person, None)
            row = self.world.add_opportunity(
                whose, job, origin="sourced", kind="user", confidential=False
            )
            row["tags"] = list(tags)
            return self.world.shown(row)

    def move(self, opportunity: str, stage: str) -> Row:
        """Move to another stage, by name or id."""
        with self.world.lock:
            row = self._opportunity(opportunity)
            before, to = row["stage"], self.world.stage_of(stage)
            self.world.move(row, to)
            self._emit("candidateStageChange", row, fromStageId=before, toStageId=to)
            return self.world.shown(row)

    def archive(self, opportunity: str, reason: str = "Underqualified") -> Row:
        """Archive, for a reason by name or id: the company says no, unless it means hired."""
        with self.world.lock:
            row = self._opportunity(opportunity)
            reasons = self.world.archive_reasons.values()
            found = next((r for r in reasons if reason in (r["id"], r["text"])), None)
            if found is None:
                raise CallError(f"There is no archive reason {reason!r}.")
            self._set_archived(row, {"reason": found["id"], "archivedAt": self.world.stamp()})
            if found["type"] == "hired":
                self._emit("candidateHired", row)
            return self.world.shown(row)

    def unarchive(self, opportunity: str) -> Row:
        """Take it out of the archive."""
        with self.world.lock:
            row = self._opportunity(opportunity)
            self._set_archived(row, None)
            return self.world.shown(row)

    def hire(self, opportunity: str) -> Row:
        """Archive as hired."""
        return self.archive(opportunity, "Hired")

    def delete(self, opportunity: str) -> Row:
        """Delete an opportunity; with the last one the person is gone."""
        with self.world.lock:
            row = self._opportunity(opportunity)
            self.world.remove(row)
            user = self.world.staff("admin")[0]["id"]
            self._emit("candidateDeleted", row, deletedBy=user)
            return {"id": opportunity, "contact": row["contact"]}

    def update_contact(self, contact: str, **fields: Any) -> Row:
        """Change a person: `name`, `emails`, `phones`, `location`."""
        with self.world.lock:
            row = self._contact(contact)
            if unknown := set(fields) - {"name", "emails", "phones", "location", "headline"}:
                raise CallError(f"A contact has no {sorted(unknown)[0]!r}.")
            row.update(fields)
            self._emit_contact("contactUpdated", contact)
            return dict(row)

    def protect(self, contact: str, allowed: bool = False) -> Row:
        """Whether the person may be contacted, as data protection has it."""
        with self.world.lock:
            row = self._contact(contact)
            row["dataProtection"] = {
                "store": {"allowed": True, "expiresAt": None},
                "contact": {"allowed": allowed, "expiresAt": None},
            }
            self._emit_contact("contactUpdated", contact)
            return dict(row)

    def anonymize(self, contact: str) -> Row:
        """Forget who it was."""
        with self.world.lock:
            row = self._contact(contact)
            row.update(name="Anonymized", emails=[], phones=[], links=[], isAnonymized=True)
            for one in self.world.of_contact(contact):
                self.world.touch(one)
            self._emit_contact("contactUpdated", contact)
            return dict(row)

    def merge(self, primary: str, duplicate: str) -> Row:
        """Make two contacts one: the duplicate's opportunities are the primary's now."""
        with self.world.lock:
            kept, gone = self._contact(primary), self._contact(duplicate)
            if kept is gone:
                raise CallError("A contact cannot be merged with itself.")
            kept["emails"] = list(dict.fromkeys([*kept["emails"], *gone["emails"]]))
            for row in list(self.world.of_contact(duplicate)):
                row["contact"] = primary
                self.world.touch(row)
            del self.world.contacts[duplicate]
            self._emit_contact("contactUpdated", primary)
            return dict(kept)

    def tag(self, opportunity: str, tags: Sequence[str]) -> Row:
        """A recruiter adds tags by hand."""
        with self.world.lock:
            row = self._opportunity(opportunity)
            self.change_tags(row, add=tags)
            return self.world.shown(row)

    def schedule_interview(
        self,
        opportunity: str,
        date: datetime | str,
        duration: int = 60,
        interviewers: Sequence[str] | None = None,
        location: str = "",
    ) -> Row:
        """Put an interview into calendars; `duration` in minutes."""
        with self.world.lock:
            row = self._opportunity(opportunity)
            users = list(interviewers or [self.world.staff("interviewer")[0]["id"]])
            interview: Row = {
                "id": self.world.new_id(),
                "opportunityId": opportunity,
                "panel": self.world.new_id(),
                "subject": "Interview",
                "note": "",
                "interviewers": [
                    {
                        "id": number,
                        "name": self.world.users[number]["name"],
                        "email": self.world.users[number]["email"],
                        "feedbackTemplate": "no-feedback",
                    }
                    for number in users
                ],
                "timezone": "Europe/Lisbon",
                "createdAt": self.world.stamp(),
                "date": _ms(date),
                "duration": duration,
                "location": location or None,
                "feedbackTemplate": None,
                "feedbackForms": [],
                "feedbackReminder": "daily",
                "user": row["owner"],
                "stage": row["stage"],
                "canceledAt": None,
                "postings": [],
                "gcalEventUrl": None,
            }
            self.world.interviews[interview["id"]] = interview
            self.world.touch(row)
            self._emit_interview("interviewCreated", interview, "createdAt")
            return dict(interview)

    def reschedule_interview(
        self, interview: str, date: datetime | str, duration: int | None = None
    ) -> Row:
        """Move an interview to another time."""
        with self.world.lock:
            row = self._interview(interview)
            row["date"] = _ms(date)
            row["duration"] = duration or row["duration"]
            self._emit_interview("interviewUpdated", row, "updatedAt")
            return dict(row)

    def cancel_interview(self, interview: str) -> Row:
        """Call it off; it stays on the record."""
        with self.world.lock:
            row = self._interview(interview)
            row["canceledAt"] = self.world.stamp()
            self._emit_interview("interviewUpdated", row, "updatedAt")
            return dict(row)

    def delete_interview(self, interview: str) -> Row:
        """Take it off the record."""
        with self.world.lock:
            row = self._interview(interview)
            del self.world.interviews[interview]
            self._emit_interview("interviewDeleted", row, "deletedAt")
            return dict(row)

    def submit_feedback(self, interview: str, rating: str = "3 - Hire") -> Row:
        """An interviewer hands in feedback. Lever sends no webhook for it."""
        with self.world.lock:
            held = self._interview(interview)
            at = self.world.stamp()
            row: Row = {
                "id": self.world.new_id(),
                "opportunityId": held["opportunityId"],
                "type": "interview",
                "text": "Feedback",
                "fields": [
                    {"type": "score-system", "text": "Overall rating", "value": rating},
                    {"type": "textarea", "text": "Notes", "value": "what nobody else should read"},
                ],
                "interview": interview,
                "panel": held["panel"],
                "user": held["interviewers"][0]["id"],
                "createdAt": at,
                "updatedAt": at,
                "completedAt": at,
                "deletedAt": None,
            }
            self.world.feedback[row["id"]] = row
            held["feedbackForms"] = [*held["feedbackForms"], row["id"]]
            return dict(row)

    def verbs(self) -> dict[str, Callable[..., Any]]:
        """What `/_control/do/<verb>` offers."""
        return {name: getattr(self, name) for name in VERBS}

    # What the API does to it

    def change_tags(self, row: Row, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Tags are a set: one that is there is not added again."""
        tags = [tag for tag in row["tags"] if tag not in remove]
        row["tags"] = list(dict.fromkeys([*tags, *add]))
        self.world.touch(row)

    def add_note(self, opportunity: str, value: str, *, user: str | None, secret: bool) -> Row:
        at = self.world.stamp()
        row: Row = {
            "id": self.world.new_id(),
            "opportunityId": opportunity,
            "text": "Note",
            "fields": [{"type": "note", "text": "Comment", "value": value, "createdAt": at}],
            "user": user or self.world.staff("admin")[0]["id"],
            "secret": secret,
            "completedAt": at,
            "createdAt": at,
            "deletedAt": None,
        }
        self.world.notes[row["id"]] = row
        return row

    def forget_offsets(self) -> None:
        """Every paging token is stale from now on."""
        with self.world.lock:
            self.offsets.clear()

    def state(self) -> dict[str, Any]:
        """Counts for the control API."""
        with self.world.lock:
            tables = (
                "contacts",
                "opportunities",
                "applications",
                "interviews",
                "feedback",
                "notes",
            )
            counts = {name: len(getattr(self.world, name)) for name in tables}
        return {"vendor": "lever", "counts": counts, "webhooks": self.outbox.state()}

    def close(self) -> None:
        """Stop deliveries and let every hanging fault go."""
        self.closing.set()
        self.outbox.close()

    # Inside

    def _set_archived(self, row: Row, archived: Row | None) -> None:
        before, row["archived"] = row["archived"], archived
        self.world.touch(row)
        self._emit("candidateArchiveChange", row, fromArchived=before, toArchived=archived)

    def _opportunity(self, number: str) -> Row:
        if number not in self.world.opportunities:
            raise LookupError(f"There is no opportunity {number}.")
        return self.world.opportunities[number]

    def _contact(self, number: str) -> Row:
        if number not in self.world.contacts:
            raise LookupError(f"There is no contact {number}.")
        return self.world.contacts[number]

    def _interview(self, number: str) -> Row:
        if number not in self.world.interviews:
            raise LookupError(f"There is no interview {number}.")
        return self.world.interviews[number]

    def _posting(self, named: str | None) -> Row:
        postings = self.world.postings
        if named is None:
            return postings[self.world.rng.choice(list(postings))]
        found = next((p for p in postings.values() if named in (p["id"], p["text"])), None)
        if found is None:
            raise LookupError(f"There is no posting {named!r}.")
        return found

    def _contact_for(self, person: Person | Mapping[str, Any] | None, contact: str | None) -> Row:
        if contact is not None:
            return self._contact(contact)
        given = person if person is not None else self.people.applicant()
        fields: Mapping[str, Any] = asdict(given) if isinstance(given, Person) else given
        known = self.world.by_email(str(fields.get("email") or ""))
        if known is not None:
            return known
        made = self.world.add_contact(fields)
        self._emit_contact("contactCreated", made["id"])
        return made


def _ms(moment: datetime | str) -> int:
    return epoch_ms(moment if isinstance(moment, datetime) else parse_iso(moment))
