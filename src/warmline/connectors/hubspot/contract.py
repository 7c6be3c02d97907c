"""What the contract suite needs to know of HubSpot: fixtures, signature, simulator."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path

from warmline.connectors.hubspot.connector import HubSpot
from warmline.core.actions import Action, ActionKind, ContactRef
from warmline.ports import Received
from warmline.sandbox.hubspot.simulator import HubSpot as Account
from warmline.sandbox.serve import Sandbox
from warmline.testing.contract import (
    Clock,
    Harness,
    Parsing,
    Place,
    Sample,
    Signing,
    fixtures,
    webhook,
)

URL = "https://hire.example.com/in/crm"
TOKEN = "pat-na1-canary-5eb1c0de"
OF_A_RECORD = frozenset(
    {"hs_object_id", "createdate", "lastmodifieddate", "email", "hs_email_domain"}
)


def harness() -> Harness:
    return Harness(
        build=lambda options, timeout_s: HubSpot(options, timeout_s=timeout_s),
        secrets={"access_token": TOKEN, "client_secret": "canary-app-secret-90Lm"},
        signing=Signing(
            _signed,
            secret="client_secret",
            headers=("x-hubspot-signature-v3", "x-hubspot-request-timestamp"),
            age_s=300,
        ),
        parsing=Parsing(_deliveries, unknown=("unknown",), repeat=_repeat),
        place=_place,
    )


def _signed(body: bytes, secret: str, at: datetime) -> Received:
    stamp = str(int(at.timestamp() * 1000))
    signed = b"POST" + URL.encode() + body + stamp.encode()
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    headers = {
        "x-hubspot-signature-v3": base64.b64encode(digest).decode(),
        "x-hubspot-request-timestamp": stamp,
    }
    return webhook(body, headers, URL)


def _deliveries(folder: Path) -> Mapping[str, Received]:
    return {name: webhook(body, url=URL) for name, body in fixtures(folder)}


def _repeat(received: Received) -> Received:
    """HubSpot counts its tries in each entry."""
    entries = json.loads(received.body)
    again = [{**entry, "attemptNumber": 3} for entry in entries]
    return replace(received, body=json.dumps(again).encode())


@contextmanager
def _place(clock: Clock) -> Iterator[Place]:
    with Sandbox(now=clock, background=False, search_lag_s=0) as box:
        box.hubspot.token = TOKEN
        box.hubspot.rate_limit = 10_000
        crm = _Crm(box.hubspot)
        yield Place(
            url=box.hubspot_url,
            settings=lambda url: {"base_url": url},
            secrets={"access_token": TOKEN, "client_secret": "canary-app-secret-90Lm"},
            harmless=("/batch/read", "/search", "/access-token-info"),
            samples={
                ActionKind.CONTACT_UPSERT: Sample(
                    crm.upsert, crm.is_written, crm.picture, crm.delete
                )
            },
            limit=crm.limit,
            limit_calls=40,  # a batch looks people up by all their addresses, call by call
            contacts=crm.two,
        )


class _Crm:
    """The simulated account, and what the suite asks of it."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._numbers = count(1)

    def upsert(self) -> Action:
        number = next(self._numbers)
        emails = (f"canary.{number}@people.example", f"canary.{number}@home.example")
        fields = {"name": "Ada Lind", "email": emails[0], "stage": "Interview"}
        contact = ContactRef(emails=emails[: 1 + number % 2])
        return Action(f"contract-{number}", ActionKind.CONTACT_UPSERT, number, contact, fields)

    def is_written(self, action: Action) -> bool:
        found = self._account.contacts.find(action.contact.emails[0], "email")
        return found is not None and found.properties.get("candidate_stage") == "Interview"

    def picture(self, action: Action) -> object:
        contacts = [
            one
            for one in self._account.all_contacts()
            if set(one["emails"]) & set(action.contact.emails)
        ]
        held = [
            {k: v for k, v in one["properties"].items() if k not in OF_A_RECORD} for one in contacts
        ]
        return {"contacts": len(contacts), "hold": held}

    def delete(self, action: Action) -> None:
        self._account.delete(action.contact.emails[0])

    def two(self) -> tuple[str, str]:
        number = next(self._numbers)
        made = [self._account.create(f"twin.{number}.{n}@people.example") for n in (1, 2)]
        return made[0]["id"], made[1]["id"]

    def limit(self, calls: int) -> None:
        self._account.rate_limit = calls
