"""What the contract suite must know of Greenhouse: how it signs, and the simulated account."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from warmline.connectors.greenhouse.connector import EVENT_ID, SIGNATURE, Greenhouse
from warmline.core.actions import Action, ActionKind, TagChange
from warmline.kit.signatures import hmac_sha256
from warmline.ports import Channel, Received
from warmline.sandbox.greenhouse.simulator import Greenhouse as Account
from warmline.sandbox.serve import Sandbox
from warmline.testing.contract import Clock, Harness, Listing, Parsing, Place, Sample, Signing
from warmline.testing.contract import fixtures as every_fixture
from warmline.testing.contract.harness import START, webhook

SECRETS = {
    "client_id": "sandbox-client",
    "client_secret": "sandbox-client-secret",
    "webhook_secret": "canary-webhook-secret-41c7",
}
STREAMS = ("candidates", "applications", "interviews", "scorecards")
FIELDS = {
    "click_date": "reengaged_on",
    "email_subject": "reengaged_subject",
    "link_url": "reengaged_link",
}
SAID = {
    "click_date": "2026-03-01T14:02:00Z",
    "email_subject": "What is open here now",
    "link_url": "https://careers.example.com/jobs/7",
    "unsubscribe_date": "2026-03-01",
}
PAGE = 2
FRESH, OLD, THEIRS = "silver_medalist", "passive_lead", "Python"


def harness() -> Harness:
    return Harness(
        build=lambda options, timeout_s: Greenhouse(options, timeout_s=timeout_s),
        secrets=SECRETS,
        signing=Signing(signed, "webhook_secret", (SIGNATURE,)),
        parsing=Parsing(
            deliveries, unknown=("unknown_action", "polled/applications_unknown_status")
        ),
        place=place,
        exempt={"an_old_delivery_is_refused": "Greenhouse signs no time with its deliveries"},
    )


def signed(body: bytes, secret: str, at: datetime) -> Received:
    headers = {SIGNATURE: f"sha256 {hmac_sha256(secret, body).hex()}", EVENT_ID: "ev-1"}
    return replace(webhook(body, headers), received_at=at)


def deliveries(folder: Path) -> Mapping[str, Received]:
    """Webhooks, and under `polled/` what a poll reads; its name begins with the listing's."""
    return {
        name: Received(Channel.POLL, body, START, stream=name.split("/")[1].partition("_")[0])
        if name.startswith("polled/")
        else webhook(body, {EVENT_ID: "ev-1"})
        for name, body in every_fixture(folder)
    }


@contextmanager
def place(clock: Clock) -> Iterator[Place]:
    with Sandbox(now=clock, background=False, greenhouse_rate=100_000) as box:
        account, numbers = box.greenhouse, count(1)
        admin = account.world.staff("admin")[0]["id"]

        def limit(calls: int) -> None:
            account.rate_limit = calls

        def records() -> tuple[Sequence[str], Collection[str]]:
            there, gone = (str(account.apply()["candidate_id"]) for _ in range(2))
            account.delete_candidate(int(gone))
            return (there, gone, "999999"), ("name",)

        def known() -> Mapping[str, Collection[str]]:
            rows = [account.apply() for _ in range(3)]
            account.delete_candidate(rows[0]["candidate_id"])
            return {str(row["candidate_id"]): (str(row["id"]),) for row in rows}

        yield Place(
            settings=lambda url: {
                "base_url": f"{url}/v3",
                "token_url": f"{url}/token",
                "user_id": admin,
                "fields": FIELDS,
                "per_page": PAGE,
            },
            secrets=SECRETS,
            url=box.greenhouse_url,
            # A tag that is missing is looked up by its name before it is made.
            harmless=("/token", "/candidate_tags"),
            samples=_samples(account, numbers),
            listing=Listing(lambda n: _fill(account, clock, n), PAGE, STREAMS),
            limit=limit,
            records=records,
            known=known,
        )


def _fill(account: Account, clock: Clock, number: int) -> None:
    for _ in range(number):
        application = account.apply()["id"]
        at = clock() + timedelta(days=1)
        interview = account.schedule_interview(application, at, at + timedelta(hours=1))
        account.submit_scorecard(application, interview_id=interview["id"])


def _samples(account: Account, numbers: Iterator[int]) -> Mapping[ActionKind, Sample]:
    candidates, notes = account.world.candidates, account.world.notes

    def row(action: Action) -> dict[str, Any]:
        found: dict[str, Any] = candidates.get(action.candidate_id)
        return found

    def picture(action: Action) -> object:
        one = row(action)
        held = {key: one["custom_fields"][key]["value"] for key in FIELDS.values()}
        bodies = [
            note["body"].partition("[")[0]
            for note in notes.rows.values()
            if note["candidate_id"] == one["id"]
        ]
        return sorted(one["tags"]), one["can_email"], held, bodies

    def sample(kind: ActionKind, tags: set[str], *, can_email: bool, said: int) -> Sample:
        def make() -> Action:
            number = account.apply(tags=[THEIRS, OLD])["candidate_id"]
            change = TagChange((str(number),), FRESH, (OLD,))
            return Action(
                f"{kind}:{next(numbers)}",
                kind,
                number,
                fields=SAID,
                tags=change if kind is ActionKind.CANDIDATE_TAG else None,
                records=(str(number),),
            )

        def holds(action: Action) -> bool:
            one, (_, _, held, bodies) = row(action), picture(action)  # type: ignore[misc]
            flagged = kind is not ActionKind.CANDIDATE_FLAG or all(held.values())
            alike = set(one["tags"]) == tags and one["can_email"] is can_email
            return alike and flagged and len(bodies) >= said

        def undo(action: Action) -> None:
            account.update_candidate(action.candidate_id, tags=[THEIRS, OLD], can_email=True)

        return Sample(make, holds, picture, undo)

    flag, mark = ActionKind.CANDIDATE_FLAG, ActionKind.CANDIDATE_DO_NOT_CONTACT
    kept = {THEIRS, OLD}
    return {
        ActionKind.CANDIDATE_TAG: sample(
            ActionKind.CANDIDATE_TAG, {THEIRS, FRESH}, can_email=True, said=0
        ),
        flag: sample(flag, kept | {"warmline:re-engaged"}, can_email=True, said=1),
        mark: sample(mark, kept | {"do-not-contact"}, can_email=False, said=1),
    }
