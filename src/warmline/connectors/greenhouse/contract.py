"""What the contract suite needs to know of Greenhouse: fixtures, signature, simulator."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from warmline.connectors.greenhouse.connector import Greenhouse
from warmline.core.actions import Action, ActionKind, TagChange
from warmline.ports import Channel, Received
from warmline.sandbox.serve import Sandbox
from warmline.testing.contract import (
    Clock,
    Harness,
    Listing,
    Parsing,
    Place,
    Sample,
    Signing,
    fixtures,
    webhook,
)
from warmline.testing.contract.harness import START

PER_PAGE = 3
OURS = ("active_applicant", "silver_medalist", "passive_lead", "archived")
SAID = {
    "click_date": "2026-03-01T14:02:00Z",
    "email_subject": "What is open here now",
    "link_url": "https://careers.example.com/jobs/7",
}
FIELDS = {
    "click_date": "reengaged_on",
    "email_subject": "reengaged_subject",
    "link_url": "reengaged_link",
}


def harness() -> Harness:
    return Harness(
        build=lambda options, timeout_s: Greenhouse(options, timeout_s=timeout_s),
        secrets={
            "client_id": "canary-client-8Qz",
            "client_secret": "canary-client-secret-41xZ",
            "webhook_secret": "canary-webhook-secret-7Rk",
        },
        signing=Signing(_signed, secret="webhook_secret", headers=("signature",)),
        parsing=Parsing(
            _deliveries, unknown=("unknown_action", "polled/interviews_unknown_status")
        ),
        place=_place,
        exempt={
            "an_old_delivery_is_refused": "Greenhouse signs no time; an event's key holds its own",
        },
    )


def _signed(body: bytes, secret: str, at: datetime) -> Received:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return webhook(body, {"signature": f"sha256 {signature}", "greenhouse-event-id": "ev-1"})


def _deliveries(folder: Path) -> Mapping[str, Received]:
    found = {}
    for name, body in fixtures(folder):
        if name.startswith("polled/"):
            stream = name.removeprefix("polled/").partition("_")[0]
            found[name] = Received(Channel.POLL, body, START, stream=stream)
        else:
            found[name] = webhook(body, {"greenhouse-event-id": "ev-1"})
    return found


@contextmanager
def _place(clock: Clock) -> Iterator[Place]:
    with Sandbox(now=clock, background=False) as box:
        account = box.greenhouse
        account.rate_limit = 10_000
        account.client_secret = "canary-client-secret-41xZ"
        for name, kind in zip(FIELDS.values(), ("date", "short_text", "url"), strict=True):
            account.add_custom_field(name, name, kind)
        user = box.addresses()["greenhouse"]["user_id"]
        company = _Company(box, clock)
        yield Place(
            url=box.greenhouse_url,
            settings=lambda url: {
                "base_url": f"{url}/v3",
                "token_url": f"{url}/token",
                "user_id": user,
                "per_page": PER_PAGE,
                "fields": FIELDS,
            },
            secrets={"client_id": account.client_id, "client_secret": account.client_secret},
            # A token too many does no harm, and a tag is looked for in the list before it is made.
            harmless=("/token", "/introspect", "/v3/candidate_tags"),
            samples={
                ActionKind.CANDIDATE_TAG: company.sample(company.tag, company.is_tagged),
                ActionKind.CANDIDATE_FLAG: company.sample(company.flag, company.is_flagged),
                ActionKind.CANDIDATE_DO_NOT_CONTACT: company.sample(
                    company.no_contact, company.is_not_to_be_contacted
                ),
            },
            listing=Listing(
                company.fill,
                PER_PAGE,
                streams=("candidates", "applications", "interviews", "scorecards"),
            ),
            limit=company.limit,
            records=lambda: ([*company.people(2), "999999"], ("name",)),
            known=lambda: dict.fromkeys(company.people(2), ()),
        )


class _Company:
    """The simulated account, and what the suite asks of it."""

    def __init__(self, box: Sandbox, clock: Clock) -> None:
        self._account = box.greenhouse
        self._clock = clock
        self._keys = (f"contract-{number}" for number in count(1))

    def sample(self, make: Any, holds: Any) -> Sample:
        return Sample(make, holds, self.picture, self.undo)

    def people(self, number: int) -> list[str]:
        """Ids of new candidates, who carry a tag of a recruiter's and one of ours."""
        tags = ("Python", "passive_lead")
        made = (self._account.apply(tags=tags) for _ in range(number))
        return [str(one["candidate_id"]) for one in made]

    def tag(self) -> Action:
        (record,) = self.people(1)
        others = tuple(name for name in OURS if name != "archived")
        return self._action(ActionKind.CANDIDATE_TAG, tags=TagChange((record,), "archived", others))

    def flag(self) -> Action:
        return self._action(ActionKind.CANDIDATE_FLAG, fields=SAID, records=tuple(self.people(1)))

    def no_contact(self) -> Action:
        return self._action(
            ActionKind.CANDIDATE_DO_NOT_CONTACT,
            fields={"unsubscribe_date": "2026-03-01"},
            records=tuple(self.people(1)),
        )

    def is_tagged(self, action: Action) -> bool:
        return bool(self._row(action)["tags"] == ["Python", "archived"])

    def is_flagged(self, action: Action) -> bool:
        row = self._row(action)
        held = {name: row["custom_fields"][key]["value"] for name, key in FIELDS.items()}
        wanted = {**SAID, "click_date": SAID["click_date"][:10]}
        return "warmline:re-engaged" in row["tags"] and held == wanted and self._notes(action) > 0

    def is_not_to_be_contacted(self, action: Action) -> bool:
        row = self._row(action)
        marked = "do-not-contact" in row["tags"] and row["can_email"] is False
        return marked and self._notes(action) > 0

    def picture(self, action: Action) -> object:
        row = self._row(action)
        held = {key: row["custom_fields"][key]["value"] for key in FIELDS.values()}
        return {**held, "tags": sorted(row["tags"]), "can_email": row["can_email"],
                "notes": self._notes(action)}  # fmt: skip

    def undo(self, action: Action) -> None:
        """A recruiter takes the tags and the note off."""
        number, notes = self._row(action)["id"], self._account.world.notes
        self._account.update_candidate(number, tags=["Python"])
        for note in [one for one in notes.rows.values() if one["candidate_id"] == number]:
            notes.remove(note["id"])

    def fill(self, number: int) -> None:
        """So many candidates, each with an application, an interview and feedback on it."""
        for _ in range(number):
            application = self._account.apply(tags=["Python"])
            starts_at = self._clock() + timedelta(days=1)
            ends_at = starts_at + timedelta(hours=1)
            interview = self._account.schedule_interview(application["id"], starts_at, ends_at)
            self._account.submit_scorecard(application["id"], interview_id=interview["id"])

    def limit(self, calls: int) -> None:
        self._account.rate_limit = calls

    def _action(self, kind: ActionKind, **more: Any) -> Action:
        return Action(key=next(self._keys), kind=kind, candidate_id=1, **more)

    def _row(self, action: Action) -> dict[str, Any]:
        (record,) = action.tags.records if action.tags else action.records
        found: dict[str, Any] = self._account.world.candidates.get(int(record))
        return found

    def _notes(self, action: Action) -> int:
        rows = self._account.world.notes.rows.values()
        return sum(row["candidate_id"] == self._row(action)["id"] for row in rows)
