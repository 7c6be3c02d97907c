"""The simulated HubSpot behaves as card B1 of the vendor facts says."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from warmline.sandbox.clock import VirtualClock
from warmline.sandbox.serve import Sandbox

CONTACTS = "/crm/v3/objects/contacts"
V4 = "/communication-preferences/v4"


def upsert(crm: httpx.Client, *inputs: tuple[str, dict[str, Any]]) -> httpx.Response:
    body = [{"id": i, "idProperty": "email", "properties": p} for i, p in inputs]
    return crm.post(f"{CONTACTS}/batch/upsert", json={"inputs": body})


def find(crm: httpx.Client, email: str, properties: str = "") -> httpx.Response:
    params = {"idProperty": "email", "properties": properties}
    return crm.get(f"{CONTACTS}/{email}", params=params)


def create(crm: httpx.Client, email: str, **properties: str) -> str:
    answer = crm.post(CONTACTS, json={"properties": {"email": email, **properties}})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def search(crm: httpx.Client, *filters: dict[str, Any], **more: Any) -> httpx.Response:
    body = {"filterGroups": [{"filters": list(filters)}] if filters else [], **more}
    return crm.post(f"{CONTACTS}/search", json=body)


def test_bearer_is_required(box: Sandbox) -> None:
    answer = httpx.get(box.hubspot_url + CONTACTS)
    assert answer.status_code == 401
    assert answer.json()["category"] == "INVALID_AUTHENTICATION"
    assert answer.json()["correlationId"]


def test_create_find_patch_delete(crm: httpx.Client, clock: VirtualClock) -> None:
    number = create(crm, "A@x.example.com", firstname="Zoë")
    assert find(crm, "a@X.example.com", "firstname").json()["id"] == number
    assert crm.get(f"{CONTACTS}/{number}").json()["properties"]["email"] == "a@x.example.com"
    clock.advance(1)
    path = f"{CONTACTS}/a@x.example.com"
    body = {"properties": {"firstname": "", "applied_role": "Designer"}}
    patched = crm.patch(path, params={"idProperty": "email"}, json=body).json()
    assert patched["properties"]["applied_role"] == "Designer"
    assert patched["properties"]["firstname"] is None
    assert patched["updatedAt"] > patched["createdAt"]
    assert crm.delete(f"{CONTACTS}/{number}").status_code == 204
    assert find(crm, "a@x.example.com").status_code == 404
    assert find(crm, "a@x.example.com").json()["category"] == "OBJECT_NOT_FOUND"


def test_create_conflict_names_the_existing_id(crm: httpx.Client) -> None:
    number = create(crm, "a@x.example.com")
    answer = crm.post(CONTACTS, json={"properties": {"email": "a@X.example.com"}})
    assert answer.status_code == 409
    assert answer.json()["category"] == "CONFLICT"
    assert answer.json()["message"] == f"Contact already exists. Existing ID: {number}"


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"email": "not an address"}, "INVALID_EMAIL"),
        ({"nonsense": "1"}, "PROPERTY_DOESNT_EXIST"),
        ({"application_date": "02/03/2026"}, "INVALID_DATE"),
        ({"application_date": "1772442000001"}, "INVALID_DATE"),
        ({"interview_date": "soon"}, "INVALID_DATE"),
        ({"hs_additional_emails": "b@x.example.com"}, "READ_ONLY_VALUE"),
    ],
)
def test_values_are_checked(crm: httpx.Client, properties: dict[str, str], code: str) -> None:
    answer = crm.post(CONTACTS, json={"properties": properties})
    assert answer.status_code == 400
    assert answer.json()["category"] == "VALIDATION_ERROR"
    assert answer.json()["errors"][0]["code"] == code
    assert code in answer.json()["message"]


def test_dates_are_kept_as_text(crm: httpx.Client) -> None:
    create(crm, "a@x.example.com", application_date="1772409600000")
    create(crm, "b@x.example.com", application_date="2026-03-02", interview_date="1772442000000")
    dates = "application_date,interview_date"
    one = find(crm, "a@x.example.com", dates).json()["properties"]
    two = find(crm, "b@x.example.com", dates).json()["properties"]
    assert one["application_date"] == two["application_date"] == "2026-03-02"
    assert two["interview_date"] == "2026-03-02T09:00:00.000Z"


def test_upsert_says_what_is_new(crm: httpx.Client) -> None:
    first = upsert(crm, ("a@x.example.com", {"firstname": "A"}))
    assert first.status_code == 200
    assert first.json()["status"] == "COMPLETE"
    assert first.json()["results"][0]["new"] is True
    both = upsert(crm, ("A@x.example.com", {"firstname": "B"}), ("b@x.example.com", {})).json()
    assert [row["new"] for row in both["results"]] == [False, True]
    assert both["results"][0]["id"] == first.json()["results"][0]["id"]


def test_upsert_refuses_the_same_address_twice(crm: httpx.Client) -> None:
    answer = upsert(crm, ("a@x.example.com", {}), ("A@x.example.com", {}))
    assert answer.status_code == 400
    message = "Duplicate IDs found in batch input: [a@x.example.com]. IDs must be unique"
    assert answer.json()["message"] == message
    assert answer.json()["context"] == {"ids": ["a@x.example.com"]}
    assert find(crm, "a@x.example.com").status_code == 404


def test_upsert_takes_a_hundred(crm: httpx.Client) -> None:
    many: list[tuple[str, dict[str, Any]]] = [(f"p{n}@x.example.com", {}) for n in range(101)]
    assert upsert(crm, *many).json()["category"] == "VALIDATION_ERROR"
    assert len(upsert(crm, *many[:100]).json()["results"]) == 100


def test_upsert_answers_in_part(crm: httpx.Client) -> None:
    answer = upsert(
        crm,
        ("bad address", {}),
        ("a@x.example.com", {}),
        ("b@x.example.com", {"application_date": "tomorrow"}),
    )
    assert answer.status_code == 207
    body = answer.json()
    assert [row["properties"]["email"] for row in body["results"]] == ["a@x.example.com"]
    assert body["numErrors"] == 2
    assert [error["context"]["id"] for error in body["errors"]] == [
        ["bad address"],
        ["b@x.example.com"],
    ]
    assert {error["category"] for error in body["errors"]} == {"VALIDATION_ERROR"}


def test_an_unknown_property_spoils_the_whole_batch(crm: httpx.Client) -> None:
    answer = upsert(crm, ("a@x.example.com", {}), ("b@x.example.com", {"nonsense": "1"}))
    assert answer.status_code == 400
    assert "PROPERTY_DOESNT_EXIST" in answer.json()["message"]
    assert find(crm, "a@x.example.com").status_code == 404


def test_batch_read_create_update(crm: httpx.Client) -> None:
    number = create(crm, "a@x.example.com")
    inputs: list[dict[str, Any]] = [{"id": "a@x.example.com"}, {"id": "nobody@x.example.com"}]
    body = {"idProperty": "email", "properties": ["phone"], "inputs": inputs}
    answer = crm.post(f"{CONTACTS}/batch/read", json=body)
    assert answer.status_code == 207
    assert [row["id"] for row in answer.json()["results"]] == [number]
    assert answer.json()["errors"][0]["context"]["ids"] == ["nobody@x.example.com"]
    inputs = [
        {"properties": {"email": "a@x.example.com"}, "objectWriteTraceId": "t0"},
        {"properties": {"email": "c@x.example.com"}},
    ]
    answer = crm.post(f"{CONTACTS}/batch/create", json={"inputs": inputs})
    assert answer.status_code == 207
    context = answer.json()["errors"][0]["context"]
    assert context == {"existingId": [number], "objectWriteTraceId": ["t0"]}
    inputs = [{"id": number, "properties": {"phone": "+1 202 555 0100"}}]
    answer = crm.post(f"{CONTACTS}/batch/update", json={"inputs": inputs})
    assert answer.json()["results"][0]["properties"]["phone"] == "+1 202 555 0100"


def test_merge_gives_a_new_id_and_old_ones_resolve(crm: httpx.Client) -> None:
    one = create(crm, "a@x.example.com", firstname="A")
    two = create(crm, "b@x.example.com", firstname="B", phone="123")
    body = {"primaryObjectId": one, "objectIdToMerge": two}
    new = crm.post(f"{CONTACTS}/merge", json=body).json()["id"]
    assert new not in {one, two}
    asked = {"properties": "firstname,phone,hs_additional_emails"}
    for old in (one, two):
        shown = crm.get(f"{CONTACTS}/{old}", params=asked).json()
        assert shown["id"] == new
        assert shown["properties"]["firstname"] == "A"
        assert shown["properties"]["phone"] == "123"
        assert shown["properties"]["hs_additional_emails"] == "b@x.example.com"
    assert find(crm, "b@x.example.com").json()["id"] == new
    assert crm.post(f"{CONTACTS}/merge", json=body).status_code == 400


def test_a_secondary_address_updates_its_owner(box: Sandbox, crm: httpx.Client) -> None:
    create(crm, "a@x.example.com")
    create(crm, "b@x.example.com")
    new = box.hubspot.merge("a@x.example.com", "b@x.example.com")["id"]
    row = upsert(crm, ("b@x.example.com", {"firstname": "Zoë"})).json()["results"][0]
    assert (row["id"], row["new"]) == (new, False)
    assert row["properties"]["email"] == "a@x.example.com"
    # Who writes `email` as well makes the secondary address the primary one.
    upsert(crm, ("b@x.example.com", {"email": "b@x.example.com"}))
    assert box.hubspot.all_contacts()[0]["emails"] == ["b@x.example.com", "a@x.example.com"]


def test_search_lags_and_does_not_find_secondary_addresses(
    box: Sandbox, crm: httpx.Client, clock: VirtualClock
) -> None:
    def by_email(email: str) -> int:
        clock.advance(1)  # one search a second is well within the limit
        given = {"propertyName": "email", "operator": "EQ", "value": email}
        return int(search(crm, given).json()["total"])

    create(crm, "a@x.example.com")
    create(crm, "b@x.example.com")
    assert by_email("a@x.example.com") == 0
    clock.advance(4)
    assert by_email("a@x.example.com") == 1
    box.hubspot.merge("a@x.example.com", "b@x.example.com")
    assert by_email("b@x.example.com") == 1  # still the old record
    clock.advance(5)
    assert by_email("b@x.example.com") == 0
    token = {
        "propertyName": "hs_additional_emails",
        "operator": "CONTAINS_TOKEN",
        "value": "b@x.example.com",
    }
    assert search(crm, token).json()["total"] == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"operator": "EQ", "value": "2"}, "2"),
        ({"operator": "NEQ", "value": "2"}, "13"),
        ({"operator": "GT", "value": "1"}, "23"),
        ({"operator": "LTE", "value": "2"}, "12"),
        ({"operator": "BETWEEN", "value": "2", "highValue": "3"}, "23"),
        ({"operator": "IN", "values": ["1", "3"]}, "13"),
        ({"operator": "NOT_IN", "values": ["1", "3"]}, "2"),
        ({"operator": "HAS_PROPERTY"}, "123"),
        ({"operator": "NOT_HAS_PROPERTY"}, ""),
        ({"operator": "CONTAINS_TOKEN", "value": "3"}, "3"),
    ],
)
def test_search_operators(
    crm: httpx.Client, clock: VirtualClock, given: dict[str, Any], expected: str
) -> None:
    for number in "123":
        create(crm, f"p{number}@x.example.com", applied_role=number)
    clock.advance(5)
    asked = {"propertyName": "applied_role", **given}
    rows = search(crm, asked, properties=["applied_role"], sorts=["applied_role"]).json()
    assert "".join(row["properties"]["applied_role"] for row in rows["results"]) == expected


def test_search_pages_sorts_and_stops_at_ten_thousand(
    crm: httpx.Client, clock: VirtualClock
) -> None:
    for number in range(3):
        create(crm, f"p{number}@x.example.com")
        clock.advance(1)
    clock.advance(5)
    sort = [{"propertyName": "lastmodifieddate", "direction": "DESCENDING"}]
    first = search(crm, limit="2", sorts=sort, properties=["email"]).json()
    assert first["total"] == 3
    assert first["results"][0]["properties"]["email"] == "p2@x.example.com"
    after = first["paging"]["next"]["after"]
    second = search(crm, limit=2, after=after, sorts=sort).json()
    assert len(second["results"]) == 1
    assert "paging" not in second
    assert search(crm, limit=200, after="9801").status_code == 400
    clock.advance(1)
    assert search(crm, limit=201).status_code == 400
    since = {"propertyName": "lastmodifieddate", "operator": "GTE", "value": "1772442001000"}
    assert search(crm, since).json()["total"] == 2


def test_search_has_its_own_limit_and_no_headers(crm: httpx.Client) -> None:
    answers = [search(crm) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert not [name for name in answers[0].headers if "ratelimit" in name]
    assert answers[-1].json()["policyName"] == "SECONDLY"
    assert crm.get(CONTACTS).status_code == 200


def test_rate_limit_rolls(box: Sandbox, crm: httpx.Client, clock: VirtualClock) -> None:
    box.hubspot.rate_limit = 2
    first = crm.get(CONTACTS)
    assert first.headers["x-hubspot-ratelimit-max"] == "2"
    assert first.headers["x-hubspot-ratelimit-remaining"] == "1"
    assert first.headers["x-hubspot-ratelimit-interval-milliseconds"] == "10000"
    clock.advance(6)
    crm.get(CONTACTS)
    over = crm.get(CONTACTS)
    assert over.status_code == 429
    assert over.json()["errorType"] == "RATE_LIMIT"
    assert over.json()["policyName"] == "TEN_SECONDLY_ROLLING"
    clock.advance(4)  # the first call is ten seconds old now, the second is not
    assert crm.get(CONTACTS).status_code == 200
    assert crm.get(CONTACTS).status_code == 429


def test_list_pages_by_id(crm: httpx.Client) -> None:
    made = [create(crm, f"p{n}@x.example.com") for n in range(3)]
    first = crm.get(CONTACTS, params={"limit": 2}).json()
    after = first["paging"]["next"]["after"]
    second = crm.get(CONTACTS, params={"limit": 2, "after": after}).json()
    assert [row["id"] for row in first["results"] + second["results"]] == made


def test_erasing_an_unknown_address_blocks_it(crm: httpx.Client) -> None:
    body = {"objectId": "gone@x.example.com", "idProperty": "email"}
    assert crm.post(f"{CONTACTS}/gdpr-delete", json=body).status_code == 204
    answer = crm.post(CONTACTS, json={"properties": {"email": "gone@x.example.com"}})
    assert answer.status_code == 400


def test_properties(crm: httpx.Client) -> None:
    path = "/crm/v3/properties/contacts"
    names = {row["name"] for row in crm.get(path).json()["results"]}
    assert {"email", "applied_role", "application_date", "warmline_candidate_id"} <= names
    assert crm.get(f"{path}/interview_date").json()["type"] == "datetime"
    assert crm.get(f"{path}/nonsense").status_code == 404
    body = {"name": "skills", "label": "Skills", "type": "string", "fieldType": "text"}
    assert crm.post(path, json=body).status_code == 400
    body["groupName"] = "contactinformation"
    assert crm.post(path, json=body).status_code == 201
    assert crm.post(path, json=body).status_code == 409
    create(crm, "a@x.example.com", skills="Go")


def test_owners(crm: httpx.Client) -> None:
    owners = crm.get("/crm/v3/owners").json()["results"]
    assert len(owners) == 4
    one = crm.get("/crm/v3/owners", params={"email": owners[1]["email"]}).json()["results"]
    assert one == [owners[1]]


def test_opt_out_is_by_address_and_empty_means_not_opted_out(
    box: Sandbox, crm: httpx.Client
) -> None:
    create(crm, "a@x.example.com")
    path = f"{V4}/statuses/a@x.example.com"
    email = {"channel": "EMAIL"}
    assert crm.get(f"{path}/unsubscribe-all", params=email).json()["results"] == []
    states = {row["status"] for row in crm.get(path, params=email).json()["results"]}
    assert states == {"NOT_SPECIFIED"}
    assert crm.get(path).status_code == 400
    box.hubspot.opt_out("a@x.example.com")
    shown = crm.get(f"{path}/unsubscribe-all", params=email).json()["results"]
    assert shown[0]["status"] == "UNSUBSCRIBED"
    properties = find(crm, "a@x.example.com", "hs_email_optout").json()["properties"]
    assert properties["hs_email_optout"] == "true"
    # Nobody's own word is undone by an integration.
    body = {"subscriptionId": 1001, "statusState": "SUBSCRIBED", "channel": "EMAIL"}
    assert crm.post(path, json=body).status_code == 400


def test_preferences_by_the_api(crm: httpx.Client) -> None:
    create(crm, "a@x.example.com")
    kinds = crm.get(f"{V4}/definitions").json()["results"]
    number = int(kinds[0]["id"])
    path = f"{V4}/statuses/a@x.example.com"
    body = {"subscriptionId": number, "statusState": "UNSUBSCRIBED", "channel": "EMAIL"}
    assert crm.post(path, json=body).json()["status"] == "UNSUBSCRIBED"
    assert crm.post(path, json={**body, "subscriptionId": 1}).status_code == 400
    everything = f"{path}/unsubscribe-all"
    answer = crm.post(everything, params={"channel": "EMAIL", "verbose": "true"})
    assert answer.json()["results"][0]["status"] == "UNSUBSCRIBED"
    properties = find(crm, "a@x.example.com", "hs_email_optout").json()["properties"]
    assert properties["hs_email_optout"] == "true"


def test_control_verbs(box: Sandbox, clock: VirtualClock) -> None:
    do = f"{box.hubspot_url}/_control/do"
    assert httpx.post(f"{do}/create", json={"email": "a@x.example.com"}).status_code == 200
    httpx.post(f"{do}/click", json={"email": "a@x.example.com", "subject": "A question"})
    contact = httpx.get(f"{box.hubspot_url}/_control/contacts").json()[0]
    assert contact["emails"] == ["a@x.example.com"]
    assert contact["properties"]["hs_email_last_click_date"] == "2026-03-02T09:00:00.000Z"
    assert httpx.post(f"{do}/opt_out", json={"email": "b@x.example.com"}).status_code == 400
    bad = {"email": "a@x.example.com", "name": "application_date", "value": "never"}
    assert httpx.post(f"{do}/set_property", json=bad).status_code == 400
    assert httpx.post(f"{do}/delete", json={"email": "a@x.example.com"}).status_code == 200
    assert httpx.get(f"{box.hubspot_url}/_control/contacts").json() == []


def test_the_email_events_are_told_newest_first_by_pages_and_filters(
    box: Sandbox, crm: httpx.Client
) -> None:
    create(crm, "a@x.example.com")
    sent = box.hubspot.send_mail("a@x.example.com", "Roles")
    box.hubspot.click("a@x.example.com", "Roles", "https://x.example/1")
    box.hubspot.click("a@x.example.com", "Roles", "https://x.example/2", bot=True)
    path = "/email/public/v1/events"
    page = crm.get(path, params={"eventType": "CLICK", "limit": 1}).json()
    assert (len(page["events"]), page["hasMore"]) == (1, True)
    clicks = crm.get(path, params={"eventType": "CLICK", "recipient": "a@x.example.com"}).json()
    assert [one["filteredEvent"] for one in clicks["events"]] == [False, True]
    assert {one["sentBy"]["id"] for one in clicks["events"]} == {sent["id"]}
    passed = crm.get(path, params={"eventType": "CLICK", "excludeFilteredEvents": "true"}).json()
    assert [one["url"] for one in passed["events"]] == ["https://x.example/1"]
    assert crm.get(path, params={"offset": "lost"}).status_code == 400
    campaign = crm.get(f"/email/public/v1/campaigns/{sent['emailCampaignId']}").json()
    assert campaign["subject"] == "Roles"
    assert crm.get("/email/public/v1/campaigns/1").status_code == 404
    box.hubspot.scopes = frozenset()
    assert crm.get(path).json()["category"] == "MISSING_SCOPES"
