"""A sequence that lives in the CRM: put on there once, followed, left as far as the CRM can, and
told like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import House
from tests.flows.test_silver import on_silver, rejected_at
from warmline.config.project import load
from warmline.core.errors import ConfigError
from warmline.engine.work import read_around
from warmline.flows.check import check
from warmline.flows.runtime import build
from warmline.flows.track import unsubscribe
from warmline.store.models import Action, Incident, Message
from warmline.store.statuses import ActionStatus

HEAD = "name: silver-medalist\nsegment: silver_medalist\nenrol_within_days: 7\n"
EXITS = "exits: [replied, hired, active_elsewhere]\n"
SEQUENCE = "in: crm\nwith: {sequence: 910001, user: 1001, sender: %s}\n"
LIST = "in: crm\nwith: {list: 31}\n"
Live = Callable[[str], House]


def path(house: House) -> Path:
    return house.runtime.project.folder / "sequences/silver-medalist/sequence.yaml"


@pytest.fixture
def live(house: House) -> Live:
    def there(place: str) -> House:
        sender = next(iter(house.box.hubspot.senders()))
        path(house).write_text(HEAD + EXITS + (place % sender if "%s" in place else place))
        house.runtime.project = load(house.runtime.project.folder)
        return house

    return there


def on_sequence(house: House) -> list[str]:
    return list(house.box.hubspot.automation.enrolments)


def on_list(house: House) -> set[str]:
    return house.box.hubspot.automation.members["31"]


def hires(house: House) -> None:
    [row] = house.box.greenhouse.world.applications.rows.values()
    house.does("unreject", row["id"])
    house.does("hire", row["id"])
    house.settle()


def test_a_silver_medalist_is_put_on_it_once_and_no_mail_leaves_here(live: Live) -> None:
    house = live(SEQUENCE)
    rejected_at(house, "Final Interview")
    [contact] = house.contacts()
    assert on_sequence(house) == [contact["id"]]
    [row] = on_silver()
    there = house.box.hubspot.automation.enrolments[contact["id"]]
    assert (row.target, row.external_id, row.status) == ("crm", there.id, "active")
    for _ in range(30):
        house.clock.move(days=3)
        house.settle()
    assert not Message.objects.filter(enrolment=row).exists()
    action = Action.objects.get(kind="contact.enrol")
    assert (action.trigger, action.status) == ("silver medalist", "done")


def test_i2_told_again_nobody_is_put_on_it_twice(live: Live) -> None:
    house = live(SEQUENCE)
    rejected_at(house, "Final Interview")
    Action.objects.filter(kind="contact.enrol").update(status=ActionStatus.UNKNOWN)
    house.settle()
    by_call = house.box.hubspot.log.as_json()["by_call"]
    assert sum(n for call, n in by_call.items() if call.startswith("POST /automation")) == 1
    assert Action.objects.get(kind="contact.enrol").status == "done"


def test_i8_that_hubspot_cannot_be_left_is_on_the_failed_list(live: Live) -> None:
    house = live(SEQUENCE)
    rejected_at(house, "Final Interview")
    hires(house)
    [row] = on_silver()
    assert (row.status, row.reason) == ("stopped", "hired")
    left = Action.objects.get(kind="contact.leave")
    assert left.status == "refused"
    assert "no call that takes a contact off" in left.reason
    assert Incident.objects.filter(key=f"action:{left.key}").exists()


def test_a_list_is_left_by_whoever_is_hired(live: Live) -> None:
    house = live(LIST)
    rejected_at(house, "Final Interview")
    assert len(on_list(house)) == 1
    hires(house)
    assert on_list(house) == set()
    assert Action.objects.get(kind="contact.leave").status == "done"


def test_i5_whoever_said_no_is_taken_off_and_put_on_nothing(live: Live) -> None:
    house = live(LIST)
    rejected_at(house, "Final Interview")
    welcome = Message.objects.get(step=1)
    assert unsubscribe(house.runtime, welcome.pk, how="one-click")
    house.settle()
    assert on_list(house) == set()
    [row] = on_silver()
    assert (row.status, row.reason) == ("stopped", "unsubscribed")


def test_i11_a_no_that_comes_before_the_crm_is_asked_is_heard(live: Live) -> None:
    house = live(LIST)
    house.box.hubspot.faults.add({"kind": "error", "path": "/crm/v3/lists/*"})
    rejected_at(house, "Final Interview")
    assert unsubscribe(house.runtime, Message.objects.get(step=1).pk, how="one-click")
    house.box.hubspot.faults.clear()
    house.clock.move(hours=2)
    house.settle()
    assert on_list(house) == set()
    asked = Action.objects.get(kind="contact.enrol")
    assert asked.status == "skipped"
    assert "ended before it began" in asked.reason


def test_who_came_to_its_end_there_has_finished(live: Live) -> None:
    house = live(SEQUENCE)
    rejected_at(house, "Final Interview")
    house.clock.move(days=1)
    read_around(house.runtime, "crm")
    assert [row.status for row in on_silver()] == ["active"]
    [email] = [one["emails"][0] for one in house.contacts()]
    house.box.hubspot.finish_sequence(email)
    house.clock.move(minutes=5)
    read_around(house.runtime, "crm")
    [row] = on_silver()
    assert (row.status, row.reason) == (
        "finished",
        "over in the CRM, or somebody there ended it",
    )
    assert row.ended_at == house.clock()


def test_what_the_crm_refuses_ends_the_enrolment_with_its_reason(live: Live) -> None:
    house = live("in: crm\nwith: {list: 32}\n")
    rejected_at(house, "Final Interview")
    [row] = on_silver()
    assert row.status == "stopped"
    assert "DYNAMIC" in row.reason
    assert Incident.objects.filter(trigger="silver medalist").exists()


def test_check_says_what_the_crm_cannot_do(live: Live) -> None:
    house = live(SEQUENCE)
    said = [f"{f.what} {f.advice}" for f in check(house.runtime).findings]
    assert any("silver-medalist" in one and "takes a contact off" in one for one in said)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("in: nowhere\n", 4, "hosts no sequences; expected warmline or one of ['crm']"),
        ("in: mail\n", 4, "hosts no sequences"),
        ("in: crm\n", 4, "names no place"),
        ("in: crm\nwith: {list: silver}\n", 5, "expected the number"),
        ("in: crm\nwith: {list: 31}\nsteps: [{day: 1, file: 01-thanks.md}]\n", 6, "lives in 'crm'"),
        ("with: {list: 31}\nsteps: [{day: 1, file: 01-thanks.md}]\n", 4, "lives in a CRM"),
    ],
)
def test_a_wrong_place_stops_the_start(house: House, text: str, line: int, said: str) -> None:
    path(house).write_text(HEAD + text)
    with pytest.raises(ConfigError) as caught:
        build(load(house.runtime.project.folder)).close()
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{path(house)}:{line}: ")
