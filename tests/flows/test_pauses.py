"""What is paused waits, is not lost, and is done once after it; an opt-out wins meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.conftest import House
from tests.flows.test_hand_over import meanwhile  # noqa: F401 - a fixture
from warmline.core.errors import WarmlineError
from warmline.core.policy import OVERDUE
from warmline.engine.work import Worker, look, read_around
from warmline.flows import interpret, merge_crm, pauses, send
from warmline.flows.pauses import Waiting, pause, paused, resume, waiting
from warmline.flows.recover import due_lanes, recover
from warmline.flows.tag_all import write_tags
from warmline.flows.track import unsubscribe
from warmline.ports import Envelope
from warmline.store.models import (
    Action,
    Candidate,
    Cursor,
    Delivery,
    DuplicateReport,
    Enrolment,
    Message,
    Pause,
    Suppression,
)
from warmline.store.statuses import LANES, ActionStatus, DeliveryStatus, MessageStatus, PauseScope

UPSERT = "application.submitted -> contact.upsert"
ENROL = "application.submitted -> enrol in welcome"
Meanwhile = Callable[[Callable[[Envelope], None]], None]


def stop(house: House, scope: PauseScope, name: str = "", **options: bool) -> Pause:
    return pause(house.runtime, scope, name, why="a test", by="me", **options)


def go_on(house: House, scope: PauseScope, name: str = "", **words: str) -> Pause:
    return resume(house.runtime, scope, name, by="me", **words)


def steps(house: House, to: str = "") -> list[str]:
    return [mail["headers"]["x-warmline-step"] for mail in house.mails(to)]


def done(trigger: str) -> list[str]:
    return list(Action.objects.filter(trigger=trigger).values_list("status", flat=True))


def push(house: House) -> None:
    """What a poke that came before the pause makes of it: the lanes are drained, work or not."""
    for family in ("act:crm", "act:ats", "mail"):
        house.worker.drain(family, range(LANES))


# Each scope: the work waits, the rest goes on, and it is done once after it


def test_a_paused_trigger_waits_and_the_others_go_on(house: House) -> None:
    stop(house, PauseScope.TRIGGER, UPSERT)
    house.apply()
    house.settle()
    house.clock.move(hours=1)
    house.settle()
    push(house)
    assert (house.contacts(), steps(house)) == ([], ["welcome/1"])
    assert done(UPSERT) == [ActionStatus.PLANNED]
    assert done("segment tag") == [ActionStatus.DONE]
    go_on(house, PauseScope.TRIGGER, UPSERT)
    house.settle()
    house.settle()
    assert len(house.contacts()) == 1
    assert done(UPSERT) == [ActionStatus.DONE]


def test_a_paused_connection_gets_nothing_and_is_not_polled(house: House) -> None:
    stop(house, PauseScope.CONNECTION, "crm")
    stop(house, PauseScope.CONNECTION, "ats")
    house.apply()
    house.settle()
    push(house)
    assert (house.contacts(), steps(house)) == ([], ["welcome/1"])
    assert Delivery.objects.get().status == DeliveryStatus.INTERPRETED
    assert not read_around(house.runtime, "ats")
    assert not Cursor.objects.filter(stream="candidates").exists()
    go_on(house, PauseScope.CONNECTION, "crm")
    house.settle()
    assert len(house.contacts()) == 1
    assert done("segment tag") == [ActionStatus.PLANNED]
    go_on(house, PauseScope.CONNECTION, "ats")
    house.settle()
    assert done("segment tag") == [ActionStatus.DONE]
    assert read_around(house.runtime, "ats")
    assert Cursor.objects.filter(stream="candidates").exists()


def test_a_paused_sequence_sends_nothing_and_plans_nothing(house: House) -> None:
    house.apply(email="before@example.com")
    house.settle()
    stop(house, PauseScope.SEQUENCE, "welcome")
    house.clock.move(days=3, hours=1)
    house.apply(email="after@example.com", first_name="Bo")
    house.settle()
    push(house)
    assert steps(house) == ["welcome/1"]
    assert Message.objects.count() == 2  # the second of the first person was not planned
    assert len(house.contacts()) == 2
    go_on(house, PauseScope.SEQUENCE, "welcome")
    house.settle()
    house.settle()
    assert steps(house, "before@example.com") == ["welcome/1", "welcome/2"]
    assert steps(house, "after@example.com") == ["welcome/1"]


def test_everything_paused_leaves_nothing_out_and_keeps_what_comes_in(house: House) -> None:
    stop(house, PauseScope.ALL)
    house.apply()
    house.settle()
    push(house)
    assert (house.contacts(), house.mails()) == ([], [])
    assert Delivery.objects.get().status == DeliveryStatus.INTERPRETED
    assert Candidate.objects.count() == 1
    assert not read_around(house.runtime, "ats")
    go_on(house, PauseScope.ALL)
    house.settle()
    house.settle()
    assert (len(house.contacts()), steps(house)) == (1, ["welcome/1"])


def test_the_mail_connection_paused_is_every_mail_paused(house: House) -> None:
    house.apply()
    stop(house, PauseScope.CONNECTION, "mail")
    house.settle()
    push(house)
    assert (len(house.contacts()), house.mails()) == (1, [])
    go_on(house, PauseScope.CONNECTION, "mail")
    house.settle()
    assert steps(house) == ["welcome/1"]


# A trigger that enrols


def test_whom_a_paused_trigger_would_enrol_is_enrolled_after_it(house: House) -> None:
    stop(house, PauseScope.TRIGGER, ENROL)
    house.apply()
    house.settle()
    asked_at = house.clock.at
    house.clock.move(hours=20)
    house.settle()
    assert (Enrolment.objects.count(), done(ENROL)) == (0, [ActionStatus.PLANNED])
    go_on(house, PauseScope.TRIGGER, ENROL)
    house.settle()
    house.settle()
    assert (done(ENROL), steps(house)) == ([ActionStatus.DONE], ["welcome/1"])
    assert Enrolment.objects.get().enrolled_at == asked_at
    house.clock.at = asked_at + timedelta(days=3, minutes=1)
    house.settle()
    assert steps(house) == ["welcome/1", "welcome/2"]


def test_whoever_would_have_been_enrolled_a_week_ago_is_shown_and_not_thanked(
    house: House,
) -> None:
    stop(house, PauseScope.TRIGGER, ENROL)
    house.apply()
    house.settle()
    house.clock.move(days=7, hours=1)
    go_on(house, PauseScope.TRIGGER, ENROL)
    house.settle()
    assert steps(house) == []
    assert Message.objects.get(step=1).reason == OVERDUE


def test_a_trigger_switched_off_while_it_was_paused_enrols_nobody(house: House) -> None:
    from warmline.config.project import load
    from warmline.flows.runtime import build

    stop(house, PauseScope.TRIGGER, ENROL)
    house.apply()
    house.settle()
    path = house.folder / "warmline.yaml"
    path.write_text(
        path.read_text().replace(
            "with: {sequence: welcome}}", "with: {sequence: welcome}, enabled: false}"
        )
    )
    go_on(house, PauseScope.TRIGGER, ENROL)
    look(build(load(house.folder), now=house.clock))
    assert "switched off" in Action.objects.get(trigger=ENROL).reason
    assert Enrolment.objects.count() == 0


# How long it took: an hour, a day, a week


@pytest.mark.parametrize("hours", [1, 24])
def test_after_an_hour_and_after_a_day_what_fell_due_leaves_once(house: House, hours: int) -> None:
    house.apply()
    house.settle()
    house.clock.move(days=2, hours=23)
    stop(house, PauseScope.ALL)
    house.clock.move(hours=1 + hours)
    house.settle()
    assert steps(house) == ["welcome/1"]
    go_on(house, PauseScope.ALL)
    house.settle()
    assert steps(house) == ["welcome/1", "welcome/2"]


def test_after_a_week_late_steps_are_held_and_nobody_gets_two_at_once(house: House) -> None:
    house.apply()
    house.settle()
    house.clock.move(hours=1)
    stop(house, PauseScope.SEQUENCE, "welcome")
    house.clock.move(days=7)
    go_on(house, PauseScope.SEQUENCE, "welcome")
    house.settle()
    house.settle()
    assert steps(house) == ["welcome/1"]
    assert Message.objects.get(step=2).reason == OVERDUE
    # The third was due within the pause too: it keeps its four days from the second.
    assert Enrolment.objects.get().next_due_at == house.clock.at + timedelta(days=4)
    house.clock.move(days=4, minutes=1)
    house.settle()
    assert steps(house) == ["welcome/1", "welcome/3"]


def test_a_first_mail_that_waited_makes_the_second_wait(house: House) -> None:
    """Planned before the pause, or at its beginning: the mail itself waits, not its step."""
    stop(house, PauseScope.CONNECTION, "mail")
    house.apply()
    house.settle()
    house.clock.move(days=1, hours=12)
    Enrolment.objects.update(next_due_at=house.clock.at - timedelta(hours=1))
    go_on(house, PauseScope.CONNECTION, "mail")
    house.settle()
    house.settle()
    assert steps(house) == ["welcome/1"]
    assert Enrolment.objects.get().next_due_at == house.clock.at + timedelta(days=3)


# Opt-outs, kills, and the hand-over under way


def test_an_opt_out_during_a_pause_wins(house: House) -> None:
    house.apply()
    stop(house, PauseScope.ALL)
    house.settle()
    unsubscribe(house.runtime, Message.objects.get().pk, how="page")
    go_on(house, PauseScope.ALL)
    house.settle()
    assert house.mails() == []
    assert Message.objects.get().status == MessageStatus.HELD


def test_an_opt_out_in_the_crm_is_heard_while_the_crm_is_paused(house: House) -> None:
    house.apply()
    house.settle()
    house.clock.move(days=3)
    stop(house, PauseScope.CONNECTION, "crm")
    with house.box.hubspot.captured() as events:
        house.box.hubspot.opt_out("ada.lind@example.com")
    url = f"{house.runtime.project.public_url}/in/crm"
    house.receive("crm", *house.box.hubspot.build_webhook(events, url))
    house.settle()
    assert steps(house) == ["welcome/1"]
    assert Suppression.objects.get().reason == "unsubscribed"


def test_a_pause_stops_the_very_next_hand_over(house: House, meanwhile: Meanwhile) -> None:  # noqa: F811
    for number in range(4):
        house.apply(email=f"p{number}@example.com", first_name=f"P{number}")
    interpret.drain(house.runtime, "ats")

    def stop_all(_: Envelope) -> None:
        if not Pause.objects.exists():
            stop(house, PauseScope.ALL)

    meanwhile(stop_all)
    house.settle()
    assert len(house.mails()) == 1
    assert Message.objects.filter(status=MessageStatus.PLANNED).count() == 3
    go_on(house, PauseScope.ALL)
    house.settle()
    assert len(house.mails()) == 4


def test_i10_killed_during_a_pause_nothing_is_lost_or_doubled(house: House) -> None:
    house.apply()
    stop(house, PauseScope.ALL)
    interpret.drain(house.runtime, "ats")
    long_ago = house.clock.at - timedelta(hours=1)
    Action.objects.filter(trigger=UPSERT).update(
        status=ActionStatus.CLAIMED, claimed_by="somebody who was killed", claim_until=long_ago
    )
    Message.objects.update(
        status=MessageStatus.CLAIMED, claimed_by="somebody who was killed", claim_until=long_ago
    )
    assert recover(house.runtime, alone=True) == 2
    house.settle()
    assert (house.contacts(), house.mails()) == ([], [])
    assert paused().everything  # it stands in the ledger, and not in the process
    go_on(house, PauseScope.ALL)
    house.settle()
    assert (len(house.contacts()), steps(house)) == (1, ["welcome/1"])


def test_paused_work_keeps_no_lane_busy(house: House) -> None:
    house.apply()
    interpret.drain(house.runtime, "ats")
    assert look(house.runtime)
    stop(house, PauseScope.ALL)
    assert look(house.runtime) == set()
    assert not Worker(house.runtime).drain("act:crm", range(LANES))


@pytest.mark.parametrize(
    ("scope", "name"), [(PauseScope.ALL, ""), (PauseScope.SEQUENCE, "welcome")]
)
def test_a_paused_mail_is_not_even_claimed(house: House, scope: PauseScope, name: str) -> None:
    """Claimed and given back, a full batch of paused mails would be taken again and again."""
    for number in range(send.BATCH):
        house.apply(email=f"p{number}@example.com", first_name=f"P{number}")
    interpret.drain(house.runtime, "ats")
    stop(house, scope, name)
    assert Message.objects.filter(status=MessageStatus.PLANNED).count() == send.BATCH
    assert not house.worker.drain("mail", range(LANES))


def test_what_warmline_does_itself_is_work_of_no_lane(house: House) -> None:
    """Resumed between the tick's look at enrolments and its look at lanes."""
    stop(house, PauseScope.TRIGGER, ENROL)
    house.apply()
    interpret.drain(house.runtime, "ats")
    go_on(house, PauseScope.TRIGGER, ENROL)
    assert {lane.family for lane in due_lanes(house.runtime)} == {"act:crm", "act:ats"}


