"""Contacts are written truthfully, whatever HubSpot answers: against a server with set answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmline.connectors.hubspot.connector import HubSpot
from warmline.connectors.hubspot.contacts import Fate, How, Write, _Error, _taken_apart, plain
from warmline.connectors.hubspot.mapping import (
    PROPERTIES,
    Kind,
    properties_from,
    same,
    values_for,
)
from warmline.core.actions import Action, ActionKind, ContactRef
from warmline.core.errors import AuthFailed, ConfigError, Throttled, Unreachable, Unsure
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.ports import Options

NOW = datetime(2025, 11, 24, 16, tzinfo=UTC)
TOKEN = "pat-eu1-very-secret"
Reply = tuple[int, object]
Handle = Callable[[str, dict[str, Any]], Reply]


def always(status: int, found: object) -> Handle:
    return lambda _call, _body: (status, found)


class Stub:
    """HubSpot as a function: `handle(call, body)`, where call is `batch/upsert` or `GET <id>`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.handle = always(500, {})
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                self._answer("GET " + unquote(parts.path.rpartition("/")[2]), query)

            def do_POST(self) -> None:
                said = self.rfile.read(int(self.headers["content-length"]))
                body = json.loads(said) if said else {}
                self._answer(self.path.removeprefix("/crm/v3/objects/contacts/"), body)

            def _answer(self, call: str, body: dict[str, Any]) -> None:
                stub.calls.append((call, body))
                status, found = stub.handle(call, body)
                content = found if isinstance(found, bytes) else json.dumps(found).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def made(self) -> list[str]:
        return [call for call, _ in self.calls]


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub()
    yield server
    server.close()


@pytest.fixture
def crm(stub: Stub) -> Iterator[HubSpot]:
    options = Options(
        name="crm",
        settings={"base_url": stub.url},
        secrets={"access_token": TOKEN, "client_secret": "s3cret"},
        now=lambda: NOW,
    )
    connector = HubSpot(options, timeout_s=5)
    yield connector
    connector.close()


def action(number: int, *emails: str, id: str = "", **fields: str) -> Action:
    return Action(
        key=f"k{number}",
        kind=ActionKind.CONTACT_UPSERT,
        candidate_id=number,
        contact=ContactRef(external_id=id, emails=emails),
        fields=fields or {"stage": "Screen"},
    )


def kinds(outcomes: list[Outcome]) -> list[str]:
    return [outcome.kind.value for outcome in outcomes]


def written(inputs: list[dict[str, Any]], **more: object) -> list[dict[str, Any]]:
    """Results as HubSpot gives them: an id made of the input's, the primary address."""
    return [
        {
            "id": one["id"] if one["id"].isdigit() else str(5000 + index),
            "new": False,
            "properties": {"email": one["id"]} if "@" in one["id"] else {},
            **more,
        }
        for index, one in enumerate(inputs)
    ]


def complete(call: str, body: dict[str, Any]) -> Reply:
    if call.startswith("GET"):
        return 404, {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "no"}
    if call == "batch/read":
        return 200, {"status": "COMPLETE", "results": []}
    return 200, {"status": "COMPLETE", "results": written(body["inputs"])}


def test_a_single_address_is_one_upsert_and_never_writes_the_primary_address(
    stub: Stub, crm: HubSpot
) -> None:
    stub.handle = lambda _, body: (200, {"results": written(body["inputs"], new=True)})
    [outcome] = crm.apply([action(1, "Anna@Example.com ", name="Anna Lee Moss", email="anna@x.io")])
    assert (outcome.kind, outcome.external_id, outcome.detail["new"]) == (
        OutcomeKind.DONE,
        "5000",
        "true",
    )
    [(call, body)] = stub.calls
    assert call == "batch/upsert"
    assert body["inputs"] == [
        {
            "id": "anna@example.com",
            "idProperty": "email",
            "properties": {"firstname": "Anna", "lastname": "Lee Moss"},
            "objectWriteTraceId": "0",
        }
    ]


def test_actions_on_one_contact_are_folded_and_the_last_value_wins(
    stub: Stub, crm: HubSpot
) -> None:
    stub.handle = complete
    outcomes = crm.apply(
        [
            action(1, "a@example.com", stage="Applied", applied_role="Cook"),
            action(2, "b@example.com"),
            action(1, "A@example.com", stage="Interview"),
            action(3, "other@example.com", "a@example.com", interviewer="Kim"),
        ]
    )
    assert kinds(outcomes) == ["done"] * 4
    sent = {one["id"]: one["properties"] for one in stub.calls[-1][1]["inputs"]}
    assert sent["a@example.com"] == {
        "candidate_stage": "Interview",
        "applied_role": "Cook",
        "interviewer": "Kim",
    }
    assert len(sent) == 2
    assert outcomes[0].external_id == outcomes[2].external_id == outcomes[3].external_id


