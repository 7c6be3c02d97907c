"""Clicks by HubSpot's e-mail events: every one, with who made it; and what keeps it untold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from warmline.connectors.hubspot import clicks
from warmline.connectors.hubspot.clicks import HOLD_BACK_MS, PAGE, STREAM, parse
from warmline.connectors.hubspot.connector import HubSpot
from warmline.connectors.hubspot.test_listing import ADA, Clock, connector_to
from warmline.connectors.hubspot.test_upsert import Stub
from warmline.core.errors import Malformed, Unreachable
from warmline.core.events import Event, EventKind
from warmline.ports import Channel, Page, Received
from warmline.sandbox.hubspot.simulator import SCOPES
from warmline.sandbox.hubspot.simulator import HubSpot as Account
from warmline.sandbox.serve import Sandbox

SUBJECT, LINK = "Three roles for you", "https://jobs.example.com/baker?ref=mail"
CALL = "GET /email/public/v1/events"


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


def sweep(crm: HubSpot, clock: Clock, cursor: str = "") -> list[Page]:
    return list(crm.changes(STREAM, cursor, now=clock()))


def heard(crm: HubSpot, clock: Clock, pages: list[Page]) -> list[Event]:
    records = [record for page in pages for record in page.records]
    return [
        event
        for record in records
        for event in crm.parse(Received(Channel.POLL, record.body, clock(), stream=STREAM))
    ]


def mailed(account: Account, clock: Clock, **after: float) -> None:
    """A contact gets a mail, and time passes."""
    account.create(ADA)
    account.send_mail(ADA, SUBJECT)
    clock.move(**(after or {"hours": 1}))


def told(crm: HubSpot, clock: Clock) -> list[Event]:
    clock.move(milliseconds=HOLD_BACK_MS + 1)
    return heard(crm, clock, sweep(crm, clock))


def calls(account: Account) -> int:
    found: int = account.log.as_json()["by_call"].get(CALL, 0)
    return found


def test_a_persons_click_tells_when_which_mail_and_which_link(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    mailed(account, clock)
    at = clock()
    account.click(ADA, SUBJECT, LINK)
    (event,) = told(crm, clock)
    assert (event.kind, event.occurred_at) == (EventKind.MESSAGE_CLICKED, at)
    assert event.candidate is not None
    assert event.candidate.external_id == str(account.all_contacts()[0]["id"])
    assert event.fields == {
        "confidence": "human",
        "confidence_why": "made with a browser, 59 minutes after the delivery, "
        "and the sender's own bot filter let it pass",
        "link_url": LINK,
        "email_subject": SUBJECT,
    }
    assert event.key.endswith(":human")


def test_what_hubspot_filters_is_a_machines(crm: HubSpot, account: Account, clock: Clock) -> None:
    mailed(account, clock)
    account.click(ADA, SUBJECT, LINK, bot=True)
    (event,) = told(crm, clock)
    assert event.fields["confidence"] == "machine"
    assert "bot filter discarded it" in event.fields["confidence_why"]
    assert event.fields["email_subject"] == SUBJECT
    assert calls(account) == 1  # nothing about the mail is asked: it could not change that


def test_a_burst_is_a_machines_though_a_page_ends_in_it(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    mailed(account, clock)
    many = PAGE + 1  # one alone on the second page
    for number in range(many):
        account.emails.click(ADA, SUBJECT, f"{LINK}&n={number}")
        clock.move(milliseconds=300)
    events = told(crm, clock)
    assert [event.fields["confidence"] for event in events] == ["machine"] * many
    assert "within 1 second" in events[-1].fields["confidence_why"]


@pytest.mark.parametrize(
    ("after_s", "agent", "who", "why"),
    [
        (2, "Mozilla/5.0 Barracuda Sentinel", "machine", "mail gateway"),
        (2, "Mozilla/5.0 (X11) Firefox/123.0", "unconfirmed", "within 10 seconds"),
        (3600, "python-requests/2.32", "machine", "a program and no browser"),
        (3600, "", "unconfirmed", "does not tell the browser"),
    ],
)
def test_haste_and_agents_count(
    crm: HubSpot, account: Account, clock: Clock, after_s: float, agent: str, who: str, why: str
) -> None:
    mailed(account, clock, seconds=after_s)
    account.click(ADA, SUBJECT, LINK, agent=agent)
    (event,) = told(crm, clock)
    assert (event.fields["confidence"], why in event.fields["confidence_why"]) == (who, True)


def test_a_late_delivery_counts_from_its_arrival(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    """A gateway that took the mail after half an hour, and opened its link at once."""
    mailed(account, clock, minutes=30)
    account.emails.events[-1]["created"] += 30 * 60_000
    clock.move(seconds=4)
    account.click(ADA, SUBJECT, LINK)
    (event,) = told(crm, clock)
    assert event.fields["confidence"] == "unconfirmed"


def test_without_a_delivery_nobody_clicked(crm: HubSpot, account: Account, clock: Clock) -> None:
    mailed(account, clock)
    account.emails.events.pop()
    account.click(ADA, SUBJECT, LINK)
    (event,) = told(crm, clock)
    assert "not known when the mail was delivered" in event.fields["confidence_why"]


def test_where_a_click_does_not_tell_the_filter_the_filter_is_asked(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    account.emails.tells_filtered = False
    mailed(account, clock)
    account.click(ADA, SUBJECT, LINK)
    clock.move(minutes=5)
    account.click(ADA, SUBJECT, f"{LINK}2", bot=True)
    events = told(crm, clock)
    assert {e.fields["link_url"]: e.fields["confidence"] for e in events} == {
        LINK: "human",
        f"{LINK}2": "machine",
    }


def test_i2_read_again_or_clicked_twice_it_is_one_event(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    mailed(account, clock)
    account.click(ADA, SUBJECT, LINK)
    clock.move(seconds=2)
    account.click(ADA, SUBJECT, LINK)
    clock.move(milliseconds=HOLD_BACK_MS + 1)
    first = sweep(crm, clock)
    again = sweep(crm, clock, first[-1].cursor)
    assert [r.key for p in first for r in p.records] == [r.key for p in again for r in p.records]
    assert len({event.key for event in heard(crm, clock, first + again)}) == 1
    clock.move(days=1)
    account.click(ADA, SUBJECT, LINK)
    clock.move(milliseconds=HOLD_BACK_MS + 1)
    assert len({e.key for e in heard(crm, clock, sweep(crm, clock))}) == 2  # another day's act


def test_a_second_address_is_found_and_a_stranger_is_left_out(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    mailed(account, clock)
    account.emails.click("stranger@example.com", SUBJECT, LINK)
    account.create("ada@new.example.com")
    merged = account.merge("ada@new.example.com", ADA)
    account.emails.click(ADA, SUBJECT, LINK)
    (event,) = told(crm, clock)
    assert event.candidate is not None
    assert event.candidate.external_id == merged["id"]


def test_whom_a_batch_does_not_find_is_looked_up_alone(clock: Clock) -> None:
    """HubSpot refuses a whole batch for an address that it dislikes."""
    at = round(clock().timestamp() * 1000) - 2 * HOLD_BACK_MS
    click = {"id": "1", "created": at, "type": "CLICK", "recipient": ADA, "filteredEvent": True}
    stub = Stub()
    answers: dict[str, tuple[int, object]] = {
        "GET events": (200, {"events": [click], "hasMore": False, "offset": "1"}),
        "batch/read": (400, {"category": "VALIDATION_ERROR"}),
        f"GET {ADA}": (200, {"id": "77", "properties": {"email": "other@example.com"}}),
    }
    stub.handle = lambda call, _body: answers[call]
    crm = connector_to(stub.url, clock)
    try:
        events = heard(crm, clock, sweep(crm, clock))
    finally:
        crm.close()
        stub.close()
    (event,) = events
    assert event.candidate is not None
    assert event.candidate.external_id == "77"


def test_the_subject_is_the_campaigns_where_the_mail_does_not_tell_it(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    mailed(account, clock)
    del account.emails.events[0]["subject"]
    account.emails.click(ADA, "", LINK)
    (event,) = told(crm, clock)
    assert (event.fields["confidence"], event.fields["email_subject"]) == ("human", SUBJECT)


def test_a_missing_scope_or_plan_is_no_failure_and_no_backlog(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    account.scopes = SCOPES - {clicks.SCOPE}
    mailed(account, clock)
    account.click(ADA, SUBJECT, LINK)
    clock.move(minutes=20)
    (page,) = sweep(crm, clock, crm.start(now=clock()))
    assert (page.records, page.last, page.cursor) == ((), True, crm.start(now=clock()))
    asked = calls(account)
    clock.move(minutes=5)
    sweep(crm, clock, page.cursor)
    assert calls(account) == asked  # not asked again within the hour
    account.scopes = SCOPES
    clock.move(hours=1)
    (page,) = sweep(crm, clock, crm.start(now=clock()))
    account.click(ADA, SUBJECT, f"{LINK}2")
    clock.move(milliseconds=HOLD_BACK_MS + 1)
    (event,) = heard(crm, clock, sweep(crm, clock, page.cursor))
    assert event.fields["link_url"] == f"{LINK}2"
    account.faults.add({"kind": "plan", "method": "GET", "path": "/email/public/v1/events"})
    assert sweep(crm, clock, page.cursor)[0].records == ()


def test_a_place_in_the_list_that_is_forgotten_begins_again(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    mailed(account, clock)
    for number in range(PAGE + 3):
        account.emails.click(ADA, SUBJECT, f"{LINK}&n={number}")
    clock.move(minutes=2)
    window = sweep(crm, clock)[0].cursor
    assert len(heard(crm, clock, sweep(crm, clock, window))) == 3
    forgotten = window.rpartition(":")[0] + ":a:lost:token"
    assert len(heard(crm, clock, sweep(crm, clock, forgotten))) == PAGE + 3


def test_only_the_last_month_is_read_of_a_history(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    mailed(account, clock)
    account.click(ADA, SUBJECT, LINK)
    clock.move(days=31)
    assert told(crm, clock) == []


def test_a_cursor_of_somebody_else_is_malformed(crm: HubSpot, clock: Clock) -> None:
    with pytest.raises(Malformed, match="not one of HubSpot's"):
        sweep(crm, clock, "page:7")


def test_a_failure_is_raised_and_not_taken_for_an_empty_list(
    crm: HubSpot, account: Account, clock: Clock
) -> None:
    mailed(account, clock)
    account.click(ADA, SUBJECT, LINK)
    clock.move(milliseconds=HOLD_BACK_MS + 1)
    account.faults.add({"kind": "unavailable", "path": "/email/public/v1/events", "count": 5})
    with pytest.raises(Unreachable):
        sweep(crm, clock)


def test_no_address_stands_in_a_record(crm: HubSpot, account: Account, clock: Clock) -> None:
    mailed(account, clock)
    account.click(ADA, SUBJECT, LINK)
    clock.move(milliseconds=HOLD_BACK_MS + 1)
    bodies = [record.body for page in sweep(crm, clock) for record in page.records]
    assert bodies
    assert not any(b"@" in body for body in bodies)


CLICK = {"id": "1", "created": 1_760_000_000_000}


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"click": 1}']
    + [
        json.dumps({"contact": "7", "click": CLICK | change}).encode()
        for change in ({"id": 1}, {"created": "x"}, {"created": -1}, {"created": True})
    ]
    + [json.dumps({"contact": "x", "click": CLICK}).encode()],
)
def test_what_is_no_click_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse(Received(Channel.POLL, body, Clock()(), stream=STREAM))


@pytest.mark.parametrize(
    "more",
    [
        {"mail": 1, "passed": "x", "subject": 7},
        {"mail": [1, {"type": "DELIVERED"}, {"type": "CLICK", "created": None}]},
    ],
)
def test_what_is_missing_of_the_evidence_confirms_nothing(more: dict[str, Any]) -> None:
    strange = CLICK | {"browser": 1, "userAgent": 2, "sentBy": 3, "filteredEvent": "false"}
    body = json.dumps({"contact": "7", "click": strange, **more}).encode()
    (event,) = parse(Received(Channel.POLL, body, Clock()(), stream=STREAM))
    assert event.fields["confidence"] == "unconfirmed"