def test_tags_of_a_paused_ats_are_not_waited_for(house: House) -> None:
    house.apply()
    stop(house, PauseScope.CONNECTION, "ats")
    house.settle()

    def sleep(seconds: float) -> None:
        raise AssertionError("it waits for what does not go on")

    assert write_tags(house.runtime, "ats", sleep=sleep) == 1


# What a person is told


def test_what_waits_is_counted(house: House) -> None:
    house.apply()
    one = stop(house, PauseScope.TRIGGER, UPSERT)
    two = stop(house, PauseScope.SEQUENCE, "welcome")
    house.settle()
    house.clock.move(days=3)
    assert waiting(house.runtime, one) == Waiting(actions=1, mails=0, steps=0)
    assert waiting(house.runtime, two) == Waiting(actions=0, mails=1, steps=1)


@pytest.mark.parametrize(
    ("scope", "name", "why", "words"),
    [
        (PauseScope.TRIGGER, "nonsense", "w", "there is no trigger 'nonsense'; expected one of"),
        (PauseScope.CONNECTION, "lever", "w", "there is no connection 'lever'; expected one of"),
        (PauseScope.SEQUENCE, "", "w", "there is no sequence ''; expected one of"),
        (PauseScope.ALL, "", " ", "a pause needs a reason"),
    ],
)
def test_a_pause_of_nothing_or_without_a_reason_is_refused(
    house: House, scope: PauseScope, name: str, why: str, words: str
) -> None:
    with pytest.raises(WarmlineError, match=re.escape(words)):
        pause(house.runtime, scope, name, why=why, by="me")
    assert Pause.objects.count() == 0


