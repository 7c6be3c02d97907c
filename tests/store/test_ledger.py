"""What the database itself holds: unique constraints, locks, and few questions a batch."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, connections, transaction
from django.db.models import Model, UniqueConstraint
from django.test.utils import CaptureQueriesContext

from tests.conftest import House
from warmline.core.errors import WarmlineError
from warmline.core.events import EventKind
from warmline.flows import act, interpret
from warmline.ports import Channel
from warmline.store import models, statuses
from warmline.store.db import writing
from warmline.store.models import (
    Action,
    Application,
    Candidate,
    CandidateEmail,
    Cursor,
    Delivery,
    Drift,
    Enrolment,
    Event,
    ExternalId,
    Incident,
    Interview,
    Job,
    Likeness,
    Message,
    Pause,
    SenderDay,
    SequenceVersion,
    Stage,
    Suppression,
)
from warmline.store.sole import SoleRunner
from warmline.store.statuses import LANES, IncidentStatus, lane_of

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def candidate() -> Candidate:
    return Candidate.objects.create(created_at=NOW, as_of=NOW)


def delivery(key: str = "d", connection: str = "ats") -> Delivery:
    return Delivery.objects.create(
        connection=connection, key=key, channel=Channel.WEBHOOK, body=b"{}", received_at=NOW
    )


def event(key: str = "e", connection: str = "ats") -> Event:
    return Event.objects.create(
        connection=connection,
        key=key,
        kind=EventKind.APPLICATION_SUBMITTED,
        word="w",
        occurred_at=NOW,
        recorded_at=NOW,
        delivery=delivery(f"of {key} {connection}", connection),
    )


def action(key: str = "a") -> Action:
    one = candidate()
    return Action.objects.create(
        key=key, trigger="t", kind="contact.upsert", target="crm", candidate=one,
        event=event(f"{key} {one.pk}"), planned_at=NOW, lane=0, due_at=NOW,
    )  # fmt: skip


def enrolment(of: Candidate, sequence: str = "welcome", run: int = 1) -> Enrolment:
    return Enrolment.objects.create(
        candidate=of, sequence=sequence, run=run, version="1", enrolled_at=NOW,
        event=event(f"{of.pk} {sequence} {run} {Event.objects.count()}"),
    )  # fmt: skip


def message(of: Enrolment, step: int = 1) -> Message:
    return Message.objects.create(
        enrolment=of, step=step, step_class="marketing", candidate=of.candidate, planned_at=NOW,
        due_at=NOW, lane=0,
    )  # fmt: skip


def record(of: Candidate, external_id: str, connection: str = "crm", **values: Any) -> ExternalId:
    return ExternalId.objects.create(
        candidate=of, connection=connection, external_id=external_id, **values
    )


def incident(key: str, status: IncidentStatus = IncidentStatus.OPEN) -> Incident:
    return Incident.objects.create(key=key, reason="r", status=status, opened_at=NOW, last_at=NOW)


def _one_person() -> tuple[Callable[[], object], ...]:
    a, b = candidate(), candidate()
    return (
        lambda: CandidateEmail.objects.create(candidate=a, normal="ada@example.com"),
        lambda: CandidateEmail.objects.create(candidate=b, normal="ada@example.com"),
    )


def _pair(make: Callable[[], object]) -> Callable[[], tuple[Callable[[], object], ...]]:
    return lambda: (make, make)


def _contacts() -> tuple[Callable[[], object], ...]:
    a = candidate()
    return lambda: record(a, "51", contact=True), lambda: record(a, "52", contact=True)


def _records() -> tuple[Callable[[], object], ...]:
    a, b = candidate(), candidate()
    return lambda: record(a, "51"), lambda: record(b, "51")


def _runs() -> tuple[Callable[[], object], ...]:
    a = candidate()
    return lambda: enrolment(a), lambda: enrolment(a)


def _likeness() -> tuple[Callable[[], object], ...]:
    a, b = candidate(), candidate()

    def pair() -> object:
        return Likeness.objects.create(one=a, other=b, found_at=NOW)

    return pair, pair


def _steps() -> tuple[Callable[[], object], ...]:
    one = enrolment(candidate())
    return lambda: message(one), lambda: message(one)


# The invariant, the name of what holds it in the database, and two rows that may not both be.
ONCE: dict[str, tuple[type[Model], Callable[[], tuple[Callable[[], object], ...]]]] = {
    "I2 delivery_once": (Delivery, _pair(delivery)),
    "I2 event_once": (Event, _pair(lambda: Event.objects.create(
        connection="ats", key="e", kind=EventKind.UNKNOWN, word="w", occurred_at=NOW,
        recorded_at=NOW, delivery=delivery(f"of {Delivery.objects.count()}")))),
    "I2 action.key": (Action, _pair(action)),
    "I3 candidateemail.normal": (CandidateEmail, _one_person),
    "I3 external_id_once": (ExternalId, _records),
    "I3 contact_once": (ExternalId, _contacts),
    "I4 message_once": (Message, _steps),
    "I4 enrolment_once": (Enrolment, _runs),
    "I5 suppression.address": (Suppression, _pair(lambda: Suppression.objects.create(
        address="ada@example.com", reason="bounced", source="mail", since=NOW))),
    "I3 application_once": (Application, _pair(lambda: Application.objects.create(
        candidate=candidate(), connection="ats", external_id="1", as_of=NOW))),
    "job_once": (Job, _pair(lambda: Job.objects.create(
        connection="ats", external_id="1", title="Baker"))),
    "stage_once": (Stage, _pair(lambda: Stage.objects.create(
        connection="ats", external_id="1", name="Offer"))),
    "interview_once": (Interview, _pair(lambda: Interview.objects.create(
        connection="ats", external_id="1", as_of=NOW))),
    "likeness_once": (Likeness, _likeness),
    "cursor_once": (Cursor, _pair(lambda: Cursor.objects.create(connection="ats", stream="s"))),
    "drift_once": (Drift, _pair(lambda: Drift.objects.create(
        connection="crm", record="51", candidate=candidate(), what="stage", trigger="t",
        found_at=NOW))),
    "pause_once": (Pause, _pair(lambda: Pause.objects.create(
        scope="trigger", name="t", why="w", by="me", since=NOW))),
    "sequence_version_once": (SequenceVersion, _pair(lambda: SequenceVersion.objects.create(
        sequence="welcome", version="1", since=NOW))),
    "sender_day_once": (SenderDay, _pair(lambda: SenderDay.objects.create(
        name="@acme.example", day=NOW.date()))),
    "I8 incident_once": (Incident, _pair(lambda: incident("k"))),
}  # fmt: skip


@pytest.mark.parametrize("name", ONCE)
def test_the_database_itself_lets_it_be_once(ledger: None, name: str) -> None:
    model, make = ONCE[name]
    first, second = make()
    first()
    count = model._default_manager.count()
    with pytest.raises(IntegrityError), transaction.atomic():
        second()
    assert model._default_manager.count() == count


def test_every_unique_constraint_is_tried_above() -> None:
    held: set[str] = set()
    for model in _models():
        held |= {c.name for c in model._meta.constraints if isinstance(c, UniqueConstraint)}
        held |= {
            f"{model._meta.model_name}.{f.name}"
            for f in model._meta.get_fields()
            if getattr(f, "unique", False) and not getattr(f, "primary_key", False)
        }
    assert held == {name.split()[-1] for name in ONCE}


def _models() -> list[type[Model]]:
    return [m for m in vars(models).values() if isinstance(m, type) and issubclass(m, Model)]


def test_the_same_key_in_another_connection_is_another_thing(ledger: None) -> None:
    delivery("k", "ats")
    delivery("k", "crm")
    event("e", "ats")
    event("e", "crm")
    record(candidate(), "51", "ats")
    record(candidate(), "51", "crm")


def test_a_contact_that_is_gone_makes_room_for_another(ledger: None) -> None:
    one = candidate()
    record(one, "51", contact=True, gone_at=NOW)
    record(one, "52", contact=True)
    record(one, "53")  # a record that stands for the person, and is not the contact we write to
    record(one, "54", "ats", contact=True)


def test_an_incident_that_was_resolved_may_come_again(ledger: None) -> None:
    incident("k", IncidentStatus.RESOLVED)
    incident("k", IncidentStatus.RESOLVED)
    incident("k", IncidentStatus.ACKNOWLEDGED)
    with pytest.raises(IntegrityError), transaction.atomic():
        incident("k")


def test_one_person_may_be_on_another_sequence_and_on_another_run(ledger: None) -> None:
    one = candidate()
    for sequence, run in (("welcome", 1), ("welcome", 2), ("silver-medalist", 1)):
        row = enrolment(one, sequence, run)
        message(row, 1)
        message(row, 2)


# Migrations and words


@pytest.mark.usefixtures("_tables")
def test_the_migrations_make_the_models() -> None:
    said = io.StringIO()
    call_command("makemigrations", check=True, dry_run=True, stdout=said)
    assert "No changes detected" in said.getvalue()


@pytest.mark.usefixtures("_tables")
def test_every_table_is_called_after_warmline() -> None:
    ours = {m._meta.db_table for m in _models()}
    assert all(name.startswith("warmline_") for name in ours)
    assert ours <= set(connection.introspection.table_names())


def test_every_status_has_a_line_of_meaning() -> None:
    source = Path(statuses.__file__).read_text()
    enums = [e for e in vars(statuses).values() if isinstance(e, type) and issubclass(e, StrEnum)]
    words = [member for e in enums if e is not StrEnum for member in e]
    assert len(words) > 25
    for word in words:
        line = rf'^    {word.name} = "{re.escape(word.value)}"  # [\w"`].{{10,}}$'
        assert re.search(line, source, re.MULTILINE), f"{type(word).__name__}.{word.name}"


def test_every_status_fits_its_column() -> None:
    for model in _models():
        for column in model._meta.concrete_fields:
            for value, _ in getattr(column, "choices", None) or ():
                assert len(value) <= (column.max_length or 0)


# Lanes


def test_every_candidate_has_one_lane_and_all_lanes_are_used() -> None:
    assert {lane_of(n) for n in range(1, 1000)} == set(range(LANES))
    assert all(lane_of(n) == lane_of(n) for n in (1, 2**31, 2**62))


# One runner, one writer


def test_a_second_runner_is_refused_and_a_later_one_is_not(ledger: None) -> None:
    with SoleRunner():
        with pytest.raises(WarmlineError, match="another Warmline runs") as caught, SoleRunner():
            pass
        assert "WARMLINE_DATABASE_URL" in caught.value.hint
        with pytest.raises(WarmlineError), SoleRunner():
            pass  # the refused one took nothing away from the first
    with SoleRunner():
        pass


def test_a_runner_that_fails_frees_the_ledger(ledger: None) -> None:
    with pytest.raises(ZeroDivisionError), SoleRunner():
        raise ZeroDivisionError
    with SoleRunner():
        pass


def test_a_second_runner_in_another_thread_is_refused(ledger: None) -> None:
    refused: list[str] = []

    def second() -> None:
        try:
            with SoleRunner():
                pass
        except WarmlineError as error:
            refused.append(error.reason)
        finally:
            connections.close_all()

    with SoleRunner():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(refused) == 1


def fail_after(times: int) -> None:
    """Makes a candidate in each of so many transactions, one within the other, and fails."""
    with writing():
        candidate()
        if times > 1:
            fail_after(times - 1)
        raise ZeroDivisionError


def test_writing_nests_and_is_one_transaction(ledger: None) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_after(3)
    assert Candidate.objects.count() == 0
    with writing():
        candidate()
        with pytest.raises(ZeroDivisionError):
            fail_after(2)
        candidate()
    assert Candidate.objects.count() == 2


def test_writers_of_many_threads_wait_for_each_other(ledger: None) -> None:
    """Read, then write: without the lock some of these would read the same number."""
    one = candidate()
    failed: list[BaseException] = []

    def add() -> None:
        try:
            for _ in range(10):
                with writing():
                    row = Candidate.objects.select_for_update().get(pk=one.pk)
                    row.tags = [*row.tags, "x"]
                    row.save()
        except BaseException as error:
            failed.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=add) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one.refresh_from_db()
    assert failed == []
    assert len(one.tags) == 50


# Few questions a batch, however many are in it


def queries(do: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as caught:
        do()
    return len(caught)


def applied(house: House, count: int, start: int) -> None:
    for n in range(start, start + count):
        house.apply(first_name=f"Ada{n}", email=f"ada{n}@example.com")


def test_twenty_applications_cost_about_as_many_queries_as_five(house: House) -> None:
    costs = {}
    for count, start in ((5, 0), (20, 100)):
        applied(house, count, start)
        costs[count] = queries(lambda: interpret.drain(house.runtime, "ats"))
    assert Message.objects.count() == 25
    assert costs[20] <= costs[5] + 3
    assert costs[20] <= 45


def test_twenty_moves_cost_about_as_many_queries_as_five(house: House) -> None:
    costs = {}
    for count in (5, 20):
        applied(house, count, count * 100)
        interpret.drain(house.runtime, "ats")
        house.clock.move(minutes=1)
        newest = Application.objects.order_by("-id")[:count]
        for row in newest:
            house.does("move", int(row.external_id), "Phone Screen")
        costs[count] = queries(lambda: interpret.drain(house.runtime, "ats"))
    effects = Event.objects.filter(kind=EventKind.APPLICATION_STAGE_CHANGED)
    assert effects.count() == 25
    assert costs[20] <= costs[5] + 4


def test_twenty_contacts_cost_about_as_many_queries_as_five(house: House) -> None:
    costs = {}
    for count, start in ((5, 0), (20, 100)):
        applied(house, count, start)
        interpret.drain(house.runtime, "ats")
        costs[count] = queries(lambda: act.drain(house.runtime, "crm", range(LANES)))
    assert len(house.contacts()) == 25
    assert costs[20] <= costs[5] + 3


def test_a_mail_costs_its_own_two_writes_and_no_more(house: House) -> None:
    """One transaction a mail says that its hand-over begins and how the one before ended."""
    costs = {}
    for count, start in ((5, 0), (20, 100)):
        applied(house, count, start)
        interpret.drain(house.runtime, "ats")
        costs[count] = queries(lambda: house.worker.drain("mail", range(LANES)))
    assert len(house.mails()) == 25
    # begin, the last look at the person in two queries (on PostgreSQL under a lock), two updates,
    # commit
    most = 6.0 if connection.vendor == "sqlite" else 7.0
    assert (costs[20] - costs[5]) / 15 <= most