def test_two_known_records_that_share_an_address_stay_two(stub: Stub, crm: HubSpot) -> None:
    stub.handle = complete
    outcomes = crm.apply([action(1, "a@x.io", id="11"), action(2, "a@x.io", id="12")])
    assert [outcome.external_id for outcome in outcomes] == ["11", "12"]
    assert stub.made() == ["batch/update"]


def test_who_shares_an_address_with_two_records_joins_one_of_them(stub: Stub, crm: HubSpot) -> None:
    stub.handle = complete
    outcomes = crm.apply(
        [action(1, "a@x.io", id="11"), action(2, "b@x.io", id="12"), action(3, "a@x.io", "b@x.io")]
    )
    assert [outcome.external_id for outcome in outcomes] == ["11", "12", "11"]


def test_two_that_turn_out_to_be_one_record_are_written_once(stub: Stub, crm: HubSpot) -> None:
    def handle(call: str, body: dict[str, Any]) -> Reply:
        if call == "batch/read":
            held = {"email": "a@x.io", "hs_additional_emails": "b@x.io"}
            return 200, {"results": [{"id": "77", "properties": held}]}
        return complete(call, body)

    stub.handle = handle
    one, two = action(1, "a@x.io", "x@x.io", stage="1"), action(2, "b@x.io", "y@x.io", stage="2")
    outcomes = crm.apply([one, two])
    assert [outcome.external_id for outcome in outcomes] == ["77", "77"]
    [sent] = stub.calls[-1][1]["inputs"]
    assert sent["properties"] == {"candidate_stage": "2"}


def test_what_was_folded_by_a_lost_id_stays_folded(stub: Stub, crm: HubSpot) -> None:
    def handle(call: str, body: dict[str, Any]) -> Reply:
        if call == "batch/update":
            return 404, {"category": "OBJECT_NOT_FOUND", "message": "no"}
        return complete(call, body)

    stub.handle = handle
    outcomes = crm.apply([action(1, id="11"), action(2, "a@x.io", id="11", stage="Offer")])
    assert kinds(outcomes) == ["done", "done"]
    [sent] = stub.calls[-1][1]["inputs"]
    assert sent["properties"] == {"candidate_stage": "Offer"}


def test_a_deleted_record_is_written_anew_by_address(stub: Stub, crm: HubSpot) -> None:
    def handle(call: str, body: dict[str, Any]) -> Reply:
        if call == "batch/update":
            errors = [
                {
                    "status": "error",
                    "category": "OBJECT_NOT_FOUND",
                    "message": "Could not get some CONTACT objects",
                    "context": {"ids": ["11", "13"]},
                }
            ]
            kept = [one for one in body["inputs"] if one["id"] == "12"]
            return 207, {"status": "COMPLETE", "results": written(kept), "errors": errors}
        return complete(call, body)

    stub.handle = handle
    outcomes = crm.apply(
        [action(1, "a@x.io", id="11"), action(2, "b@x.io", id="12"), action(3, id="13")]
    )
    assert kinds(outcomes) == ["done", "done", "refused"]
    assert [outcome.external_id for outcome in outcomes] == ["5000", "12", ""]
    assert stub.made() == ["batch/update", "batch/upsert"]


@pytest.mark.parametrize("status", [404, 400])
def test_a_whole_update_refused_for_missing_records_is_taken_apart(
    stub: Stub, crm: HubSpot, status: int
) -> None:
    def handle(call: str, body: dict[str, Any]) -> Reply:
        if call == "batch/update" and any(one["id"] == "11" for one in body["inputs"]):
            return status, {
                "status": "error",
                "category": "OBJECT_NOT_FOUND",
                "message": "no such ids",
            }
        return complete(call, body)

    stub.handle = handle
    outcomes = crm.apply([action(n, f"p{n}@x.io", id=str(n)) for n in range(8, 15)])
    assert kinds(outcomes) == ["done"] * 7
    assert outcomes[3].external_id == "5000"


