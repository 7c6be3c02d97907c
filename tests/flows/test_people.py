"""Who is meant, in whatever order the news of a person comes: early news, merges, addresses,
deletions; and that one bad event stops itself alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, connections

from tests.conftest import SECRETS, House
from warmline.core.events import EventKind
from warmline.flows import explain, interpret
from warmline.flows.batch import Applied, Heard, clean
from warmline.flows.facts import Facts
from warmline.flows.reconcile import poll
from warmline.flows.reconsider import reconsider
from warmline.flows.runtime import intake_lane
from warmline.flows.track import unsubscribe
from warmline.store.db import writing
from warmline.store.models import (
    Action,
    Application,
    Candidate,
    CandidateEmail,
    Delivery,
    Enrolment,
    Event,
    ExternalId,
    Incident,
    Interview,
    Merge,
    Message,
    Suppression,
)
from warmline.store.statuses import ActionStatus, DeliveryStatus, EventEffect, IncidentStatus

Webhooks = list[tuple[dict[str, str], bytes]]


def captured(house: House, verb: str, *args: Any, **kwargs: Any) -> Webhooks:
    """What Greenhouse sends for it; nothing of it has arrived yet."""
    with house.box.greenhouse.captured() as webhooks:
        getattr(house.box.greenhouse, verb)(*args, **kwargs)
    return list(webhooks)


def from_ats(house: House, body: dict[str, Any], event_id: str) -> None:
    raw = json.dumps(body).encode()
    mac = hmac.new(SECRETS["WARMLINE_ATS_WEBHOOK_SECRET"].encode(), raw, hashlib.sha256)
    headers = {"Signature": f"sha256 {mac.hexdigest()}", "Greenhouse-Event-ID": event_id}
    house.receive("ats", headers, raw)


def from_crm(house: House, *entries: dict[str, Any]) -> Delivery:
    """One delivery of HubSpot's with these entries."""
    at = int(house.clock().timestamp() * 1000)
    full = [
        {"eventId": n, "subscriptionId": 1, "portalId": 1, "appId": 9, "occurredAt": at + n,
         "attemptNumber": 0, "changeSource": "CRM_UI", "sourceId": "userId:1", **entry}
        for n, entry in enumerate(entries)
    ]  # fmt: skip
    url = f"{house.runtime.project.public_url}/in/crm"
    house.receive("crm", *house.box.hubspot.build_webhook(full, url))
    return Delivery.objects.filter(connection="crm").latest("id")


def changed(contact_id: int, name: str, value: str) -> dict[str, Any]:
    return {
        "subscriptionType": "contact.propertyChange",
        "objectId": contact_id,
        "propertyName": name,
        "propertyValue": value,
    }


def addresses(*values: str) -> list[dict[str, str]]:
    return [{"value": value, "type": "personal"} for value in values]


def ranked() -> list[str]:
    rows = CandidateEmail.objects.order_by(*CandidateEmail.PREFERRED_FIRST)
    return list(rows.values_list("normal", flat=True))


def in_two_records(house: House) -> tuple[dict[str, Any], dict[str, Any]]:
    one = house.apply(email="ada@example.com")
    other = house.apply(email="ada@work.example.com", job_id=4002)
    house.settle()
    return one, other


def join(house: House, row: dict[str, Any]) -> Candidate:
    both = addresses("ada@example.com", "ada@work.example.com")
    house.does("update_candidate", row["candidate_id"], email_addresses=both)
    house.settle()
    return Candidate.objects.get(merged_into=None)


# News that comes before its record is known


def opted_out_before_the_link(house: House) -> tuple[str, Delivery]:
    """An opt-out of a contact whose id no candidate here has yet; then the person applies."""
    house.box.hubspot.create("ada.lind@example.com")
    contact_id = house.contacts()[0]["id"]
    delivery = from_crm(house, changed(int(contact_id), "hs_email_optout", "true"))
    house.settle()
    assert Event.objects.get(connection="crm").effect == EventEffect.UNKNOWN
    house.clock.move(minutes=1)
    house.apply()
    house.settle()
    return contact_id, delivery


def opted_out(house: House) -> None:
    house.settle()
    event = Event.objects.get(connection="crm")
    assert (event.effect, event.candidate) == (EventEffect.APPLIED, Candidate.objects.get())
    assert Suppression.objects.get().reason == "unsubscribed"
    house.clock.move(days=3)
    house.settle()
    assert len(house.mails()) == 1


