"""A click in a CRM mail: a person's reaches the ATS record once, a machine's never, and why."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import House
from warmline.flows.explain import explain
from warmline.flows.interpret import replay
from warmline.flows.reconcile import poll
from warmline.sandbox.hubspot.simulator import SCOPES
from warmline.store.models import Action, Alert, Candidate, Delivery, Event, Incident
from warmline.store.statuses import ActionStatus

ADA = "ada.lind@example.com"
SUBJECT, LINK = "Three roles for you", "https://jobs.example.com/baker"


@pytest.fixture
def ada(house: House) -> dict[str, Any]:
    """An applicant with a contact, who got a mail of the CRM's an hour ago."""
    row = house.apply()
    house.settle()
    poll(house.runtime, "crm")  # from now on
    house.settle()
    house.box.hubspot.send_mail(ADA, SUBJECT)
    house.clock.move(hours=1)
    return row


def polled(house: House) -> None:
    house.clock.move(minutes=5)
    poll(house.runtime, "crm")
    house.settle()


def hear(house: House, entries: list[dict[str, Any]]) -> None:
    url = f"{house.runtime.project.public_url}/in/crm"
    house.receive("crm", *house.box.hubspot.build_webhook(entries, url))
    house.settle()


def tags(house: House, row: dict[str, Any]) -> list[str]:
    found: list[str] = house.box.greenhouse.world.candidates.get(row["candidate_id"])["tags"]
    return found


def notes(house: House) -> list[str]:
    return [note["body"] for note in house.box.greenhouse.world.notes.rows.values()]


def told(house: House) -> str:
    """What `explain` says of the person's clicks."""
    lines = explain(house.runtime, Candidate.objects.get()).history
    return "\n".join(line.detail for line in lines if line.what == "message.clicked")


def test_a_persons_click_flags_the_record_once_by_webhook_poll_and_replay(
    house: House, ada: dict[str, Any]
) -> None:
    with house.box.hubspot.captured() as said:
        house.box.hubspot.click(ADA, SUBJECT, LINK)
    hear(house, said)
    assert notes(house) == []  # the webhook does not tell who
    polled(house)
    assert "warmline:re-engaged" in tags(house, ada)
    (note,) = notes(house)
    for part in ("2026-03-02", SUBJECT, LINK):
        assert part in note
    hear(house, [{**said[-1], "attemptNumber": 1}])
    for pk in list(Delivery.objects.values_list("pk", flat=True)):
        replay(house.runtime, pk)
    house.settle()
    polled(house)
    polled(house)
    assert len(notes(house)) == 1
    assert Action.objects.get(kind="candidate.flag").status == ActionStatus.DONE
    assert "human: made with a browser" in told(house)


def test_the_poll_alone_is_enough(house: House, ada: dict[str, Any]) -> None:
    house.box.hubspot.click(ADA, SUBJECT, LINK)
    polled(house)
    assert len(notes(house)) == 1


def click_burst(house: House) -> None:
    for number in range(4):
        house.box.hubspot.click(ADA, SUBJECT, f"{LINK}/{number}")
        house.clock.move(milliseconds=200)


def click_filtered(house: House) -> None:
    house.box.hubspot.click(ADA, SUBJECT, LINK, bot=True)


def click_at_once(house: House) -> None:
    house.box.hubspot.send_mail(ADA, "Another one")
    house.clock.move(seconds=2)  # it arrives after one
    house.box.hubspot.click(ADA, "Another one", LINK, agent="Mozilla/5.0 Proofpoint-URLDefense")


@pytest.mark.parametrize(
    ("click", "why"),
    [
        (click_burst, "machine: another link of the same mail was opened within 1 second"),
        (click_filtered, "machine: the sender's own bot filter discarded it"),
        (click_at_once, "machine: the user agent names a mail gateway (Proofpoint)"),
    ],
)
@pytest.mark.parametrize("condition", [True, False])
def test_i9_a_scanners_click_flags_nobody_and_explain_says_why(
    house: House, ada: dict[str, Any], click: Any, why: str, condition: bool
) -> None:
    """Whatever the map says."""
    if not condition:
        triggers = house.runtime.project.triggers.triggers
        clicked = next(t for t in triggers if t.name == "clicked in the CRM")
        object.__setattr__(clicked, "when", None)
    with house.box.hubspot.captured() as said:
        click(house)
    if said:
        hear(house, said)
    polled(house)
    assert notes(house) == []
    assert "warmline:re-engaged" not in tags(house, ada)
    assert why in told(house)
    flags = Action.objects.filter(kind="candidate.flag")
    assert set(flags.values_list("status", flat=True)) <= {ActionStatus.SKIPPED}
    if not condition:
        reasons = set(flags.values_list("reason", flat=True))
        assert f"no confirmed act of the person (I9): {why.partition(': ')[2]}" in reasons


def test_a_missing_scope_opens_no_incident_and_nothing_is_confirmed(
    house: House, ada: dict[str, Any]
) -> None:
    house.box.hubspot.scopes = SCOPES - {"content"}
    house.box.hubspot.click(ADA, SUBJECT, LINK)
    for _ in range(5):
        polled(house)
    assert not Incident.objects.exists()
    assert not Alert.objects.exists()
    assert notes(house) == []
    assert "unconfirmed" in told(house)
    assert Event.objects.filter(connection="crm", kind="candidate.updated").exists()  # polls go on


def test_one_incident_where_the_events_cannot_be_read_and_contacts_are_read_all_the_same(
    house: House, ada: dict[str, Any]
) -> None:
    house.box.hubspot.faults.add(
        {"kind": "unavailable", "path": "/email/public/v1/events", "count": 2}
    )
    house.box.hubspot.click(ADA, SUBJECT, LINK)
    house.box.hubspot.opt_out(ADA)
    polled(house)
    assert Candidate.objects.get().opted_out == "unsubscribed"
    polled(house)
    assert Incident.objects.filter(key="crm:poll", resolved_at=None).count() == 1
    polled(house)
    assert not Incident.objects.filter(key="crm:poll", resolved_at=None).exists()
    assert len(notes(house)) >= 1  # heard late, and not lost
