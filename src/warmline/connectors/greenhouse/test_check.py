"""What `warmline check` tells of Greenhouse: each way in which a field may not be there, apart."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from warmline.connectors.greenhouse.checkup import FIELDS, RESOURCES, TAG_SCOPES
from warmline.connectors.greenhouse.connector import Greenhouse
from warmline.connectors.greenhouse.test_polling import Vendor, connect, fill, sweep
from warmline.core.actions import FIELDS as PASSED
from warmline.core.actions import OF_THE_EVENT
from warmline.core.errors import AuthFailed, Unreachable
from warmline.ports import Access, Finding, Needs, Options, Verdict
from warmline.sandbox.clock import VirtualClock
from warmline.sandbox.serve import Sandbox

READ, BOTH = frozenset({Access.READ}), frozenset(Access)
ALL = Needs({**dict.fromkeys(PASSED, READ), "tags": BOTH})
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    vendor = Vendor()
    fill(vendor)
    yield vendor
    vendor.close()


@pytest.fixture
def greenhouse(vendor: Vendor) -> Iterator[Greenhouse]:
    made = connect(vendor)
    yield made
    made.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(now=VirtualClock(START), background=False) as sandbox:
        sandbox.greenhouse.apply()
        yield sandbox


def connected(sandbox: Sandbox, **settings: object) -> Greenhouse:
    place = sandbox.addresses()["greenhouse"]
    given = {
        "base_url": f"{place['url']}/v3",
        "token_url": place["token_url"],
        "user_id": place["user_id"],
    }
    secrets = {name: place[name] for name in ("client_id", "client_secret")}
    return Greenhouse(Options("ats", {**given, **settings}, secrets, now=sandbox.greenhouse.now))


def found(greenhouse: Greenhouse, needs: Needs = ALL) -> dict[str, Finding]:
    """By field, or by what was looked at."""
    return {one.field or one.what: one for one in greenhouse.check(needs)}


def fields(greenhouse: Greenhouse, needs: Needs = ALL) -> dict[str, Finding]:
    return {one.field: one for one in greenhouse.check(needs) if one.field}


def test_every_field_that_a_trigger_may_pass_has_its_place() -> None:
    assert set(PASSED) <= set(FIELDS) | OF_THE_EVENT


def test_what_is_there_is_readable_and_tags_are_writable(sandbox: Sandbox) -> None:
    greenhouse = connected(sandbox)
    told = found(greenhouse)
    greenhouse.close()
    unseen = {"interview_date", "interviewer", "list interviews", "list interviewers",
              "webhook subscriptions"}  # fmt: skip
    assert {name for name, one in told.items() if one.verdict.to_mend} == set()
    assert {name for name, one in told.items() if one.verdict is Verdict.UNKNOWN} <= unseen
    for field in ("name", "email", "applied_role", "application_date", "recruiter_owner", "stage"):
        assert (told[field].read, told[field].write) == (Verdict.OK, None), field
    assert (told["tags"].read, told["tags"].write) == (Verdict.OK, Verdict.OK)
    assert told["do_not_contact"].verdict is Verdict.OK
    assert all(told[f"list {resource}"].verdict is Verdict.OK for resource in RESOURCES)


def test_nothing_is_written_to_find_out(sandbox: Sandbox) -> None:
    greenhouse = connected(sandbox)
    greenhouse.check(ALL)
    greenhouse.close()
    calls = sandbox.greenhouse.log.as_json()["by_call"]
    assert {call for call in calls if not call.startswith("GET /v3/")} == {
        "POST /token",
        "POST /introspect",
    }


def test_only_what_is_needed_is_asked_for(sandbox: Sandbox) -> None:
    greenhouse = connected(sandbox)
    told = fields(greenhouse, Needs({"email": READ}))
    greenhouse.close()
    assert set(told) == {"email", "do_not_contact"}
    calls = sandbox.greenhouse.log.as_json()["by_call"]
    assert "POST /introspect" not in calls
    assert "GET /v3/candidate_tags" not in calls


@pytest.mark.parametrize("lacking", TAG_SCOPES)
def test_a_token_without_the_scope_to_tag_says_which(
    sandbox: Sandbox, lacking: tuple[str, str]
) -> None:
    scopes = {f"harvest:{resource}:{verb}" for resource, verb in TAG_SCOPES}
    scopes |= {f"harvest:{r}:list" for r in (*RESOURCES, "candidate_tags",
                                             "applied_candidate_tags")}  # fmt: skip
    scope = "harvest:{}:{}".format(*lacking)
    sandbox.greenhouse.scopes = frozenset(scopes - {scope})
    greenhouse = connected(sandbox)
    tags = fields(greenhouse)["tags"]
    greenhouse.close()
    assert (tags.read, tags.write) == (Verdict.OK, Verdict.FORBIDDEN)
    assert tags.advice == f"give the API credential the scopes {scope}"


def test_where_the_scopes_are_not_told_writing_is_not_known(greenhouse: Greenhouse) -> None:
    """This vendor's sign-in answers `introspect` with something else."""
    tags = fields(greenhouse)["tags"]
    assert (tags.read, tags.write, tags.verdict) == (Verdict.OK, Verdict.UNKNOWN, Verdict.UNKNOWN)
    assert "harvest:applied_candidate_tags:destroy" in tags.advice


