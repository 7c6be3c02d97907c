"""The way back: a warm signal and a no, told in the tool that recruiters live in, once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import House
from warmline.flows.drift import compare
from warmline.flows.track import unsubscribe
from warmline.store.models import Action, Candidate, Event, ExternalId, Message
from warmline.store.statuses import ActionStatus


@pytest.fixture
def ada(house: House) -> dict[str, Any]:
    """An applicant with a contact and a mail."""
    row = house.apply()
    house.settle()
    house.clock.move(minutes=10)
    return row


def in_ats(house: House, row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = house.box.greenhouse.world.candidates.get(row["candidate_id"])
    return found


def notes(house: House) -> list[str]:
    return [note["body"] for note in house.box.greenhouse.world.notes.rows.values()]


def says_no(house: House) -> None:
    assert unsubscribe(house.runtime, Message.objects.get().pk, how="one-click")
    house.settle()


def hears_crm(house: House, verb: str, *args: Any) -> None:
    """Something happens in HubSpot; its webhook arrives."""
    with house.box.hubspot.captured() as events:
        getattr(house.box.hubspot, verb)(*args)
    deliver_crm(house, events)


def deliver_crm(house: House, events: list[dict[str, Any]]) -> None:
    url = f"{house.runtime.project.public_url}/in/crm"
    house.receive("crm", *house.box.hubspot.build_webhook(events, url))
    house.settle()


def opted_out(house: House) -> set[str]:
    return {a for a in ("ada.lind@example.com", "ada@work.example.com")
            if house.box.hubspot.subscriptions.none_at_all(a)}  # fmt: skip


def test_who_unsubscribes_here_is_marked_in_the_ats_and_in_the_crm(
    house: House, ada: dict[str, Any]
) -> None:
    says_no(house)
    there = in_ats(house, ada)
    assert there["can_email"] is False
    assert "do-not-contact" in there["tags"]
    (note,) = notes(house)
    assert note.startswith(
        "Do not contact: this candidate unsubscribed from our e-mails on 2026-03-02"
    )
    (contact,) = house.contacts()
    assert contact["properties"]["hs_email_optout"] == "true"
    assert contact["properties"]["unsubscribe_date"] == "2026-03-02"


def test_who_unsubscribes_in_the_crm_is_marked_in_the_ats(
    house: House, ada: dict[str, Any]
) -> None:
    hears_crm(house, "opt_out", "ada.lind@example.com")
    assert in_ats(house, ada)["can_email"] is False
    assert len(notes(house)) == 1
    house.clock.move(days=3)
    house.settle()
    assert len(house.mails()) == 1  # the welcome of day 0, and none after it


def test_a_no_goes_to_every_record_and_address_of_the_person(
    house: House, ada: dict[str, Any]
) -> None:
    other = house.apply(email="ada@work.example.com")
    house.does("update_candidate", other["candidate_id"],
               email_addresses=[{"value": "ada@work.example.com", "type": "work"},
                                {"value": "ada.lind@example.com", "type": "personal"}])  # fmt: skip
    house.settle()
    assert Candidate.objects.filter(merged_into=None).count() == 1
    assert unsubscribe(house.runtime, Message.objects.order_by("pk")[0].pk, how="page")
    house.settle()
    assert [in_ats(house, row)["can_email"] for row in (ada, other)] == [False, False]
    assert opted_out(house) == {"ada.lind@example.com", "ada@work.example.com"}


def test_i7_what_we_wrote_comes_back_and_changes_nothing(house: House, ada: dict[str, Any]) -> None:
    with house.box.greenhouse.captured() as webhooks, house.box.hubspot.captured() as events:
        says_no(house)
    before = Action.objects.count(), len(notes(house)), writes(house)
    # The simulators' own threads sent them: told again here, as the vendors would.
    house.does("update_candidate", ada["candidate_id"])
    house.deliver(webhooks)
    if events:
        deliver_crm(house, events)
    house.settle()
    assert (Action.objects.count(), len(notes(house)), writes(house)) == before
    assert not Event.objects.filter(
        connection="ats", kind="candidate.updated", effect="applied"
    ).exists()


def writes(house: House) -> int:
    calls = house.box.hubspot.log.as_json()["by_call"]
    calls |= house.box.greenhouse.log.as_json()["by_call"]
    return sum(n for call, n in calls.items() if call.startswith(("POST", "PATCH", "DELETE")))


def test_a_reply_flags_the_record_with_a_tag_and_a_note(house: House, ada: dict[str, Any]) -> None:
    hears_crm(house, "reply", "ada.lind@example.com")
    assert "warmline:re-engaged" in in_ats(house, ada)["tags"]
    (note,) = notes(house)
    assert "2026-03-02" in note


def test_i9_a_click_that_a_machine_may_have_made_flags_nobody(
    house: House, ada: dict[str, Any]
) -> None:
    """Neither by the starter's condition, nor where a map leaves the condition out."""
    triggers = house.runtime.project.triggers.triggers
    clicked = next(t for t in triggers if t.name == "clicked in the CRM")
    object.__setattr__(clicked, "when", None)
    hears_crm(house, "click", "ada.lind@example.com")
    assert "warmline:re-engaged" not in in_ats(house, ada)["tags"]
    assert notes(house) == []
    action = Action.objects.get(kind="candidate.flag")
    assert action.status == ActionStatus.SKIPPED
    assert action.reason.startswith("no confirmed act of the person (I9)")


