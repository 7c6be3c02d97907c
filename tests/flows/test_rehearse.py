"""`warmline triggers test`: what would be sent, and nothing is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx

from tests.conftest import House
from warmline.core.triggers import Trigger
from warmline.flows.rehearse import Rehearsal, rehearse
from warmline.store.models import Action, Candidate, Event


def trigger(house: House, name: str) -> Trigger:
    return next(t for t in house.runtime.project.triggers.triggers if t.name == name)


def rehearsal(house: House, name: str) -> Rehearsal:
    before = Action.objects.count(), Event.objects.count(), calls(house)
    found = rehearse(house.runtime, trigger(house, name), Candidate.objects.get())
    assert (Action.objects.count(), Event.objects.count(), calls(house)) == before
    return found


def calls(house: House) -> list[Any]:
    """What was asked of either system."""
    return [
        httpx.get(f"{url}/_control/requests", trust_env=False).json()["requests"]
        for url in (house.box.hubspot_url, house.box.greenhouse_url.removesuffix("/v3"))
    ]


UPSERT = "application.submitted -> contact.upsert"


def test_what_stands_there_already_is_told(house: House) -> None:
    house.apply()
    house.settle()
    found = rehearsal(house, UPSERT)
    assert (found.already, found.nothing) == (True, "the contact has these values already")


def test_the_fields_and_the_contact_are_told_and_nothing_is_sent(house: House) -> None:
    house.apply()
    house.settle()
    Candidate.objects.update(first_name="Augusta")
    found = rehearsal(house, UPSERT)
    assert found.nothing == ""
    assert found.fields["name"] == "Augusta Lind"
    assert found.fields["email"] == "ada.lind@example.com"
    assert found.where.startswith("crm: contact ")


def test_a_condition_that_does_not_hold_is_told(house: House) -> None:
    house.apply()
    house.settle()
    found = rehearsal(house, "stage to interview")
    assert not found.holds
    assert found.nothing.startswith("the condition does not hold: stage.kind in")
    assert found.event is None


def test_an_enrolment_is_told_with_the_segment_that_stands_in_the_way(house: House) -> None:
    row = house.apply()
    house.settle()
    assert rehearsal(house, "application.submitted -> enrol in welcome").already
    house.does("move", row["id"], "Final Interview")
    house.settle()
    found = rehearsal(house, "silver medalist")
    assert found.nothing == "active_applicant (in a pipeline), and not silver_medalist"
    house.does("reject", row["id"])
    house.settle()
    assert rehearsal(house, "silver medalist").nothing == "on silver-medalist already"


def test_a_switched_off_row_is_noted(house: House) -> None:
    house.apply()
    house.settle()
    Candidate.objects.update(first_name="Augusta")
    off = replace(trigger(house, UPSERT), enabled=False)
    found = rehearse(house.runtime, off, Candidate.objects.get())
    assert found.notes == ["the trigger is switched off (enabled: false)"]
