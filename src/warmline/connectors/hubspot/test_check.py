"""What `warmline check` tells of HubSpot: scope, plan, token and line, each apart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from warmline.connectors.hubspot.checks import READ, READ_SCHEMA, WRITE
from warmline.connectors.hubspot.clicks import SCOPE as CLICKS
from warmline.connectors.hubspot.connector import HubSpot
from warmline.connectors.hubspot.mapping import PROPERTIES
from warmline.connectors.hubspot.test_upsert import Stub
from warmline.core.actions import FIELDS
from warmline.ports import Access, Finding, Needs, Options, Verdict
from warmline.sandbox.hubspot.simulator import SCOPES
from warmline.sandbox.hubspot.simulator import HubSpot as Account
from warmline.sandbox.serve import Sandbox

TOKEN = "sandbox-token"
ONLY_READ, BOTH = frozenset({Access.READ}), frozenset(Access)
ALL = Needs(dict.fromkeys(FIELDS, BOTH))


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


def connector_to(url: str, *, token: str = TOKEN, **settings: object) -> HubSpot:
    secrets = {"access_token": token, "client_secret": "a-client-secret"}
    given = {"base_url": url, **settings}
    return HubSpot(Options("crm", given, secrets, now=lambda: datetime.now(UTC)), timeout_s=5)


def found(crm: HubSpot, needs: Needs = ALL) -> dict[str, Finding]:
    """By field, or by what was looked at."""
    return {one.field or one.what: one for one in crm.check(needs)}


def fields(crm: HubSpot, needs: Needs = ALL) -> dict[str, Finding]:
    return {one.field: one for one in crm.check(needs) if one.field}


def test_everything_in_order_is_readable_and_writable(crm: HubSpot) -> None:
    told = found(crm)
    assert {one.read for field, one in told.items() if field in FIELDS} == {Verdict.OK}
    assert {one.write for field, one in told.items() if field in FIELDS} == {Verdict.OK}
    assert {name for name, one in told.items() if one.verdict is not Verdict.OK} == {
        "webhook subscriptions"
    }
    assert told["name"].what == "contact properties firstname and lastname"
    assert told["stage"].what == "contact property candidate_stage"
    assert told["webhook subscriptions"].verdict is Verdict.UNKNOWN


def test_nothing_is_written_to_find_out(crm: HubSpot, account: Account) -> None:
    crm.check(ALL)
    assert account.log.as_json()["by_call"] == {
        "GET /crm/v3/properties/contacts": 1,
        "GET /crm/v3/objects/contacts": 1,
        "GET /email/public/v1/events": 1,
        "POST /oauth/v2/private-apps/get/access-token-info": 1,
    }


@pytest.mark.parametrize("cause", ["scope", "plan"])
def test_without_the_clicks_scope_all_is_well_and_says_what_is_missed(
    crm: HubSpot, account: Account, cause: str
) -> None:
    if cause == "scope":
        account.scopes = SCOPES - {CLICKS}
    else:
        account.faults.add({"kind": "plan", "path": "/email/public/v1/events"})
    told = found(crm)[f"scope {CLICKS}"]
    assert told.verdict is Verdict.OK
    assert told.advice.endswith("is known to be a person's, and none flags")
    assert ("the private app the scope content" in told.advice) is (cause == "scope")
    assert found(crm)["name"].verdict is Verdict.OK


def test_a_property_is_missing_read_only_or_of_another_type(crm: HubSpot, account: Account) -> None:
    definitions = account.contacts.definitions
    del definitions["application_date"]
    definitions["interview_date"]["type"] = "date"
    definitions["applied_role"]["type"] = "enumeration"
    definitions["interviewer"]["modificationMetadata"]["readOnlyValue"] = True
    del definitions["lastname"]
    told = {field: one for field, one in fields(crm).items() if one.verdict is not Verdict.OK}
    assert {field: (one.read, one.write) for field, one in told.items()} == {
        "name": (Verdict.MISSING, Verdict.MISSING),
        "application_date": (Verdict.MISSING, Verdict.MISSING),
        "interview_date": (Verdict.OK, Verdict.FAILED),
        "applied_role": (Verdict.OK, Verdict.FAILED),
        "interviewer": (Verdict.OK, Verdict.READ_ONLY),
    }
    assert told["application_date"].advice == (
        "create a contact property with the label 'Application date', the internal name "
        "application_date and the field type 'Date picker'"
    )
    assert "its type is enumeration" in told["applied_role"].advice


def test_what_need_not_be_written_may_be_read_only(crm: HubSpot, account: Account) -> None:
    held = account.contacts.definitions["candidate_stage"]["modificationMetadata"]
    held["readOnlyValue"] = True
    stage = fields(crm, Needs({"stage": ONLY_READ}))["stage"]
    assert (stage.verdict, stage.read, stage.write) == (Verdict.OK, Verdict.OK, None)


def test_a_field_moved_to_another_property_is_looked_for_there(sandbox: Sandbox) -> None:
    crm = connector_to(sandbox.hubspot_url, properties={"stage": "ats_stage", "interviewer": ""})
    told = fields(crm)
    crm.close()
    assert told["stage"].what == "contact property ats_stage"
    assert told["stage"].verdict is Verdict.MISSING
    assert told["interviewer"].verdict is Verdict.OK
    assert "never written" in told["interviewer"].advice


def test_a_field_that_no_property_is_for_is_missing(crm: HubSpot) -> None:
    assert fields(crm, Needs({"shoe_size": BOTH}))["shoe_size"].verdict is Verdict.MISSING


@pytest.mark.parametrize(
    ("lacking", "read", "write"),
    [
        (WRITE, Verdict.OK, Verdict.FORBIDDEN),
        (READ, Verdict.FORBIDDEN, Verdict.OK),
        (READ_SCHEMA, Verdict.FORBIDDEN, Verdict.FORBIDDEN),
    ],
)
def test_a_missing_scope_is_named_and_told_of_each_field(
    crm: HubSpot, account: Account, lacking: str, read: Verdict, write: Verdict
) -> None:
    account.scopes = SCOPES - {lacking}
    told = found(crm)
    wrong = {name for name, one in told.items() if one.verdict.to_mend and not one.field}
    assert wrong == {f"scope {lacking}"}
    assert told[f"scope {lacking}"].advice == f"give the private app the scope {lacking}"
    assert {(one.read, one.write) for one in told.values() if one.field} == {(read, write)}


# HubSpot's answers, as recorded of it and told in public reports; the plan's wording is assumed.
SCOPES_CATEGORY = {"category": "MISSING_SCOPES", "message": "Upgrade what you may do."}
GRANTED = {"message": "This app hasn't been granted all required scopes to make this call."}
VIEW_SCHEMA = {
    "message": "You do not have permissions to view_schema object type X in portal 1 "
    "(requires one of [leads-read])"
}
OAUTH = {"message": "This oauth-token (1) does not have proper permissions!"}
FEATURE = {"message": "62515 does not have access to this feature. Contact HubSpot support."}
UPGRADE = {"message": "Upgrade your subscription to use this endpoint."}
PRIVATE = {"message": "This resource is private to its owner."}


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (401, {"category": "INVALID_AUTHENTICATION"}, Verdict.CREDENTIALS),
        (401, {"category": "EXPIRED_AUTHENTICATION"}, Verdict.CREDENTIALS),
        (403, SCOPES_CATEGORY, Verdict.FORBIDDEN),
        (403, GRANTED, Verdict.FORBIDDEN),
        (403, VIEW_SCHEMA, Verdict.FORBIDDEN),
        (403, OAUTH, Verdict.FORBIDDEN),
        (403, PRIVATE, Verdict.FORBIDDEN),
        (403, FEATURE, Verdict.PLAN),
        (403, UPGRADE, Verdict.PLAN),
        (402, {}, Verdict.PLAN),
        (429, {}, Verdict.THROTTLED),
        (500, {}, Verdict.FAILED),
        (503, b"<html>down</html>", Verdict.FAILED),
        (404, {}, Verdict.FAILED),
        (302, {}, Verdict.FAILED),
        (200, {"hello": 1}, Verdict.FAILED),
        (200, b"[]", Verdict.FAILED),
    ],
)
def test_each_answer_has_its_own_verdict(status: int, body: object, verdict: Verdict) -> None:
    stub = Stub()
    stub.handle = lambda _call, _body: (status, body)
    crm = connector_to(stub.url)
    told = fields(crm)
    crm.close()
    stub.close()
    assert {one.verdict for one in told.values()} == {verdict}
    assert set(told) == set(FIELDS)
    assert all(one.advice for one in told.values())


def test_a_plan_that_leaves_out_properties_only(crm: HubSpot, account: Account) -> None:
    account.faults.add({"kind": "plan", "path": "/crm/v3/properties"})
    told = found(crm)
    assert told["access token"].verdict is Verdict.OK
    assert told[f"scope {READ_SCHEMA}"].verdict is Verdict.PLAN
    assert told[f"scope {READ}"].verdict is Verdict.OK
    assert told["stage"].verdict is Verdict.PLAN
    assert "access to this feature" in told["stage"].advice


def test_nothing_listens_is_unreachable() -> None:
    nobody = connector_to("http://127.0.0.1:9")
    told = found(nobody)
    nobody.close()
    assert {one.verdict for one in told.values()} == {Verdict.UNREACHABLE}
    assert set(told) == {"HubSpot's API", *FIELDS}


def test_a_wrong_token_is_told_from_a_broken_line(sandbox: Sandbox, account: Account) -> None:
    stranger = connector_to(sandbox.hubspot_url, token="another-token")
    told = found(stranger)
    stranger.close()
    assert set(told) == {"access token", *FIELDS}
    assert {one.verdict for one in told.values()} == {Verdict.CREDENTIALS}
    for kind, verdict in (
        ("drop", Verdict.UNREACHABLE),
        ("error", Verdict.FAILED),
        ("malformed", Verdict.FAILED),
        ("rate_limited", Verdict.THROTTLED),
    ):
        account.faults.clear()
        account.faults.add({"kind": kind})
        crm = connector_to(sandbox.hubspot_url)
        assert {one.verdict for one in fields(crm).values()} == {verdict}, kind
        crm.close()


def test_a_token_that_tells_no_scopes_leaves_writing_unknown(
    crm: HubSpot, account: Account
) -> None:
    account.faults.add({"kind": "error", "path": "/oauth/"})
    told = found(crm)
    assert told[f"scope {WRITE}"].verdict is Verdict.UNKNOWN
    assert (told["stage"].read, told["stage"].write) == (Verdict.OK, Verdict.UNKNOWN)
    assert told["stage"].verdict is Verdict.UNKNOWN
    assert WRITE in told["stage"].advice


def test_contacts_that_cannot_be_read_are_told(crm: HubSpot, account: Account) -> None:
    account.faults.add({"kind": "malformed", "path": "/crm/v3/objects"})
    told = fields(crm)
    assert told["email"].read is Verdict.FAILED


def test_no_finding_holds_the_token_or_an_address() -> None:
    stub = Stub()
    stub.handle = lambda _call, _body: (
        403,
        {"message": "ada@example.com may not use pat-eu1-very-secret on this plan"},
    )
    crm = connector_to(stub.url, token="pat-eu1-very-secret")
    said = repr(crm.check(ALL))
    crm.close()
    stub.close()
    assert "@example.com" not in said
    assert "pat-eu1" not in said


def test_every_property_of_the_mapping_is_a_field_that_can_be_checked() -> None:
    halves = {"first_name", "last_name"}
    assert set(PROPERTIES) - halves | {"name", "email"} == set(FIELDS)