def test_the_id_that_hubspot_answers_is_the_one_that_counts(stub: Stub, crm: HubSpot) -> None:
    def handle(call: str, body: dict[str, Any]) -> Reply:
        results = written(body["inputs"])
        for result in results:
            if result["id"] in ("11", "12"):
                result["id"] = "90" + result["id"]  # merged: another id answers
        return 200, {"status": "COMPLETE", "results": results[::-1]}

    stub.handle = handle
    outcomes = crm.apply([action(n, f"p{n}@x.io", id=str(n)) for n in (10, 11, 12, 13)])
    assert kinds(outcomes) == ["done"] * 4
    assert [outcome.external_id for outcome in outcomes] == ["10", "9011", "9012", "13"]


def test_results_are_placed_by_trace_id_where_hubspot_gives_it_back(
    stub: Stub, crm: HubSpot
) -> None:
    def handle(call: str, body: dict[str, Any]) -> Reply:
        results = [
            {"id": f"9{one['id']}", "objectWriteTraceId": one["objectWriteTraceId"]}
            for one in body["inputs"]
        ]
        return 200, {"results": results[::-1]}

    stub.handle = handle
    outcomes = crm.apply([action(n, id=str(n)) for n in (10, 11, 12)])
    assert [outcome.external_id for outcome in outcomes] == ["910", "911", "912"]
    assert len(stub.calls) == 1


def test_several_addresses_are_looked_up_before_anything_is_written(
    stub: Stub, crm: HubSpot
) -> None:
    """Nobody gets a second contact because the ATS prefers another address than the CRM."""

    def handle(call: str, body: dict[str, Any]) -> Reply:
        if call == "batch/read":
            found = {"id": "77", "properties": {"email": "home@x.io", "hs_additional_emails": ""}}
            return 207, {"status": "COMPLETE", "results": [found], "errors": [{"message": "gone"}]}
        if call == "GET secondary@x.io":
            return 200, {"id": "78", "properties": {"email": "primary@x.io"}}
        return complete(call, body)

    stub.handle = handle
    outcomes = crm.apply(
        [
            action(1, "work@x.io", "home@x.io"),
            action(2, "b@x.io", "secondary@x.io"),
            action(3, "c@x.io", "d@x.io"),
        ]
    )
    assert [outcome.external_id for outcome in outcomes] == ["77", "78", "5000"]
    assert stub.made() == [
        "batch/read",
        "GET secondary@x.io",
        "GET d@x.io",
        "batch/update",
        "batch/upsert",
    ]
    assert all("email" not in one["properties"] for one in stub.calls[3][1]["inputs"])


def test_a_batch_look_up_that_hubspot_dislikes_is_made_singly(stub: Stub, crm: HubSpot) -> None:
    def handle(call: str, body: dict[str, Any]) -> Reply:
        if call == "batch/read":
            return 400, {"category": "VALIDATION_ERROR", "message": "no"}
        if call == "GET b@x.io":
            return 400, {"message": "Email address b@x.io is invalid"}
        if call == "GET d@x.io":
            return 200, {"id": "78", "properties": {"email": "primary@x.io"}}
        return complete(call, body)

    stub.handle = handle
    outcomes = crm.apply([action(1, "a@x.io", "b@x.io"), action(2, "c@x.io", "d@x.io")])
    assert [outcome.external_id for outcome in outcomes] == ["5000", "78"]