def test_i5_an_opt_out_that_came_before_its_contact_is_heard_once_the_contact_is_known(
    house: House,
) -> None:
    contact_id, delivery = opted_out_before_the_link(house)
    with writing():
        lanes = reconsider("crm", {contact_id})
    delivery.refresh_from_db()
    # Whoever linked the contact may have asked already.
    assert lanes == {intake_lane("crm")} or delivery.status == DeliveryStatus.INTERPRETED
    opted_out(house)
    with writing():
        assert reconsider("crm", {contact_id}) == set()


def test_i8_an_event_that_came_too_early_can_be_replayed(house: House) -> None:
    _, delivery = opted_out_before_the_link(house)
    interpret.replay(house.runtime, delivery.pk)
    opted_out(house)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_i5_an_opt_out_and_the_link_it_waits_for_cannot_miss_each_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contact is linked by a transaction that is open while the opt-out is read."""
    contact_id = house.box.hubspot.create("ada.lind@example.com")["id"]
    candidate = Candidate.objects.create(created_at=house.clock(), as_of=house.clock())
    from_crm(house, changed(int(contact_id), "hs_email_optout", "true"))
    linked, read = threading.Event(), threading.Event()

    def link() -> None:
        with writing():
            ExternalId.objects.create(
                candidate=candidate, connection="crm", external_id=contact_id, contact=True
            )
            linked.set()
            read.wait(5)
            reconsider("crm", {contact_id})
        connections.close_all()

    finish = interpret._finish

    def finish_late(*args: Any) -> None:
        read.set()
        other.join(0.5)  # it cannot end before this transaction does
        finish(*args)

    other = threading.Thread(target=link)
    other.start()
    assert linked.wait(5)
    with monkeypatch.context() as patch:
        patch.setattr(interpret, "_finish", finish_late)
        interpret.drain(house.runtime, "crm")
    other.join()
    house.settle()
    assert Event.objects.get(connection="crm").effect == EventEffect.APPLIED


def read_of_the_interview_alone(house: House) -> dict[str, Any]:
    """An application whose webhook is lost, and of whose interview a poll tells first."""
    row: dict[str, Any] = house.box.greenhouse.apply(
        {"first_name": "Ada", "last_name": "Lind", "email": "ada@example.com"}, 4001
    )
    house.clock.move(hours=5)
    poll(house.runtime, "ats")
    house.clock.move(minutes=6)
    starts = house.clock() + timedelta(days=1)
    house.box.greenhouse.schedule_interview(row["id"], starts, starts + timedelta(hours=1))
    connector = house.runtime.connectors["ats"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connector, "streams", lambda: ("interviews",))
        poll(house.runtime, "ats")
    return row


@pytest.mark.parametrize("together", [False, True])
def test_an_interview_that_is_read_before_its_application_is_not_lost(
    house: House, together: bool
) -> None:
    read_of_the_interview_alone(house)
    if not together:
        house.settle()
        assert not Interview.objects.exists()
    house.clock.move(minutes=6)
    poll(house.runtime, "ats")
    house.settle()
    assert Interview.objects.get().application == Application.objects.get()
    event = Event.objects.get(kind=EventKind.INTERVIEW_SCHEDULED)
    assert event.effect == EventEffect.APPLIED
    assert Action.objects.filter(event=event).exists()
    assert house.contacts()[0]["properties"]["interview_date"]


def test_an_event_that_stays_unknown_is_not_read_for_ever(house: House) -> None:
    from_crm(house, changed(777, "hs_email_optout", "true"))
    house.apply()
    house.settle()  # raises where the work never ends
    assert Event.objects.get(connection="crm").effect == EventEffect.UNKNOWN
    assert not Delivery.objects.filter(status=DeliveryStatus.RECEIVED).exists()


def test_a_replay_of_what_people_did_on_our_pages_leaves_it_as_it_was(house: House) -> None:
    house.apply()
    house.settle()
    unsubscribe(house.runtime, Message.objects.get().pk, how="page")
    delivery = Delivery.objects.get(connection="warmline")
    kept = interpret.replay(house.runtime, delivery.pk)
    assert kept is not None
    house.settle()
    delivery.refresh_from_db()
    assert kept.status == delivery.status == DeliveryStatus.INTERPRETED


# Deletions


def deletion(row: dict[str, Any]) -> dict[str, Any]:
    told = {"id": row["id"], "candidate_id": row["candidate_id"], "prospect": False}
    return {"action": "delete_application", "payload": {"application": told}}


@pytest.mark.parametrize("together", [False, True])
def test_i6_a_deleted_application_is_not_brought_to_life_by_the_news_of_it(
    house: House, together: bool
) -> None:
    with house.box.greenhouse.captured() as applied:
        row = house.box.greenhouse.apply(
            {"first_name": "Ada", "last_name": "Lind", "email": "ada@example.com"}, 4001
        )
    from_ats(house, deletion(row), "d")
    if not together:
        house.settle()
    house.deliver(applied)
    house.settle()
    assert Application.objects.get().status == "deleted"
    house.clock.move(days=4)
    house.settle()
    assert not house.mails()
    assert not Enrolment.objects.exists()


def test_i6_a_late_repeat_does_not_bring_a_deleted_application_back(house: House) -> None:
    row = house.apply()
    house.settle()
    update = {"action": "application_updated",
              "payload": house.box.greenhouse.application_payload(row["id"])}  # fmt: skip
    house.clock.move(minutes=1)
    from_ats(house, deletion(row), "d")
    house.settle()
    house.clock.move(hours=1)
    from_ats(house, update, "late")
    house.settle()
    assert Application.objects.get().status == "deleted"
    assert not Delivery.objects.exclude(status=DeliveryStatus.INTERPRETED).exists()


def test_somebody_whose_old_record_was_deleted_lives_on_in_the_other(house: House) -> None:
    one = house.apply(email="ada@example.com")
    house.settle()
    house.does("delete_candidate", one["candidate_id"])
    house.settle()
    two = house.apply(email="ada@work.example.com")
    house.settle()
    assert join(house, two).erased_at is None
    house.apply(candidate_id=two["candidate_id"], job_id=4003)
    house.settle()
    assert Event.objects.latest("id").effect == EventEffect.APPLIED


def test_i6_a_time_far_ahead_does_not_outrank_all_later_news(house: House) -> None:
    ((_, body),) = captured(
        house, "apply", {"first_name": "A", "last_name": "B", "email": "a@example.com"}, 4001
    )
    told = json.loads(body)
    told["payload"]["application"]["applied_at"] = "2062-03-02T09:00:00Z"
    from_ats(house, told, "f")
    house.settle()
    house.clock.move(hours=1)
    house.does("reject", told["payload"]["application"]["id"])
    house.settle()
    assert Application.objects.get().status == "rejected"


# Merges


def test_i3_a_mark_that_comes_with_a_merge_is_kept(house: House) -> None:
    one, two = in_two_records(house)
    person = {"id": two["candidate_id"], "can_email": False,
              "new_candidate_id": one["candidate_id"]}  # fmt: skip
    from_ats(house, {"action": "merge_candidate", "payload": {"person": person}}, "m")
    house.settle()
    assert Candidate.objects.get(merged_into=None).do_not_contact
    assert set(Suppression.objects.values_list("address", "reason")) == {
        ("ada@example.com", "do_not_contact"),
        ("ada@work.example.com", "do_not_contact"),
    }


def test_two_contacts_of_one_person_open_an_incident_until_the_crm_merges_them(
    house: House,
) -> None:
    one, _ = in_two_records(house)
    kept = join(house, one)
    ids = ExternalId.objects.filter(connection="crm").values_list("external_id", flat=True)
    incident = Incident.objects.get(key=f"contacts:{kept.pk}")
    assert incident.status == IncidentStatus.OPEN
    assert all(number in incident.record for number in ids)
    live = ExternalId.objects.get(connection="crm", contact=True)
    other = ExternalId.objects.get(connection="crm", contact=False)
    merged_in_crm(house, other.external_id, live.external_id)
    incident.refresh_from_db()
    assert incident.status == IncidentStatus.RESOLVED


def merged_in_crm(house: House, old: str, into: str) -> Delivery:
    entry = {"subscriptionType": "contact.merge", "objectId": int(into), "newObjectId": int(into),
             "primaryObjectId": int(into), "mergedObjectIds": [int(old)]}  # fmt: skip
    delivery = from_crm(house, entry)
    house.settle()
    delivery.refresh_from_db()
    return delivery


@pytest.mark.parametrize("old_is_the_contact", [False, True])
def test_i3_a_merge_in_the_crm_into_a_new_record_leaves_one_contact(
    house: House, old_is_the_contact: bool
) -> None:
    one, _ = in_two_records(house)
    join(house, one)
    old = ExternalId.objects.get(connection="crm", contact=old_is_the_contact)
    assert merged_in_crm(house, old.external_id, "999").status == DeliveryStatus.INTERPRETED
    live = ExternalId.objects.get(connection="crm", contact=True, gone_at=None)
    assert (live.external_id == "999") == old_is_the_contact


def test_what_waited_for_an_address_goes_when_a_merge_brings_one(house: House) -> None:
    one = house.apply(email="none")
    house.settle()
    house.clock.move(minutes=1)
    house.apply(email="ada@example.com", job_id=4002)
    house.settle()
    assert Incident.objects.filter(status=IncidentStatus.OPEN).count() == 1
    house.does(
        "update_candidate", one["candidate_id"], email_addresses=addresses("ada@example.com")
    )
    house.settle()
    assert not Action.objects.filter(status=ActionStatus.REFUSED).exists()
    assert not Incident.objects.filter(status=IncidentStatus.OPEN).exists()
    for _ in range(8):
        house.clock.move(days=1)
        house.settle()
    steps = [m["headers"]["x-warmline-step"] for m in house.mails()]
    assert steps == ["welcome/1", "welcome/2", "welcome/3"]  # and not the first one twice


def test_a_merge_brings_the_history_of_the_one_who_was_folded_in(house: House) -> None:
    one, _ = in_two_records(house)
    join(house, one)
    (found,) = explain.find("ada@work.example.com")
    told = explain.explain(house.runtime, found)
    mails = [line for line in told.history if line.what.startswith("mail")]
    assert len([line for line in mails if "handed_off" in line.what]) == len(house.mails()) == 2
    assert len(told.enrolments) == 2
    assert Merge.objects.get().kept == found


# Addresses


def test_a_correction_in_the_same_batch_wins(house: House) -> None:
    with house.box.greenhouse.captured() as webhooks:
        row = house.box.greenhouse.apply(
            {"first_name": "A", "last_name": "B", "email": "typo@example.com"}, 4001
        )
    house.clock.move(seconds=5)
    right = addresses("right@example.com")
    house.deliver(
        [
            *webhooks,
            *captured(house, "update_candidate", row["candidate_id"], email_addresses=right),
        ]
    )
    house.settle()
    assert ranked() == ["right@example.com", "typo@example.com"]
    assert [mail["to"] for mail in house.mails()] == [["right@example.com"]]


def test_an_address_that_is_preferred_again_in_the_same_batch_is_preferred(house: House) -> None:
    row = house.apply(email="a@example.com")
    house.settle()
    house.clock.move(seconds=5)
    for emails in (["b@example.com"], ["a@example.com", "b@example.com"]):
        house.does("update_candidate", row["candidate_id"], email_addresses=addresses(*emails))
    house.settle()
    assert ranked() == ["a@example.com", "b@example.com"]
    house.does(
        "update_candidate",
        row["candidate_id"],
        first_name="Ada Marie",
        email_addresses=addresses("b@example.com"),
    )
    house.settle()
    assert ranked() == ["b@example.com", "a@example.com"]


@pytest.mark.parametrize("name", ["hs_additional_emails", "email"])
def test_an_address_that_the_crm_tells_is_never_preferred_to_the_ats_own(
    house: House, name: str
) -> None:
    house.apply()
    house.settle()
    house.clock.move(minutes=1)
    from_crm(house, changed(int(house.contacts()[0]["id"]), name, "ada@employer.example.com"))
    house.settle()
    assert ranked() == ["ada.lind@example.com", "ada@employer.example.com"]
    house.clock.move(days=3)
    house.settle()
    assert [mail["to"] for mail in house.mails()] == [["ada.lind@example.com"]] * 2


@pytest.mark.parametrize(
    "text", ["Ada\nMarie", "Ada\r\n\t Marie", " Ada\0Marie\u2028", "Ada\u202e\u2066Marie"]
)
def test_a_name_is_one_line_of_text(text: str) -> None:
    assert clean(text, 200) == "Ada Marie"
    assert clean("\ud800Ada", 200) == "Ada"
    assert clean("Ada Marie", 4) == "Ada"
    assert clean(None, 4) == ""


def test_a_line_break_in_a_name_stops_no_mail(house: House) -> None:
    house.apply(first_name="Ada\nMarie")
    house.settle()
    assert len(house.mails()) == 1


# One bad event stops itself alone


def test_i5_two_new_records_of_one_address_do_not_stop_the_opt_out_beside_them(
    house: House,
) -> None:
    house.apply()
    house.settle()
    delivery = from_crm(
        house,
        changed(777, "email", "moved@example.com"),
        changed(778, "email", "moved@example.com"),
        changed(int(house.contacts()[0]["id"]), "hs_email_optout", "true"),
    )
    house.settle()
    delivery.refresh_from_db()
    assert delivery.status == DeliveryStatus.INTERPRETED
    assert Suppression.objects.filter(address="ada.lind@example.com").exists()
    moved = ExternalId.objects.filter(external_id__in=["777", "778"])
    assert sorted(moved.values_list("contact", flat=True)) == [False, True]


def breaks(error: Exception) -> Callable[[Facts, Heard], Applied]:
    """Facts.apply, with a defect that one event meets."""
    apply = Facts.apply

    def broken(self: Facts, heard: Heard) -> Applied:
        if heard.event.fields.get("property") == "lastname":
            raise type(error)(*error.args)
        return apply(self, heard)

    return broken


def test_i5_an_opt_out_in_a_delivery_that_cannot_be_applied_is_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.apply(last_name="")  # a gap that the CRM may fill
    house.settle()
    contact_id = int(house.contacts()[0]["id"])
    with monkeypatch.context() as patch:
        patch.setattr(Facts, "apply", breaks(IntegrityError("a defect")))
        delivery = from_crm(
            house,
            changed(contact_id, "lastname", "Lovelace"),
            changed(contact_id, "hs_email_optout", "true"),
        )
        interpret.drain(house.runtime, "crm")
        assert Suppression.objects.get().address == "ada.lind@example.com"
        for _ in range(interpret.ATTEMPTS_MAX):
            interpret.drain(house.runtime, "crm")
        delivery.refresh_from_db()
        assert delivery.status == DeliveryStatus.FAILED
    interpret.replay(house.runtime, delivery.pk)
    house.settle()
    delivery.refresh_from_db()
    assert delivery.status == DeliveryStatus.INTERPRETED
    assert Candidate.objects.get().last_name == "Lovelace"
    assert Event.objects.filter(connection="crm").count() == 2


def test_a_ledger_that_is_away_is_no_fault_of_the_delivery(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.apply(last_name="")  # a gap that the CRM may fill
    house.settle()
    with monkeypatch.context() as patch:
        patch.setattr(Facts, "apply", breaks(OperationalError("gone away")))
        delivery = from_crm(house, changed(int(house.contacts()[0]["id"]), "lastname", "Lovelace"))
        for _ in range(interpret.ATTEMPTS_MAX + 2):
            interpret.drain(house.runtime, "crm")
        delivery.refresh_from_db()
        assert (delivery.status, delivery.attempts) == (DeliveryStatus.RECEIVED, 0)
        assert Incident.objects.filter(status=IncidentStatus.OPEN).exists()
    house.settle()
    assert Candidate.objects.get().last_name == "Lovelace"
    assert not Incident.objects.filter(status=IncidentStatus.OPEN).exists()


def test_what_a_database_refuses_is_not_quoted_in_the_log(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house.apply()
    house.settle()
    detail = "DETAIL: Key (normal)=(secret.person@example.com) already exists."
    monkeypatch.setattr(Facts, "apply", breaks(IntegrityError(detail)))
    from_crm(house, changed(int(house.contacts()[0]["id"]), "lastname", "Lovelace"))
    with caplog.at_level(logging.DEBUG):
        interpret.drain(house.runtime, "crm")
    assert "error=IntegrityError" in caplog.text
    assert "secret.person" not in caplog.text


@pytest.mark.parametrize(
    "query", ["²", "٣", "a\0b", "\0", "9" * 30, "a@b\ud800.example", "@", "xn--@xn--.xn--", "'\"%"]
)
def test_whatever_is_asked_for_is_found_or_not(ledger: None, query: str) -> None:
    assert explain.find(query) == []