def test_a_mark_by_a_recruiter_reaches_the_crm(house: House, ada: dict[str, Any]) -> None:
    house.does("update_candidate", ada["candidate_id"], can_email=False)
    house.settle()
    assert opted_out(house) == {"ada.lind@example.com"}
    assert notes(house) == []  # it was the recruiter's own mark


def test_a_no_of_their_own_outweighs_a_recruiters_mark_and_is_on_every_later_record(
    house: House, ada: dict[str, Any]
) -> None:
    house.does("update_candidate", ada["candidate_id"], can_email=False)
    house.settle()
    says_no(house)
    assert Candidate.objects.get().opted_out == "unsubscribed"
    again = house.apply()  # a record of its own, which nobody has marked
    house.settle()
    assert again["candidate_id"] != ada["candidate_id"]
    house.clock.move(minutes=10)
    compare(house.runtime, "ats", repair=True)
    house.settle()
    assert [in_ats(house, row)["can_email"] for row in (ada, again)] == [False, False]


def test_what_the_news_of_a_move_tells_of_the_person_reaches_the_crm(
    house: House, ada: dict[str, Any]
) -> None:
    with house.box.greenhouse.captured():  # that webhook is lost
        house.box.greenhouse.update_candidate(ada["candidate_id"], first_name="Augusta")
    house.does("move", ada["id"], "Offer")
    house.settle()
    [contact] = house.contacts()
    assert contact["properties"]["firstname"] == "Augusta"
    assert Action.objects.filter(trigger="candidate changed").count() == 1


@pytest.mark.parametrize("kind", ["timeout_after", "drop", "unavailable"])
def test_a_note_whose_answer_was_lost_is_not_written_twice(
    house: House, ada: dict[str, Any], kind: str
) -> None:
    house.box.greenhouse.faults.add(
        {"kind": kind, "method": "POST", "path": "/v3/notes", "count": 2, "seconds": 0.01}
    )
    says_no(house)
    for _ in range(6):
        house.clock.move(minutes=10)
        house.settle()
    assert len(notes(house)) == 1
    assert Action.objects.get(kind="candidate.do_not_contact").status in (
        ActionStatus.DONE,
        ActionStatus.ALREADY_DONE,
    )


def test_a_no_reaches_the_crm_although_the_ats_deleted_the_record(
    house: House, ada: dict[str, Any]
) -> None:
    """They click in a mail of last week; the contact is still there, and so are its other mails."""
    house.does("delete_candidate", ada["candidate_id"])
    house.settle()
    assert Candidate.objects.get().erased_at is not None
    says_no(house)
    assert opted_out(house) == {"ada.lind@example.com"}


def test_who_has_no_record_there_needs_no_write(house: House, ada: dict[str, Any]) -> None:
    ExternalId.objects.filter(connection="ats").update(gone_at=house.clock())
    says_no(house)
    assert not Action.objects.filter(kind="candidate.do_not_contact").exists()
    assert opted_out(house) == {"ada.lind@example.com"}