def test_look_ups_are_bounded(stub: Stub, crm: HubSpot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmline.connectors.hubspot.upsert.LOOKUPS_MAX", 2)
    stub.handle = complete
    outcomes = crm.apply([action(n, f"a{n}@x.io", f"b{n}@x.io") for n in range(4)])
    assert kinds(outcomes) == ["done", "done", "later", "later"]


def test_a_207_gives_each_action_its_own_outcome(stub: Stub, crm: HubSpot) -> None:
    def handle(call: str, body: dict[str, Any]) -> Reply:
        if call == "batch/update":
            return complete(call, body)
        keep = [one for one in body["inputs"] if one["id"] == "good@x.io"]
        errors = [
            {
                "category": "VALIDATION_ERROR",
                "message": "Email address bad@x.io is invalid",
                "context": {"objectWriteTraceId": ["1"]},
            },
            {
                "category": "CONFLICT",
                "message": "Contact already exists",
                "context": {"objectWriteTraceId": ["2"], "existingId": ["6001"]},
            },
            {
                "category": "RATE_LIMITS",
                "message": "slow down",
                "context": {"objectWriteTraceId": ["3"]},
            },
            {"category": "VALIDATION_ERROR", "message": "named@x.io, is not to our taste"},
        ]
        return 207, {"status": "COMPLETE", "results": written(keep), "errors": errors}

    stub.handle = handle
    names = ("good", "bad", "taken", "hasty", "named")
    outcomes = crm.apply([action(n, f"{name}@x.io") for n, name in enumerate(names)])
    assert kinds(outcomes) == ["done", "refused", "done", "later", "refused"]
    assert outcomes[2].external_id == "6001"
    assert outcomes[3].after_s == 10
    assert "VALIDATION_ERROR: Email address *** is invalid" in outcomes[1].reason
    assert not any("@" in outcome.reason for outcome in outcomes)
    assert stub.made() == ["batch/upsert", "batch/update"]


def test_what_a_207_does_not_tell_apart_is_sent_again_in_halves(stub: Stub, crm: HubSpot) -> None:
    def handle(call: str, body: dict[str, Any]) -> Reply:
        good = [one for one in body["inputs"] if not one["id"].startswith("bad")]
        errors = [{"message": "one of them is bad"}] * (len(body["inputs"]) - len(good))
        return (207 if errors else 200), {"results": written(good), "errors": errors}

    stub.handle = handle
    names = ("a", "bad1", "b", "bad2", "c")
    outcomes = crm.apply([action(n, f"{name}@x.io") for n, name in enumerate(names)])
    assert kinds(outcomes) == ["done", "refused", "done", "refused", "done"]


def test_one_bad_input_does_not_hold_up_ninety_nine(stub: Stub, crm: HubSpot) -> None:
    """One bad address makes a whole batch repeat (mautic #7226): not here."""

    def handle(call: str, body: dict[str, Any]) -> Reply:
        if any(one["id"] == "p42@x.io" for one in body["inputs"]):
            return 400, {"category": "VALIDATION_ERROR", "message": "p42@x.io is not an address"}
        return complete(call, body)

    stub.handle = handle
    outcomes = crm.apply([action(n, f"p{n}@x.io") for n in range(100)])
    assert kinds(outcomes) == ["done"] * 42 + ["refused"] + ["done"] * 57
    assert len(stub.calls) <= 16


def test_an_unknown_property_refuses_its_actions_without_a_search(stub: Stub, crm: HubSpot) -> None:
    def handle(call: str, body: dict[str, Any]) -> Reply:
        if any("interviewer" in one["properties"] for one in body["inputs"]):
            detail = {
                "isValid": False,
                "message": 'Property "interviewer" does not exist',
                "error": "PROPERTY_DOESNT_EXIST",
                "name": "interviewer",
            }
            message = f"Property values were not valid: {json.dumps([detail])}"
            return 400, {"category": "VALIDATION_ERROR", "message": message}
        return complete(call, body)

    stub.handle = handle
    outcomes = crm.apply(
        [action(n, f"p{n}@x.io", **{"interviewer" if n % 2 else "stage": "x"}) for n in range(100)]
    )
    assert kinds(outcomes) == ["done", "refused"] * 50
    assert outcomes[1].reason == (
        'HubSpot said VALIDATION_ERROR: Property "interviewer" does not exist'
    )
    assert len(stub.calls) == 2


def test_calls_are_bounded_and_the_rest_comes_later(stub: Stub, crm: HubSpot) -> None:
    stub.handle = always(400, {"category": "VALIDATION_ERROR", "message": "no"})
    outcomes = crm.apply([action(n, f"p{n}@x.io") for n in range(100)])
    assert len(stub.calls) == 64
    found = kinds(outcomes)
    assert found.count("refused") > 20
    assert found.count("refused") + found.count("later") == 100


def test_duplicate_ids_are_bisected(stub: Stub, crm: HubSpot) -> None:
    """Two known ids that were merged into one are a duplicate to HubSpot."""

    def handle(call: str, body: dict[str, Any]) -> Reply:
        if len({int(one["id"]) // 10 for one in body["inputs"]}) < len(body["inputs"]):
            return 400, {
                "category": "VALIDATION_ERROR",
                "message": "Duplicate IDs found in batch input: [11]. IDs must be unique",
                "context": {"ids": ["11"]},
            }
        return complete(call, body)

    stub.handle = handle
    assert kinds(crm.apply([action(n, id=str(n)) for n in (11, 12, 25)])) == ["done"] * 3


def test_a_409_leads_to_the_record_that_it_names(stub: Stub, crm: HubSpot) -> None:
    def handle(call: str, body: dict[str, Any]) -> Reply:
        if call == "batch/upsert" and any(one["id"] == "b@x.io" for one in body["inputs"]):
            message = "Contact already exists. Existing ID: 6001"
            return 409, {"status": "error", "message": message, "category": "CONFLICT"}
        return complete(call, body)

    stub.handle = handle
    outcomes = crm.apply([action(n, f"{n}@x.io") for n in "abc"])  # type: ignore[arg-type]
    assert kinds(outcomes) == ["done"] * 3
    assert outcomes[1].external_id == "6001"


def test_a_conflict_that_goes_round_ends(stub: Stub, crm: HubSpot) -> None:
    def handle(call: str, body: dict[str, Any]) -> Reply:
        if call == "batch/upsert":
            return 409, {
                "message": "Contact already exists. Existing ID: 9",
                "category": "CONFLICT",
            }
        return 404, {"category": "OBJECT_NOT_FOUND", "message": "no"}

    stub.handle = handle
    assert kinds(crm.apply([action(1, "a@x.io")])) == ["later"]
    assert len(stub.calls) == 3


@pytest.mark.parametrize("body", [b"", b'{"results": [', b"[]", b"<html>", b'{"results": "x"}'])
@pytest.mark.parametrize("status", [200, 207])
def test_a_success_without_a_readable_body_is_unknown(
    stub: Stub, crm: HubSpot, status: int, body: bytes
) -> None:
    stub.handle = always(status, body)
    outcomes = crm.apply([action(1, "a@x.io"), action(2, "b@x.io")])
    assert kinds(outcomes) == ["unknown", "unknown"]


def test_a_success_that_leaves_the_contact_out_is_unknown(stub: Stub, crm: HubSpot) -> None:
    stub.handle = always(200, {"status": "COMPLETE", "results": []})
    assert kinds(crm.apply([action(1, "a@x.io")])) == ["unknown"]


@pytest.mark.parametrize(
    ("status", "error"), [(429, Throttled), (500, Unsure), (503, Unsure), (401, AuthFailed)]
)
def test_what_hits_the_whole_call_raises(
    stub: Stub, crm: HubSpot, status: int, error: type[Exception]
) -> None:
    said = {"message": f"no luck for a@x.io with {TOKEN}" if status != 401 else "expired"}
    stub.handle = always(status, said)
    with pytest.raises(error) as raised:
        crm.apply([action(1, "a@x.io")])
    assert "@" not in str(raised.value)


@pytest.mark.parametrize("status", [429, 500, 401, 418])
def test_half_a_batch_is_not_lost_when_a_later_call_fails(
    stub: Stub, crm: HubSpot, status: int
) -> None:
    def handle(call: str, body: dict[str, Any]) -> Reply:
        return (status, {"message": "no"}) if call == "batch/upsert" else complete(call, body)

    stub.handle = handle
    outcomes = crm.apply([action(1, "a@x.io", id="11"), action(2, "b@x.io")])
    rest = {429: "later", 500: "unknown", 401: "later", 418: "refused"}[status]
    assert kinds(outcomes) == ["done", rest]
    assert outcomes[1].after_s == (10 if status == 429 else None)


def test_doubt_is_only_about_what_was_sent(stub: Stub, crm: HubSpot) -> None:
    stub.handle = always(500, {"message": "no"})
    outcomes = crm.apply([action(1, "a@x.io", id="11"), action(2, "b@x.io")])
    assert kinds(outcomes) == ["unknown", "later"]


def test_a_failing_look_up_writes_nothing(stub: Stub, crm: HubSpot) -> None:
    for answer in ((500, {}), (200, b"{"), (200, {"results": 5}), (418, {})):
        stub.handle = always(*answer)
        with pytest.raises(Unreachable):
            crm.apply([action(1, "a@x.io", "b@x.io")])
        with pytest.raises(Unreachable):
            crm.find(action(1, "a@x.io"))
    assert set(stub.made()) == {"batch/read", "GET a@x.io"}


def test_what_cannot_be_written_is_refused_without_a_call(stub: Stub, crm: HubSpot) -> None:
    bad = [
        action(1, "not an address"),
        action(2, "a@x.io", application_date="tomorrow"),
        Action(key="k", kind=ActionKind.SEQUENCE_ENROL, candidate_id=3),
    ]
    outcomes = crm.apply(bad)
    assert kinds(outcomes) == ["refused"] * 3
    assert [outcome.reason for outcome in outcomes] == [
        "the candidate has no usable address to find the contact by",
        "application_date is not an ISO 8601 time",
        "HubSpot cannot do sequence.enrol",
    ]
    assert crm.apply([]) == []
    assert crm.find(bad[1]) is None
    assert stub.calls == []


def test_find_compares_what_was_to_be_written(stub: Stub, crm: HubSpot) -> None:
    held = {"firstname": "Anna", "interview_date": "1764000000000", "application_date": None}

    def handle(call: str, body: dict[str, Any]) -> Reply:
        if call in ("GET 11", "GET second@x.io"):
            return 200, {"id": "900", "properties": held}
        return complete(call, body)

    stub.handle = handle
    fields = {"name": "Anna", "interview_date": "2025-11-24T17:00:00+01:00", "application_date": ""}
    found = crm.find(action(1, id="11", **fields))
    assert found == Outcome(OutcomeKind.DONE, "found written", external_id="900")
    found = crm.find(action(1, "first@x.io", "second@x.io", **fields))
    assert found is not None
    assert crm.find(action(1, id="11", **{**fields, "name": "Berta"})) is None
    assert crm.find(action(1, id="11", interview_date="2025-11-24T17:00:00Z")) is None
    assert crm.find(action(1, id="12", **fields)) is None
    assert crm.find(action(1, "second@x.io", id="11", applied_role="Cook")) is None
    assert stub.calls[0][1]["properties"] == "email,firstname,application_date,interview_date"


def test_the_mapping_writes_what_hubspot_reads() -> None:
    fields = {
        "name": "Bo",
        "last_name": " Peep ",
        "first_name": "",
        "application_date": "2025-03-01T23:30:00-05:00",
        "interview_date": "2025-03-01T10:00:00",
        "stage": "",
        "unheard_of": "x",
    }
    assert values_for(fields, PROPERTIES) == {
        "lastname": "Peep",
        "application_date": "2025-03-02",
        "interview_date": "2025-03-01T10:00:00.000Z",
        "candidate_stage": "",
    }
    assert values_for({"name": " "}, PROPERTIES) == {}
    assert same("2025-03-02", "1740873600000", Kind.DATE)
    assert not same("2025-03-02", "soon", Kind.DATE)
    assert not same("a", None, Kind.TEXT)
    assert same("", None, Kind.TIME)


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "x"},
        {"name": "x"},
        {"stage": "Not A Name"},
        {"stage": "email"},
        {"stage": "hs_email_optout"},
        {"stage": "interviewer"},
        {"stage": 5},
        "stage",
    ],
)
def test_a_property_table_that_cannot_be_stops_the_start(wrong: object) -> None:
    with pytest.raises(ConfigError):
        properties_from(wrong)


