"""What `warmline check` tells of Lever: each way in which something may be wrong, apart."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from warmline.connectors.lever.connector import Lever
from warmline.core.actions import FIELDS as PASSED
from warmline.core.actions import OF_THE_EVENT
from warmline.ports import Access, Finding, Needs, Options, Verdict
from warmline.sandbox.clock import VirtualClock
from warmline.sandbox.lever.api import make_app
from warmline.sandbox.lever.simulator import Lever as Vendor
from warmline.sandbox.listen import HttpServer

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
READ, BOTH = frozenset({Access.READ}), frozenset(Access)
ALL = Needs({**dict.fromkeys(set(PASSED) - OF_THE_EVENT, READ), "tags": BOTH})
HIRE = "archive reason that means hired"


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    vendor = Vendor(now=VirtualClock(START))
    vendor.schedule_interview(vendor.apply()["id"], START)
    yield vendor
    vendor.close()


@pytest.fixture
def url(vendor: Vendor) -> Iterator[str]:
    server = HttpServer(make_app(vendor), threads=2)
    yield server.url
    vendor.closing.set()
    server.close()


def found(url: str, key: str = "sandbox-lever-key", needs: Needs = ALL) -> dict[str, Finding]:
    """By field, or by what was looked at."""
    options = Options(
        "ats",
        {"base_url": f"{url}/v1"},
        {"api_key": key},
        now=lambda: START,
        public_url="https://hire.example.com",
    )
    with closing(Lever(options)) as lever:
        return {one.field or one.what: one for one in lever.check(needs)}


def test_what_is_there_is_fine_and_nothing_is_written(vendor: Vendor, url: str) -> None:
    told = found(url)
    assert not {name for name, one in told.items() if one.verdict.to_mend}
    assert {"email", "stage", "rejection_date", "skill_tags", "do_not_contact"} <= set(told)
    assert told["API key"].verdict is told[HIRE].verdict is Verdict.OK
    assert told[HIRE].advice == "Hired"
    assert told["tags"].write is Verdict.UNKNOWN
    calls = vendor.log.as_json()
    assert {call["method"] for call in calls["requests"]} == {"GET"}
    assert calls["total"] <= 18


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        ({"kind": "plan"}, Verdict.PLAN),
        ({"kind": "rate_limited"}, Verdict.THROTTLED),
        ({"kind": "unavailable"}, Verdict.FAILED),
        ({"kind": "malformed"}, Verdict.FAILED),
    ],
)
def test_each_cause_has_its_word(
    vendor: Vendor, url: str, fault: dict[str, str], verdict: Verdict
) -> None:
    vendor.faults.add({**fault, "path": "/v1/users"})
    told = found(url)
    assert told["list users"].verdict is verdict
    assert told["list users"].advice
    assert told["recruiter_owner"].verdict is verdict
    assert told["API key"].verdict is Verdict.OK


def test_a_wrong_key_and_a_missing_one_are_the_credentials(url: str) -> None:
    for key, verdict in (("another", Verdict.CREDENTIALS), ("", Verdict.MISSING)):
        told = found(url, key)
        assert {one.verdict for one in told.values()} == {verdict}
        assert set(told) >= {"API key", "email", "do_not_contact"}


def test_a_right_that_is_missing_is_named(vendor: Vendor, url: str) -> None:
    vendor.forbidden |= {"read postings", "read opportunities"}
    told = found(url)
    assert told["API key"].verdict is Verdict.OK
    assert told["list postings"].verdict is told["email"].verdict is Verdict.FORBIDDEN
    assert "read postings" in told["list postings"].advice


def test_nothing_answers_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        told = found(f"http://127.0.0.1:{free.getsockname()[1]}")
    assert told["API key"].verdict is Verdict.UNREACHABLE
    assert told["email"].verdict is Verdict.UNREACHABLE


def test_an_address_that_is_no_lever_fails_and_says_so(url: str) -> None:
    told = found(f"{url}/v9")
    assert told["API key"].verdict is Verdict.FAILED
    assert "base_url" in told["API key"].advice


def test_without_a_reason_that_means_hired_everybody_would_be_rejected(
    vendor: Vendor, url: str
) -> None:
    for row in vendor.world.archive_reasons.values():
        row["type"] = "non-hired"
    told = found(url)
    assert told[HIRE].verdict is Verdict.MISSING


def test_a_field_that_no_record_has_is_missing_and_an_empty_account_is_not_seen(
    vendor: Vendor, url: str
) -> None:
    for contact in vendor.world.contacts.values():
        contact["emails"] = None
    needs = Needs({"email": READ, "pigeon": READ, "name": BOTH})
    told = found(url, needs=needs)
    assert told["email"].verdict is Verdict.OK  # it is there, be it null
    assert told["pigeon"].verdict is Verdict.MISSING
    assert told["name"].verdict is Verdict.READ_ONLY
    vendor.world.opportunities.clear()
    told = found(url, needs=needs)
    assert told["email"].verdict is told["list interviews"].verdict is Verdict.UNKNOWN


def test_the_webhooks_of_the_api_are_looked_for(vendor: Vendor, url: str) -> None:
    told = found(url)["webhook subscriptions"]
    assert (told.verdict, "applicationCreated" in told.advice) == (Verdict.UNKNOWN, True)
    vendor.set_webhook("https://hire.example.com/in/ats")
    assert found(url)["webhook subscriptions"].verdict is Verdict.OK
