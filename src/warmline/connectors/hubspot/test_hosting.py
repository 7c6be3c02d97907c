"""Sequences that live in HubSpot: put on once, left as far as HubSpot can, and told truly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from warmline.connectors.hubspot.connector import HubSpot
from warmline.core.actions import Action, ActionKind, ContactRef
from warmline.core.errors import ConfigError
from warmline.core.outcomes import OutcomeKind
from warmline.ports import Options, Verdict
from warmline.sandbox.hubspot.simulator import SCOPES
from warmline.sandbox.hubspot.simulator import HubSpot as Account
from warmline.sandbox.serve import Sandbox

ADA = "ada@example.com"
LIST = {"list": "31"}
TRACK = {"property": "nurture_track", "value": "silver", "left": "none"}


@pytest.fixture
def account() -> Iterator[Account]:
    with Sandbox(background=False) as sandbox:
        sandbox.hubspot.url = sandbox.hubspot_url  # type: ignore[attr-defined]
        sandbox.hubspot.add_property("nurture_track", "Nurture track", "string")
        yield sandbox.hubspot


@pytest.fixture
def crm(account: Account) -> Iterator[HubSpot]:
    secrets = {"access_token": "sandbox-token", "client_secret": "s"}
    url = account.url  # type: ignore[attr-defined]
    options = Options("crm", {"base_url": url}, secrets, now=lambda: datetime.now(UTC))
    made = HubSpot(options, timeout_s=5)
    yield made
    made.close()


def sequence(account: Account, number: str = "910001") -> dict[str, str]:
    [sender, user] = next(iter(account.senders().items()))
    return {"sequence": number, "user": user, "sender": sender}


def enrol(host: Mapping[str, str], *emails: str, id: str = "", number: int = 1) -> Action:
    who = ContactRef(id, emails or (ADA,))
    return Action(f"e{number}", ActionKind.CONTACT_ENROL, number, who, host=host)


def leave(host: Mapping[str, str], *emails: str, number: int = 1) -> Action:
    who = ContactRef("", emails or (ADA,))
    return Action(f"l{number}", ActionKind.CONTACT_LEAVE, number, who, host=host)


def posts(account: Account, path: str) -> int:
    by_call = account.log.as_json()["by_call"]
    return sum(n for call, n in by_call.items() if path in call and not call.startswith("GET"))


def kinds(crm: HubSpot, *actions: Action) -> list[OutcomeKind]:
    return [outcome.kind for outcome in crm.apply(actions)]


# One of HubSpot's own sequences


def test_a_contact_is_put_on_a_sequence_once(crm: HubSpot, account: Account) -> None:
    contact, host = account.create(ADA)["id"], sequence(account)
    [first] = crm.apply([enrol(host)])
    [again] = crm.apply([enrol(host, id=contact)])
    assert (first.kind, again.kind) == (OutcomeKind.DONE, OutcomeKind.ALREADY_DONE)
    assert first.external_id == again.external_id == account.automation.enrolments[contact].id
    assert posts(account, "/enrollments") == 1
    assert crm.hosted(host, [contact])[contact].external_id == first.external_id
    found = crm.find(enrol(host))
    assert found is not None
    assert found.kind is OutcomeKind.DONE


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sequence": "999"}, "does not exist"),
        ({"user": "4711"}, "connected inbox"),
        ({"sender": "nobody@example.com"}, "connected inbox"),
    ],
)
def test_what_hubspot_refuses_is_refused_with_its_reason(
    crm: HubSpot, account: Account, change: dict[str, str], reason: str
) -> None:
    account.create(ADA)
    [said] = crm.apply([enrol(sequence(account) | change)])
    assert said.kind is OutcomeKind.REFUSED
    assert reason in said.reason
    assert "@" not in said.reason
    assert not account.automation.enrolments


def test_whoever_is_on_another_sequence_is_refused(crm: HubSpot, account: Account) -> None:
    account.create(ADA)
    assert kinds(crm, enrol(sequence(account, "910002"))) == [OutcomeKind.DONE]
    [said] = crm.apply([enrol(sequence(account))])
    assert said.kind is OutcomeKind.REFUSED
    assert "already enrolled" in said.reason
    [contact] = account.automation.enrolments
    assert not crm.hosted(sequence(account), [contact])[contact].on
    assert crm.find(enrol(sequence(account))) is None


def test_nobody_who_is_no_contact_is_put_anywhere(crm: HubSpot, account: Account) -> None:
    for host in (sequence(account), LIST, TRACK):
        [said] = crm.apply([enrol(host)])
        assert said.kind is OutcomeKind.REFUSED
        assert "no contact" in said.reason
    assert not account.contacts.by_id


def test_leaving_a_sequence_is_said_to_be_impossible(crm: HubSpot, account: Account) -> None:
    contact, host = account.create(ADA)["id"], sequence(account)
    assert kinds(crm, leave(host)) == [OutcomeKind.ALREADY_DONE]
    crm.apply([enrol(host)])
    [said] = crm.apply([leave(host)])
    assert said.kind is OutcomeKind.REFUSED
    assert "no call that takes a contact off" in said.reason
    assert any("no call that takes a contact off" in one for one in crm.cannot(host))
    assert crm.hosted(host, [contact])[contact].on


def test_an_opt_out_ends_it(crm: HubSpot, account: Account) -> None:
    account.create(ADA)
    host = sequence(account)
    crm.apply([enrol(host)])
    account.opt_out(ADA)
    assert kinds(crm, leave(host)) == [OutcomeKind.ALREADY_DONE]


# A list


def test_many_go_on_a_list_in_one_call_and_off_again(crm: HubSpot, account: Account) -> None:
    emails = [f"p{n}@example.com" for n in range(5)]
    ids = [account.create(email)["id"] for email in emails]
    actions = [enrol(LIST, email, number=n) for n, email in enumerate(emails)]
    assert kinds(crm, *actions, enrol(LIST, "gone@example.com", number=9)) == [
        *[OutcomeKind.DONE] * 5,
        OutcomeKind.REFUSED,
    ]
    assert posts(account, "/memberships") == 1
    assert account.automation.members["31"] == set(ids)
    assert kinds(crm, *actions) == [OutcomeKind.ALREADY_DONE] * 5
    assert all(one.on for one in crm.hosted(LIST, ids).values())
    off = [leave(LIST, email, number=n) for n, email in enumerate(emails)]
    assert kinds(crm, *off) == [OutcomeKind.DONE] * 5
    assert not account.automation.members["31"]


def test_a_list_with_a_filter_takes_nobody(crm: HubSpot, account: Account) -> None:
    account.create(ADA)
    [said] = crm.apply([enrol({"list": "32"})])
    assert said.kind is OutcomeKind.REFUSED
    assert "DYNAMIC" in said.reason
    [finding] = [f for f in crm.check_host({"list": "32"}) if f.what == "list 32"]
    assert finding.verdict is Verdict.READ_ONLY


# A property


def test_a_property_is_set_and_put_back(crm: HubSpot, account: Account) -> None:
    contact = account.create(ADA)["id"]
    assert kinds(crm, enrol(TRACK)) == [OutcomeKind.DONE]
    assert crm.hosted(TRACK, [contact])[contact].on
    assert kinds(crm, enrol(TRACK)) == [OutcomeKind.ALREADY_DONE]
    assert kinds(crm, leave(TRACK)) == [OutcomeKind.DONE]
    assert account.contacts.by_id[int(contact)].properties["nurture_track"] == "none"


def test_a_value_that_somebody_else_put_there_is_left_alone(crm: HubSpot, account: Account) -> None:
    contact = account.create(ADA)["id"]
    crm.apply([enrol(TRACK)])
    account.set_property(ADA, "nurture_track", "by hand")
    assert kinds(crm, leave(TRACK)) == [OutcomeKind.ALREADY_DONE]
    assert account.contacts.by_id[int(contact)].properties["nurture_track"] == "by hand"


# What is refused before anybody is asked


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "names no place; expected one of sequence, list and property"),
        ({"list": 31, "property": "x", "value": "y"}, "names list and property"),
        ({"sequence": 1, "user": 2}, "expected sequence, user, sender"),
        ({"sequence": "Silver", "user": 2, "sender": ADA}, "expected the number"),
        ({"sequence": 1, "user": 2, "sender": "Anna"}, "with.sender` is no address"),
        ({"list": True}, "expected text or a number"),
        ({"list": "silver"}, "expected the number"),
        ({"list": 31, "user": 2}, "expected list"),
        ({"property": "Nurture Track", "value": "x"}, "expected the internal name"),
        ({"property": "track", "value": ""}, "is empty, or the same"),
        ({"property": "track", "value": "x", "left": "x"}, "is empty, or the same"),
    ],
)
def test_a_wrong_place_is_named(crm: HubSpot, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        crm.host_of(options)


def test_check_says_what_is_missing_and_what_cannot_be(crm: HubSpot, account: Account) -> None:
    def verdicts(host: Mapping[str, str]) -> dict[str, Verdict]:
        return {f.what: f.verdict for f in crm.check_host(host) if f.what != "cannot"}

    scope = "scope automation.sequences.enrollments.write"
    assert verdicts(sequence(account)) == {"sequence 910001": Verdict.OK, scope: Verdict.OK}
    assert verdicts(sequence(account, "999"))["sequence 999"] is Verdict.MISSING
    assert verdicts(LIST) == {"list 31": Verdict.OK, "scope crm.lists.write": Verdict.OK}
    assert verdicts({"list": "77"})["list 77"] is Verdict.MISSING
    assert verdicts(TRACK) == {"contact property nurture_track": Verdict.OK}
    assert verdicts({**TRACK, "property": "nowhere"}) == {
        "contact property nowhere": Verdict.MISSING
    }
    account.contacts.definitions["nurture_track"] |= {
        "type": "enumeration",
        "options": [{"value": "silver"}],
    }
    assert verdicts(TRACK) == {"contact property nurture_track": Verdict.MISSING}
    account.scopes = SCOPES - {"automation.sequences.enrollments.write", "crm.lists.read"}
    assert verdicts(sequence(account))[scope] is Verdict.FORBIDDEN
    assert verdicts(LIST)["list 31"] is Verdict.FORBIDDEN
    assert posts(account, "/automation") == posts(account, "/memberships") == 0
