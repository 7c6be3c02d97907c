"""The simulated Greenhouse: what people do in it, and the webhooks that follow."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from warmline.sandbox.clock import Now, iso_ms, parse_iso, utc_now
from warmline.sandbox.control import CallError
from warmline.sandbox.faults import FaultPlan
from warmline.sandbox.front import RequestLog
from warmline.sandbox.greenhouse import history, payloads
from warmline.sandbox.greenhouse.hooks import Hooks
from warmline.sandbox.greenhouse.seed import seed
from warmline.sandbox.greenhouse.tables import Row
from warmline.sandbox.greenhouse.world import World, candidate_fields
from warmline.sandbox.people import People, Person

# Not secrets: they open nothing but this simulator.
CLIENT_ID = "sandbox-client"
CLIENT_SECRET = "sandbox-client-secret"
ANONYMISED: dict[str, Row] = {
    # the vendor's word -> the candidate's columns and what they become
    "full_name": {"first_name": "(anonymized)", "last_name": "(anonymized)"},
    "current_company": {"company": None},
    "current_title": {"title": None},
    "emails": {"email_addresses": []},
    "phone_numbers": {"phone_numbers": []},
    "addresses": {"addresses": []},
    "websites": {"website_addresses": []},
    "social_media_links": {"social_media_addresses": []},
    "tags": {"tags": []},
}
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
VERBS = (
    "apply", "add_prospect", "move", "schedule_interview", "reschedule_interview",
    "cancel_interview", "submit_scorecard", "reject", "unreject", "hire", "update_candidate",
    "merge", "delete_candidate", "anonymize", "add_custom_field", "add_history",
    "add_strangers",
)  # fmt: skip


class Greenhouse(Hooks):
    """One company's account. Every verb changes its world and sends the webhooks that follow."""

    def __init__(
        self,
        *,
        now: Now = utc_now,
        rng: random.Random | None = None,
        client_id: str = CLIENT_ID,
        client_secret: str = CLIENT_SECRET,
        rate_limit: int = 75,
        token_s: int = 3600,
        scopes: Sequence[str] | None = None,
    ) -> None:
        """`rate_limit` is calls a 30-second window; `scopes` None is every scope.

        `sees_private`, an attribute, is the acting user's right: without it a private candidate is
        listed as a stub and may not be changed. `meanwhile` is what colleagues do right after a
        call was answered, by `<method> <resource>`: the first of the list, once each. `terse`: a
        PATCH is answered 204, as some of the vendor's writes are, and not with the candidate."""
        rng = rng or random.Random(0)
        super().__init__(now, rng)
        self.now = now
        self.client_id = client_id
        self.client_secret = client_secret
        self.rate_limit = rate_limit
        self.token_s = token_s
        self.scopes = None if scopes is None else frozenset(scopes)
        self.sees_private = True
        self.terse = False
        self.meanwhile: dict[str, list[Callable[[], Any]]] = {}
        self.world = World(now, random.Random(rng.randrange(2**31)))
        seed(self.world)
        self.people = People(random.Random(rng.randrange(2**31)))
        self.faults = FaultPlan(seed=rng.randrange(2**31))
        self.log = RequestLog(now)
        self.closing = threading.Event()

    # What applicants and recruiters do

    def apply(
        self,
        person: Person | Mapping[str, Any] | None = None,
        job_id: int | None = None,
        *,
        candidate_id: int | None = None,
        source: str = "",
        tags: Sequence[str] | None = None,
    ) -> Row:
        """Someone applies to a job (any, when none is named): someone new, or `candidate_id`."""
        with self.world.lock:
            job_id = self._open_job(job_id)
            candidate = self._candidate_for(person, candidate_id, tags)
            application = self.world.add_application(candidate, job_id, source)
            return self._told("new_candidate_application", application)

    def add_prospect(
        self,
        person: Person | Mapping[str, Any] | None = None,
        job_id: int | None = None,
        *,
        tags: Sequence[str] | None = None,
    ) -> Row:
        """A recruiter adds someone who has not applied, with or without a job in mind."""
        with self.world.lock:
            if job_id is not None:
                self._open_job(job_id)
            candidate = self._candidate_for(person, None, tags)
            application = self.world.add_application(candidate, job_id, "Referral", prospect=True)
            return self._told("new_prospect_application", application)

    def move(self, application_id: int, stage: int | str) -> Row:
        """Move to another stage of the same job, by name or id."""
        with self.world.lock:
            application = self._in_process(application_id)
            self.world.enter_stage(application, self.world.stage_of(application, stage))
            return self._told("candidate_stage_change", application)

    def reject(self, application_id: int, reason: int | str | None = None, notes: str = "") -> Row:
        """Reject, for a reason by id or name (the first one when none is given)."""
        with self.world.lock:
            application = self._in_process(application_id)
            reasons = self.world.rejection_reasons.rows
            found = [r for r in reasons.values() if reason in (None, r["id"], r["name"])]
            if not found:
                raise CallError(f"There is no rejection reason {reason!r}.")
            note_id = self.add_note(application, notes)["id"] if notes else None
            at = self.world.stamp()
            self.world.add(
                "rejection_details",
                {
                    "application_id": application_id,
                    "rejection_reason_id": found[0]["id"],
                    "rejected_at": at,
                    "rejected_by_id": self.world.staff("recruiter")[0]["id"],
                    "rejection_note_id": note_id,
                },
            )
            application.update(status="rejected", rejected_at=at)
            self._touch(application)
            return self._told("reject_candidate", application)

    def unreject(self, application_id: int) -> Row:
        """Take a rejection back."""
        with self.world.lock:
            application = self.world.applications.get(application_id)
            if application["status"] != "rejected":
                raise CallError(f"Application {application_id} is not rejected.")
            self.world.clear_rejection(application)
            return self._told("unreject_candidate", application)

    def hire(self, application_id: int, starts_at: str = "") -> Row:
        """Hire; `starts_at` is the first day, a date."""
        with self.world.lock:
            application = self._in_process(application_id)
            application.update(status="hired", starts_at=starts_at or None)
            self._touch(application)
            return self._told("hire_candidate", application)

    def schedule_interview(
        self,
        application_id: int,
        starts_at: datetime | str,
        ends_at: datetime | str,
        interviewers: Sequence[int] | None = None,
        location: str = "",
    ) -> Row:
        """Put an interview into calendars. The vendor sends no webhook for it."""
        with self.world.lock:
            application = self._in_process(application_id)
            users = list(interviewers or [self.world.staff("interviewer")[0]["id"]])
            for user_id in users:
                self.world.users.get(user_id)
            interview = self.world.add(
                "interviews",
                {
                    "application_id": application_id,
                    "candidate_id": application["candidate_id"],
                    "job_interview_id": (application["job_interview_stage_id"] or 0) + 200_000,
                    "job_interview_stage_id": application["job_interview_stage_id"],
                    "starts_at": _stamp(starts_at),
                    "ends_at": _stamp(ends_at),
                    "all_day_start_on": None,
                    "all_day_end_on": None,
                    "status": "scheduled",
                    "organizer_id": self.world.staff("recruiter")[0]["id"],
                    "location": location,
                    "video_conferencing_url": location if location.startswith("http") else None,
                    "external_event_id": f"event-{self.world.rng.randrange(10**9)}",
                },
            )
            for user_id in users:
                fields = {"interview_id": interview["id"], "user_id": user_id}
                extra = {"response_status": "accepted", "scorecard_id": None}
                self.world.add("interviewers", {**fields, **extra})
            self.world.open_interviews.add(interview["id"])
            self._touch(application)
            return dict(interview)

    def reschedule_interview(
        self, interview_id: int, starts_at: datetime | str, ends_at: datetime | str
    ) -> Row:
        """Move an interview to another time. No webhook."""
        with self.world.lock:
            interview = self.world.interviews.get(interview_id)
            interview.update(starts_at=_stamp(starts_at), ends_at=_stamp(ends_at))
            interview["status"] = "scheduled"
            self.world.open_interviews.add(interview_id)
            self.world.touch(interview)
            return dict(interview)

    def cancel_interview(self, interview_id: int) -> Row:
        """Delete an interview."""
        with self.world.lock:
            interview = self.world.interviews.get(interview_id)
            self.world.remove_interview(interview)
            self._emit("interview_deleted", {"interview": {"id": interview_id}})
            return dict(interview)

    def submit_scorecard(
        self,
        application_id: int,
        rating: str = "yes",
        submitter_id: int | None = None,
        interview_id: int | None = None,
        status: str = "complete",
    ) -> Row:
        """An interviewer hands in feedback. The vendor sends no webhook for it."""
        if rating not in {"strong_no", "no", "yes", "strong_yes", "no_decision"}:
            raise CallError(f"There is no rating {rating!r}.")
        with self.world.lock:
            application = self.world.applications.get(application_id)
            held = self.world.interviews.where("application_id", application_id)
            if interview_id is None and held:
                interview_id = held[-1]["id"]
            panel = []
            if interview_id is not None:
                panel = self.world.interviewers.where("interview_id", interview_id)
            if submitter_id is None:
                waiting = [row for row in panel if row["scorecard_id"] is None] or panel
                staff = self.world.staff("interviewer")
                submitter_id = waiting[0]["user_id"] if waiting else staff[0]["id"]
            interview = self.world.interviews.rows.get(interview_id or 0)
            at = self.world.stamp()
            scorecard = self.world.add(
                "scorecards",
                {
                    "application_id": application_id,
                    "candidate_id": application["candidate_id"],
                    "interview_id": interview_id,
                    "candidate_rating": rating,
                    "status": status,
                    "submitted_at": at if status == "complete" else None,
                    "interviewed_at": interview["starts_at"] if interview else at,
                    "submitter_id": submitter_id,
                },
            )
            for row in panel:
                if row["user_id"] == submitter_id and status == "complete":
                    row["scorecard_id"] = scorecard["id"]
                    self.world.touch(row)
            if interview and panel and all(row["scorecard_id"] for row in panel):
                interview["status"] = "complete"
                self.world.open_interviews.discard(interview["id"])
                self.world.touch(interview)
            self._touch(application)
            return dict(scorecard)

    def update_candidate(self, candidate_id: int, **fields: Any) -> Row:
        """Change a candidate; collections replace."""
        with self.world.lock:
            candidate = self.world.candidates.get(candidate_id)
            self.world.change_candidate(candidate, fields)
            payload = {"candidate": payloads.candidate(self.world, candidate)}
            self._emit("update_candidate", payload)
            return dict(candidate)

    def merge(self, primary_id: int, duplicate_id: int) -> Row:
        """Merge the duplicate into the primary; the duplicate's id is gone."""
        with self.world.lock:
            primary = self.world.candidates.get(primary_id)
            duplicate = self.world.candidates.get(duplicate_id)
            if primary is duplicate:
                raise CallError("A candidate cannot be merged with themselves.")
            person = payloads.person(duplicate, new_candidate_id=primary_id)
            self.world.absorb(primary, duplicate)
            self._emit("merge_candidate", {"person": person})
            return dict(primary)

    def delete_candidate(self, candidate_id: int) -> Row:
        """Delete a candidate with all applications; one webhook for all of it."""
        with self.world.lock:
            candidate = self.world.candidates.get(candidate_id)
            gone = dict(candidate)
            deleted = self.world.remove_candidate(candidate)
            person = payloads.person(gone, deleted_application_ids=deleted)
            self._emit("delete_candidate", {"person": person})
            return {"id": candidate_id, "deleted_application_ids": deleted}

    def anonymize(self, candidate_id: int, fields: Sequence[str] | None = None) -> Row:
        """Blank the named fields (all known ones when none is named)."""
        names = list(fields or ANONYMISED)
        if unknown := [name for name in names if name not in ANONYMISED]:
            raise CallError(f"Cannot anonymize {unknown[0]!r}; known: {', '.join(ANONYMISED)}.")
        with self.world.lock:
            candidate = self.world.candidates.get(candidate_id)
            blank = {key: value for name in names for key, value in ANONYMISED[name].items()}
            self.world.change_candidate(candidate, blank)
            payload = {"candidate_id": candidate_id, "anonymized_fields": names}
            self._emit("candidate_anonymized", payload)
            return dict(candidate)

    def add_history(self, number: int, seed: int = 0) -> list[Row]:
        """So many candidates with a past, in every state, some years back; no webhooks. Answers
        with `candidate_id` and `past` (a key of `history.PASTS`) of each."""
        with self.world.lock, self.muted():
            return history.fill(self, number, random.Random(seed))

    def add_strangers(self, number: int) -> int:
        """So many candidates of long ago of whom nothing is known, under the next ids; no webhooks.
        For a sender that makes up webhooks of its own: here is whom they are about."""
        with self.world.lock, self.muted(), self.world.at(LONG_AGO):
            for _ in range(number):
                self.world.add_candidate({})
        return number

    def add_custom_field(
        self, name_key: str, name: str, value_type: str, options: Sequence[str] = ()
    ) -> Row:
        """Define one more candidate field."""
        with self.world.lock:
            return dict(self.world.add_custom_field(name_key, name, value_type, options))

    def add_note(
        self,
        application: Row | None,
        body: str,
        *,
        candidate_id: int | None = None,
        user_id: int | None = None,
        visibility: str = "admin_only",
        note_type: str = "NOTE",
    ) -> Row:
        """Write a note; lists show its visibility under another name (card A1)."""
        shown = {"private": "privately_visible", "public": "publicly_visible"}
        with self.world.lock:
            return self.world.add(
                "notes",
                {
                    "candidate_id": application["candidate_id"] if application else candidate_id,
                    "application_id": application["id"] if application else None,
                    "user_id": user_id or self.world.staff("admin")[0]["id"],
                    "body": body,
                    "visibility": shown.get(visibility, "admin_only_visible"),
                    "type": note_type,
                },
            )

    def verbs(self) -> dict[str, Callable[..., Any]]:
        """What `/_control/do/<verb>` offers."""
        return {name: getattr(self, name) for name in VERBS}

    # The whole

    def may_see(self, candidate_id: int) -> bool:
        """Whether the acting user sees more of the candidate than a stub."""
        if candidate_id in self.world.hidden:
            return False
        return self.sees_private or not self.world.candidates.get(candidate_id)["private"]

    def answered(self, method: str, resource: str) -> None:
        """A call was answered: let a colleague act."""
        with self.world.lock:
            acts = self.meanwhile.get(f"{method} {resource}")
            act = acts.pop(0) if acts else None
        if act is not None:
            act()

    def tag_writes(self) -> list[Row]:
        """How often the API was told to put each tag on each candidate, and to take it off."""
        with self.world.lock:
            return self.world.tagging.counts()

    def candidate_writes(self) -> list[Row]:
        """How often the API was told to change each candidate, and to write a note on one."""
        with self.world.lock:
            writes = self.world.writes
            return [
                {
                    "candidate_id": candidate_id,
                    "patches": writes["patches", candidate_id],
                    "notes": writes["notes", candidate_id],
                }
                for candidate_id in sorted({candidate_id for _, candidate_id in writes})
            ]

    def application_payload(self, application_id: int) -> Row:
        """`payload` of an application event as it would be sent now."""
        with self.world.lock:
            application = self.world.applications.get(application_id)
            return {"application": payloads.application(self.world, application)}

    def state(self) -> dict[str, Any]:
        """Counts for the control API."""
        with self.world.lock:
            counts = {name: len(table) for name, table in self.world.tables.items()}
        return {"vendor": "greenhouse", "counts": counts, "webhooks": self.outbox.state()}

    def close(self) -> None:
        """Stop deliveries and let every hanging fault go."""
        self.closing.set()
        self.outbox.close()

    # Inside

    def _told(self, action: str, application: Row) -> Row:
        self._emit(action, {"application": payloads.application(self.world, application)})
        return dict(application)

    def _touch(self, application: Row) -> None:
        self.world.touch(application, self.world.candidates.get(application["candidate_id"]))

    def _in_process(self, application_id: int) -> Row:
        application = self.world.applications.get(application_id)
        if application["status"] != "in_process":
            raise CallError(f"Application {application_id} is {application['status']}.")
        return application

    def _open_job(self, job_id: int | None) -> int:
        if job_id is None:
            return int(self.world.rng.choice(list(self.world.jobs.rows)))
        self.world.jobs.get(job_id)
        return job_id

    def _candidate_for(
        self,
        person: Person | Mapping[str, Any] | None,
        candidate_id: int | None,
        tags: Sequence[str] | None,
    ) -> Row:
        if candidate_id is not None:
            return self.world.candidates.get(candidate_id)
        given = person if person is not None else self.people.applicant()
        fields: Mapping[str, Any] = asdict(given) if isinstance(given, Person) else given
        return self.world.add_candidate(candidate_fields(fields, tags))


def _stamp(moment: datetime | str) -> str:
    return iso_ms(moment if isinstance(moment, datetime) else parse_iso(moment))
