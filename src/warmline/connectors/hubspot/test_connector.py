"""HubSpot's connector: against the simulator over HTTP, its webhooks, its check and its README."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmline import ports
from warmline.connectors.hubspot import webhooks
from warmline.connectors.hubspot.connector import HubSpot
from warmline.connectors.hubspot.mapping import (
    EDITOR,
    OPTOUT_PREFIX,
    PROPERTIES,
    SIGNALS,
    SUBSCRIPTIONS,
)
from warmline.core.actions import FIELDS, Action, ActionKind, ContactRef
from warmline.core.errors import BadSignature, Malformed, Refused, Throttled, Unreachable, Unsure
from warmline.core.events import CandidateFacts, Event, EventKind
from warmline.core.outcomes import OutcomeKind
from warmline.kit.manifest import make, manifests
from warmline.ports import Channel, Options, Received
from warmline.sandbox.hubspot.simulator import HubSpot as Account
from warmline.sandbox.serve import Sandbox

FOLDER = Path(__file__).parent
FIXTURES = sorted((FOLDER / "fixtures").glob("*.json"))
README = (FOLDER / "README.md").read_text()
NOW = datetime(2025, 11, 24, 16, tzinfo=UTC)
SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
URL = "https://hire.example.com/in/crm?from=hubspot"
FULL = {
    "name": "Anna Moss",
    "email": "anna@example.com",
    "applied_role": "Cook",
    "application_date": "2025-11-20T08:00:00+00:00",
    "recruiter_owner": "kim@corp.example",
    "stage": "Interview",
    "interview_date": "2025-12-01T09:30:00+01:00",
    "interviewer": "Kim, Lee",
}


TOKEN = "sandbox-token"


def connector_to(url: str, *, token: str = TOKEN, timeout_s: float = 10) -> HubSpot:
    options = Options(
        name="crm",
        settings={"base_url": url},
        secrets={"access_token": token, "client_secret": SECRET},
        now=lambda: datetime.now(UTC),
    )
    return HubSpot(options, timeout_s=timeout_s)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(background=False) as sandbox:
        yield sandbox


@pytest.fixture
def account(sandbox: Sandbox) -> Account:
    return sandbox.hubspot


@pytest.fixture
def url(sandbox: Sandbox) -> str:
    return sandbox.hubspot_url


@pytest.fixture
def crm(url: str) -> Iterator[HubSpot]:
    connector = connector_to(url)
    yield connector
    connector.close()


@pytest.fixture
def hasty(url: str) -> Iterator[HubSpot]:
    """One that waits half a second for an answer."""
    connector = connector_to(url, timeout_s=0.5)
    yield connector
    connector.close()


def action(number: int, *emails: str, id: str = "", **fields: str) -> Action:
    contact = ContactRef(external_id=id, emails=emails)
    kind = ActionKind.CONTACT_UPSERT
    return Action(f"k{number}", kind, number, contact, fields or {"stage": "Screen"})


def held(account: Account, email: str) -> dict[str, str]:
    contact = account.contacts.find(email, "email")
    assert contact is not None
    return contact.properties


# Contacts, over HTTP


def test_declared_is_what_is_implemented() -> None:
    manifest = manifests()["hubspot"]
    secrets = {"access_token": "t", "client_secret": "s"}
    made = make(manifest, Options("crm", {}, secrets, lambda: NOW))
    found = {name for name, protocol in ports.CAPABILITIES.items() if isinstance(made, protocol)}
    assert found == set(manifest.capabilities)
    assert made.batch_max() == 100
    made.close()


def test_a_preview_is_what_is_written_and_asks_nobody(crm: HubSpot, account: Account) -> None:
    first = action(1, "Anna@Example.com", **FULL)
    said = crm.preview(first)
    assert account.log.as_json()["by_call"] == {}
    crm.apply([first])
    assert said == {name: held(account, "anna@example.com")[name] for name in said}
    assert set(said) == {
        "email", "firstname", "lastname", "applied_role", "application_date", "recruiter_owner",
        "candidate_stage", "interview_date", "interviewer",
    }  # fmt: skip
    assert crm.preview(action(1, "anna@example.com", id="1", stage="Offer")) == {
        "candidate_stage": "Offer"
    }
    no = replace(action(1, id="1", unsubscribe_date="2025-11-24"), kind=ActionKind.CONTACT_OPT_OUT)
    assert crm.preview(no) == {"hs_email_optout": "true", "unsubscribe_date": "2025-11-24"}
    with pytest.raises(Refused):
        crm.preview(action(1, "anna@example.com", application_date="soon"))


def test_a_contact_is_created_then_updated_and_found_each_time(
    crm: HubSpot, account: Account
) -> None:
    first = action(1, " Anna@Example.com", **FULL)
    [made] = crm.apply([first])
    assert (made.kind, made.detail) == (OutcomeKind.DONE, {"new": "true"})
    assert held(account, "anna@example.com") | {
        "email": "anna@example.com",
        "firstname": "Anna",
        "lastname": "Moss",
        "applied_role": "Cook",
        "application_date": "2025-11-20",
        "candidate_stage": "Interview",
        "interview_date": "2025-12-01T08:30:00.000Z",
    } == held(account, "anna@example.com")
    found = crm.find(first)
    assert found is not None
    assert (found.kind, found.external_id) == (OutcomeKind.DONE, made.external_id)
    [again] = crm.apply([action(1, id=made.external_id, stage="Offer")])
    assert (again.external_id, again.detail) == (made.external_id, {"new": "false"})
    assert crm.find(first) is None
    assert len(account.contacts.by_id) == 1


def test_a_hundred_go_in_one_call(crm: HubSpot, account: Account) -> None:
    outcomes = crm.apply([action(n, f"p{n}@example.com") for n in range(100)])
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.DONE}
    assert len({outcome.external_id for outcome in outcomes}) == 100
    assert account.log.as_json(10)["by_status"] == {"200": 1}


def test_duplicates_in_a_batch_make_one_contact(crm: HubSpot, account: Account) -> None:
    """Case and a trailing non-breaking space are no second person (mautic #3108)."""
    spelt = ["anna@example.com", "ANNA@example.com", "anna@example.com\u00a0"]
    outcomes = crm.apply([action(n, email, stage=str(n)) for n, email in enumerate(spelt)])
    assert len({outcome.external_id for outcome in outcomes}) == 1
    assert len(account.contacts.by_id) == 1
    assert held(account, "anna@example.com")["candidate_stage"] == "2"


def test_a_secondary_address_is_the_same_contact_and_stays_secondary(
    crm: HubSpot, account: Account
) -> None:
    account.create("home@example.com")
    account.create("work@example.com")
    merged = account.merge("home@example.com", "work@example.com")
    for emails in (["work@example.com"], ["new@example.com", "work@example.com"]):
        [outcome] = crm.apply([action(1, *emails)])
        assert (outcome.kind, outcome.external_id) == (OutcomeKind.DONE, merged["id"])
    assert held(account, "work@example.com")["email"] == "home@example.com"
    assert len(account.contacts.by_id) == 1


def test_a_merged_id_answers_with_the_new_one(crm: HubSpot, account: Account) -> None:
    old = account.create("home@example.com")["id"]
    account.create("work@example.com")
    other = account.create("else@example.com")["id"]
    new = account.merge("home@example.com", "work@example.com")["id"]
    outcomes = crm.apply([action(1, id=old), action(2, id=other)])
    assert [outcome.external_id for outcome in outcomes] == [new, other]
    found = crm.find(action(1, id=old))
    assert found is not None
    assert found.external_id == new


def test_two_ids_merged_into_one_are_both_done(crm: HubSpot, account: Account) -> None:
    one = account.create("home@example.com")["id"]
    two = account.create("work@example.com")["id"]
    new = account.merge("home@example.com", "work@example.com")["id"]
    outcomes = crm.apply([action(1, id=one), action(2, id=two)])
    assert [outcome.external_id for outcome in outcomes] == [new, new]


def test_a_deleted_contact_is_made_again(crm: HubSpot, account: Account) -> None:
    gone = account.create("anna@example.com")["id"]
    account.delete("anna@example.com")
    [outcome] = crm.apply([action(1, "anna@example.com", id=gone)])
    assert outcome.detail["new"] == "true"
    assert outcome.external_id != gone


def test_one_bad_address_is_refused_alone(crm: HubSpot, account: Account) -> None:
    account.gdpr_delete("blocked@example.com")  # an unknown address is blocked from now on
    outcomes = crm.apply([action(n, f"{n}@example.com") for n in ("a", "blocked", "c")])  # type: ignore[arg-type]
    assert [outcome.kind for outcome in outcomes] == [
        OutcomeKind.DONE,
        OutcomeKind.REFUSED,
        OutcomeKind.DONE,
    ]
    assert "blocked" in outcomes[1].reason
    assert "@" not in outcomes[1].reason


def test_an_unknown_property_refuses_only_who_carries_it(crm: HubSpot, account: Account) -> None:
    del account.contacts.definitions["interviewer"]
    outcomes = crm.apply(
        [action(1, "a@example.com"), action(2, "b@example.com", interviewer="Kim")]
    )
    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.DONE, OutcomeKind.REFUSED]
    assert 'Property "interviewer" does not exist' in outcomes[1].reason


