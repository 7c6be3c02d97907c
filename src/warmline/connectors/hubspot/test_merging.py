"""HubSpot's contacts listed and merged: against the simulator, and against a server with set
answers for what the simulator never does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from warmline.connectors.hubspot.connector import HubSpot
from warmline.connectors.hubspot.test_upsert import Stub
from warmline.core.errors import AuthFailed, Malformed, Throttled, Unreachable
from warmline.core.outcomes import OutcomeKind
from warmline.ports import ContactRecord, Options
from warmline.sandbox.clock import VirtualClock
from warmline.sandbox.hubspot.contacts import MERGES_MAX
from warmline.sandbox.hubspot.simulator import HubSpot as Account
from warmline.sandbox.serve import Sandbox

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MERGE = "POST /crm/v3/objects/contacts/merge"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def sandbox(clock: VirtualClock) -> Iterator[Sandbox]:
    with Sandbox(now=clock, background=False) as sandbox:
        yield sandbox


@pytest.fixture
def account(sandbox: Sandbox) -> Account:
    return sandbox.hubspot


def connector_to(url: str, clock: VirtualClock, *, timeout_s: float = 10) -> HubSpot:
    secrets = {"access_token": "sandbox-token", "client_secret": "s3cret"}
    return HubSpot(Options("crm", {"base_url": url}, secrets, clock), timeout_s=timeout_s)


@pytest.fixture
def crm(sandbox: Sandbox, clock: VirtualClock) -> Iterator[HubSpot]:
    connector = connector_to(sandbox.hubspot_url, clock)
    yield connector
    connector.close()


@pytest.fixture
def hasty(sandbox: Sandbox, clock: VirtualClock) -> Iterator[HubSpot]:
    """One that waits half a second for an answer."""
    connector = connector_to(sandbox.hubspot_url, clock, timeout_s=0.5)
    yield connector
    connector.close()


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    yield server
    server.close()


@pytest.fixture
def against(stub: Stub, clock: VirtualClock) -> Iterator[HubSpot]:
    connector = connector_to(stub.url, clock, timeout_s=5)
    yield connector
    connector.close()


def listed(crm: HubSpot, cursor: str = "") -> list[ContactRecord]:
    return [contact for page in crm.contacts(cursor) for contact in page.contacts]


def two(account: Account) -> tuple[str, str]:
    one = account.create("a@x.example.com", firstname="Ada", phone="1")["id"]
    other = account.create("b@x.example.com", firstname="Adah", lastname="Lind")["id"]
    return str(one), str(other)


def merges(account: Account) -> int:
    return int(account.log.as_json()["by_call"].get(MERGE, 0))


# Listing


def test_a_contact_is_told_with_all_that_it_holds(
    account: Account, crm: HubSpot, clock: VirtualClock
) -> None:
    one, other = two(account)
    account.set_property("b@x.example.com", "mobilephone", "+1 202 555 0100")
    clock.advance(60)
    account.opt_out("b@x.example.com")
    assert listed(crm) == [
        ContactRecord(one, ("a@x.example.com",), "Ada", "", ("1",), False, START),
        ContactRecord(
            other, ("b@x.example.com",), "Adah", "Lind", ("+1 202 555 0100",), True, START
        ),
    ]
    new = crm.merge(one, other).external_id
    [merged] = listed(crm)
    assert merged == ContactRecord(
        new, ("a@x.example.com", "b@x.example.com"), "Ada", "Lind",
        ("1", "+1 202 555 0100"), False, START,
    )  # fmt: skip


def test_the_list_is_read_by_pages_of_a_hundred_and_goes_on_from_any(
    account: Account, crm: HubSpot
) -> None:
    for number in range(205):
        account.create(f"p{number}@x.example.com")
    pages = list(crm.contacts())
    assert [len(page.contacts) for page in pages] == [100, 100, 5]
    assert pages[-1].cursor == ""
    rest = listed(crm, pages[0].cursor)
    assert rest == [contact for page in pages[1:] for contact in page.contacts]
    calls = account.log.as_json()["by_call"]
    assert calls == {"GET /crm/v3/objects/contacts": 5}  # and never the search


def test_a_throttled_listing_raises_and_goes_on_later(
    account: Account, crm: HubSpot, clock: VirtualClock
) -> None:
    for number in range(150):
        account.create(f"p{number}@x.example.com")
    account.faults.add({"kind": "rate_limited", "count": 1})
    with pytest.raises(Throttled) as caught:
        listed(crm)
    clock.advance(caught.value.after_s)
    assert len(listed(crm)) == 150


def test_a_list_that_is_none_or_does_not_go_on_is_told(stub: Stub, against: HubSpot) -> None:
    stub.handle = lambda _call, _body: (200, {"results": "none"})
    with pytest.raises(Malformed, match="no list"):
        listed(against)
    page = {"results": [{"id": "1"}], "paging": {"next": {"after": "1"}}}
    stub.handle = lambda _call, _body: (200, page)
    with pytest.raises(Malformed, match="does not go on"):
        listed(against)
    stub.handle = lambda _call, _body: (503, {})
    with pytest.raises(Unreachable):
        listed(against)


def test_what_is_missing_in_a_contact_is_left_empty(stub: Stub, against: HubSpot) -> None:
    row: dict[str, Any] = {"id": 7, "properties": {"email": None, "createdate": "1772442000000"}}
    stub.handle = lambda _call, _body: (200, {"results": [row, {"properties": {}}, "x"]})
    assert listed(against) == [ContactRecord("7", created_at=START)]


# Merging


def test_merging_gives_a_new_id_and_asking_again_changes_nothing(
    account: Account, crm: HubSpot
) -> None:
    one, other = two(account)
    done = crm.merge(one, other)
    assert done.kind is OutcomeKind.DONE
    assert done.external_id not in {one, other}
    for pair in ((one, other), (other, one), (one, done.external_id), (other, other)):
        again = crm.merge(*pair)
        assert (again.kind, again.external_id) == (OutcomeKind.ALREADY_DONE, done.external_id)
    assert merges(account) == 1
    [contact] = account.all_contacts()
    assert contact["properties"]["firstname"] == "Ada"


def test_ids_that_were_merged_away_are_merged_as_what_they_are_now(
    account: Account, crm: HubSpot
) -> None:
    one, other = two(account)
    third = str(account.create("c@x.example.com")["id"])
    crm.merge(one, other)
    done = crm.merge(other, third)  # HubSpot itself takes the standing id only
    assert done.kind is OutcomeKind.DONE
    [contact] = account.all_contacts()
    assert contact["emails"] == ["a@x.example.com", "b@x.example.com", "c@x.example.com"]


def test_a_record_named_twice_is_only_read(account: Account, crm: HubSpot) -> None:
    one, _ = two(account)
    account.opt_out("a@x.example.com")
    read = crm.merge(one, one)
    assert (read.kind, read.external_id) == (OutcomeKind.ALREADY_DONE, one)
    assert read.detail == {"opted_out": "true"}
    assert len(account.all_contacts()) == 2
    assert account.log.as_json()["total"] == 1


def test_a_lost_answer_is_unknown_and_the_next_try_finds_it_done(
    account: Account, crm: HubSpot, hasty: HubSpot
) -> None:
    one, other = two(account)
    account.faults.add({"kind": "timeout_after", "path": "/merge", "seconds": 3, "count": 1})
    lost = hasty.merge(one, other)
    assert lost.kind is OutcomeKind.UNKNOWN
    found = crm.merge(one, other)
    [contact] = account.all_contacts()
    assert (found.kind, found.external_id) == (OutcomeKind.ALREADY_DONE, contact["id"])


def test_a_call_that_never_arrived_is_unknown_and_the_next_try_does_it(
    account: Account, crm: HubSpot
) -> None:
    one, other = two(account)
    account.faults.add({"kind": "drop", "path": "/merge", "count": 1})
    assert crm.merge(one, other).kind is OutcomeKind.UNKNOWN
    assert len(account.all_contacts()) == 2
    assert crm.merge(one, other).kind is OutcomeKind.DONE


def test_a_refusal_after_an_answer_that_came_late_is_no_refusal(
    stub: Stub, against: HubSpot
) -> None:
    """An earlier try goes through between our reading and our asking."""
    merged: list[bool] = []

    def handle(call: str, _body: dict[str, Any]) -> tuple[int, object]:
        if call == "merge":
            merged.append(True)
            return 400, {"category": "VALIDATION_ERROR", "message": "was merged"}
        key = call.removeprefix("GET ")
        return 200, {"id": "3" if merged else key, "properties": {}}

    stub.handle = handle
    outcome = against.merge("1", "2")
    assert (outcome.kind, outcome.external_id) == (OutcomeKind.ALREADY_DONE, "3")


def test_a_refusal_gives_hubspots_reason_without_addresses(stub: Stub, against: HubSpot) -> None:
    said = {"category": "VALIDATION_ERROR", "message": "ada@example.com may not be merged"}

    def handle(call: str, _body: dict[str, Any]) -> tuple[int, object]:
        return (400, said) if call == "merge" else (200, {"id": call.removeprefix("GET ")})

    stub.handle = handle
    outcome = against.merge("1", "2")
    assert outcome.kind is OutcomeKind.REFUSED
    assert outcome.reason == "HubSpot answered 400, VALIDATION_ERROR: *** may not be merged"


def test_an_answer_without_an_id_is_unknown(stub: Stub, against: HubSpot) -> None:
    def handle(call: str, _body: dict[str, Any]) -> tuple[int, object]:
        return (200, b"<html>") if call == "merge" else (200, {"id": call.removeprefix("GET ")})

    stub.handle = handle
    assert against.merge("1", "2").kind is OutcomeKind.UNKNOWN


def test_a_record_that_is_gone_is_named(account: Account, crm: HubSpot) -> None:
    one, other = two(account)
    account.delete("b@x.example.com")
    outcome = crm.merge(one, other)
    assert outcome.kind is OutcomeKind.REFUSED
    assert outcome.detail == {"gone": other}
    assert merges(account) == 0


def test_two_hundred_and_fifty_merges_are_the_most(account: Account, crm: HubSpot) -> None:
    one, other = two(account)
    contact = account.contacts.find(one)
    assert contact is not None
    contact.merges = MERGES_MAX
    outcome = crm.merge(one, other)
    assert outcome.kind is OutcomeKind.REFUSED
    assert "250 times" in outcome.reason
    contact.merges = MERGES_MAX - 1
    assert crm.merge(one, other).kind is OutcomeKind.DONE


def test_throttled_and_unreachable_are_later_and_a_refused_token_is_raised(
    account: Account, crm: HubSpot, clock: VirtualClock
) -> None:
    one, other = two(account)
    account.faults.add({"kind": "rate_limited", "count": 1})
    throttled = crm.merge(one, other)
    assert (throttled.kind, throttled.after_s) == (OutcomeKind.LATER, 10.0)
    clock.advance(10)
    account.faults.add({"kind": "unavailable", "count": 1})
    assert crm.merge(one, other).kind is OutcomeKind.LATER
    account.token = "another"
    with pytest.raises(AuthFailed):
        crm.merge(one, other)
    assert merges(account) == 0


def test_the_merged_record_shows_its_primary_addresss_opt_out_only(
    account: Account, crm: HubSpot
) -> None:
    one, other = two(account)
    account.opt_out("b@x.example.com")
    done = crm.merge(one, other)
    assert done.detail == {"opted_out": "true"}  # as they were read, before they were one
    assert "hs_email_optout" not in account.all_contacts()[0]["properties"]
    assert account.subscriptions.unsubscribed_from_all("b@x.example.com")
    third = str(account.create("c@x.example.com")["id"])
    account.opt_out("c@x.example.com")
    crm.merge(third, one)
    assert account.all_contacts()[0]["properties"]["hs_email_optout"] == "true"


def test_the_simulator_keeps_the_older_creation_date_and_every_old_id(
    account: Account, crm: HubSpot, clock: VirtualClock
) -> None:
    one = str(account.create("ab@gmail.com")["id"])
    clock.advance(timedelta(days=1).total_seconds())
    other = str(account.create("a.b@gmail.com")["id"])  # for HubSpot another address
    third = str(account.create("c@x.example.com")["id"])
    first = crm.merge(other, one).external_id
    crm.merge(third, first)
    [contact] = account.all_contacts()
    assert contact["properties"]["createdate"].startswith("2026-03-02")
    assert contact["properties"]["hs_merged_object_ids"] == f"{other};{one};{third};{first}"
