"""Both sides held against each other: what differs is found, kept, mended, and closed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import House
from warmline.config.project import load
from warmline.flows.drift import Comparison, compare
from warmline.flows.opt_out import suppress_candidate
from warmline.flows.reconcile import poll
from warmline.store.db import writing
from warmline.store.models import Action, Candidate, Drift, Event, ExternalId, Incident
from warmline.store.statuses import SuppressionReason

ADA = "ada.lind@example.com"


def look(house: House) -> Comparison:
    found = compare(house.runtime, "crm", repair=True)
    assert found.finished
    return found


def what(found: Comparison) -> list[tuple[str, str, str]]:
    return [(one.what, one.expected, one.found) for one in found.differences]


def open_rows() -> list[str]:
    return list(
        Drift.objects.filter(repaired_at=None).order_by("what").values_list("what", flat=True)
    )


def held(house: House, email: str = ADA) -> dict[str, str]:
    contact = house.box.hubspot.contacts.find(email, "email")
    assert contact is not None
    return contact.properties


def interviewed(house: House) -> None:
    """Ada is a contact with every kind of value: texts, a day, a moment."""
    poll(house.runtime, "ats")
    row = house.apply()
    house.settle()
    starts = house.clock.move(hours=1)
    house.does("move", row["id"], "Technical Interview")
    house.box.greenhouse.schedule_interview(row["id"], starts, starts + timedelta(hours=1))
    house.clock.move(minutes=1)
    poll(house.runtime, "ats")
    house.settle()


def test_nothing_is_found_where_nothing_differs(house: House) -> None:
    interviewed(house)
    written = ExternalId.objects.get(connection="crm").written
    assert {"application_date", "interview_date", "first_name"} <= set(written)
    assert look(house).differences == []
    assert not Drift.objects.exists()
    assert not Action.objects.filter(trigger__startswith="drift").exists()
    assert not Event.objects.filter(kind="candidate.drifted").exists()


def test_fields_edited_by_hand_are_found_written_again_and_closed(house: House) -> None:
    interviewed(house)
    was = dict(held(house))
    hubspot = house.box.hubspot
    hubspot.set_property(ADA, "applied_role", "Head Baker")
    hubspot.set_property(ADA, "application_date", "2020-01-31")
    hubspot.set_property(ADA, "interview_date", "")
    hubspot.set_property(ADA, "lastname", "Lindt")
    wrong = {name for name, _, _ in what(look(house))}
    assert wrong == {"applied_role", "application_date", "interview_date", "last_name"}
    assert open_rows() == sorted(wrong)
    assert Incident.objects.filter(key__startswith="drift:crm:", status="open").exists()
    house.settle()
    names = ("applied_role", "application_date", "interview_date", "lastname")
    assert [held(house)[name] for name in names] == [was[name] for name in names]
    assert open_rows() == sorted(wrong)  # not before it was seen to stand there
    assert look(house).differences == []
    assert open_rows() == []
    assert not Incident.objects.filter(key__startswith="drift:crm:", status="open").exists()


def test_half_a_name_that_is_not_known_here_is_no_difference(house: House) -> None:
    house.apply(first_name="Madonna", last_name="")
    house.settle()
    house.box.hubspot.set_property(ADA, "lastname", "Ciccone")
    assert look(house).differences == []


def test_an_opt_out_whose_webhook_was_lost_is_heard(house: House) -> None:
    interviewed(house)
    house.box.hubspot.opt_out(ADA)
    assert what(look(house)) == [("opt_out", "", "said no")]
    house.settle()
    assert Candidate.objects.get().opted_out == "unsubscribed"
    assert Event.objects.filter(kind="candidate.unsubscribed").count() == 1
    assert look(house).differences == []
    assert open_rows() == []
    house.clock.move(days=10)
    house.settle()
    assert len(house.mails(ADA)) == 1  # the receipt of the first hour, and no more


def with_triggers(house: House, *rows: str) -> None:
    """The starter project with more rows in its trigger map."""
    path = house.folder / "warmline.yaml"
    path.write_text(path.read_text().replace("triggers:\n", "triggers:\n" + "".join(rows), 1))
    house.runtime.project = load(house.folder)


OPT_OUT = """  - {name: no, on: candidate.unsubscribed, from: crm, do: contact.opt_out, in: crm,
     pass: [unsubscribe_date]}
"""


def test_i7_a_no_that_does_not_stand_there_is_written_and_its_echo_is_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_triggers(house, OPT_OUT)
    interviewed(house)
    one = Candidate.objects.get()
    with writing():
        suppress_candidate(
            one, SuppressionReason.UNSUBSCRIBED, source="warmline", now=house.clock()
        )
    assert what(look(house)) == [("opt_out", "opted out", "not opted out")]
    echo = told_by(house, monkeypatch)
    house.settle()
    assert held(house)["hs_email_optout"] == "true"
    assert [one["propertyName"] for one in echo] == ["hs_email_optout"]
    hear(house, echo)
    assert not Event.objects.filter(kind="candidate.unsubscribed").exists()
    assert Action.objects.filter(kind="contact.opt_out").count() == 1
    assert look(house).differences == []
    assert open_rows() == []


def test_i7_an_echo_that_hubspot_does_not_mark_sets_off_no_loop(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first no is the person's own; whoever says it again changes nothing any more."""
    with_triggers(house, OPT_OUT)
    interviewed(house)
    with house.box.hubspot.captured() as first:
        house.box.hubspot.opt_out(ADA)
    echo = told_by(house, monkeypatch)
    hear(house, first)
    house.settle()
    rounds = 0
    while echo and rounds < 5:
        heard = [{**one, "changeSource": "EMAIL"} for one in echo]
        echo.clear()
        hear(house, heard)
        house.settle()
        rounds += 1
    assert rounds <= 2
    kinds = Action.objects.filter(kind="contact.opt_out").values_list("status", flat=True)
    assert set(kinds) <= {"done", "already_done"}
    assert held(house)["unsubscribe_date"] == house.clock().date().isoformat()


def told_by(house: House, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What HubSpot says from now on, instead of posting it."""
    said: list[dict[str, Any]] = []
    house.box.hubspot.set_webhook("http://127.0.0.1:9", house.box.hubspot.secret)
    monkeypatch.setattr(house.box.hubspot.outbox, "put", lambda _kind, event: said.append(event))
    return said


def hear(house: House, entries: list[dict[str, Any]]) -> None:
    url = f"{house.runtime.project.public_url}/in/crm"
    house.receive("crm", *house.box.hubspot.build_webhook(entries, url))
    house.settle()


def test_a_contact_deleted_or_merged_by_hand_is_no_difference_of_its_fields(house: House) -> None:
    interviewed(house)
    house.apply(email="bo@example.com", first_name="Bo", last_name="Moe")
    house.settle()
    house.box.hubspot.create("bo@work.example.com", firstname="Bo")
    house.box.hubspot.merge("bo@example.com", "bo@work.example.com")
    house.box.hubspot.delete(ADA)
    found = look(house)
    assert (found.records, found.differences) == (2, [])


def test_whoever_has_an_action_waiting_is_left_out(house: House) -> None:
    interviewed(house)
    house.box.hubspot.set_property(ADA, "applied_role", "Head Baker")
    Action.objects.filter(target="crm", kind="contact.upsert").update(status="planned")
    assert look(house).differences == []
    assert not Drift.objects.exists()
    Action.objects.filter(target="crm", kind="contact.upsert").update(status="done")
    assert [name for name, _, _ in what(look(house))] == ["applied_role"]
