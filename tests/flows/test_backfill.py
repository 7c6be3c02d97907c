"""`warmline backfill`: contacts for everybody who may be nurtured, and past silver medalists onto
their sequence, so many a day."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Set as AbstractSet
from datetime import timedelta

import httpx
import pytest
from django.db.models import QuerySet

from tests.conftest import House
from warmline.flows import backfill
from warmline.flows import work_off as work_off_module
from warmline.flows.everybody import survey
from warmline.flows.opt_out import suppress_candidate
from warmline.flows.reconcile import read_history
from warmline.flows.work_off import work_off
from warmline.store.db import writing
from warmline.store.models import Action, Candidate, Enrolment, ExternalId, Message
from warmline.store.statuses import ActionStatus, SuppressionReason

PEOPLE = 150


@pytest.fixture
def history(house: House) -> House:
    """An ATS that is full when Warmline first comes to it; everybody is read and placed."""
    house.box.greenhouse.add_history(PEOPLE, seed=3)
    read_history(house.runtime, "ats")
    house.settle()
    survey(house.runtime, write=True)
    return house


def write(house: House, *, threads: int = 1, slept: list[float] | None = None) -> int:
    backfill.plan_contacts(house.runtime, "crm")

    def sleep(seconds: float) -> None:
        house.clock.move(seconds=seconds)
        if slept is not None:
            slept.append(seconds)

    return work_off(house.runtime, "crm", backfill.waiting("crm"), sleep=sleep, threads=threads)


def contacts(house: House) -> Counter[str]:
    return Counter(address.lower() for c in house.contacts() for address in c["emails"])


class Meeting(set[str]):
    """The scopes of a token, which each call is held against: all of `calls` must be there before
    one of them goes on."""

    def __init__(self, scopes: set[str], calls: int) -> None:
        super().__init__(scopes)
        self._together = threading.Barrier(calls, timeout=10)

    def __and__(self, other: AbstractSet[object]) -> set[str]:
        self._together.wait()
        return super().__and__(other)


def on_it() -> QuerySet[Enrolment]:
    return Enrolment.objects.filter(sequence="silver-medalist")


def calls(house: House) -> int:
    """Calls to the CRM so far."""
    answer = httpx.get(f"{house.box.hubspot_url}/_control/requests", trust_env=False)
    return len([r for r in answer.json()["requests"] if not r["path"].startswith("/_control")])


def test_everybody_but_the_archived_gets_one_contact_in_the_fewest_calls(history: House) -> None:
    expected = backfill.outlook(history.runtime, "crm")
    assert expected.to_write > 20
    assert expected.left_out["archived"] > 20
    before = calls(history)
    assert write(history) == 0
    after = backfill.outlook(history.runtime, "crm")
    assert (after.there, after.to_write) == (expected.there + expected.to_write, 0)
    assert max(contacts(history).values()) == 1
    assert len(contacts(history)) == expected.there + expected.to_write
    assert calls(history) - before == expected.calls
    assert not ExternalId.objects.filter(
        connection="crm", candidate__segmentation__segment="archived"
    ).exists()


def test_several_calls_are_under_way_at_once_and_each_person_is_in_one_of_them(
    history: House,
) -> None:
    expected = backfill.outlook(history.runtime, "crm")
    before, threads = calls(history), 4
    history.box.hubspot.scopes = Meeting(history.box.hubspot.scopes, threads)
    assert write(history, threads=threads) == 0
    assert calls(history) - before == threads
    assert max(contacts(history).values()) == 1
    assert len(contacts(history)) == expected.there + expected.to_write


def test_the_first_are_written_while_the_rest_is_planned_and_a_stop_loses_nothing(
    history: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "BATCH", 10)
    monkeypatch.setattr(work_off_module, "AHEAD_BATCHES", 0.1)
    runtime, lefts = history.runtime, list[int]()
    to_write = backfill.outlook(runtime, "crm").to_write

    def told(left: int) -> None:
        lefts.append(left)
        if len(lefts) == 2:
            runtime.stopping.set()

    def run() -> int:
        plans = backfill.Planning(runtime, "crm")
        waiting = backfill.waiting("crm")
        return work_off(runtime, "crm", waiting, sleep=lambda s: None, told=told, plans=plans)

    assert run() == to_write - 20
    assert Action.objects.filter(trigger=backfill.TRIGGER).count() == 20
    runtime.stopping.clear()
    assert run() == 0
    assert lefts == sorted(lefts, reverse=True)
    assert max(contacts(history).values()) == 1
    assert backfill.outlook(runtime, "crm").to_write == 0


def test_what_fails_in_one_thread_ends_the_others_and_is_told(history: House) -> None:
    history.runtime.poke = lambda lanes: 1 / 0  # type: ignore[assignment,return-value]
    with pytest.raises(ZeroDivisionError):
        write(history, threads=3)
    history.runtime.poke = lambda lanes: None
    assert write(history, threads=3) == 0
    assert max(contacts(history).values()) == 1


def test_the_vendors_pace_is_waited_for_before_anything_is_claimed(history: House) -> None:
    history.box.hubspot.rate_limit = 2  # in ten seconds, and looking up nobody takes both
    history.runtime.connectors["crm"].records(["1"], ["name"])
    slept: list[float] = []
    assert write(history, slept=slept) == 0
    assert slept == [pytest.approx(10.0)]
    made = Action.objects.filter(trigger=backfill.TRIGGER)
    assert {action.due_at - action.planned_at for action in made} == {timedelta(0)}


def test_a_dry_run_writes_nothing(history: House) -> None:
    backfill.outlook(history.runtime, "crm")
    found = backfill.silver(history.runtime, months=12, per_day=100, apply=False)
    assert found.by_day.total() > 0
    assert not on_it().exists()
    assert not Action.objects.filter(trigger=backfill.TRIGGER).exists()


def test_again_it_finds_nothing_to_do_and_what_was_refused_is_tried_again(history: House) -> None:
    write(history)
    made = Action.objects.filter(trigger=backfill.TRIGGER).count()
    assert backfill.plan_contacts(history.runtime, "crm") == 0
    action = Action.objects.filter(trigger=backfill.TRIGGER).first()
    assert action is not None
    one = ExternalId.objects.get(connection="crm", candidate=action.candidate)
    ExternalId.objects.filter(pk=one.pk).delete()
    Action.objects.filter(candidate=one.candidate, trigger=backfill.TRIGGER).update(
        status=ActionStatus.REFUSED
    )
    assert backfill.outlook(history.runtime, "crm").refused == 1
    assert write(history) == 0
    assert Action.objects.filter(trigger=backfill.TRIGGER).count() == made
    assert ExternalId.objects.filter(connection="crm", candidate=one.candidate).exists()


def test_who_said_no_is_neither_exported_nor_enrolled(history: House) -> None:
    people = Candidate.objects.filter(segmentation__segment="silver_medalist")
    no = people.order_by("pk").first()
    assert no is not None
    with writing():
        suppress_candidate(no, SuppressionReason.UNSUBSCRIBED, source="page", now=history.clock())
    found = backfill.silver(history.runtime, months=120, per_day=100, apply=True)
    write(history)
    assert found.left_out["said no"] == 1
    assert not Enrolment.objects.filter(candidate=no).exists()
    assert not ExternalId.objects.filter(connection="crm", candidate=no).exists()


def test_silver_medalists_of_the_past_year_are_enrolled_so_many_a_day(history: House) -> None:
    runtime, now = history.runtime, history.clock()
    found = backfill.silver(runtime, months=12, per_day=3, apply=True)
    rows = on_it().select_related("application")
    assert rows.count() == found.by_day.total() > 3
    days = Counter(row.enrolled_at.date() for row in rows)
    assert max(days.values()) == 3
    assert min(days) == now.date()
    year_ago = now - timedelta(days=366)
    rejected = [
        row.application.rejected_at for row in rows.order_by("enrolled_at", "pk") if row.application
    ]
    assert all(at and at > year_ago for at in rejected)
    assert rejected == sorted(rejected, reverse=True)  # the newest first
    assert {row.candidate.segmentation.segment for row in rows} == {"silver_medalist"}


def test_a_second_run_enrols_nobody_twice_and_keeps_to_the_days_room(history: House) -> None:
    first = backfill.silver(history.runtime, months=3, per_day=2, apply=True)
    again = backfill.silver(history.runtime, months=3, per_day=2, apply=True)
    assert again.by_day.total() == 0
    assert again.there == first.by_day.total()
    rest = backfill.silver(history.runtime, months=12, per_day=2, apply=True)
    assert rest.by_day.total() > 0
    days = Counter(row.enrolled_at.date() for row in on_it())
    assert max(days.values()) == 2
    assert on_it().values("candidate").distinct().count() == on_it().count()


def test_each_gets_the_first_letter_on_their_day_and_reads_when_it_was(history: House) -> None:
    """On it, or on the next working day."""
    backfill.silver(history.runtime, months=12, per_day=2, apply=True)
    people = on_it().count()
    assert people > 2
    for _ in range((people + 3) * 4):
        history.clock.move(hours=6)
        history.settle()
    left = Message.objects.filter(enrolment__in=on_it(), step=1, status="handed_off")
    assert left.count() == people
    for message in left.select_related("enrolment"):
        wanted, sent = message.enrolment.enrolled_at, message.handed_off_at
        assert sent is not None
        assert sent.weekday() < 5
        assert wanted <= sent < wanted + timedelta(days=4)
    letters = [m for m in history.mails() if m["subject"].startswith("Thank you")]
    assert len(letters) == people
