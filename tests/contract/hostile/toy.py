"""A connector that keeps the contract, small enough to break in one place at a time."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.contract.hostile.vendor import TOKEN, Vendor
from warmline.core.actions import Action, ActionKind, ContactRef
from warmline.core.errors import (
    AuthFailed,
    BadSignature,
    ConfigError,
    Malformed,
    Refused,
    Throttled,
    Unreachable,
    Unsure,
    WarmlineError,
)
from warmline.core.events import CandidateFacts, Event, EventKind
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.kit.http import Door
from warmline.kit.manifest import Manifest, read_manifest
from warmline.kit.signatures import hmac_sha256, require_equal, require_header
from warmline.ports import (
    ContactPage,
    ContactRecord,
    Finding,
    Hosted,
    Needs,
    Options,
    Page,
    Received,
    Record,
    Standing,
    Verdict,
)
from warmline.testing.contract import (
    Clock,
    Harness,
    Listing,
    Parsing,
    Place,
    Sample,
    Signing,
    Subject,
    fixtures,
    webhook,
)

FOLDER = Path(__file__).parent
KINDS = {
    "contact.opted_out": EventKind.CANDIDATE_UNSUBSCRIBED,
    "contact.clicked": EventKind.MESSAGE_CLICKED,
}
PAGE = 3
AGE_S = 300
SECRETS = {"token": TOKEN, "signing_secret": "canary-toy-signing-secret-5P"}


class Toy:
    """Every capability but mail."""

    def __init__(self, options: Options, timeout_s: float) -> None:
        self.options = options
        self.now = options.now
        self.door = Door(
            str(options.settings["base_url"]), vendor="Toy", timeout_s=timeout_s, now=options.now
        )

    def close(self) -> None:
        self.door.close()

    # Webhooks

    def verify(self, received: Received, *, now: datetime) -> None:
        signature = require_header(received.headers, "x-toy-signature")
        stamp = require_header(received.headers, "x-toy-timestamp")
        secret = self.options.secrets["signing_secret"]
        mac = hmac_sha256(secret, stamp.encode("utf-8", "replace"), received.body)
        require_equal(signature, mac.hex(), header="x-toy-signature")
        if abs(now.timestamp() - float(stamp)) > AGE_S:
            raise BadSignature("the delivery is too old")

    def delivery_key(self, received: Received) -> str:
        return ""

    def parse(self, received: Received) -> list[Event]:
        try:
            body = json.loads(received.body)
        except (ValueError, RecursionError):
            raise Malformed("$: found no JSON, expected an object") from None
        if not isinstance(body, dict):
            raise Malformed("$: found no object, expected one")
        word, key, at = (self.text(body, name) for name in ("type", "id", "at"))
        contact = body.get("contact")
        if not isinstance(contact, dict):
            raise Malformed("$.contact: found no object, expected one")
        try:
            when = datetime.fromisoformat(at)
        except ValueError:
            raise Malformed("$.at: found no time, expected ISO 8601") from None
        if word not in KINDS:
            return [Event.unknown(word=word, key=key, occurred_at=when)]
        facts = CandidateFacts(external_id=self.text(contact, "id", "$.contact"))
        return [Event(KINDS[word], key, word, when, facts)]

    def text(self, found: Mapping[str, Any], name: str, where: str = "$") -> str:
        value = found.get(name)
        if not isinstance(value, str) or not value.strip() or len(value) > 200:
            raise Malformed(f"{where}.{name}: found no text, expected one of 200 at most")
        return value.encode("utf-8", "replace").decode().replace("\0", "")

    # Actions

    def call(self, method: str, path: str, body: object = None, **more: Any) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.options.secrets['token']}"}
        answer = self.door.call(method, path, body=body, headers=headers, **more)
        found = self.door.json(answer)
        return found if isinstance(found, dict) else {}

    def batch_max(self) -> int:
        return 10

    def apply(self, actions: Sequence[Action]) -> list[Outcome]:
        return [self.guarded(action) for action in actions]

    def guarded(self, action: Action) -> Outcome:
        if action.kind is not ActionKind.CONTACT_UPSERT:
            return Outcome(OutcomeKind.REFUSED, f"Toy cannot do {action.kind}")
        try:
            return self.one(action)
        except WarmlineError as error:
            return self.outcome_of(error)

    def outcome_of(self, error: WarmlineError) -> Outcome:
        match error:
            case Throttled():
                return Outcome(OutcomeKind.LATER, error.reason, after_s=error.after_s)
            case Unsure():
                return Outcome(OutcomeKind.UNKNOWN, error.reason)
            case AuthFailed():
                return Outcome(OutcomeKind.LATER, error.reason, detail={"scope": "credentials"})
            case Refused():
                return Outcome(OutcomeKind.REFUSED, error.reason)
            case _:
                return Outcome(OutcomeKind.LATER, error.reason)

    def one(self, action: Action) -> Outcome:
        stage = action.fields["stage"]
        there = self.there(action)
        if there.get("stage") == stage:
            return Outcome(OutcomeKind.ALREADY_DONE, external_id=there["id"])
        try:
            made = self.write(action.contact.emails[0], stage)
        except Malformed as error:
            raise Unsure(error.reason) from None
        return self.written(made)

    def written(self, made: Mapping[str, Any]) -> Outcome:
        if not made.get("id"):
            raise Unsure("Toy answered a write with something that is no contact")
        return Outcome(OutcomeKind.DONE, external_id=made["id"])

    def write(self, email: str, stage: str) -> dict[str, Any]:
        return self.call("POST", "/contacts", {"email": email, "stage": stage})

    def there(self, action: Action) -> dict[str, Any]:
        found = self.read(action.contact.emails[0])
        return found or {}

    def read(self, key: str) -> dict[str, Any] | None:
        found = self.call("GET", f"/contacts/{quote(key, safe='')}", accept=(404,))
        if str(found.get("message", "")).startswith("no contact "):
            return None
        if not found.get("id"):
            raise Unreachable("Toy answered a look-up with something that is no contact")
        return found

    def find(self, action: Action) -> Outcome | None:
        there = self.there(action)
        if there.get("stage") != action.fields["stage"]:
            return None
        return Outcome(OutcomeKind.DONE, "found written", external_id=there["id"])

    # Reading

    def streams(self) -> tuple[str, ...]:
        return ("contacts",)

    def start(self, *, now: datetime) -> str:
        return json.dumps({"since": now.isoformat()})

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        place = json.loads(cursor) if cursor else {"since": ""}
        passed: set[str] = set()
        while True:
            body = self.call("GET", "/contacts", params=self.asked(place))
            rows, following = body.get("contacts"), body.get("next", "")
            if not isinstance(rows, list):
                raise Malformed("Toy answered its list with something that is no list")
            if following in passed:
                raise Malformed("Toy's list goes round")
            passed.add(following)
            records = tuple(Record(self.key(row), json.dumps(row).encode()) for row in rows)
            after = {**place, "after": following} if following else {"since": now.isoformat()}
            yield Page(stream, records, json.dumps(after), last=not following)
            if not following:
                return
            place = after

    def asked(self, place: Mapping[str, str]) -> dict[str, str]:
        return {"limit": str(PAGE), **{name: text for name, text in place.items() if text}}

    def key(self, row: Mapping[str, Any]) -> str:
        return f"{row['id']}:{row['at']}"

    def fetch(self, received: Received) -> Mapping[str, Sequence[Record]]:
        row = self.read(json.loads(received.body)["id"])
        return {} if row is None else {"contacts": [Record(row["id"], json.dumps(row).encode())]}

    def missing(self, known: Mapping[str, Collection[str]]) -> list[Event]:
        gone = [one for one in known if self.read(one) is None]
        return [
            Event(EventKind.CANDIDATE_DELETED, f"gone:{one}", "absent", None, CandidateFacts(one))
            for one in gone
        ]

    def contacts(self, cursor: str = "") -> Iterator[ContactPage]:
        for page in self.changes("contacts", cursor, now=self.now()):
            rows = [json.loads(record.body) for record in page.records]
            records = tuple(ContactRecord(row["id"], (row["email"],)) for row in rows)
            yield ContactPage(records, "" if page.last else page.cursor)

    def merge(self, primary: str, other: str) -> Outcome:
        try:
            kept, joined = self.read(primary), self.read(other)
            if kept is None or joined is None:
                return Outcome(OutcomeKind.REFUSED, "one of them is gone")
            if kept["id"] == joined["id"]:
                return Outcome(OutcomeKind.ALREADY_DONE, external_id=kept["id"])
            try:
                return self.merged(self.call("POST", "/merge", {"keep": primary, "join": other}))
            except Malformed as error:
                raise Unsure(error.reason) from None
        except WarmlineError as error:
            return self.outcome_of(error)

    def merged(self, made: Mapping[str, Any]) -> Outcome:
        return self.written(made)

    def host_of(self, options: Mapping[str, object]) -> Mapping[str, str]:
        if list(options) != ["list"]:
            raise ConfigError("Toy: `with` must hold list, and nothing else")
        return {"list": str(options["list"])}

    def cannot(self, host: Mapping[str, str]) -> tuple[str, ...]:
        return ("Toy does not tell when somebody came onto a list",)

    def hosted(self, host: Mapping[str, str], contacts: Sequence[str]) -> dict[str, Hosted]:
        return {one: Hosted((self.read(one) or {}).get("listed") == "yes") for one in contacts}

    def check_host(self, host: Mapping[str, str]) -> list[Finding]:
        return [Finding(f"list {host['list']}", Verdict.OK)]

    def records(self, ids: Sequence[str], fields: Collection[str]) -> list[Standing]:
        return [self.standing(one, self.read(one), fields) for one in ids]

    def standing(
        self, asked: str, row: Mapping[str, Any] | None, fields: Collection[str]
    ) -> Standing:
        if row is None:
            return Standing(asked)
        held = {"stage": str(row["stage"])} if "stage" in fields else {}
        return Standing(asked, str(row["id"]), held)

    def check(self, needs: Needs) -> list[Finding]:
        try:
            self.call("GET", "/me")
            verdict, advice = Verdict.OK, ""
        except WarmlineError as error:
            verdict, advice = Verdict.of_error(error), error.reason
        return [
            Finding("Toy", verdict, advice),
            *(self.finding(name, needs, verdict) for name in needs.fields),
        ]

    def finding(self, name: str, needs: Needs, verdict: Verdict) -> Finding:
        return Finding.of_field(name, name, needs.fields[name], read=verdict, write=verdict)


# What the suite is told


def subject(build: Callable[[Options, float], Any] = Toy, **changes: Any) -> Subject:
    """`changes` are of the harness, or of `manifest` or `folder`."""
    manifest = changes.pop("manifest", toy_manifest())
    folder = changes.pop("folder", FOLDER)
    return Subject(manifest, folder, replace(harness(build), **changes))


def toy_manifest(**changes: Any) -> Manifest:
    return replace(read_manifest(FOLDER / "manifest.toml"), **changes)


def harness(build: Callable[[Options, float], Any]) -> Harness:
    return Harness(
        build=build,
        settings={"base_url": "http://127.0.0.1:9"},
        secrets=SECRETS,
        signing=Signing(
            signed,
            secret="signing_secret",
            headers=("x-toy-signature", "x-toy-timestamp"),
            age_s=AGE_S,
        ),
        parsing=Parsing(deliveries, unknown=("unknown",), repeat=repeat),
        place=place,
    )


def signed(body: bytes, secret: str, at: datetime) -> Received:
    stamp = str(int(at.timestamp()))
    mac = hmac.new(secret.encode(), stamp.encode() + body, hashlib.sha256).hexdigest()
    return webhook(body, {"x-toy-signature": mac, "x-toy-timestamp": stamp})


def deliveries(folder: Path) -> Mapping[str, Received]:
    return {name: webhook(body) for name, body in fixtures(folder)}


def repeat(received: Received) -> Received:
    return replace(received, body=json.dumps({**json.loads(received.body), "try": 2}).encode())


@contextmanager
def place(clock: Clock) -> Iterator[Place]:
    numbers = count(1)
    with Vendor(clock).open() as vendor:

        def make() -> Action:
            number = next(numbers)
            contact = ContactRef(emails=(f"canary.{number}@people.example",))
            kind = ActionKind.CONTACT_UPSERT
            return Action(f"k{number}", kind, number, contact, {"stage": "Interview"})

        def stages(action: Action) -> list[str]:
            return [one["stage"] for one in vendor.of(action.contact.emails[0])]

        def fill(records: int) -> None:
            for number in range(records):
                vendor.add(f"filled.{number}@people.example")

        def undo(action: Action) -> None:
            for one in vendor.of(action.contact.emails[0]):
                one["stage"] = ""

        def two() -> tuple[str, str]:
            one, other = (vendor.add(f"twin.{next(numbers)}@people.example") for _ in range(2))
            return one["id"], other["id"]

        def hosts() -> tuple[Mapping[str, object], str, Callable[[], None]]:
            key = vendor.add(f"hosted.{next(numbers)}@people.example")["id"]
            return {"list": "7"}, key, lambda: vendor.put_on(key)

        yield Place(
            url=vendor.url,
            settings=lambda url: {"base_url": url},
            secrets=SECRETS,
            samples={
                ActionKind.CONTACT_UPSERT: Sample(
                    make, lambda action: "Interview" in stages(action), stages, undo
                )
            },
            listing=Listing(fill, PAGE, streams=("contacts",)),
            limit=lambda calls: setattr(vendor, "limit", calls),
            records=lambda: ([*two(), "c-none"], ("stage",)),
            known=lambda: dict.fromkeys(two(), ()),
            contacts=two,
            hosts=hosts,
            hint=lambda: webhook(json.dumps({"id": two()[0]}).encode()),
        )
