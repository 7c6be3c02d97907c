"""What is inside the simulated Greenhouse: its tables, and the changes that keep them in step.

Nothing here knows HTTP or webhooks. The caller holds `World.lock` over each change.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from warmline.sandbox.clock import Now, iso_ms, parse_iso
from warmline.sandbox.greenhouse.tables import InvalidError, Row, Table
from warmline.sandbox.greenhouse.tagging import Tagging
from warmline.sandbox.people import SOURCES

# Collections in a PATCH replace what was there (card A1).
CANDIDATE_FIELDS = frozenset(
    (
        "first_name", "last_name", "preferred_name", "company", "title", "can_email", "private",
        "is_private", "tags", "email_addresses", "phone_numbers", "addresses",
        "website_addresses", "social_media_addresses", "custom_fields", "recruiter_id",
        "coordinator_id", "external_id",
    )
)  # fmt: skip
# Lists of {value, type}; a profile page has no type.
VALUED = (
    "email_addresses",
    "phone_numbers",
    "addresses",
    "website_addresses",
    "social_media_addresses",
)


def candidate_fields(given: Mapping[str, Any], tags: Sequence[str] | None) -> Row:
    """The v3 fields of an invented person (`people.Person`, or some of its fields)."""
    row: Row = {
        "first_name": given.get("first_name", ""),
        "last_name": given.get("last_name", ""),
        "company": given.get("company"),
        "title": given.get("title"),
        "tags": list(tags if tags is not None else given.get("tags", ())),
    }
    for name, column, kind in (
        ("email", "email_addresses", "personal"),
        ("phone", "phone_numbers", "mobile"),
        ("city", "addresses", "home"),
    ):
        if value := given.get(name):
            row[column] = [{"value": value, "type": kind}]
    if link := given.get("link"):
        row["social_media_addresses"] = [{"value": link}]
    return row


class World:
    """The tables of one company."""

    def __init__(self, now: Now, rng: random.Random) -> None:
        """Empty tables; `seed` fills in what a company has before anybody applies."""
        self.lock = threading.RLock()
        self.now = now
        self.rng = rng
        self.tables: dict[str, Table] = {
            "candidates": Table(50_001),
            "applications": Table(70_001, ("candidate_id", "job_id")),
            "application_stages": Table(90_001, ("application_id",)),
            "jobs": Table(4_001),
            "job_interview_stages": Table(41_001, ("job_id",)),
            "interviews": Table(31_001, ("application_id",)),
            "interviewers": Table(32_001, ("interview_id",)),
            "scorecards": Table(33_001, ("application_id", "candidate_id")),
            "users": Table(101),
            "rejection_reasons": Table(14),
            "rejection_details": Table(34_001, ("application_id",)),
            "custom_fields": Table(801),
            "custom_field_options": Table(8_001, ("custom_field_id",)),
            "candidate_tags": Table(601),
            "applied_candidate_tags": Table(60_001, ("candidate_id",)),
            "notes": Table(35_001, ("application_id", "candidate_id")),
            "departments": Table(201),
            "offices": Table(301),
        }
        self.tagging = Tagging(self)
        # What the API was told: ("patches" or "notes", candidate id) → how often.
        self.writes: Counter[tuple[str, int]] = Counter()
        # The vendor's documents do not say whether a PATCH empties the custom fields that it does
        # not name. They stay, unless a test wants it otherwise.
        self.custom_fields_replace = False
        # Candidates whom the acting user does not see: those of confidential jobs.
        self.hidden: set[int] = set()
        self.open_interviews: set[int] = set()
        self._by_email: dict[str, dict[int, None]] = {}
        self._fields: dict[str, Row] = {}

    def __getattr__(self, name: str) -> Table:
        """`world.candidates` for `world.tables["candidates"]`."""
        tables: dict[str, Table] = self.__dict__.get("tables", {})
        if name not in tables:
            raise AttributeError(name)
        return tables[name]

    @contextmanager
    def at(self, moment: datetime) -> Iterator[None]:
        """Within it, what is changed was changed then. The caller holds the lock."""
        now, self.now = self.now, lambda: moment
        try:
            yield
        finally:
            self.now = now

    def stamp(self) -> str:
        """Now, as rows hold it."""
        return iso_ms(self.now())

    def add(self, table: str, row: Row) -> Row:
        """A new row with its two stamps."""
        at = self.stamp()
        return self.tables[table].add({**row, "created_at": at, "updated_at": at})

    def touch(self, *rows: Row) -> None:
        """Note that the rows have changed."""
        at = self.stamp()
        for row in rows:
            row["updated_at"] = at
            if "last_activity_at" in row:
                row["last_activity_at"] = at

    def by_email(self, email: str) -> list[Row]:
        """The candidates with that address, whatever its case."""
        ids = self._by_email.get(email.strip().lower(), {})
        return [self.candidates.rows[i] for i in ids]

    def staff(self, role: str) -> list[Row]:
        """Users by role: admin, recruiter or interviewer."""
        return [row for row in self.users.rows.values() if row["role"] == role]

    # Candidates

    def add_candidate(self, fields: Mapping[str, Any]) -> Row:
        """A new candidate of the given v3 fields."""
        recruiter = self.rng.choice(self.staff("recruiter"))
        row = self.add(
            "candidates",
            {
                "first_name": "",
                "last_name": "",
                "preferred_name": None,
                "company": None,
                "title": None,
                "external_id": None,
                "private": False,
                "can_email": True,
                "tags": [],
                "email_addresses": [],
                "phone_numbers": [],
                "addresses": [],
                "website_addresses": [],
                "social_media_addresses": [],
                "custom_fields": self._empty_fields(),
                "recruiter_id": recruiter["id"],
                "coordinator_id": None,
                "last_activity_at": self.stamp(),
            },
        )
        self.change_candidate(row, fields)
        return row

    def change_candidate(self, row: Row, fields: Mapping[str, Any]) -> None:
        """Write v3 fields; collections replace. Raises InvalidError before anything is changed."""
        fields = {k: v for k, v in fields.items() if k not in {"application", "applications"}}
        if unknown := sorted(set(fields) - CANDIDATE_FIELDS):
            raise InvalidError(unknown[0], "is not an attribute of a candidate")
        for name in VALUED:
            for item in fields.get(name, ()):
                if not isinstance(item, dict) or not item.get("value"):
                    raise InvalidError(name, "must be a list of {value, type}")
        values = self._field_values(fields.get("custom_fields") or [])
        for name in set(fields) - {"custom_fields", "tags", "is_private", "email_addresses"}:
            row[name] = fields[name]
        if "is_private" in fields:
            row["private"] = bool(fields["is_private"])
        if "email_addresses" in fields:
            self._set_emails(row, fields["email_addresses"])
        if "tags" in fields:
            self.tagging.replace(row, fields["tags"])
        if self.custom_fields_replace and values:
            row["custom_fields"] = self._empty_fields()
        for key, value in values.items():
            row["custom_fields"][key] = {**row["custom_fields"][key], "value": value}
        self.touch(row)

    def remove_candidate(self, row: Row) -> list[int]:
        """Drop a candidate and all that hangs on them; returns the ids of the applications."""
        gone = [app["id"] for app in self.applications.where("candidate_id", row["id"])]
        for app_id in gone:
            for interview in self.interviews.where("application_id", app_id):
                self.remove_interview(interview)
            for name in ("application_stages", "scorecards", "rejection_details", "notes"):
                self._remove_where(name, "application_id", app_id)
            self.applications.remove(app_id)
        self._remove_where("applied_candidate_tags", "candidate_id", row["id"])
        self._remove_where("notes", "candidate_id", row["id"])
        self._set_emails(row, [])
        self.candidates.remove(row["id"])
        return gone

    def absorb(self, primary: Row, duplicate: Row) -> None:
        """Merge: what the duplicate has goes to the primary, and the duplicate is gone."""
        for name in ("applications", "scorecards", "notes"):
            for row in self.tables[name].where("candidate_id", duplicate["id"]):
                self.tables[name].move(row, "candidate_id", primary["id"])
                self.touch(row)
        for name in VALUED:
            have = {item["value"].lower() for item in primary[name]}
            extra = [i for i in duplicate[name] if i["value"].lower() not in have]
            if name == "email_addresses":
                self._set_emails(primary, [*primary[name], *extra])
            else:
                primary[name] = [*primary[name], *extra]
        self.tagging.replace(primary, [*primary["tags"], *duplicate["tags"]])
        self.remove_candidate(duplicate)
        self.touch(primary)

    # Applications

    def add_application(
        self, candidate: Row, job_id: int | None, source: str = "", prospect: bool = False
    ) -> Row:
        """A candidacy in its job's first stage, or a prospect without one."""
        source_id = SOURCES.index(source) + 1 if source in SOURCES else 1
        row = self.add(
            "applications",
            {
                "candidate_id": candidate["id"],
                "job_id": job_id,
                "job_post_id": None if job_id is None else job_id + 550_000,
                "prospect": prospect,
                "status": "in_process",
                "stage_id": None,
                "stage_name": None,
                "job_interview_stage_id": None,
                "applied_at": self.stamp(),
                "rejected_at": None,
                "source_id": source_id,
                "last_activity_at": self.stamp(),
                "custom_fields": {},
            },
        )
        if job_id is not None and not prospect:
            self.enter_stage(row, self.job_interview_stages.where("job_id", job_id)[0])
        self.touch(candidate)
        return row

    def enter_stage(self, application: Row, stage: Row) -> None:
        """Move to a stage of the application's job, closing the one before."""
        if stage["job_id"] != application["job_id"]:
            raise InvalidError("to_stage_id", "is not a stage of this application's job")
        at = self.stamp()
        for past in self.application_stages.where("application_id", application["id"]):
            if past["current"]:
                entered = parse_iso(past["entered_at"])
                days = (self.now() - entered).days
                past.update(current=False, exited_at=at, days_in_stage=days)
                self.touch(past)
        entry = self.add(
            "application_stages",
            {
                "application_id": application["id"],
                "job_interview_stage_id": stage["id"],
                "entered_at": at,
                "exited_at": None,
                "current": True,
                "days_in_stage": 0,
            },
        )
        # stage_id is the instance of the stage; the job's stage is the undocumented third one.
        application["stage_id"] = entry["id"]
        application["stage_name"] = stage["name"]
        application["job_interview_stage_id"] = stage["id"]
        self.touch(application, self.candidates.get(application["candidate_id"]))

    def stage_of(self, application: Row, stage: int | str) -> Row:
        """A stage of the application's job by id or name. Raises LookupError."""
        stages = self.job_interview_stages.where("job_id", application["job_id"])
        for row in stages:
            if stage in (row["id"], row["name"]):
                return row
        names = ", ".join(row["name"] for row in stages)
        raise LookupError(f"Job {application['job_id']} has no stage {stage!r}; it has {names}.")

    def clear_rejection(self, application: Row) -> None:
        """Take a rejection back."""
        self._remove_where("rejection_details", "application_id", application["id"])
        application.update(status="in_process", rejected_at=None)
        self.touch(application, self.candidates.get(application["candidate_id"]))

    # Interviews

    def remove_interview(self, interview: Row) -> None:
        """Drop an interview and its interviewers."""
        self._remove_where("interviewers", "interview_id", interview["id"])
        self.open_interviews.discard(interview["id"])
        self.interviews.remove(interview["id"])

    def settle_interviews(self) -> None:
        """An interview whose end has passed awaits feedback."""
        at = self.stamp()
        for interview_id in list(self.open_interviews):
            row = self.interviews.rows[interview_id]
            if row["ends_at"] <= at:
                row.update(status="awaiting_feedback", updated_at=row["ends_at"])
                self.open_interviews.discard(interview_id)

    # Custom fields

    def add_custom_field(
        self,
        name_key: str,
        name: str,
        value_type: str,
        options: Iterable[str] = (),
        field_type: str = "candidate",
    ) -> Row:
        """Define a field; candidates have it from then on, empty."""
        row = self.add(
            "custom_fields",
            {
                "name_key": name_key,
                "name": name,
                "value_type": value_type,
                "field_type": field_type,
                "active": True,
                "private": False,
                "required": False,
            },
        )
        for option in options:
            self.add(
                "custom_field_options",
                {"custom_field_id": row["id"], "name": option, "active": True},
            )
        if field_type == "candidate":
            self._fields[name_key] = row
            for candidate in self.candidates.rows.values():
                candidate["custom_fields"].setdefault(name_key, self._empty_field(row))
        return row

    def _empty_fields(self) -> dict[str, Row]:
        return {key: self._empty_field(row) for key, row in self._fields.items()}

    @staticmethod
    def _empty_field(row: Row) -> Row:
        return {"name": row["name"], "type": row["value_type"], "value": None}

    def _field_values(self, written: Any) -> dict[str, Any]:
        """`[{name_key|id, value}]` or `{name_key: value}`, checked, as name_key to value."""
        if isinstance(written, dict):
            written = [{"name_key": key, "value": value} for key, value in written.items()]
        by_id = {row["id"]: key for key, row in self._fields.items()}
        values: dict[str, Any] = {}
        for item in written:
            if not isinstance(item, dict):
                raise InvalidError("custom_fields", "must be a list of {name_key, value}")
            key = item.get("name_key") or by_id.get(item.get("id", 0))
            if key not in self._fields:
                raise InvalidError("custom_fields", f"there is no candidate field {key!r}")
            deleted = str(item.get("delete_value", "")).lower() == "true"
            values[key] = None if deleted else self._checked(self._fields[key], item.get("value"))
        return values

    def _checked(self, definition: Row, value: Any) -> Any:
        kind, key = definition["value_type"], definition["name_key"]
        if value is None:
            return None
        if kind == "yes_no" and not isinstance(value, bool):
            raise InvalidError("custom_fields", f"{key} takes true or false")
        if kind == "date":
            try:
                datetime.strptime(str(value), "%Y-%m-%d")  # noqa: DTZ007
            except ValueError as bad:
                raise InvalidError("custom_fields", f"{key} takes a date like 2026-01-31") from bad
        if kind in {"short_text", "long_text", "url"} and not isinstance(value, str):
            raise InvalidError("custom_fields", f"{key} takes text")
        if kind == "single_select":
            for option in self.custom_field_options.where("custom_field_id", definition["id"]):
                if value in (option["id"], option["name"]):
                    return option["name"]
            raise InvalidError("custom_fields", f"{key} has no option {value!r}")
        return value

    # Inside

    def _set_emails(self, row: Row, emails: Sequence[Row]) -> None:
        for old in row["email_addresses"]:
            self._by_email.get(old["value"].lower(), {}).pop(row["id"], None)
        row["email_addresses"] = [
            {"value": item["value"], "type": item.get("type") or "personal"} for item in emails
        ]
        for new in row["email_addresses"]:
            self._by_email.setdefault(new["value"].lower(), {})[row["id"]] = None

    def _remove_where(self, table: str, column: str, value: int) -> None:
        for row in self.tables[table].where(column, value):
            self.tables[table].remove(row["id"])
