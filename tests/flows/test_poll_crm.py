"""The CRM read by poll, on the road of its webhooks: what was lost is heard, and nothing twice."""

from __future__ import annotations

from typing import Any

from tests.conftest import House
from warmline.flows.drift import compare
from warmline.flows.reconcile import poll
from warmline.store.models import Action, Candidate, Delivery, Event, ExternalId, Incident
from warmline.store.statuses import EventEffect

ADA = "ada.lind@example.com"


def listen(house: House) -> None:
    """From now on: the first poll brings no history."""
    poll(house.runtime, "crm")
    house.settle()


def read(house: House) -> None:
    house.clock.move(minutes=5)
    poll(house.runtime, "crm")
    house.settle()


def hear(house: House, entries: list[dict[str, Any]]) -> None:
    url = f"{house.runtime.project.public_url}/in/crm"
    house.receive("crm", *house.box.hubspot.build_webhook(entries, url))
    house.settle()


def applied(kind: str) -> int:
    """Those that a contact's properties tell of (who clicked is told apart: test_clicks)."""
    told = Event.objects.filter(connection="crm", kind=kind, effect=EventEffect.APPLIED)
    return told.exclude(word="CLICK").count()


def test_the_first_poll_brings_no_history(house: House) -> None:
    house.box.hubspot.create("old@example.com", firstname="Old")
    house.clock.move(hours=1)
    listen(house)
    assert not Event.objects.filter(connection="crm").exists()
    assert not Candidate.objects.exists()


def test_a_contact_whom_the_ats_does_not_know_is_no_candidate(house: House) -> None:
    listen(house)
    house.box.hubspot.create("stranger@example.com", firstname="Some", lastname="Body")
    house.box.hubspot.opt_out("stranger@example.com")
    read(house)
    assert not Candidate.objects.exists()
    assert set(Event.objects.values_list("effect", flat=True)) == {EventEffect.UNKNOWN}
    # When they apply, what they had said in the CRM is known.
    house.apply(email="stranger@example.com", first_name="Some", last_name="Body")
    house.settle()
    assert Candidate.objects.get().opted_out == "unsubscribed"


def test_i7_our_own_writes_read_back_are_no_news(house: House) -> None:
    listen(house)
    house.apply()
    house.settle()
    read(house)
    assert Event.objects.filter(connection="crm").exists()
    assert applied("candidate.updated") == 0
    assert Candidate.objects.count() == 1


def test_a_click_and_an_opt_out_whose_webhooks_were_lost_are_heard_once(house: House) -> None:
    house.apply()
    house.settle()
    listen(house)
    house.clock.move(minutes=1)
    house.box.hubspot.click(ADA)
    house.box.hubspot.opt_out(ADA)
    read(house)
    assert (applied("message.clicked"), applied("candidate.unsubscribed")) == (1, 1)
    assert Candidate.objects.get().opted_out == "unsubscribed"
    house.box.hubspot.set_property(ADA, "city", "Bath")
    read(house)
    assert (applied("message.clicked"), applied("candidate.unsubscribed")) == (1, 1)


def test_i2_by_webhook_and_by_poll_it_is_one_event(house: House) -> None:
    house.apply()
    house.settle()
    listen(house)
    house.clock.move(minutes=1)
    with house.box.hubspot.captured() as said:
        house.box.hubspot.click(ADA)
        house.box.hubspot.reply(ADA)
        house.box.hubspot.opt_out(ADA)
    hear(house, said)
    read(house)
    for kind in ("message.clicked", "message.replied", "candidate.unsubscribed"):
        assert applied(kind) == 1, kind
    clicked = Event.objects.filter(connection="crm", kind="message.clicked")
    assert clicked.exclude(word="CLICK").count() == 1
    assert clicked.filter(word="CLICK").count() == 1


def test_i6_a_name_read_by_poll_overwrites_none_that_is_known(house: House) -> None:
    row = house.apply()
    house.settle()
    listen(house)
    house.clock.move(minutes=1)
    house.does("update_candidate", row["candidate_id"], first_name="Adele")
    house.settle()
    house.box.hubspot.set_property(ADA, "firstname", "Ada")
    house.clock.move(minutes=1)
    house.box.hubspot.click(ADA)
    read(house)
    assert Candidate.objects.get().first_name == "Adele"


def test_the_searchs_pace_is_no_incident_and_the_poll_goes_on(house: House) -> None:
    listen(house)
    for number in range(1100):
        house.box.hubspot.create(f"p{number}@example.com")
        house.clock.move(milliseconds=1)
    waits = house.runtime.poll_again_s
    house.clock.move(minutes=5)
    poll(house.runtime, "crm")
    assert list(waits) == ["crm"]
    assert Delivery.objects.filter(connection="crm").count() < 1100
    while waits:
        house.clock.move(seconds=waits.pop("crm"))
        poll(house.runtime, "crm")
    assert Delivery.objects.filter(connection="crm").count() == 1100
    assert not Incident.objects.filter(key="crm:poll").exists()


def test_polling_and_comparing_agree_on_an_opt_out(house: House) -> None:
    house.apply()
    house.settle()
    listen(house)
    house.clock.move(minutes=1)
    house.box.hubspot.opt_out(ADA)
    read(house)
    assert compare(house.runtime, "crm", repair=True).differences == []
    assert ExternalId.objects.get(connection="crm").contact
    told = Action.objects.filter(kind="contact.opt_out").values_list("status", flat=True)
    assert list(told) == ["done"]  # the date was not there yet