@pytest.mark.parametrize("kind", ["timeout_after", "malformed"])
def test_a_write_whose_answer_was_lost_is_found(
    hasty: HubSpot, account: Account, kind: str
) -> None:
    account.faults.add({"kind": kind, "count": 1, "seconds": 5})
    wanted = action(1, "anna@example.com", **FULL)
    if kind == "malformed":
        assert hasty.apply([wanted])[0].kind is OutcomeKind.UNKNOWN
    else:
        with pytest.raises(Unsure):
            hasty.apply([wanted])
    found = hasty.find(wanted)
    assert found is not None
    assert found.kind is OutcomeKind.DONE
    assert len(account.contacts.by_id) == 1


@pytest.mark.parametrize("kind", ["timeout_before", "drop", "error", "unavailable"])
def test_a_write_that_did_not_happen_is_not_found(
    hasty: HubSpot, account: Account, kind: str
) -> None:
    account.faults.add({"kind": kind, "count": 1, "seconds": 5})
    wanted = action(1, "anna@example.com")
    with pytest.raises(Unsure):
        hasty.apply([wanted])
    assert hasty.find(wanted) is None
    assert hasty.apply([wanted])[0].kind is OutcomeKind.DONE


def test_a_429_is_throttled_and_nothing_more_is_sent(crm: HubSpot, account: Account) -> None:
    account.faults.add({"kind": "rate_limited", "count": 1})
    for _ in range(2):
        with pytest.raises(Throttled) as raised:
            crm.apply([action(1, "anna@example.com")])
        assert 5 < raised.value.after_s <= 10
    assert account.log.as_json(10)["by_status"] == {"429": 1}


