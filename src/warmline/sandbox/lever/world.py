"""What is inside the simulated Lever: contacts, opportunities and what hangs on them.

Nothing here knows HTTP or webhooks. The caller holds `World.lock` over each change.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from warmline.sandbox.clock import Now, epoch_ms
from warmline.sandbox.people import JOBS, STAFF, TAGS

Row = dict[str, Any]

# Lever's own stages have names for ids; a company's are numbered.
STAGES = (
    ("lead-new", "New lead"),
    ("lead-reached-out", "Reached out"),
    ("lead-responded", "Responded"),
    ("applicant-new", "New applicant"),
    ("", "Recruiter screen"),
    ("", "Interview scheduled"),
    ("", "On-site interview"),
    ("", "Final interview"),
    ("", "Reference check"),
    ("offer", "Offer"),
)
ARCHIVE_REASONS = (
    ("Hired", "hired"),
    ("Underqualified", "non-hired"),
    ("Position closed", "non-hired"),
    ("Withdrew", "non-hired"),
    ("Timing", "non-hired"),
)


class World:
    """The tables of one company, each by id in the order of making."""

    def __init__(self, now: Now, rng: random.Random) -> None:
        self.lock = threading.RLock()
        self.now = now
        self.rng = rng
        self.contacts: dict[str, Row] = {}
        self.opportunities: dict[str, Row] = {}
        self.applications: dict[str, Row] = {}
        self.interviews: dict[str, Row] = {}
        self.feedback: dict[str, Row] = {}
        self.notes: dict[str, Row] = {}
        self.stages: dict[str, Row] = {}
        self.archive_reasons: dict[str, Row] = {}
        self.postings: dict[str, Row] = {}
        self.users: dict[str, Row] = {}
        self.deleted: list[Row] = []
        self._seed()

    def stamp(self) -> int:
        """Now, as Lever writes it."""
        return epoch_ms(self.now())

    def new_id(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def touch(self, opportunity: Row) -> None:
        opportunity["updatedAt"] = opportunity["lastInteractionAt"] = self.stamp()

    def add_contact(self, fields: Mapping[str, Any]) -> Row:
        """A person; `fields` as of `people.Person`, or Lever's own."""
        name = fields.get("name") or f"{fields.get('first_name')} {fields.get('last_name')}"
        emails = fields.get("emails") or list(filter(None, [fields.get("email")]))
        row: Row = {
            "id": self.new_id(),
            "name": str(name).strip(),
            "headline": fields.get("company") or "",
            "isAnonymized": False,
            "location": {"name": fields.get("city") or ""},
            "emails": [email.lower() for email in emails],
            "phones": [{"type": "mobile", "value": fields["phone"]}] if fields.get("phone") else [],
            "links": [fields["link"]] if fields.get("link") else [],
            "dataProtection": None,
        }
        self.contacts[row["id"]] = row
        return row

    def by_email(self, email: str) -> Row | None:
        """Lever knows a person by any of the addresses."""
        wanted = email.strip().lower()
        return next((row for row in self.contacts.values() if wanted in row["emails"]), None)

    def add_opportunity(
        self, contact: Row, posting: Row | None, *, origin: str, kind: str, confidential: bool
    ) -> Row:
        at = self.stamp()
        stage = "lead-new" if origin == "sourced" else "applicant-new"
        owner = posting["owner"] if posting else self.staff("recruiter")[0]["id"]
        row = {
            "id": self.new_id(),
            "contact": contact["id"],
            "stage": stage,
            "confidentiality": "confidential" if confidential else "non-confidential",
            "archived": None,
            "tags": [],
            "sources": [],
            "stageChanges": [],
            "origin": origin,
            "sourcedBy": owner if origin == "sourced" else None,
            "owner": owner,
            "followers": [owner],
            "applications": [],
            "createdAt": at,
            "updatedAt": at,
            "lastInteractionAt": at,
            "lastAdvancedAt": at,
            "snoozedUntil": None,
        }
        self.opportunities[row["id"]] = row
        self._enter(row, stage)
        if posting is not None:
            self._add_application(row, posting, kind)
        return row

    def shown(self, row: Row, expand: Iterable[str] = ()) -> Row:
        """An opportunity as the API gives it: the person's data stand in it."""
        contact = self.contacts[row["contact"]]
        shown = {
            **row,
            "name": contact["name"],
            "headline": contact["headline"],
            "location": contact["location"]["name"],
            "emails": contact["emails"],
            "phones": contact["phones"],
            "links": contact["links"],
            "isAnonymized": contact["isAnonymized"],
            "dataProtection": contact["dataProtection"],
            "urls": {
                "list": "https://hire.lever.example.com/candidates",
                "show": f"https://hire.lever.example.com/candidates/{row['id']}",
            },
        }
        if "applications" in expand:
            shown["applications"] = [self.applications[one] for one in row["applications"]]
        if "stage" in expand:
            shown["stage"] = self.stages[row["stage"]]
        if "owner" in expand:
            shown["owner"] = self.users.get(row["owner"])
        if "contact" in expand:
            shown["contact"] = contact
        return shown

    def move(self, row: Row, stage: str) -> None:
        self._enter(row, stage)
        row["lastAdvancedAt"] = self.stamp()
        self.touch(row)

    def remove(self, row: Row) -> None:
        """Delete an opportunity and what hangs on it; the person too where no other is left."""
        del self.opportunities[row["id"]]
        for table in (self.interviews, self.feedback, self.notes):
            for number in [n for n, one in table.items() if one["opportunityId"] == row["id"]]:
                del table[number]
        self.deleted.append({"id": row["id"], "deletedAt": self.stamp()})
        if not any(self.of_contact(row["contact"])):
            self.contacts.pop(row["contact"], None)

    def of_contact(self, contact: str) -> Iterator[Row]:
        return (row for row in self.opportunities.values() if row["contact"] == contact)

    def of_opportunity(self, table: Mapping[str, Row], opportunity: str) -> list[Row]:
        return [row for row in table.values() if row["opportunityId"] == opportunity]

    def staff(self, role: str) -> list[Row]:
        return [row for row in self.users.values() if row["role"] == role]

    def stage_of(self, stage: str) -> str:
        """A stage's id by its id or name. Raises LookupError."""
        for number, row in self.stages.items():
            if stage in (number, row["text"]):
                return number
        names = ", ".join(row["text"] for row in self.stages.values())
        raise LookupError(f"There is no stage {stage!r}; there are {names}.")

    def _enter(self, row: Row, stage: str) -> None:
        index = list(self.stages).index(stage)
        user = self.staff("recruiter")[0]["id"]
        change = {"toStageId": stage, "toStageIndex": index, "updatedAt": self.stamp()}
        row["stage"] = stage
        row["stageChanges"] = [*row["stageChanges"], {**change, "userId": user}]

    def _add_application(self, row: Row, posting: Row, kind: str) -> None:
        number = self.new_id()
        self.applications[number] = {
            "id": number,
            "opportunityId": row["id"],
            "candidateId": row["id"],
            "type": kind,
            "posting": posting["id"],
            "postingOwner": posting["owner"],
            "postingHiringManager": None,
            "user": posting["owner"] if kind == "user" else None,
            "name": None,
            "email": None,
            "customQuestions": [{"text": "Why us?", "fields": [{"value": "a private answer"}]}],
            "ipAddress": "192.0.2.7",
            "createdAt": self.stamp(),
            "archived": None,
        }
        row["applications"] = [number]

    def _seed(self) -> None:
        for person in STAFF:
            number = self.new_id()
            self.users[number] = {
                "id": number,
                "name": f"{person.first_name} {person.last_name}",
                "username": person.email.partition("@")[0],
                "email": person.email,
                "accessRole": "super admin" if person.role == "admin" else "limited team member",
                "deactivatedAt": None,
                "role": person.role,
            }
        for number, text in STAGES:
            number = number or self.new_id()
            self.stages[number] = {"id": number, "text": text}
        for text, kind in ARCHIVE_REASONS:
            number = self.new_id()
            self.archive_reasons[number] = {
                "id": number,
                "text": text,
                "status": "active",
                "type": kind,
            }
        recruiters = self.staff("recruiter")
        for index, job in enumerate(JOBS):
            number = self.new_id()
            self.postings[number] = {
                "id": number,
                "text": job.name,
                "state": "published",
                "confidentiality": "non-confidential",
                "categories": {
                    "team": job.department,
                    "department": job.department,
                    "location": job.location,
                    "commitment": "Full-time",
                },
                "owner": recruiters[index % len(recruiters)]["id"],
                "hiringManager": None,
                "tags": [],
            }
        self.known_tags = list(TAGS)