def test_a_missing_scope_is_told_of_the_listing_and_of_each_field_in_it(
    vendor: Vendor, greenhouse: Greenhouse
) -> None:
    vendor.forbidden = {"interviews", "users"}
    told = found(greenhouse)
    assert told["list interviews"].verdict is Verdict.FORBIDDEN
    assert "harvest:interviews:list" in told["list interviews"].advice
    assert "Site Admin" in told["list users"].advice
    assert told["interview_date"].verdict is Verdict.FORBIDDEN
    assert told["recruiter_owner"].verdict is Verdict.FORBIDDEN
    assert told["recruiter_owner"].advice == told["list users"].advice
    assert told["email"].verdict is Verdict.OK


def test_a_user_who_is_no_site_admin_is_forbidden_and_not_a_wrong_credential(
    sandbox: Sandbox,
) -> None:
    recruiter = sandbox.greenhouse.world.staff("recruiter")[0]["id"]
    weak = connected(sandbox, user_id=recruiter)
    told = found(weak)
    assert told["API credentials"].verdict is Verdict.OK
    assert told["email"].verdict is Verdict.FORBIDDEN
    with pytest.raises(AuthFailed):
        list(weak.changes("candidates", "", now=START))
    weak.close()


def test_a_plan_is_told_apart_from_a_scope(sandbox: Sandbox) -> None:
    sandbox.greenhouse.faults.add({"kind": "plan", "path": "/v3/interviews"})
    greenhouse = connected(sandbox)
    told = found(greenhouse)
    greenhouse.close()
    assert told["list interviews"].verdict is Verdict.PLAN
    assert told["interview_date"].verdict is Verdict.PLAN
    assert "subscription tier" in told["interview_date"].advice
    assert told["email"].verdict is Verdict.OK


def test_a_field_that_no_record_has_is_missing(vendor: Vendor, greenhouse: Greenhouse) -> None:
    for row in vendor.tables["candidates"]:
        del row["email_addresses"]
    email = fields(greenhouse)["email"]
    assert (email.verdict, email.read) == (Verdict.MISSING, Verdict.MISSING)
    assert "candidates.email_addresses" in email.advice


def test_one_bare_record_does_not_make_a_field_missing(
    vendor: Vendor, greenhouse: Greenhouse
) -> None:
    del vendor.tables["candidates"][-1]["email_addresses"]  # the newest: listed first
    assert fields(greenhouse)["email"].verdict is Verdict.OK


def test_the_recruiter_may_stand_on_either_record(vendor: Vendor, greenhouse: Greenhouse) -> None:
    needs = Needs({"recruiter_owner": READ})
    for row in vendor.tables["applications"]:
        del row["recruiter_id"]
    assert fields(greenhouse, needs)["recruiter_owner"].verdict is Verdict.MISSING
    for row in vendor.tables["candidates"]:
        row["recruiter_id"] = None
    assert fields(greenhouse, needs)["recruiter_owner"].verdict is Verdict.OK


def test_an_empty_account_is_neither_fine_nor_wrong(vendor: Vendor, greenhouse: Greenhouse) -> None:
    vendor.tables = {}
    ats = {name: how for name, how in ALL.fields.items() if name not in OF_THE_EVENT}
    told = fields(greenhouse, Needs(ats))
    assert {one.verdict for one in told.values()} == {Verdict.UNKNOWN}
    assert told["email"].advice == "there is no record yet to look at"
    assert told["tags"].read is Verdict.OK  # no tag yet is no fault


