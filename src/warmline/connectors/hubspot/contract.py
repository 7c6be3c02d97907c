"""What the contract suite needs to know of HubSpot: fixtures, signature, simulator."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from warmline.connectors.hubspot.clicks import STREAM as CLICKS
from warmline.connectors.hubspot.connector import HubSpot
from warmline.connectors.hubspot.listing import SEARCH_PAGE, STREAM
from warmline.connectors.hubspot.merging import PAGE as LIST_PAGE
from warmline.core.actions import Action, ActionKind, ContactRef
from warmline.ports import Received
from warmline.sandbox.clock import epoch_ms
from warmline.sandbox.hubspot.simulator import HubSpot as Account
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

URL = "https://hire.example.com/in/crm"
TOKEN = "pat-na1-canary-5eb1c0de"
CLICKED_BEFORE_MS = 600_000
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
                ),
                ActionKind.CONTACT_OPT_OUT: Sample(
                    crm.opt_out, crm.is_opted_out, crm.no_of, crm.forget_no
                ),
                ActionKind.CONTACT_ENROL: Sample(
                    crm.enrol, crm.is_on_sequence, crm.is_on_sequence, crm.end
                ),
                ActionKind.CONTACT_LEAVE: Sample(
                    crm.leave, crm.is_off_list, crm.is_off_list, crm.put_on_list
                ),
            },
            listing=Listing(crm.fill, SEARCH_PAGE, (STREAM, CLICKS), many=LIST_PAGE + 5),
            records=lambda: ((*crm.two(), "999999"), ("name", "stage")),
            known=crm.known,
            limit=crm.limit,
            contacts=crm.two,
            hosts=crm.hosts,
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

    def opt_out(self) -> Action:
        """Of somebody with one address: of several, those that HubSpot refuses are told apart."""
        number = next(self._numbers)
        emails = (f"no.{number}@people.example",)
        self._account.create(emails[0])
        who = ContactRef(emails=emails)
        return Action(f"contract-{number}", ActionKind.CONTACT_OPT_OUT, number, who)

    def no_of(self, action: Action) -> object:
        """Of each address."""
        none_at_all = self._account.subscriptions.none_at_all
        return [none_at_all(email) for email in action.contact.emails]

    def is_opted_out(self, action: Action) -> bool:
        return self.no_of(action) == [True]

    def forget_no(self, action: Action) -> None:
        for email in action.contact.emails:
            self._account.subscriptions.forget(email)

    def enrol(self) -> Action:
        """On one of HubSpot's own sequences."""
        [sender, user] = next(iter(self._account.senders().items()))
        host = {"sequence": "910001", "user": user, "sender": sender}
        return self._hosted(ActionKind.CONTACT_ENROL, host)

    def is_on_sequence(self, action: Action) -> bool:
        return action.contact.external_id in self._account.automation.enrolments

    def end(self, action: Action) -> None:
        self._account.automation.end(action.contact.external_id)

    def leave(self) -> Action:
        """Off a list."""
        action = self._hosted(ActionKind.CONTACT_LEAVE, {"list": "31"})
        self.put_on_list(action)
        return action

    def is_off_list(self, action: Action) -> bool:
        return action.contact.external_id not in self._account.automation.members["31"]

    def put_on_list(self, action: Action) -> None:
        self._account.automation.members["31"].add(action.contact.external_id)

    def hosts(self) -> tuple[Mapping[str, object], str, Callable[[], None]]:
        action = self._hosted(ActionKind.CONTACT_ENROL, {"list": 31})
        return action.host, action.contact.external_id, lambda: self.put_on_list(action)

    def _hosted(self, kind: ActionKind, host: Mapping[str, Any]) -> Action:
        number = next(self._numbers)
        email = f"hosted.{number}@people.example"
        who = ContactRef(self._account.create(email)["id"], (email,))
        return Action(f"contract-{number}", kind, number, who, host=host)

    def fill(self, contacts: int) -> None:
        for _ in range(contacts):
            self._account.create(f"listed.{next(self._numbers)}@people.example")
        email = f"clicking.{next(self._numbers)}@people.example"
        self._account.create(email)
        at_ms = epoch_ms(self._account.now()) - CLICKED_BEFORE_MS
        for number in range(contacts):
            self._account.emails.click(email, "Roles", f"https://x.example/{number}", at_ms=at_ms)

    def known(self) -> Mapping[str, Collection[str]]:
        number = next(self._numbers)
        made = [self._account.create(f"known.{number}.{n}@people.example") for n in (1, 2)]
        self._account.delete(f"known.{number}.1@people.example")
        return {one["id"]: () for one in made}

    def two(self) -> tuple[str, str]:
        number = next(self._numbers)
        made = [self._account.create(f"twin.{number}.{n}@people.example") for n in (1, 2)]
        return made[0]["id"], made[1]["id"]

    def limit(self, calls: int) -> None:
        self._account.rate_limit = calls