def test_paused_twice_and_resumed_twice_is_said(house: House) -> None:
    stop(house, PauseScope.ALL)
    with pytest.raises(WarmlineError, match="paused already, since 2026-03-02 09:00Z by me"):
        stop(house, PauseScope.ALL)
    stop(house, PauseScope.SEQUENCE, "welcome")
    with pytest.raises(WarmlineError, match="trigger 'x' is not paused") as caught:
        go_on(house, PauseScope.TRIGGER, "x")
    assert caught.value.hint == "paused: everything, sequence 'welcome'"
    go_on(house, PauseScope.ALL)
    with pytest.raises(WarmlineError, match="everything is not paused"):
        go_on(house, PauseScope.ALL)
    stop(house, PauseScope.ALL)  # another one: the first stays in the history
    assert [row.until is None for row in pauses.history()] == [True, True, False]


# Deduplication


def search(house: House) -> DuplicateReport:
    merge_crm.look(house.runtime, "crm", sleep=lambda _: None, seen=lambda _: None)
    return DuplicateReport.objects.latest("id")


def test_a_deduplication_pause_ends_once_the_crm_has_no_duplicates(house: House) -> None:
    search(house)
    house.clock.move(minutes=1)
    stop(house, PauseScope.ALL, deduplication=True)
    with pytest.raises(WarmlineError, match="crm has not been searched since the pause began"):
        go_on(house, PauseScope.ALL)  # the report of before says nothing of now
    house.box.hubspot.create("a.lind@gmail.com")
    house.box.hubspot.create("alind@gmail.com")
    house.clock.move(minutes=1)
    assert search(house).duplicates == 1
    with pytest.raises(WarmlineError, match="crm had 1 duplicate contacts") as caught:
        go_on(house, PauseScope.ALL)
    assert "warmline merge crm" in caught.value.hint
    found = merge_crm.look(house.runtime, "crm", sleep=lambda _: None, seen=lambda _: None)
    list(merge_crm.apply(house.runtime, found, sleep=lambda _: None))
    with pytest.raises(WarmlineError, match="not confirmed"):
        go_on(house, PauseScope.ALL)  # merged, and not confirmed yet
    house.clock.move(minutes=1)
    assert search(house).duplicates == 0
    assert go_on(house, PauseScope.ALL).until == house.clock.at


def test_a_deduplication_pause_may_end_despite_duplicates_with_a_reason(house: House) -> None:
    stop(house, PauseScope.CONNECTION, "crm", deduplication=True)
    with pytest.raises(WarmlineError, match="not confirmed"):
        go_on(house, PauseScope.CONNECTION, "crm", despite=" ")
    row = go_on(house, PauseScope.CONNECTION, "crm", despite="the vendor says they are gone")
    assert row.ended_why == "despite duplicates: the vendor says they are gone"
    stop(house, PauseScope.ALL)
    with pytest.raises(WarmlineError, match="not paused for deduplication"):
        go_on(house, PauseScope.ALL, despite="x")
    with pytest.raises(WarmlineError, match="of --all or of a --connection"):
        stop(house, PauseScope.SEQUENCE, "welcome", deduplication=True)
