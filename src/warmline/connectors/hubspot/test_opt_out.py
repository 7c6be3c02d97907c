"""A person's no in HubSpot: by address, once, whatever HubSpot answers; and its echo is nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from warmline.connectors.hubspot.checks import PREFERENCES, WRITE_PREFERENCES
from warmline.connectors.hubspot.connector import HubSpot
from warmline.connectors.hubspot.test_upsert import Stub
from warmline.core.actions import Action, ActionKind, ContactRef
from warmline.core.errors import AuthFailed, Throttled, Unreachable
from warmline.core.outcomes import OutcomeKind
from warmline.ports import Access, Finding, Needs, Options, Verdict
from warmline.sandbox.hubspot.simulator import SCOPES
from warmline.sandbox.hubspot.simulator import HubSpot as Account
from warmline.sandbox.serve import Sandbox

ADA, WORK, OLD = "ada@example.com", "ada@work.example.com", "ada@old.example.com"
BRAND = "BUSINESS_UNIT_WIDE"
DAY = "2025-11-24"


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


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    yield server
    server.close()


def connector_to(url: str) -> HubSpot:
    secrets = {"access_token": "sandbox-token", "client_secret": "s"}
    return HubSpot(
        Options("crm", {"base_url": url}, secrets, now=lambda: datetime.now(UTC)), timeout_s=5
    )


def no(*emails: str, id: str = "", number: int = 1, **fields: str) -> Action:
    """The person with these addresses said no."""
    return Action(f"k{number}", ActionKind.CONTACT_OPT_OUT, number, ContactRef(id, emails), fields)


def says_no(account: Account) -> set[str]:
    return {one for one in (ADA, WORK, OLD) if account.subscriptions.none_at_all(one)}


def posts(account: Account) -> int:
    by_call = account.log.as_json()["by_call"]
    return sum(n for call, n in by_call.items() if call.startswith("POST /communication"))


def held(account: Account, email: str) -> dict[str, str]:
    contact = account.contacts.find(email, "email")
    assert contact is not None
    return contact.properties


def test_every_address_is_unsubscribed_and_the_contact_says_when(
    crm: HubSpot, account: Account
) -> None:
    ada = str(account.create(ADA)["id"])
    [outcome] = crm.apply([no(ADA, WORK, id=ada, unsubscribe_date=DAY)])
    assert (outcome.kind, outcome.external_id) == (OutcomeKind.DONE, ada)
    assert outcome.detail == {"addresses": "2"}
    assert says_no(account) == {ADA, WORK}
    assert held(account, ADA)["hs_email_optout"] == "true"
    assert held(account, ADA)["unsubscribe_date"] == DAY


def test_a_second_time_reads_and_writes_nothing(crm: HubSpot, account: Account) -> None:
    action = no(ADA, WORK, id=str(account.create(ADA)["id"]), unsubscribe_date=DAY)
    assert crm.find(action) is None
    crm.apply([action])
    wrote, stood = posts(account), held(account, ADA)["lastmodifieddate"]
    [again] = crm.apply([action])
    assert again.kind is OutcomeKind.ALREADY_DONE
    assert (posts(account), held(account, ADA)["lastmodifieddate"]) == (wrote, stood)
    found = crm.find(action)
    assert found is not None
    assert found.kind is OutcomeKind.DONE


def test_addresses_that_only_hubspot_knows_are_unsubscribed_too(
    crm: HubSpot, account: Account
) -> None:
    account.create(ADA)
    account.create(OLD)
    account.merge(ADA, OLD)
    [outcome] = crm.apply([no(WORK, ADA)])
    assert outcome.detail == {"addresses": "3"}
    assert says_no(account) == {ADA, WORK, OLD}


def test_who_is_no_contact_is_unsubscribed_and_not_made_one(crm: HubSpot, account: Account) -> None:
    [outcome] = crm.apply([no(ADA, unsubscribe_date=DAY)])
    assert (outcome.kind, outcome.external_id) == (OutcomeKind.DONE, "")
    assert says_no(account) == {ADA}
    assert account.all_contacts() == []
    account.create(ADA)
    assert held(account, ADA)["hs_email_optout"] == "true"


def test_a_contact_that_is_gone_is_no_reason_not_to(crm: HubSpot, account: Account) -> None:
    ada = str(account.create(ADA)["id"])
    account.delete(ADA)
    [outcome] = crm.apply([no(ADA, id=ada, unsubscribe_date=DAY)])
    assert outcome.kind is OutcomeKind.DONE
    assert says_no(account) == {ADA}


def test_contacts_and_opt_outs_go_together_in_their_order(crm: HubSpot, account: Account) -> None:
    upsert = Action("u", ActionKind.CONTACT_UPSERT, 1, ContactRef("", (ADA,)), {"stage": "Offer"})
    told = crm.apply([no(WORK, number=2), upsert, no(ADA, unsubscribe_date=DAY)])
    assert [one.kind for one in told] == [OutcomeKind.DONE] * 3
    assert told[1].external_id == told[2].external_id  # made first, so that it can say so
    assert held(account, ADA)["unsubscribe_date"] == DAY


def test_a_scope_that_is_missing_stops_the_opt_outs_only(crm: HubSpot, account: Account) -> None:
    account.scopes = SCOPES - {PREFERENCES}
    upsert = Action("u", ActionKind.CONTACT_UPSERT, 1, ContactRef("", (ADA,)), {"stage": "Offer"})
    with pytest.raises(AuthFailed):
        crm.apply([no(ADA)])
    told = crm.apply([no(ADA), upsert])
    assert [one.kind for one in told] == [OutcomeKind.LATER, OutcomeKind.DONE]


def answers(stub: Stub, *, get: object = (200, {"results": []}), post: object = (204, {})) -> None:
    def handle(call: str, _body: dict[str, Any]) -> Any:
        if call == "GET unsubscribe-all":
            return get
        if "/unsubscribe-all" in call:
            return post(call) if callable(post) else post
        return 404, {"category": "OBJECT_NOT_FOUND"}

    stub.handle = handle


def test_an_address_that_hubspot_refuses_is_told_and_the_others_are_done(stub: Stub) -> None:
    def post(call: str) -> Any:
        if WORK in call:
            return 422, {"category": "VALIDATION_ERROR", "message": f"{WORK} is no subscriber"}
        return 204, {}

    answers(stub, post=post)
    crm = connector_to(stub.url)
    [outcome] = crm.apply([no(ADA, WORK)])
    crm.close()
    assert outcome.kind is OutcomeKind.DONE
    assert outcome.detail["addresses"] == "1"
    assert outcome.detail["skipped"].startswith("1 address(es): HubSpot answered 422, VALIDATION")
    assert "@" not in repr(outcome)


@pytest.mark.parametrize(
    ("status", "kind"), [(404, OutcomeKind.SKIPPED), (400, OutcomeKind.REFUSED)]
)
def test_where_no_address_is_taken_nothing_is_done(
    stub: Stub, status: int, kind: OutcomeKind
) -> None:
    answers(stub, get=(status, {}), post=(status, {"message": "no"}))
    crm = connector_to(stub.url)
    [outcome] = crm.apply([no(ADA, WORK)])
    crm.close()
    assert outcome.kind is kind
    assert "no" in outcome.reason


@pytest.mark.parametrize(
    ("result", "wrote"),
    [
        ({"status": "UNSUBSCRIBED", "wideStatusType": "PORTAL_WIDE"}, False),
        ({"status": "UNSUBSCRIBED", "wideStatusType": BRAND, "businessUnitId": 0}, False),
        ({"status": "UNSUBSCRIBED", "wideStatusType": BRAND, "businessUnitId": 7}, True),
        ({"status": "NOT_SPECIFIED", "wideStatusType": "PORTAL_WIDE"}, True),
        ({"status": "SUBSCRIBED", "wideStatusType": "PORTAL_WIDE"}, True),
        ("a word", True),
    ],
)
def test_only_an_opt_out_of_everything_needs_no_write(
    stub: Stub, result: object, wrote: bool
) -> None:
    answers(stub, get=(200, {"results": [result]}))
    crm = connector_to(stub.url)
    [outcome] = crm.apply([no(ADA)])
    crm.close()
    assert outcome.kind is (OutcomeKind.DONE if wrote else OutcomeKind.ALREADY_DONE)
    assert any("/unsubscribe-all" in call for call in stub.made()) is wrote


def test_what_cannot_be_read_is_not_taken_for_a_yes(stub: Stub) -> None:
    for get, error in (((500, {}), Unreachable), ((429, {}), Throttled), ((200, {}), Unreachable)):
        answers(stub, get=get)
        crm = connector_to(stub.url)
        with pytest.raises(error):
            crm.apply([no(ADA)])
        crm.close()
    assert not any("/unsubscribe-all" in call for call in stub.made())


def test_a_lost_answer_is_unknown_and_what_was_done_before_is_kept(stub: Stub) -> None:
    answers(stub, post=lambda call: (204, {}) if ADA in call else (502, {}))
    crm = connector_to(stub.url)
    told = crm.apply([no(ADA), no(WORK, number=2), no(ADA, number=3)])
    crm.close()
    assert [one.kind for one in told] == [OutcomeKind.DONE, OutcomeKind.UNKNOWN, OutcomeKind.DONE]


def test_a_limit_in_the_middle_keeps_what_was_done(stub: Stub) -> None:
    answers(stub, post=lambda call: (204, {}) if ADA in call else (429, {}))
    crm = connector_to(stub.url)
    told = crm.apply([no(ADA), no(WORK, number=2), no(OLD, number=3)])
    crm.close()
    assert [one.kind for one in told] == [OutcomeKind.DONE, OutcomeKind.LATER, OutcomeKind.LATER]
    assert told[2].after_s


def test_no_address_at_all_and_a_wrong_date_are_refused_without_a_call(stub: Stub) -> None:
    crm = connector_to(stub.url)
    told = crm.apply([no("nonsense"), no(ADA, unsubscribe_date="soon")])
    crm.close()
    assert [one.kind for one in told] == [OutcomeKind.REFUSED] * 2
    assert stub.made() == []


def test_a_property_that_is_missing_is_told_and_the_opt_out_stands(
    crm: HubSpot, account: Account
) -> None:
    ada = str(account.create(ADA)["id"])
    del account.contacts.definitions["unsubscribe_date"]
    [outcome] = crm.apply([no(ADA, id=ada, unsubscribe_date=DAY)])
    assert outcome.kind is OutcomeKind.REFUSED
    assert outcome.reason.startswith("unsubscribed, but the contact does not say so")
    assert says_no(account) == {ADA}


# What `warmline check` tells of it


def checked(crm: HubSpot) -> Finding:
    needs = Needs({"opt_out": frozenset(Access)})
    return next(one for one in crm.check(needs) if one.field == "opt_out")


@pytest.mark.parametrize(
    ("scopes", "read", "write"),
    [
        ({PREFERENCES}, Verdict.OK, Verdict.OK),
        ({"communication_preferences.read", WRITE_PREFERENCES}, Verdict.OK, Verdict.OK),
        ({"communication_preferences.read"}, Verdict.OK, Verdict.FORBIDDEN),
        ({WRITE_PREFERENCES}, Verdict.FORBIDDEN, Verdict.OK),
        (set(), Verdict.FORBIDDEN, Verdict.FORBIDDEN),
    ],
)
def test_the_scope_is_checked(
    crm: HubSpot, account: Account, scopes: set[str], read: Verdict, write: Verdict
) -> None:
    account.scopes = (SCOPES - {PREFERENCES}) | scopes
    told = checked(crm)
    assert (told.read, told.write) == (read, write)
    assert ("communication_preferences" in told.advice) is (told.verdict is not Verdict.OK)


def test_a_plan_without_it_is_told_apart_from_a_scope(crm: HubSpot, account: Account) -> None:
    account.faults.add({"kind": "plan", "path": "/communication-preferences"})
    told = checked(crm)
    assert (told.verdict, told.write) == (Verdict.PLAN, Verdict.PLAN)
    assert "plan" in told.advice


def test_who_does_not_need_it_is_not_asked_for_the_scope(crm: HubSpot, account: Account) -> None:
    account.scopes = SCOPES - {PREFERENCES}
    assert not any("preferences" in one.advice for one in crm.check(Needs({})))
    assert posts(account) == 0
