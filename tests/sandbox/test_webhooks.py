"""Webhooks leave the simulators signed, retried and, on order, faulty."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import httpx
import pytest

from warmline.sandbox.clock import VirtualClock, epoch_ms
from warmline.sandbox.serve import Sandbox

from .conftest import Receiver

MINUTE_S = 60.0


def listen(box: Sandbox, receiver: Receiver) -> None:
    body = {"url": receiver.url, "secret": "s3cret"}
    answer = httpx.post(f"{box.greenhouse_url}/_control/webhook", json=body)
    assert answer.json()["active"] is True
    assert json.loads(receiver.calls.pop()[1])["action"] == "ping"


def actions(receiver: Receiver) -> list[str]:
    return [json.loads(body)["action"] for _, body in receiver.calls]


def test_greenhouse_signature_and_escapes(box: Sandbox, receiver: Receiver) -> None:
    listen(box, receiver)
    person = {"first_name": "Zoë", "last_name": "<b>&", "email": "z@mail.example.com"}
    box.greenhouse.apply(person, 4001)
    assert box.deliver_due()["greenhouse"]["delivered"] == 1
    headers, body = receiver.calls[0]
    expected = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert headers["signature"] == f"sha256 {expected}"
    assert b"\\u003cb\\u003e\\u0026" in body
    assert b"<" not in body
    candidate = json.loads(body)["payload"]["application"]["candidate"]
    assert (candidate["first_name"], candidate["last_name"]) == ("Zoë", "<b>&")


def test_greenhouse_shapes(box: Sandbox, receiver: Receiver, clock: VirtualClock) -> None:
    listen(box, receiver)
    gh = box.greenhouse
    one, two = gh.apply(), gh.apply()
    gh.move(one["id"], "Final Interview")
    gh.schedule_interview(one["id"], clock(), clock())
    gh.submit_scorecard(one["id"])
    gh.reject(one["id"])
    gh.unreject(one["id"])
    gh.hire(one["id"])
    gh.update_candidate(one["candidate_id"], can_email=False)
    gh.merge(one["candidate_id"], two["candidate_id"])
    gh.anonymize(one["candidate_id"], ["full_name"])
    gh.delete_candidate(one["candidate_id"])
    gh.add_prospect()
    box.deliver_due()
    # Nothing for the interview and the scorecard: the vendor has no webhook for them.
    assert actions(receiver) == [
        "new_candidate_application",
        "new_candidate_application",
        "candidate_stage_change",
        "reject_candidate",
        "unreject_candidate",
        "hire_candidate",
        "update_candidate",
        "merge_candidate",
        "candidate_anonymized",
        "delete_candidate",
        "new_prospect_application",
    ]
    payloads = [json.loads(body)["payload"] for _, body in receiver.calls]
    application = payloads[0]["application"]
    assert application["status"] == "active"
    assert application["applied_at"] == "2026-03-02T09:00:00Z"
    assert {"id", "current_stage", "jobs", "candidate", "rejection_reason", "source"} <= set(
        application
    )
    assert payloads[2]["application"]["current_stage"]["name"] == "Final Interview"
    assert payloads[3]["application"]["rejection_reason"]["name"] == "Hired someone else"
    assert payloads[5]["application"]["job"]["id"] == one["job_id"]
    assert payloads[6]["candidate"]["can_email"] is False
    merged = payloads[7]["person"]
    assert (merged["id"], merged["new_candidate_id"]) == (two["candidate_id"], one["candidate_id"])
    assert payloads[8] == {"candidate_id": one["candidate_id"], "anonymized_fields": ["full_name"]}
    assert payloads[9]["person"]["deleted_application_ids"] == [one["id"], two["id"]]
    assert payloads[10]["application"]["current_stage"] is None
    keys = {headers["greenhouse-event-id"] for headers, _ in receiver.calls}
    assert len(keys) == len(receiver.calls)


def test_a_failing_ping_disables_the_hook(box: Sandbox, receiver: Receiver) -> None:
    receiver.status = 500
    assert box.greenhouse.set_webhook(receiver.url, "s")["active"] is False
    box.greenhouse.apply()
    assert box.greenhouse.outbox.next_due() is None
    assert box.greenhouse.outbox.state()["not_configured"] == 1


def test_greenhouse_tries_seven_times_over_fifteen_hours(
    box: Sandbox, receiver: Receiver, clock: VirtualClock
) -> None:
    listen(box, receiver)
    receiver.status = 201  # anything but 200 is a failure to this vendor
    outbox = box.greenhouse.outbox
    box.greenhouse.apply()
    waits = []
    assert outbox.deliver_due()["retried"] == 1
    while due := outbox.next_due():
        waits.append((due - clock()).total_seconds() / MINUTE_S)
        clock.set(due)
        outbox.deliver_due()
    assert waits == [1, 15, 60, 120, 240, 480]
    assert len(receiver.calls) == 7
    assert len({headers["greenhouse-event-id"] for headers, _ in receiver.calls}) == 1
    assert outbox.state()["given_up"] == 1


def test_nobody_listening_is_a_failure_too(box: Sandbox, receiver: Receiver) -> None:
    listen(box, receiver)
    box.greenhouse.outbox.url = "http://127.0.0.1:1/"
    box.greenhouse.apply()
    assert box.greenhouse.outbox.deliver_due()["retried"] == 1
    assert box.greenhouse.outbox.state()["status_0"] == 1


def test_webhook_faults(box: Sandbox, receiver: Receiver, clock: VirtualClock) -> None:
    listen(box, receiver)
    faults = f"{box.greenhouse_url}/_control/webhook/faults"
    httpx.post(faults, json={"kind": "drop", "path": "stage_change"})
    httpx.post(faults, json={"kind": "duplicate", "count": 1})
    httpx.post(faults, json={"kind": "reorder", "seconds": 600, "path": "reject*", "seed": 5})
    application = box.greenhouse.apply()
    box.greenhouse.move(application["id"], "Offer")
    box.greenhouse.reject(application["id"])
    box.greenhouse.unreject(application["id"])
    box.deliver_due()
    assert actions(receiver) == [*["new_candidate_application"] * 2, "unreject_candidate"]
    assert receiver.calls[0] == receiver.calls[1]
    clock.advance(600)
    box.deliver_due()
    assert actions(receiver)[-1] == "reject_candidate"
    state = box.greenhouse.outbox.state()
    assert (state["lost"], state["duplicated"], state["reordered"]) == (1, 1, 1)


def test_delivery_delay(box: Sandbox, receiver: Receiver, clock: VirtualClock) -> None:
    listen(box, receiver)
    box.greenhouse.outbox.delay_s = (2.0, 3.0)
    box.greenhouse.apply()
    due = box.greenhouse.outbox.next_due()
    assert due is not None
    assert 2 <= (due - clock()).total_seconds() <= 3
    assert box.deliver_due()["greenhouse"]["delivered"] == 0


def test_captured_builds_without_sending(box: Sandbox, receiver: Receiver) -> None:
    listen(box, receiver)
    with box.greenhouse.captured() as built:
        box.greenhouse.apply()
    headers, body = built[0]
    mac = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert headers["Signature"] == f"sha256 {mac}"
    assert box.greenhouse.outbox.next_due() is None
    headers, body = box.greenhouse.build_webhook("offer_created", {"id": 1}, secret="other")
    mac = hmac.new(b"other", body, hashlib.sha256).hexdigest()
    assert headers["Signature"] == f"sha256 {mac}"


def test_background_threads_deliver(receiver: Receiver) -> None:
    with Sandbox(seed=3) as box:
        listen(box, receiver)
        box.greenhouse.apply()
        for _ in range(2000):
            if box.greenhouse.outbox.state().get("delivered"):
                break
            box.greenhouse.closing.wait(0.005)
        assert actions(receiver) == ["new_candidate_application"]


# HubSpot


def events(receiver: Receiver) -> list[dict[str, object]]:
    return [event for _, body in receiver.calls for event in json.loads(body)]


def test_hubspot_signature_v3(box: Sandbox, receiver: Receiver, clock: VirtualClock) -> None:
    box.hubspot.set_webhook(receiver.url, "app-secret")
    box.hubspot.create("a@x.example.com")
    box.deliver_due()
    headers, body = receiver.calls[0]
    stamp = headers["x-hubspot-request-timestamp"]
    assert stamp == str(epoch_ms(clock()))
    signed = b"POST" + receiver.url.encode() + body + stamp.encode()
    expected = base64.b64encode(hmac.new(b"app-secret", signed, hashlib.sha256).digest())
    assert headers["x-hubspot-signature-v3"] == expected.decode()


def test_hubspot_events_and_their_source(
    box: Sandbox, receiver: Receiver, crm: httpx.Client
) -> None:
    box.hubspot.set_webhook(receiver.url, "s")
    path = "/crm/v3/objects/contacts"
    crm.post(path, json={"properties": {"email": "a@x.example.com", "applied_role": "Designer"}})
    box.hubspot.create("b@x.example.com")
    box.hubspot.opt_out("a@x.example.com")
    box.hubspot.opt_out("a@x.example.com")  # no change, no event
    merged = box.hubspot.merge("a@x.example.com", "b@x.example.com")
    box.hubspot.click("b@x.example.com", subject="A question")
    crm.delete(f"{path}/{merged['id']}")
    box.deliver_due()
    told = [
        (e["subscriptionType"], e.get("propertyName"), e["changeSource"]) for e in events(receiver)
    ]
    change = "contact.propertyChange"
    assert told == [
        ("contact.creation", None, "INTEGRATION"),
        (change, "email", "INTEGRATION"),
        (change, "applied_role", "INTEGRATION"),
        ("contact.creation", None, "CRM_UI"),
        (change, "email", "CRM_UI"),
        (change, "hs_email_optout", "CRM_UI"),
        ("contact.merge", None, "CRM_UI"),
        (change, "hs_email_last_email_name", "CRM_UI"),
        (change, "hs_email_last_click_date", "CRM_UI"),
        ("contact.deletion", None, "INTEGRATION"),
    ]
    merge = events(receiver)[6]
    assert merge["newObjectId"] == merge["objectId"] == int(merged["id"])
    assert merge["mergedObjectIds"] != [merge["primaryObjectId"]]
    assert len(receiver.calls) == 1  # one array of them all


def test_hubspot_batches_by_a_hundred_and_retries_for_a_day(
    box: Sandbox, receiver: Receiver, clock: VirtualClock
) -> None:
    box.hubspot.set_webhook(receiver.url, "s", [{"eventType": "contact.creation"}])
    for number in range(150):
        box.hubspot.create(f"p{number}@x.example.com")
    receiver.status = 500
    box.deliver_due()
    assert [len(json.loads(body)) for _, body in receiver.calls] == [100, 50]
    start = clock()
    while due := box.hubspot.outbox.next_due():
        clock.set(due)
        box.deliver_due()
    assert len(receiver.calls) == 2 * 11
    assert (clock() - start).total_seconds() < 86_400
    assert json.loads(receiver.calls[-1][1])[0]["attemptNumber"] == 10
    assert box.hubspot.outbox.state()["given_up"] == 2


def test_hubspot_privacy_deletion(box: Sandbox, receiver: Receiver, crm: httpx.Client) -> None:
    box.hubspot.set_webhook(receiver.url, "s", [{"eventType": "contact.privacyDeletion"}])
    box.hubspot.create("a@x.example.com")
    body = {"objectId": "a@x.example.com", "idProperty": "email"}
    assert crm.post("/crm/v3/objects/contacts/gdpr-delete", json=body).status_code == 204
    box.deliver_due()
    assert [e["subscriptionType"] for e in events(receiver)] == ["contact.privacyDeletion"]


def test_unknown_event_types_are_refused(box: Sandbox) -> None:
    subscription = [{"eventType": "contact.birthday"}]
    body = {"url": "http://127.0.0.1:1/", "secret": "s", "subscriptions": subscription}
    answer = httpx.post(f"{box.hubspot_url}/_control/webhook", json=body)
    assert answer.status_code == 400
    with pytest.raises(TypeError):
        box.hubspot.set_webhook("http://127.0.0.1:1/", "s", subscription)
