"""What the contract suite needs to know of Lever: fixtures, signature, simulator."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from warmline.connectors.lever.connector import Lever
from warmline.connectors.lever.hints import AGE_MAX
from warmline.connectors.lever.sweeps import STREAMS
from warmline.connectors.lever.writing import DO_NOT_CONTACT_TAG, FLAG_TAG
from warmline.core.actions import Action, ActionKind, TagChange
from warmline.ports import Channel, Received
from warmline.sandbox.lever.api import make_app
from warmline.sandbox.lever.simulator import Lever as Account
from warmline.sandbox.listen import HttpServer
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

SECRETS = {"api_key": "canary-lever-key-77Tq", "webhook_tokens": "canary-lever-token-3Ws"}
PAGE_MAX = 100
FRESH, OLD, THEIRS = "warmline:silver_medalist", "warmline:passive_lead", "Python"
SAID = {
    "click_date": "2026-03-01",
    "email_subject": "What is open here now",
    "link_url": "https://careers.example.com/jobs/7",
    "unsubscribe_date": "2026-03-01",
}


def harness() -> Harness:
    in_body = "Lever signs a token and a time inside the body, and no other byte of it"
    return Harness(
        build=lambda options, timeout_s: Lever(options, timeout_s=timeout_s),
        secrets=SECRETS,
        signing=Signing(_signed, "webhook_tokens", (), AGE_MAX.total_seconds()),
        parsing=Parsing(_deliveries, unknown=("unknown",)),
        place=_place,
        exempt={
            "a_changed_byte_of_the_body_is_refused": in_body,
            "a_changed_or_missing_signature_is_refused": in_body,
        },
    )


def _signed(body: bytes, secret: str, at: datetime) -> Received:
    stamp = int(at.timestamp() * 1000)
    found = json.loads(body)
    said = f"t-1{stamp}".encode()
    signature = hmac.new(secret.encode(), said, hashlib.sha256).hexdigest()
    signed = {**found, "token": "t-1", "triggeredAt": stamp, "signature": signature}
    return webhook(json.dumps(signed).encode())


def _deliveries(folder: Path) -> Mapping[str, Received]:
    """Webhooks, and under `polled/` what a poll reads; its name begins with the listing's."""
    found = {}
    for name, body in fixtures(folder):
        stream = name.removeprefix("polled/").rpartition("_")[0]
        polled = Received(Channel.POLL, body, START, stream=stream)
        found[name] = polled if name.startswith("polled/") else webhook(body)
    return found


@contextmanager
def _place(clock: Clock) -> Iterator[Place]:
    account = Account(now=clock, api_key=SECRETS["api_key"], rate=10_000.0, burst=10_000.0)
    server = HttpServer(make_app(account), threads=4)
    company = _Company(account, clock)
    try:
        yield Place(
            url=server.url,
            settings=lambda url: {
                "base_url": f"{url}/v1",
                "perform_as": account.world.staff("admin")[0]["id"],
            },
            secrets=SECRETS,
            samples={
                kind: company.sample(kind)
                for kind in (
                    ActionKind.CANDIDATE_TAG,
                    ActionKind.CANDIDATE_FLAG,
                    ActionKind.CANDIDATE_DO_NOT_CONTACT,
                )
            },
            listing=Listing(company.fill, PAGE_MAX, STREAMS, many=PAGE_MAX + 10),
            limit=company.limit,
            records=company.records,
            known=company.known,
            hint=company.hint,
        )
    finally:
        account.closing.set()
        server.close()
        account.close()


class _Company:
    """The simulated account, and what the suite asks of it."""

    def __init__(self, account: Account, clock: Clock) -> None:
        self._account, self._clock = account, clock
        self._numbers = count(1)
        self._rows: dict[str, str] = {}  # contact → opportunity

    def sample(self, kind: ActionKind) -> Sample:
        tag = {
            ActionKind.CANDIDATE_TAG: FRESH,
            ActionKind.CANDIDATE_FLAG: FLAG_TAG,
            ActionKind.CANDIDATE_DO_NOT_CONTACT: DO_NOT_CONTACT_TAG,
        }[kind]
        tagging = kind is ActionKind.CANDIDATE_TAG

        def holds(action: Action) -> bool:
            tags, notes = self._there(action)
            return tag in tags and (OLD not in tags if tagging else notes > 0)

        return Sample(self._maker(kind), holds, self._there, self._undo)

    def _maker(self, kind: ActionKind) -> Callable[[], Action]:
        def make() -> Action:
            contact = self._somebody()
            change = TagChange((contact,), FRESH, (OLD,))
            return Action(
                f"contract-{next(self._numbers)}",
                kind,
                1,
                fields=SAID,
                tags=change if kind is ActionKind.CANDIDATE_TAG else None,
                records=(contact,),
            )

        return make

    def _somebody(self) -> str:
        row = self._account.apply(tags=[THEIRS, OLD])
        self._rows[row["contact"]] = row["id"]
        return str(row["contact"])

    def _there(self, action: Action) -> tuple[list[str], int]:
        opportunity = self._rows[action.records[0]]
        world = self._account.world
        notes = sum(note["opportunityId"] == opportunity for note in world.notes.values())
        return sorted(world.opportunities[opportunity]["tags"]), notes

    def _undo(self, action: Action) -> None:
        row = self._account.world.opportunities[self._rows[action.records[0]]]
        row["tags"] = [THEIRS, OLD]

    def fill(self, number: int) -> None:
        """So many people with an interview each, and so many whose record is deleted again."""
        for _ in range(number):
            row = self._account.apply()
            starts_at = self._clock() + timedelta(days=1)
            self._account.schedule_interview(row["id"], starts_at)
            self._account.delete(self._account.apply()["id"])

    def limit(self, _calls: int) -> None:
        """Lever's own: the connector keeps to that one by itself."""
        self._account.burst, self._account.rate = 20.0, 10.0

    def records(self) -> tuple[Sequence[str], Collection[str]]:
        return (self._somebody(), "00000000-0000-4000-8000-000000000000"), ("name",)

    def hint(self) -> Received:
        contact = self._somebody()
        data = {"opportunityId": self._rows[contact], "contactId": contact}
        body = json.dumps({"event": "candidateStageChange", "data": data}).encode()
        return _signed(body, SECRETS["webhook_tokens"], self._clock())

    def known(self) -> Mapping[str, Collection[str]]:
        there, gone = self._somebody(), self._somebody()
        known = {one: (self._rows[one],) for one in (there, gone)}
        self._account.delete(self._rows[gone])
        return known