def test_a_connection_without_its_secrets_stops_the_start() -> None:
    for secrets in ({}, {"access_token": "x"}, {"access_token": " ", "client_secret": "x"}):
        with pytest.raises(ConfigError):
            HubSpot(Options("crm", {}, secrets, lambda: NOW))


def test_properties_can_be_named_otherwise_or_left_out() -> None:
    table = properties_from({"stage": "ats_stage", "interviewer": ""})
    found = values_for({"stage": "Offer", "interviewer": "Kim"}, table)
    assert found == {"ats_stage": "Offer"}


def test_words_of_hubspot_lose_addresses_and_tokens() -> None:
    assert plain(f"a b@c.io, {TOKEN} x%40y.io  d\n") == "a *** *** *** d"
    assert plain("no: Bearer sandbox-token is not ours") == "no: *** is not ours"
    assert len(plain("x " * 5000)) == 200


ERROR_KEYS = (
    *("id", "ids", "context", "objectWriteTraceId", "existingId", "category", "message", "errors"),
    *("properties", "email", "new", "code", "name"),
)
answers = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 20) | st.sampled_from(["0", "1", "11", "a@x.io"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(ERROR_KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(answers, max_size=4), st.lists(answers, max_size=4), st.sampled_from(How))
def test_no_answer_breaks_the_taking_apart(
    results: list[object], errors: list[object], how: How
) -> None:
    ids = ("11", "12") if how is How.UPDATE else ("a@x.io", "b@x.io")
    writes = [Write(one, {}) for one in ids]
    found = _taken_apart(how, writes, results, [_Error.of(error) for error in errors])
    assert len(found) == 2
    [single] = _taken_apart(how, writes[:1], results, [_Error.of(error) for error in errors])
    assert single is not None
    assert single.fate is not Fate.WRITTEN or single.id