def test_a_find_that_cannot_look_raises(crm: HubSpot, account: Account) -> None:
    account.faults.add({"kind": "error", "method": "GET"})
    with pytest.raises(Unreachable):
        crm.find(action(1, "anna@example.com"))


def test_nothing_listens_is_unreachable() -> None:
    nobody = connector_to("http://127.0.0.1:9")
    with pytest.raises(Unreachable):
        nobody.apply([action(1, "anna@example.com")])
    nobody.close()


# Webhooks


def signed(
    body: bytes, *, url: str = URL, at: datetime = NOW, uri: str = "", secret: str = SECRET
) -> Received:
    """As HubSpot documents it, computed here and not by the code under test."""
    stamp = str(int(at.timestamp() * 1000))
    source = b"POST" + (uri or url).encode() + body + stamp.encode()
    digest = hmac.new(secret.encode(), source, hashlib.sha256).digest()
    headers = {
        "x-hubspot-signature-v3": base64.b64encode(digest).decode(),
        "x-hubspot-request-timestamp": stamp,
    }
    return Received(Channel.WEBHOOK, body, NOW, headers, "POST", url)


@pytest.fixture(scope="module")
def reader() -> Iterator[HubSpot]:
    connector = connector_to("http://127.0.0.1:9")
    yield connector
    connector.close()


def test_a_signed_delivery_passes(reader: HubSpot) -> None:
    reader.verify(signed(b"[]"), now=NOW + timedelta(minutes=4))
    reader.verify(signed(b"[]"), now=NOW - timedelta(minutes=4))
    reader.verify(replace(signed(b"[]"), method="post"), now=NOW)


