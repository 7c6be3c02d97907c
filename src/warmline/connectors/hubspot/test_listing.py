"""Contacts by poll: all that changed and each once, whatever the search's limits; the same events
as the webhooks'."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from warmline.connectors.hubspot import listing
from warmline.connectors.hubspot.connector import HubSpot
from warmline.connectors.hubspot.listing import HOLD_BACK_MS, OVERLAP_MS, SEARCHES_A_SECOND
from warmline.connectors.hubspot.test_upsert import Stub
from warmline.core.errors import AuthFailed, Malformed, Throttled, Unreachable
from warmline.core.events import Event, EventKind
from warmline.ports import Channel, Options, Page, Received
from warmline.sandbox.hubspot.simulator import HubSpot as Account
from warmline.sandbox.serve import Sandbox

NOW = datetime(2025, 11, 24, 16, tzinfo=UTC)
ADA = "ada@example.com"
LAG = timedelta(milliseconds=HOLD_BACK_MS + 1)


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at

    def move(self, **delta: float) -> datetime:
        self.at += timedelta(**delta)
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(now=clock, background=False) as sandbox:
        yield sandbox


@pytest.fixture
def account(sandbox: Sandbox) -> Account:
    return sandbox.hubspot


@pytest.fixture
def crm(sandbox: Sandbox, clock: Clock) -> Iterator[HubSpot]:
    made = connector_to(sandbox.hubspot_url, clock)
    yield made
    made.close()


def connector_to(url: str, clock: Clock) -> HubSpot:
    secrets = {"access_token": "sandbox-token", "client_secret": "s"}
    return HubSpot(Options("crm", {"base_url": url}, secrets, now=clock), timeout_s=5)


def pages(crm: HubSpot, cursor: str, clock: Clock, *, most: int = 500) -> list[Page]:
    """A whole sweep, at the pace that is asked for."""
    found: list[Page] = []
    waited_s: list[float] = []
    while len(found) < most:
        try:
            for page in crm.changes("contacts", cursor, now=clock()):
                found.append(page)
                cursor = page.cursor
                if page.last:
                    assert max(waited_s, default=0) <= 1
                    return found
        except Throttled as error:
            waited_s.append(error.after_s)
            clock.move(seconds=error.after_s)
    raise AssertionError(f"no end after {most} pages")


def ids(found: list[Page]) -> list[str]:
    return [record.key.partition(":")[0] for page in found for record in page.records]


def events(crm: HubSpot, found: list[Page]) -> list[Event]:
    told = []
    for page in found:
        for record in page.records:
            received = Received(Channel.POLL, record.body, NOW, stream=page.stream)
            told += crm.parse(received)
    return told


def names(page: Page) -> list[str]:
    return [json.loads(record.body)["contact"]["properties"]["email"] for record in page.records]


def test_from_now_on_brings_no_history_and_then_what_changed(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    account.create("before@example.com")
    clock.move(hours=1)
    cursor = crm.start(now=clock())
    [page] = pages(crm, cursor, clock)
    assert (page.records, page.last) == ((), True)
    clock.move(minutes=5)
    account.create(ADA)
    clock.at += LAG
    [page] = pages(crm, page.cursor, clock)
    assert names(page) == [ADA]


def test_what_the_index_does_not_show_yet_comes_with_the_next_poll(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    account.contacts.lag_s = 300
    cursor = crm.start(now=clock())
    clock.move(minutes=2)
    account.create(ADA)
    clock.at += LAG
    [page] = pages(crm, cursor, clock)
    assert page.records == ()
    clock.move(minutes=5)
    [page] = pages(crm, page.cursor, clock)
    assert names(page) == [ADA]
    clock.move(milliseconds=OVERLAP_MS)
    [again] = pages(crm, page.cursor, clock)
    assert [one.key for one in again.records] == [one.key for one in page.records]  # known by it


def test_the_last_minute_is_left_for_the_next_poll(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    """The index may not hold yet what else happened in it."""
    cursor = crm.start(now=clock())
    account.create(ADA)
    clock.move(seconds=30)
    [page] = pages(crm, cursor, clock)
    assert page.records == ()
    clock.move(seconds=31)
    [page] = pages(crm, page.cursor, clock)
    assert names(page) == [ADA]


def test_many_contacts_are_read_each_in_pages_at_the_pace(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    cursor = crm.start(now=clock())
    made = []
    for number in range(1500):
        clock.move(milliseconds=number % 3)
        made.append(str(account.create(f"p{number}@example.com")["id"]))
    clock.at += LAG
    found = pages(crm, cursor, clock)
    assert set(ids(found)) == set(made)
    searches = account.log.as_json()["by_call"]["POST /crm/v3/objects/contacts/search"]
    assert searches >= 2 * SEARCHES_A_SECOND
    assert account.log.as_json()["by_status"].get("429") is None


def test_a_thousand_of_one_moment_are_passed(crm: HubSpot, account: Account, clock: Clock) -> None:
    cursor = crm.start(now=clock())
    first = str(account.create("first@example.com")["id"])
    clock.move(seconds=1)
    made = [str(account.create(f"p{number}@example.com")["id"]) for number in range(1000)]
    clock.move(seconds=1)
    last = str(account.create("last@example.com")["id"])
    clock.at += LAG
    found = pages(crm, cursor, clock)
    assert set(ids(found)) == {first, *made, last}
    assert len(found) < 20


def test_who_moves_while_it_is_read_pushes_nobody_out(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    cursor = crm.start(now=clock())
    made = []
    for number in range(500):
        clock.move(milliseconds=1)
        made.append(str(account.create(f"p{number}@example.com")["id"]))
    clock.at += LAG
    sweep = crm.changes("contacts", cursor, now=clock())
    found = [next(sweep)]
    for number in range(200):
        account.set_property(f"p{number}@example.com", "city", "Bath")
    clock.move(seconds=10)
    found += list(sweep)
    assert set(ids(found)) == set(made)
    clock.at += LAG
    assert len(set(ids(pages(crm, found[-1].cursor, clock)))) >= 200  # and they come again


def test_everybody_is_read_by_the_list_and_resumed_where_it_stopped(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    made = [str(account.create(f"p{number}@example.com")["id"]) for number in range(250)]
    first = next(crm.changes("contacts", "", now=clock()))
    clock.move(minutes=3)
    rest = list(crm.changes("contacts", first.cursor, now=clock()))
    assert ids([first, *rest]) == made
    assert [page.last for page in (first, *rest)] == [False, False, True]
    # What changed while it was read is for the polls after it.
    assert rest[-1].cursor == crm.start(now=NOW)
    assert not any("/search" in call for call in account.log.as_json()["by_call"])


def test_by_poll_and_by_webhook_it_is_the_same_event(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    cursor = crm.start(now=clock())
    with account.captured() as said:
        account.create(ADA, firstname="Ada")
        for do in (account.open, account.click, account.reply, account.bounce, account.opt_out):
            clock.move(seconds=7)
            do(ADA)
    clock.at += LAG
    by_poll = events(crm, pages(crm, cursor, clock))
    body = json.dumps(said).encode()
    by_hook = crm.parse(Received(Channel.WEBHOOK, body, NOW))
    keys = {event.key: event for event in by_hook}
    same = [event for event in by_poll if event.key in keys]
    assert {event.kind for event in same} == {
        EventKind.MESSAGE_OPENED,
        EventKind.MESSAGE_CLICKED,
        EventKind.MESSAGE_REPLIED,
        EventKind.MESSAGE_BOUNCED,
    }
    for event in same:
        hook = keys[event.key]
        assert (event.kind, event.fields, event.candidate) == (
            hook.kind,
            hook.fields,
            hook.candidate,
        )
        if event.kind is not EventKind.MESSAGE_BOUNCED:
            assert event.occurred_at == hook.occurred_at
    others = [event for event in by_poll if event not in same]
    assert [event.kind for event in others] == [
        EventKind.CANDIDATE_UPDATED,
        EventKind.CANDIDATE_UNSUBSCRIBED,
    ]
    assert [event.occurred_at for event in others] == [None, None]


def test_a_contact_says_names_addresses_and_one_type_opted_out_of(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    account.add_property("hs_email_optout_4711", "Opted out of: news", "bool")
    cursor = crm.start(now=clock())
    account.create(ADA, firstname="Ada", lastname="Lind", phone="+44 1")
    account.create("ada@old.example.com")
    account.merge(ADA, "ada@old.example.com")
    account.set_property(ADA, "hs_email_optout_4711", "true")
    clock.at += LAG
    person, no = events(crm, pages(crm, cursor, clock))
    assert person.candidate is not None
    assert person.candidate.emails == (ADA, "ada@old.example.com")
    assert (person.candidate.first_name, person.candidate.phones) == ("Ada", ("+44 1",))
    assert (no.kind, no.fields["scope"]) == (EventKind.CANDIDATE_UNSUBSCRIBED, "4711")


def test_a_click_of_long_ago_is_no_news_of_a_contact_that_was_edited(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    account.create(ADA)
    account.click(ADA)
    clock.move(days=3)
    cursor = crm.start(now=clock())
    account.set_property(ADA, "city", "Bath")
    clock.at += LAG
    kinds = [event.kind for event in events(crm, pages(crm, cursor, clock))]
    assert kinds == [EventKind.CANDIDATE_UPDATED]
    history = events(crm, list(crm.changes("contacts", "", now=clock())))
    assert [event.kind for event in history][1:] == [EventKind.MESSAGE_CLICKED]


@pytest.mark.parametrize(
    ("status", "found", "error"),
    [
        (500, {}, Unreachable),
        (418, {}, Unreachable),
        (401, {}, AuthFailed),
        (429, {}, Throttled),
        (200, {"results": 1}, Malformed),
        (200, {"results": [{"id": "x"}]}, Malformed),
        (200, {"results": [{"id": "1", "properties": {}}]}, Malformed),
        (200, b"<html>", Malformed),
    ],
)
def test_what_cannot_be_read_raises(status: int, found: object, error: type[Exception]) -> None:
    stub, clock = Stub(), Clock()
    stub.handle = lambda call, _body: (
        (200, {"results": []}) if call == "GET contacts" else (status, found)
    )
    crm = connector_to(stub.url, clock)
    with pytest.raises(error):
        list(crm.changes("contacts", crm.start(now=NOW), now=NOW))
    crm.close()
    stub.close()


def test_a_search_that_keeps_to_no_order_ends() -> None:
    stub, clock = Stub(), Clock()
    old = {"id": "1", "properties": {"lastmodifieddate": "2001-01-01T00:00:00Z"}}
    stub.handle = lambda call, _body: (200, {"results": [] if "GET" in call else [old] * 200})
    crm = connector_to(stub.url, clock)
    with pytest.raises(Malformed):
        list(crm.changes("contacts", crm.start(now=NOW), now=NOW))
    crm.close()
    stub.close()


@pytest.mark.parametrize("cursor", ["2025-11-24", "reading:1", "listing:1:2:3", "since:1:2"])
def test_a_cursor_of_another_kind_is_refused(cursor: str) -> None:
    crm = connector_to("http://127.0.0.1:9", Clock())
    with pytest.raises(Malformed):
        list(crm.changes("contacts", cursor, now=NOW))
    crm.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"contact": 1}',
        b'{"contact": {"id": "x", "properties": {}}}',
        b'{"contact": {"id": "1", "properties": {"lastmodifieddate": "soon"}}}',
    ],
)
def test_a_polled_body_that_is_none_is_malformed(body: bytes) -> None:
    crm = connector_to("http://127.0.0.1:9", Clock())
    with pytest.raises(Malformed):
        crm.parse(Received(Channel.POLL, body, NOW, stream="contacts"))
    crm.close()


def test_the_pace_survives_a_clock_that_is_set_back() -> None:
    clock = Clock()
    pace = listing.Pace(clock)
    for _ in range(SEARCHES_A_SECOND):
        pace.take()
    with pytest.raises(Throttled):
        pace.take()
    clock.move(hours=-1)
    pace.take()
