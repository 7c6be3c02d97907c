"""What the contract suite must know of HubSpot: how it signs, and the simulated account."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path

from warmline.connectors.hubspot.connector import HubSpot
from warmline.connectors.hubspot.webhooks import AGE_S_MAX, SIGNATURE, TIMESTAMP, signed_uri
from warmline.core.actions import Action, ActionKind, ContactRef
from warmline.kit.signatures import hmac_sha256
from warmline.ports import Received
from warmline.sandbox.hubspot.simulator import HubSpot as Account
from warmline.sandbox.serve import Sandbox
from warmline.testing.contract import Clock, Harness, Parsing, Place, Sample, Signing
from warmline.testing.contract import fixtures as every_fixture
from warmline.testing.contract.harness import webhook

SECRETS = {"access_token": "sandbox-token", "client_secret": "canary-app-secret-9f31"}
URL = "https://hire.example.com/in/crm?from=hubspot"
FIELDS = {
    "name": "Ada Lind",
    "applied_role": "Cook",
    "application_date": "2026-03-01T08:00:00+00:00",
    "stage": "Interview",
}
HELD = ("firstname", "lastname", "applied_role", "application_date", "candidate_stage")


def harness() -> Harness:
    return Harness(
        build=lambda options, timeout_s: HubSpot(options, timeout_s=timeout_s),
        secrets=SECRETS,
        signing=Signing(signed, "client_secret", (SIGNATURE, TIMESTAMP), float(AGE_S_MAX)),
        parsing=Parsing(deliveries, unknown=("unknown",), repeat=repeated),
        place=place,
    )


def signed(body: bytes, secret: str, at: datetime) -> Received:
    stamp = str(int(at.timestamp() * 1000))
    mac = hmac_sha256(secret, b"POST", signed_uri(URL).encode(), body, stamp.encode())
    return webhook(body, {SIGNATURE: base64.b64encode(mac).decode(), TIMESTAMP: stamp}, URL)


def deliveries(folder: Path) -> Mapping[str, Received]:
    return {name: webhook(body, url=URL) for name, body in every_fixture(folder)}


def repeated(delivery: Received) -> Received:
    """Each entry once more, counted up."""
    entries = [{**entry, "attemptNumber": 3} for entry in json.loads(delivery.body)]
    return replace(delivery, body=json.dumps(entries).encode())


@contextmanager
def place(clock: Clock) -> Iterator[Place]:
    with Sandbox(now=clock, background=False, search_lag_s=0, hubspot_rate=100_000) as box:
        account, numbers = box.hubspot, count(1)

        def limit(calls: int) -> None:
            account.rate_limit = calls

        def two() -> tuple[str, str]:
            made = [account.create(f"twin{next(numbers)}@people.example") for _ in range(2)]
            return made[0]["id"], made[1]["id"]

        yield Place(
            settings=lambda url: {"base_url": url},
            secrets=SECRETS,
            url=box.hubspot_url,
            harmless=("/batch/read", "/search"),
            samples={ActionKind.CONTACT_UPSERT: _upsert(account, numbers)},
            limit=limit,
            contacts=two,
        )


def _upsert(account: Account, numbers: Iterator[int]) -> Sample:
    def make() -> Action:
        number = next(numbers)
        emails = (f"canary{number}@people.example", f"home{number}@people.example")
        kind, who = ActionKind.CONTACT_UPSERT, ContactRef(emails=emails)
        return Action(f"upsert:{number}", kind, number, who, FIELDS)

    def picture(action: Action) -> Sequence[Mapping[str, str | None]]:
        """One for each contact that has one of the addresses."""
        ids = {
            contact.id: contact
            for email in action.contact.emails
            if (contact := account.contacts.find(email, "email"))
        }
        return [{n: one.properties.get(n) for n in HELD} for one in ids.values()]

    def holds(action: Action) -> bool:
        expected = ["Ada", "Lind", "Cook", "2026-03-01", "Interview"]
        return picture(action) == [dict(zip(HELD, expected, strict=True))]

    def undo(action: Action) -> None:
        account.set_property(action.contact.emails[0], "candidate_stage", "Offer")

    return Sample(make, holds, picture, undo)