def test_the_simulator_signs_as_we_verify(reader: HubSpot) -> None:
    account = Account(now=lambda: NOW)
    headers, body = account.build_webhook([{"eventId": 1}], URL, SECRET)
    lower = {name.lower(): value for name, value in headers.items()}
    reader.verify(Received(Channel.WEBHOOK, body, NOW, lower, "POST", URL), now=NOW)
    account.close()


def test_the_documented_escapes_are_undone_before_signing(reader: HubSpot) -> None:
    url = "https://hire.example.com/in/crm?a=%3A%2f%3F%40%21%24%27%28%29%2A%2C%3B&b=%20%26%2B"
    uri = "https://hire.example.com/in/crm?a=:/?@!$'()*,;&b=%20%26%2B"
    reader.verify(signed(b"[]", url=url, uri=uri), now=NOW)
    # Undone once: what an escaped percent sign hides stays hidden.
    assert webhooks.signed_uri("%2540") == "%2540"


def tampered() -> dict[str, Received]:
    good = signed(b"[1]")
    stamp = str(int(NOW.timestamp() * 1000) + 1)
    return {
        "body": replace(good, body=b"[2]"),
        "url": replace(good, url=URL + "&x=1"),
        "method": replace(good, method="PUT"),
        "secret": signed(b"[1]", secret="other"),
        "timestamp": replace(good, headers={**good.headers, webhooks.TIMESTAMP: stamp}),
        "old": signed(b"[1]", at=NOW - timedelta(minutes=5, seconds=1)),
        "ahead": signed(b"[1]", at=NOW + timedelta(minutes=5, seconds=1)),
        "no signature": replace(good, headers={webhooks.TIMESTAMP: stamp}),
        "no timestamp": replace(
            good, headers={webhooks.SIGNATURE: good.headers[webhooks.SIGNATURE]}
        ),
        "odd signature": replace(good, headers={**good.headers, webhooks.SIGNATURE: "\udce9ß"}),
    }


@pytest.mark.parametrize("what", tampered())
def test_anything_else_is_a_bad_signature(reader: HubSpot, what: str) -> None:
    with pytest.raises(BadSignature) as raised:
        reader.verify(tampered()[what], now=NOW)
    assert SECRET not in str(raised.value) + raised.value.hint


@pytest.mark.parametrize("stamp", ["soon", "2025-11-24T16:00:00Z", "9" * 30, "-1", "\u0661"])
def test_a_signed_timestamp_that_is_no_time_is_refused(reader: HubSpot, stamp: str) -> None:
    source = b"POST" + URL.encode() + b"[]" + stamp.encode()
    digest = hmac.new(SECRET.encode(), source, hashlib.sha256).digest()
    headers = {
        webhooks.SIGNATURE: base64.b64encode(digest).decode(),
        webhooks.TIMESTAMP: stamp,
    }
    with pytest.raises(BadSignature):
        reader.verify(Received(Channel.WEBHOOK, b"[]", NOW, headers, "POST", URL), now=NOW)


def received(entries: object) -> Received:
    body = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return Received(Channel.WEBHOOK, body, NOW)


def brief(event: Event) -> dict[str, Any]:
    """An event as the golden files have it: without what is not said."""
    when = event.occurred_at
    found: dict[str, Any] = {
        "kind": str(event.kind),
        "key": event.key,
        "word": event.word,
        "occurred_at": when.isoformat() if when else None,
    }
    if event.candidate:
        facts = asdict(event.candidate).items()
        found["candidate"] = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in facts
            if value not in (None, (), False) or (name == "can_email" and value is False)
        }
    return found | ({"fields": event.fields} if event.fields else {})


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_fixtures_say_what_the_golden_files_hold(reader: HubSpot, path: Path) -> None:
    delivery = received(path.read_bytes())
    golden = json.loads((path.parent / "golden" / path.name).read_text())
    assert [brief(event) for event in reader.parse(delivery)] == golden
    assert reader.delivery_key(delivery) == ""


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_a_repeat_has_the_same_keys(reader: HubSpot, path: Path) -> None:
    entries = json.loads(path.read_text())
    again = [{**entry, "attemptNumber": 3} for entry in reversed(entries)]
    keys = {event.key for event in reader.parse(received(entries))}
    assert {event.key for event in reader.parse(received(again + entries))} == keys