def test_a_field_that_greenhouse_has_not_is_missing(greenhouse: Greenhouse) -> None:
    told = fields(greenhouse, Needs({"shoe_size": READ}))
    assert told["shoe_size"].verdict is Verdict.MISSING


def test_a_field_that_is_never_written_there_is_read_only(greenhouse: Greenhouse) -> None:
    name = fields(greenhouse, Needs({"name": BOTH}))["name"]
    assert (name.read, name.write) == (Verdict.OK, Verdict.READ_ONLY)
    assert name.verdict is Verdict.READ_ONLY


# The causes, told apart, and each on every field


def test_wrong_credentials(vendor: Vendor, greenhouse: Greenhouse) -> None:
    vendor.token_answer = (401, {})
    told = found(greenhouse)
    assert {one.verdict for one in told.values()} == {Verdict.CREDENTIALS}
    assert set(ALL.fields) <= set(told)
    assert "client_secret" in told["email"].advice
    assert not vendor.calls  # nothing else is asked


def test_a_token_that_is_refused_at_once(vendor: Vendor, greenhouse: Greenhouse) -> None:
    vendor.answers = {resource: (401, {}, b"{}") for resource in RESOURCES}
    told = found(greenhouse)
    assert told["API credentials"].verdict is Verdict.OK
    assert told["email"].verdict is Verdict.CREDENTIALS


def test_a_host_where_nothing_answers(vendor: Vendor) -> None:
    for settings in ({"token_url": "http://127.0.0.1:9/token"},
                     {"base_url": "http://127.0.0.1:9/v3"}):  # fmt: skip
        away = connect(vendor, **settings)
        told = fields(away)
        assert {one.verdict for one in told.values()} == {Verdict.UNREACHABLE}
        assert next(iter(settings)) in told["email"].advice
        away.close()
    lost = connect(vendor, base_url="http://127.0.0.1:9/v3")
    with pytest.raises(Unreachable):
        sweep(lost, "candidates")
    lost.close()


def test_a_host_that_hangs_up_is_asked_once(vendor: Vendor) -> None:
    """Else nine time-outs would be waited for."""
    taken = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    taken.append(connection.recv(1000))
                    connection.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        away = connect(vendor, base_url=f"http://127.0.0.1:{listener.getsockname()[1]}/v3")
        told = fields(away, Needs({"stage": READ}))
        away.close()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert {one.verdict for one in told.values()} == {Verdict.UNREACHABLE}
    assert len(taken) == 1


def test_a_server_in_trouble_is_not_an_unreachable_one(
    vendor: Vendor, greenhouse: Greenhouse
) -> None:
    vendor.answers = {"candidates": (503, {}, b"down")}
    told = found(greenhouse)
    assert told["email"].verdict is Verdict.FAILED
    assert "503" in told["email"].advice
    assert told["stage"].verdict is Verdict.OK
    vendor.token_answer = (502, {})
    other = connect(vendor)
    assert fields(other)["stage"].verdict is Verdict.FAILED
    other.close()


def test_a_full_window_is_throttled_and_asked_no_further(
    vendor: Vendor, greenhouse: Greenhouse
) -> None:
    vendor.left = 0
    told = fields(greenhouse)
    assert {one.verdict for one in told.values()} == {Verdict.THROTTLED}
    assert len(vendor.calls) == 1


def test_an_answer_that_is_no_list_is_told(vendor: Vendor, greenhouse: Greenhouse) -> None:
    vendor.answers = {"candidates": (200, {}, b'{"hello": 1}'), "users": (404, {}, b"?")}
    told = found(greenhouse)
    assert told["list candidates"].verdict is Verdict.FAILED
    assert told["list users"].verdict is Verdict.FAILED


def test_what_is_not_set_is_missing() -> None:
    bare = Greenhouse(Options("ats", {}, {}, now=lambda: START))
    told = found(bare)
    bare.close()
    assert told["API credentials"].verdict is Verdict.MISSING
    assert "client_id" in told["API credentials"].advice
    assert told["email"].verdict is Verdict.MISSING


def test_no_finding_holds_a_secret_or_an_address(vendor: Vendor) -> None:
    vendor.forbidden = {"users"}
    vendor.answers = {"jobs": (422, {}, b'{"message": "ada@example.com may not"}')}
    greenhouse = connect(vendor)
    said = repr(greenhouse.check(ALL))
    greenhouse.close()
    for secret in ("@example.com", "s3cr3t", "token-0"):
        assert secret not in said
