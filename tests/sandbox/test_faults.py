"""Every kind of fault strikes as it says, and the log of calls tells what happened."""

from __future__ import annotations

import httpx
import pytest

from warmline.sandbox.faults import FaultPlan, RuleError
from warmline.sandbox.serve import Sandbox

CONTACTS = "/crm/v3/objects/contacts"


def order(url: str, **rule: object) -> None:
    assert httpx.post(f"{url}/_control/faults", json=rule).status_code == 201


def make(crm: httpx.Client) -> httpx.Response:
    return crm.post(CONTACTS, json={"properties": {"email": "a@x.example.com"}})


def contacts(box: Sandbox) -> int:
    return len(httpx.get(f"{box.hubspot_url}/_control/contacts").json())


@pytest.mark.parametrize(
    ("kind", "status"), [("rate_limited", 429), ("error", 500), ("unavailable", 503)]
)
def test_vendor_shaped_answers(
    box: Sandbox, ats: httpx.Client, crm: httpx.Client, kind: str, status: int
) -> None:
    order(box.greenhouse_url, kind=kind)
    order(box.hubspot_url, kind=kind)
    theirs, ours = ats.get("/v3/candidates"), make(crm)
    assert theirs.status_code == ours.status_code == status
    if kind == "rate_limited":
        assert theirs.text == "Retry later"
        assert theirs.headers["Retry-After"] == "30"
        assert ours.json()["errorType"] == "RATE_LIMIT"
        assert ours.headers["x-hubspot-ratelimit-remaining"] == "0"
    else:
        assert theirs.json()["message"]
        assert ours.json()["correlationId"]
    assert contacts(box) == 0


@pytest.mark.parametrize("kind", ["drop", "timeout_before"])
def test_dropped_before_the_write(box: Sandbox, crm: httpx.Client, kind: str) -> None:
    order(box.hubspot_url, kind=kind)
    with pytest.raises(httpx.RemoteProtocolError):
        make(crm)
    assert contacts(box) == 0


def test_dropped_after_the_write(box: Sandbox, crm: httpx.Client) -> None:
    order(box.hubspot_url, kind="timeout_after")
    with pytest.raises(httpx.RemoteProtocolError):
        make(crm)
    assert contacts(box) == 1
    log = httpx.get(f"{box.hubspot_url}/_control/requests").json()
    assert log["requests"][0]["status"] == 0


def test_a_hang_outlives_the_callers_patience_but_not_the_sandbox(
    box: Sandbox, crm: httpx.Client
) -> None:
    order(box.hubspot_url, kind="timeout_after", seconds=3600)
    with pytest.raises(httpx.ReadTimeout):
        crm.get(CONTACTS, timeout=0.05)


def test_slow_answers_all_the_same(box: Sandbox, crm: httpx.Client) -> None:
    order(box.hubspot_url, kind="slow", seconds=0.01)
    assert make(crm).status_code == 201


def test_malformed_is_a_200_that_is_not_json(box: Sandbox, crm: httpx.Client) -> None:
    order(box.hubspot_url, kind="malformed")
    answer = make(crm)
    assert answer.status_code == 200
    with pytest.raises(ValueError, match="char"):
        answer.json()
    assert contacts(box) == 1


def test_count_path_and_method(box: Sandbox, crm: httpx.Client) -> None:
    order(box.hubspot_url, kind="error", count=2, path=CONTACTS, method="GET")
    assert make(crm).status_code == 201
    assert crm.get("/crm/v3/owners").status_code == 200
    assert [crm.get(CONTACTS).status_code for _ in range(3)] == [500, 500, 200]
    shown = httpx.get(f"{box.hubspot_url}/_control/faults").json()[0]
    assert (shown["hits"], shown["count"]) == (2, 0)


def test_clear(box: Sandbox, crm: httpx.Client) -> None:
    order(box.hubspot_url, kind="error")
    assert httpx.delete(f"{box.hubspot_url}/_control/faults").status_code == 204
    assert crm.get(CONTACTS).status_code == 200


def test_share_is_seeded() -> None:
    def strikes(seed: int) -> list[bool]:
        plan = FaultPlan()
        plan.add({"kind": "error", "share": 0.3, "seed": seed})
        return [plan.pick("/x", "GET") is not None for _ in range(1000)]

    assert strikes(4) == strikes(4) != strikes(5)
    assert 250 < sum(strikes(4)) < 350


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "explode"},
        {"kind": "error", "share": 2},
        {"kind": "error", "share": "often"},
        {"kind": "error", "count": -1},
        {"kind": "error", "probability": 1},
        {},
    ],
)
def test_bad_rules_are_refused(box: Sandbox, rule: dict[str, object]) -> None:
    with pytest.raises(RuleError):
        FaultPlan().add(rule)
    assert httpx.post(f"{box.hubspot_url}/_control/faults", json=rule).status_code == 400


def test_the_log_counts_calls_and_keeps_no_secrets(box: Sandbox, crm: httpx.Client) -> None:
    make(crm)
    crm.get(f"{CONTACTS}/a@x.example.com", params={"idProperty": "email"})
    crm.get(f"{CONTACTS}/6001")
    log = httpx.get(f"{box.hubspot_url}/_control/requests")
    assert log.json()["by_call"] == {f"POST {CONTACTS}": 1, f"GET {CONTACTS}/{{id}}": 2}
    assert log.json()["by_status"] == {"201": 1, "200": 2}
    assert log.json()["requests"][0]["path"] == f"{CONTACTS}/6001"
    assert box.hubspot.token not in log.text
    assert len(httpx.get(log.url, params={"limit": 1}).json()["requests"]) == 1