def test_what_people_do_in_hubspot_arrives(reader: HubSpot) -> None:
    account = Account()
    with account.captured() as said:
        made = account.create("anna@example.com")
        account.open("anna@example.com")
        account.click("anna@example.com", "Hello")
        account.reply("anna@example.com")
        account.bounce("anna@example.com")
        account.opt_out("anna@example.com")
        account.create("other@example.com")
        account.merge("anna@example.com", "other@example.com")
        account.gdpr_delete("anna@example.com")
    account.close()
    events = reader.parse(received(said))
    kinds = [event.kind for event in events if event.kind is not EventKind.CANDIDATE_UPDATED]
    assert kinds == [
        EventKind.MESSAGE_OPENED,
        EventKind.MESSAGE_CLICKED,
        EventKind.MESSAGE_REPLIED,
        EventKind.MESSAGE_BOUNCED,
        EventKind.CANDIDATE_UNSUBSCRIBED,
        EventKind.CANDIDATE_MERGED,
        EventKind.CANDIDATE_MERGED,
        EventKind.CANDIDATE_DELETED,
    ]
    assert events[0].candidate is not None
    assert events[0].candidate.external_id == made["id"]


def test_our_own_writes_come_back_as_nothing(
    crm: HubSpot, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I7: no echo, no loop."""
    said: list[dict[str, Any]] = []

    def put(_kind: str, event: dict[str, Any], _key: str = "") -> None:
        said.append(event)

    account.set_webhook("http://127.0.0.1:9", SECRET)
    monkeypatch.setattr(account.outbox, "put", put)
    crm.apply([action(1, "anna@example.com", **FULL)])
    crm.apply([action(1, "anna@example.com", stage="Offer")])
    assert len(said) > 5
    assert crm.parse(received(said)) == []


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        (b"", "$: found something that is no JSON"),
        (b"\xff", "$: found something that is no JSON"),
        (b"[" * 100_000, "$: found something that is no JSON"),
        ({}, "$: found an object, expected an array"),
        ([{}] * 1001, "$: found 1001 entries, expected at most 1000"),
        ([1], "$[0]: found a number, expected an object"),
        ([{}], "$[0].subscriptionType: found nothing, expected a word"),
        ([{"subscriptionType": "contact.creation"}], "$[0].objectId: found nothing"),
        (
            [{"subscriptionType": "contact.creation", "objectId": 1, "subscriptionId": 2}],
            "$[0].occurredAt: found nothing, expected milliseconds",
        ),
        (
            [{"subscriptionType": "contact.creation", "objectId": 1, "occurredAt": 10**18}],
            "$[0].occurredAt: found a number, expected milliseconds of our time",
        ),
        (
            [{"subscriptionType": "contact.merge", "objectId": 1, "primaryObjectId": 1}],
            "$[0].mergedObjectIds: found nothing, expected an array",
        ),
        (
            [
                {
                    "subscriptionType": "contact.merge",
                    "primaryObjectId": 1,
                    "mergedObjectIds": [2, "anna@example.com"],
                }
            ],
            "$[0].mergedObjectIds[1]: found a text, expected a record id",
        ),
        (
            [{"subscriptionType": "contact.propertyChange", "propertyName": "a b"}],
            "$[0].propertyName: found a text, expected a word",
        ),
        (
            [
                {
                    "subscriptionType": "contact.propertyChange",
                    "propertyName": "x",
                    "propertyValue": ["anna@example.com"],
                }
            ],
            "$[0].propertyValue: found an array, expected a text",
        ),
    ],
)
def test_what_is_malformed_is_named_by_its_place(
    reader: HubSpot, entries: object, says: str
) -> None:
    with pytest.raises(Malformed) as raised:
        reader.parse(received(entries))
    assert str(raised.value).startswith(says)
    assert "@" not in str(raised.value)


def test_an_unknown_word_is_never_an_error(reader: HubSpot) -> None:
    entries = [
        {"subscriptionType": "contact.lévitated\0 " * 20, "occurredAt": "then"},
        {"subscriptionType": "x", "objectId": {"deep": []}, "occurredAt": 5},
    ]
    events = reader.parse(received(entries))
    assert [event.kind for event in events] == [EventKind.UNKNOWN] * 2
    assert len(events[0].word) == 100
    assert events[0].occurred_at is None
    assert events[1].occurred_at is not None


def _places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for key, one in inner for place in _places(one, (*path, key)))]


def test_edits_of_the_person_become_facts(reader: HubSpot) -> None:
    def facts(name: str, value: object) -> CandidateFacts:
        entry = {
            "subscriptionType": "contact.propertyChange",
            "subscriptionId": 1,
            "objectId": "7",
            "occurredAt": 5,
            "propertyName": name,
            "propertyValue": value,
        }
        [event] = reader.parse(received([entry]))
        assert event.candidate is not None
        return event.candidate

    assert facts("lastname", "Moss").last_name == "Moss"
    assert facts("phone", "+49 1").phones == ("+49 1",)
    assert facts("phone", None).phones == ()
    assert facts("hs_additional_emails", "a@x.io; b@x.io;").emails == ("a@x.io", "b@x.io")
    assert facts("hs_email_optout", True).can_email is False


def test_secondary_addresses_are_told_last_and_as_secondary(reader: HubSpot) -> None:
    """HubSpot says nothing of their order: none of them may pass for the preferred address."""
    edit = {
        "subscriptionType": "contact.propertyChange",
        "subscriptionId": 1,
        "objectId": 7,
        "occurredAt": 5,
        "propertyName": "hs_additional_emails",
        "propertyValue": "old@x.io;work@x.io",
    }
    entries = [edit, {**edit, "propertyName": "email", "propertyValue": "home@x.io"}]
    primary, secondary = reader.parse(received(entries))
    assert primary.candidate is not None
    assert secondary.candidate is not None
    assert primary.candidate.emails == ("home@x.io",)
    assert "addresses" not in primary.fields
    assert secondary.candidate.emails == ("old@x.io", "work@x.io")
    assert secondary.fields == {"property": "hs_additional_emails", "addresses": "secondary"}


MUTATIONS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=()), max_size=20),
    st.just([]),
    st.just({}),
    st.sampled_from([*SUBSCRIPTIONS, *SIGNALS, "object.merge", "0-1", "INTEGRATION"]),
    st.just("<removed>"),
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(FIXTURES), st.data())
def test_no_mutation_of_a_body_raises_anything_but_malformed(path: Path, data: Any) -> None:
    body = json.loads(path.read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(_places(body)))
        value = data.draw(MUTATIONS)
        if not place:
            body = value
            continue
        around = body
        for key in place[:-1]:
            around = around[key]
        if value == "<removed>":
            del around[place[-1]]
        else:
            around[place[-1]] = value
    try:
        events = webhooks.parse(received(body))
    except Malformed:
        return
    for event in events:
        assert event.key
        json.dumps(brief(event)).encode()
        for text in (event.key, event.word, *event.fields.values()):
            assert "\0" not in text
            text.encode()


# The README


def rows(heading: str) -> list[list[str]]:
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_readme_lists_the_settings() -> None:
    listed = {row[0].strip("`"): row[1] for row in rows("Settings")}
    assert listed == {one.name: one.help for one in manifests()["hubspot"].settings}


def test_the_readme_lists_what_is_written() -> None:
    assert rows("What is written") == [
        [f"`{field}`", f"`{one.name}`", EDITOR[one.kind]] for field, one in PROPERTIES.items()
    ]
    assert set(FIELDS) == {"name", "email", *PROPERTIES} - {"first_name", "last_name"}


def test_the_readme_lists_what_is_understood() -> None:
    expected = [[f"`{word}`", f"`{kind}`"] for word, kind in SUBSCRIPTIONS.items()]
    signals = {**SIGNALS, f"{OPTOUT_PREFIX}*": EventKind.CANDIDATE_UNSUBSCRIBED}
    for name, kind in signals.items():
        true = " = true" if kind is EventKind.CANDIDATE_UNSUBSCRIBED else ""
        expected.append([f"property `{name}`{true}", f"`{kind}`"])
    assert sorted(rows("What is understood")) == sorted(expected)
    for name in SIGNALS:
        assert re.search(rf"`contact\.propertyChange` of[^.]*`{name}`", README, re.DOTALL)
