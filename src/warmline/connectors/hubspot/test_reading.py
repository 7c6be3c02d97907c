"""Contacts read back from the simulator, in our own words, whatever became of them there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from warmline.connectors.hubspot.connector import HubSpot
from warmline.connectors.hubspot.mapping import Kind, as_written
from warmline.connectors.hubspot.test_upsert import Stub
from warmline.core.actions import FIELDS
from warmline.core.errors import AuthFailed, Throttled, Unreachable
from warmline.ports import Options, Standing
from warmline.sandbox.hubspot.simulator import HubSpot as Account
from warmline.sandbox.serve import Sandbox

ADA, BO = "ada@example.com", "bo@example.com"
WANTED = ("first_name", "last_name", *FIELDS)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(background=False) as sandbox:
        yield sandbox


@pytest.fixture
def account(sandbox: Sandbox) -> Account:
    return sandbox.hubspot


@pytest.fixture
def crm(sandbox: Sandbox) -> Iterator[HubSpot]:
    made = connector_to(sandbox.hubspot_url)
    yield made
    made.close()


def connector_to(url: str, **settings: object) -> HubSpot:
    secrets = {"access_token": "sandbox-token", "client_secret": "s"}
    given = {"base_url": url, **settings}
    return HubSpot(Options("crm", given, secrets, now=lambda: datetime.now(UTC)), timeout_s=5)


def made(account: Account, email: str, **properties: Any) -> str:
    return str(account.create(email, **properties)["id"])


def test_a_contact_is_read_in_the_ledgers_words(crm: HubSpot, account: Account) -> None:
    ada = made(
        account, ADA, firstname="Ada", candidate_stage=" Offer ", application_date="1763596800000",
        interview_date="2025-12-01T09:30:00+01:00", skill_tags="rye, night shifts",
    )  # fmt: skip
    [one] = crm.records([ada], WANTED)
    assert (one.external_id, one.stands_as, one.opted_out) == (ada, ada, False)
    assert {name: text for name, text in one.fields.items() if text} == {
        "first_name": "Ada",
        "email": ADA,
        "stage": "Offer",
        "application_date": "2025-11-20",
        "interview_date": "2025-12-01T08:30:00Z",
        "skill_tags": "rye, night shifts",
    }
    # A name is kept as its halves, and has no text of its own.
    assert set(one.fields) == {*WANTED} - {"name"}


def test_what_was_merged_stands_as_another_and_what_is_gone_as_nothing(
    crm: HubSpot, account: Account
) -> None:
    ada, bo = made(account, ADA, applied_role="Cook"), made(account, BO, applied_role="Baker")
    gone = made(account, "cy@example.com")
    new = str(account.merge(ADA, BO)["id"])
    account.delete("cy@example.com")
    account.opt_out(ADA)
    told = crm.records([bo, gone, new, ada, bo, "999"], ["applied_role"])
    assert told[1] == Standing(gone)
    assert told[5] == Standing("999")
    assert [one.stands_as for one in told] == [new, "", new, new, new, ""]
    assert [one.external_id for one in told] == [bo, gone, new, ada, bo, "999"]
    assert {one.fields["applied_role"] for one in told if one.stands_as} == {"Cook"}
    assert [one.opted_out for one in told] == [True, False, True, True, True, False]


def test_it_takes_a_call_a_hundred_and_writes_nothing(crm: HubSpot, account: Account) -> None:
    ids = [made(account, f"p{n}@example.com") for n in range(250)]
    account.delete("p7@example.com")
    told = crm.records(ids, ["stage"])
    assert [one.external_id for one in told if not one.stands_as] == [ids[7]]
    assert account.log.as_json()["by_call"] == {
        "POST /crm/v3/objects/contacts/batch/read": 3,
    }


def test_a_field_left_out_of_the_mapping_is_left_out(sandbox: Sandbox, account: Account) -> None:
    crm = connector_to(sandbox.hubspot_url, properties={"stage": "company", "interviewer": ""})
    [one] = crm.records([made(account, ADA, company="Offer")], ["stage", "interviewer"])
    crm.close()
    assert one.fields == {"stage": "Offer"}


def test_an_id_that_an_answer_does_not_mention_is_asked_for_alone() -> None:
    """HubSpot may answer a merged id under the new one without a word of the old one; a hole in an
    answer must not make anybody gone."""
    stub = Stub()
    there = {"1": "1", "2": "9"}

    def handle(call: str, _body: dict[str, Any]) -> tuple[int, object]:
        if call == "batch/read":
            return 200, {"results": [{"id": "1", "properties": {}}]}
        number = there.get(call.removeprefix("GET "))
        return (200, {"id": number}) if number else (404, {"category": "OBJECT_NOT_FOUND"})

    stub.handle = handle
    crm = connector_to(stub.url)
    told = crm.records(["1", "2", "3"], [])
    crm.close()
    stub.close()
    assert [one.stands_as for one in told] == ["1", "9", ""]
    assert stub.made() == ["batch/read", "GET 2", "GET 3"]


@pytest.mark.parametrize(
    ("status", "found", "error"),
    [
        (500, {}, Unreachable),
        (429, {}, Throttled),
        (401, {}, AuthFailed),
        (418, {}, Unreachable),
        (200, {"results": 1}, Unreachable),
        (200, b"<html>", Unreachable),
    ],
)
def test_what_cannot_be_read_raises_and_nobody_is_gone(
    status: int, found: object, error: type[Exception]
) -> None:
    stub = Stub()
    stub.handle = lambda _call, _body: (status, found)
    crm = connector_to(stub.url)
    with pytest.raises(error):
        crm.records(["1"], ["stage"])
    crm.close()
    stub.close()


@pytest.mark.parametrize(
    ("text", "kind", "ours"),
    [
        ("2025-11-20", Kind.DATE, "2025-11-20"),
        ("1763596800000", Kind.DATE, "2025-11-20"),
        ("2025-12-01T08:30:00.000Z", Kind.TIME, "2025-12-01T08:30:00Z"),
        ("2025-12-01T08:30:00.250Z", Kind.TIME, "2025-12-01T08:30:00.250000Z"),
        ("soon", Kind.TIME, "soon"),
        ("", Kind.DATE, ""),
        (" 2025-11-20 ", Kind.TEXT, "2025-11-20"),
    ],
)
def test_dates_come_back_as_the_ledger_writes_them(text: str, kind: Kind, ours: str) -> None:
    assert as_written(text, kind) == ours
