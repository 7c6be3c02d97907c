"""What fails by not happening, seen by the watch on a real ledger and a virtual clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.conftest import House
from tests.flows.test_alerts import configure, fail, go_on, hook, letters, told
from tests.hook import Hook
from warmline.engine.work import run_until_idle
from warmline.flows.reconcile import poll
from warmline.flows.trigger_runs import _first_planned
from warmline.flows.watch import watch, weekday_time
from warmline.store.models import Action, Candidate, Delivery, Incident, Message
from warmline.store.statuses import ActionStatus, IncidentStatus

__all__ = ["hook", "told"]


def look(house: House) -> None:
    house.clock.move(minutes=1)
    watch(house.runtime)


def stands(key: str) -> bool:
    return Incident.objects.filter(key=key).exclude(status=IncidentStatus.RESOLVED).exists()


# Silence


def test_a_connection_that_falls_silent_is_told_of_and_over_when_it_speaks(
    told: House, hook: Hook
) -> None:
    told.apply()
    go_on(told, 15)
    told.clock.move(hours=23)  # from Monday to Tuesday
    look(told)
    assert not stands("quiet:ats")
    told.clock.move(hours=2)
    go_on(told, 62)
    assert stands("quiet:ats")
    assert any("ats has told of nothing since 2026-03-02 09:00" in text for text in hook.texts())
    told.apply(email="second@example.com")
    look(told)
    assert not stands("quiet:ats")
    resolved = Incident.objects.get(key="quiet:ats")
    assert resolved.alerted_at is not None
    assert not resolved.resolved_by
    assert sum("told of nothing" in text for text in hook.texts()) == 1


def test_weekends_are_no_silence(house: House) -> None:
    house.clock.at = datetime(2026, 3, 6, 17, 0, tzinfo=UTC)  # a Friday
    house.apply()
    house.settle()
    house.clock.at = datetime(2026, 3, 9, 16, 0, tzinfo=UTC)
    look(house)
    assert not stands("quiet:ats")
    house.clock.at = datetime(2026, 3, 9, 17, 30, tzinfo=UTC)
    look(house)
    assert stands("quiet:ats")


def test_who_never_spoke_is_not_silent_nor_is_whom_the_project_lets_be(house: House) -> None:
    configure(house, "alerts: {quiet: {ats: 0}}")
    house.apply()
    house.settle()
    house.clock.move(days=9)
    look(house)
    assert not Incident.objects.filter(key__startswith="quiet:").exists()


def test_a_polled_change_is_a_word_too(house: House) -> None:
    poll(house.runtime, "ats")
    house.apply()
    house.settle()
    house.clock.move(hours=20)
    with house.box.greenhouse.captured():  # its webhook is lost
        house.box.greenhouse.apply({"first_name": "Bo", "last_name": "Ek"}, 4001)
    poll(house.runtime, "ats")
    house.settle()
    assert Delivery.objects.filter(channel="poll").exists()
    house.clock.move(hours=20)
    look(house)
    assert not stands("quiet:ats")


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2026-03-02T09:00", "2026-03-03T09:00", 24),  # Monday to Tuesday
        ("2026-03-06T17:00", "2026-03-09T17:00", 24),  # Friday to Monday
        ("2026-03-07T01:00", "2026-03-08T23:00", 0),  # within a weekend
        ("2026-03-02T09:00", "2026-03-30T09:00", 480),  # four weeks
        ("2026-03-02T09:00", "2026-03-02T09:00", 0),
        ("2026-03-03T09:00", "2026-03-02T09:00", 0),  # a clock that went back
    ],
)
def test_weekday_time(start: str, end: str, hours: float) -> None:
    moments = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end)]
    assert weekday_time(*moments) == timedelta(hours=hours)


# Lanes


def test_a_lane_that_lags_is_told_of_until_it_has_caught_up(told: House) -> None:
    watch(told.runtime)
    told.apply()
    for _ in range(16):  # nobody drains the lanes
        look(told)
    assert stands("lag:intake:ats")
    told.settle()
    look(told)
    assert not stands("lag:intake:ats")
    told.clock.move(days=3)  # the day-3 mail falls due, and nobody sends it
    look(told)
    from warmline.flows.nurture import tick as nurture_tick

    nurture_tick(told.runtime)
    assert Message.objects.filter(status="planned").exists()
    for _ in range(17):
        look(told)
    assert stands("lag:mail")
    assert not stands("lag:act:crm")


def test_a_night_switched_off_is_no_lag(house: House) -> None:
    house.apply()
    house.clock.move(hours=10)
    watch(house.runtime)  # the first look of a process
    assert not Incident.objects.filter(key__startswith="lag:").exists()


def test_work_that_fails_and_is_tried_again_is_no_lag(house: House) -> None:
    house.box.hubspot.faults.add({"kind": "unavailable"})
    house.apply()
    watch(house.runtime)
    for _ in range(60):
        house.settle()
        look(house)
    assert stands("crm:trouble")
    assert not Incident.objects.filter(key__startswith="lag:").exists()


# Rates


def runs(house: House, *, good: int, bad: int, trigger: str = "t", ago: int = 0) -> None:
    """Actions that ended so many days ago."""
    row = Action.objects.filter(kind="contact.upsert").order_by("pk").first()
    assert row is not None
    at = house.clock() - timedelta(days=ago)
    made = []
    for n in range(good + bad):
        status = ActionStatus.DONE if n < good else ActionStatus.REFUSED
        key = f"{trigger}:{ago}:{n}:{Action.objects.count()}"
        values = {"key": key, "trigger": trigger, "status": status, "planned_at": at}
        fields = {"kind": row.kind, "target": "crm", "lane": 0, "due_at": at}
        made.append(Action(candidate=row.candidate, event=row.event, **values, **fields))
    Action.objects.bulk_create(made)


def test_a_trigger_that_fails_too_often_is_told_of_with_the_figures(house: House) -> None:
    house.apply()
    house.settle()
    runs(house, good=0, bad=200, trigger="old", ago=8)
    runs(house, good=300, bad=0, trigger="over it", ago=8)
    runs(house, good=10, bad=1, trigger="few")
    runs(house, good=98, bad=2, trigger="at the line")
    runs(house, good=97, bad=3, trigger="over it")
    look(house)
    assert [i.trigger for i in Incident.objects.filter(key__startswith="error-rate:")] == [
        "over it"
    ]
    assert "3 of 100" in Incident.objects.get(key="error-rate:over it").reason
    runs(house, good=100, bad=0, trigger="over it")
    look(house)
    assert not stands("error-rate:over it")


def test_the_week_is_found_by_halving(house: House) -> None:
    assert _first_planned(house.clock()) == 0
    house.apply()
    house.settle()
    Action.objects.update(planned_at=house.clock() - timedelta(days=20))
    for ago in (15, 9, 8, 6, 1):
        runs(house, good=7, bad=0, trigger=f"{ago} days ago", ago=ago)
    Action.objects.filter(trigger="9 days ago").delete()
    first = _first_planned(house.clock() - timedelta(days=7))
    assert first == Action.objects.filter(trigger="6 days ago").earliest("pk").pk


# Incidents that nobody ends


def test_an_incident_open_for_over_a_day_is_told_of_once(told: House, hook: Hook) -> None:
    fail(told, "first-sync", "waits", trigger="t")
    go_on(told, 15)
    told.clock.move(hours=24)
    go_on(told, 75)
    mine = [text for text in hook.texts() if "open for over 24 hours" in text]
    assert len(mine) == 1
    assert "waits" in mine[0]
    assert len(letters(told)) == len(hook.came)
    count = Incident.objects.get(key="incidents:overdue").count
    assert count == 1, "it does not fail again each minute"
    Incident.objects.filter(key="first-sync").update(status=IncidentStatus.RESOLVED)
    look(told)
    assert not stands("incidents:overdue")


# The watch itself


def test_it_looks_at_most_once_a_minute_and_writes_only_what_changed(house: House) -> None:
    house.apply()
    house.settle()
    watch(house.runtime)
    house.clock.move(seconds=59)
    with CaptureQueriesContext(
        connection,
    ) as none:
        watch(house.runtime)
    assert len(none) == 0
    house.clock.move(seconds=1)
    with CaptureQueriesContext(connection) as some:
        watch(house.runtime)
    assert 0 < len(some) < 20
    assert not [q for q in some.captured_queries if not q["sql"].startswith("SELECT")]


def test_its_credentials_incident_is_over_by_its_own_success(house: House) -> None:
    house.box.hubspot.token = "another"
    house.apply()
    house.settle()
    assert stands("crm:credentials:write")
    assert not stands("crm:trouble")
    who = Candidate.objects.get().pk
    assert Incident.objects.get(key="crm:credentials:write").record == f"candidate {who}"
    house.box.hubspot.token = "sandbox-token"
    house.clock.move(minutes=1)
    run_until_idle(house.runtime, house.worker)
    assert not stands("crm:credentials:write")
    assert len(house.contacts()) == 1
