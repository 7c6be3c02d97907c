"""What must hold whatever comes, in whatever order, however often: the samples that Greenhouse
publishes, replays, merges and imports."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SECRETS, House
from warmline.config.project import load
from warmline.core.events import EventKind
from warmline.flows import interpret
from warmline.flows.opt_out import suppress_candidate
from warmline.flows.reconcile import poll
from warmline.flows.runtime import build
from warmline.flows.track import unsubscribe
from warmline.kit.manifest import FOLDER
from warmline.ports import Channel
from warmline.store.models import (
    Action,
    Application,
    Candidate,
    CandidateEmail,
    Delivery,
    Enrolment,
    Event,
    ExternalId,
    Incident,
    Job,
    Merge,
    Message,
    Stage,
    Suppression,
)
from warmline.store.statuses import (
    DeliveryStatus,
    EnrolmentStatus,
    MessageStatus,
    SuppressionReason,
)

HERE = Path(__file__).parent
SHARED = Path(os.environ.get("WARMLINE_SHARED_DATA", HERE.parents[2] / "shared" / "data"))
READ = {DeliveryStatus.INTERPRETED, DeliveryStatus.UNMAPPED}
PEOPLE = (Candidate, CandidateEmail, ExternalId, Merge, Suppression)
WORK = (Enrolment, Message, Action)


def samples() -> list[tuple[str, bytes]]:
    """Every recorded webhook: those that Greenhouse publishes, where they are, and our own."""
    folders = [SHARED / "greenhouse-webhooks", FOLDER / "greenhouse" / "fixtures"]
    return [(f"{p.parent.name}/{p.name}", p.read_bytes())
            for folder in folders for p in sorted(folder.glob("*.json"))]  # fmt: skip


def signed(body: bytes, event_id: str) -> dict[str, str]:
    key = SECRETS["WARMLINE_ATS_WEBHOOK_SECRET"].encode()
    mac = hmac.new(key, body, hashlib.sha256).hexdigest()
    return {"Signature": f"sha256 {mac}", "Greenhouse-Event-ID": event_id}


def table(model: Any, *leave_out: str) -> list[dict[str, Any]]:
    rows = list(model.objects.order_by("pk").values())
    return [{k: v for k, v in row.items() if k not in leave_out} for row in rows]


def state(*leave_out: str) -> dict[str, list[dict[str, Any]]]:
    """All that the ledger knows and means to do."""
    models = (*PEOPLE, *WORK, Application, Job, Stage)
    return {model.__name__: table(model, *leave_out) for model in models}


@pytest.fixture(params=range(6))
def dice(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.param)


def receive_all(house: House, order: list[tuple[str, bytes]], dice: random.Random) -> None:
    """In this order, interpreted in batches of any size."""
    for event_id, body in order:
        assert house.receive("ats", signed(body, event_id), body) == ""
        if dice.random() < 0.3:
            interpret.drain(house.runtime, "ats")
    house.settle()


def nothing_failed() -> None:
    wrong = Delivery.objects.exclude(status__in=READ)
    assert [(row.key, row.status, row.reason) for row in wrong] == []
    assert not Incident.objects.filter(key__startswith="engine").exists()


def test_there_are_samples_to_try() -> None:
    actions = {json.loads(body)["action"] for _, body in samples()}
    assert {"new_candidate_application", "merge_candidate", "candidate_anonymized"} <= actions
    assert len(actions) >= 20


def test_the_samples_in_any_order_fail_nowhere_and_a_repeat_changes_nothing(
    house: House, dice: random.Random
) -> None:
    order = samples()
    dice.shuffle(order)
    receive_all(house, order, dice)
    nothing_failed()
    before, events = state(), table(Event)
    assert Delivery.objects.count() == len(order)
    dice.shuffle(order)
    receive_all(house, order, dice)
    nothing_failed()
    assert Delivery.objects.count() == len(order)
    assert state() == before
    assert table(Event) == events


def test_the_samples_under_other_ids_make_nobody_anew_and_send_nothing_again(
    house: House, dice: random.Random
) -> None:
    order = samples()
    dice.shuffle(order)
    receive_all(house, order, dice)
    before = state("as_of", "told_at", "rank")
    mails = len(house.mails())
    receive_all(house, [(f"again {event_id}", body) for event_id, body in order], dice)
    nothing_failed()
    after = state("as_of", "told_at", "rank")
    for name in ("Candidate", "CandidateEmail", "ExternalId", "Merge", "Enrolment", "Message"):
        assert after[name] == before[name], name
    assert len(house.mails()) == mails


def test_in_any_order_the_ledger_is_whole(house: House, dice: random.Random) -> None:
    order = samples()
    dice.shuffle(order)
    receive_all(house, order, dice)
    merged = set(Candidate.objects.exclude(merged_into=None).values_list("pk", flat=True))
    for model in (CandidateEmail, ExternalId, Application, Enrolment, Message, Action, Event):
        left = model._default_manager.filter(candidate__in=merged)
        if model in (Enrolment, Message):
            left = left.filter(status__in=[EnrolmentStatus.ACTIVE, MessageStatus.PLANNED])
        assert not left.exists(), model.__name__
    for one in Candidate.objects.exclude(merged_into=None).select_related("merged_into"):
        assert one.merged_into is not None
        assert one.merged_into.merged_into_id is None  # nobody was merged into somebody merged
    gone = Candidate.objects.exclude(erased_at=None)
    assert not Message.objects.filter(candidate__in=gone, status=MessageStatus.PLANNED).exists()
    assert not Enrolment.objects.filter(candidate__in=gone, status="active").exists()


def test_i2_a_replay_of_everything_changes_nothing(house: House) -> None:
    one = house.apply()
    house.apply(email="bob@example.com", first_name="Bob", job_id=4002)
    house.settle()
    house.clock.move(hours=1)
    house.does("move", one["id"], "Phone Screen")
    house.does("reject", one["id"])
    house.settle()
    before, events, mails = state(), table(Event), len(house.mails())
    contacts = house.contacts()
    for row in Delivery.objects.order_by("-pk"):
        assert interpret.replay(house.runtime, row.pk) is not None
        house.settle()
    for row in Delivery.objects.order_by("pk"):
        interpret.replay(house.runtime, row.pk)
    house.settle()
    nothing_failed()
    assert state() == before
    assert table(Event) == events
    assert len(house.mails()) == mails
    assert house.contacts() == contacts


def test_a_replay_of_what_is_not_there_is_none(house: House) -> None:
    assert interpret.replay(house.runtime, 987_654) is None


# Merges: the strictest opt-out wins, and nobody is on a sequence twice


@pytest.fixture
def two(house: House) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two records of one person, each with its own welcome begun."""
    one = house.apply(email="ada@example.com")
    other = house.apply(email="ada@work.example.com", job_id=4002)
    house.settle()
    assert Candidate.objects.filter(merged_into=None).count() == 2
    assert len(house.mails()) == 2
    return one, other


def join(house: House, row: dict[str, Any]) -> Candidate:
    """This record turns out to have both addresses."""
    house.does(
        "update_candidate",
        row["candidate_id"],
        email_addresses=[
            {"value": "ada@example.com", "type": "personal"},
            {"value": "ada@work.example.com", "type": "work"},
        ],
    )
    house.settle()
    return Candidate.objects.get(merged_into=None)


def candidate_of(row: dict[str, Any]) -> Candidate:
    number = str(row["candidate_id"])
    return ExternalId.objects.get(connection="ats", external_id=number).candidate


def weeks_later(house: House) -> None:
    for _ in range(16):
        house.clock.move(days=1)
        house.settle()


@pytest.mark.parametrize("by", [0, 1])
def test_i3_of_two_welcomes_one_goes_on(
    house: House, two: tuple[dict[str, Any], dict[str, Any]], by: int
) -> None:
    standing = join(house, two[by])
    assert set(CandidateEmail.objects.values_list("candidate_id", flat=True)) == {standing.pk}
    active = Enrolment.objects.filter(status=EnrolmentStatus.ACTIVE)
    assert [row.candidate_id for row in active] == [standing.pk]
    assert Merge.objects.get().kept_id == standing.pk
    weeks_later(house)
    steps = sorted(m["headers"]["x-warmline-step"] for m in house.mails())
    assert steps == ["welcome/1", "welcome/1", "welcome/2", "welcome/3"]


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("by", [0, 1])
@pytest.mark.parametrize("how", ["link", "complaint", "do_not_contact"])
def test_i3_an_opt_out_on_either_side_wins(
    house: House, two: tuple[dict[str, Any], dict[str, Any]], who: int, by: int, how: str
) -> None:
    person = candidate_of(two[who])
    if how == "link":
        assert unsubscribe(house.runtime, Message.objects.get(candidate=person).pk, how="page")
    elif how == "complaint":
        suppress_candidate(person, SuppressionReason.COMPLAINED, source="mail", now=house.clock())
    else:
        house.does("update_candidate", two[who]["candidate_id"], can_email=False)
        house.settle()
    standing = join(house, two[by])
    addresses = set(Suppression.objects.values_list("address", flat=True))
    assert addresses == {"ada@example.com", "ada@work.example.com"}
    assert standing.do_not_contact == (how == "do_not_contact")
    weeks_later(house)
    assert len(house.mails()) == 2
    house.apply(email="ada@example.com", job_id=4003)
    house.settle()
    weeks_later(house)
    assert len(house.mails()) == 2


def test_i3_a_merge_in_the_ats_is_one_person_here(
    house: House, two: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    house.does("merge", two[0]["candidate_id"], two[1]["candidate_id"])
    house.settle()
    standing = Candidate.objects.get(merged_into=None)
    assert Enrolment.objects.filter(status=EnrolmentStatus.ACTIVE).count() == 1
    assert CandidateEmail.objects.filter(candidate=standing).count() == 2
    assert Application.objects.filter(candidate=standing).count() == 2
    weeks_later(house)
    steps = sorted(m["headers"]["x-warmline-step"] for m in house.mails())
    assert steps == ["welcome/1", "welcome/1", "welcome/2", "welcome/3"]
    contact = ExternalId.objects.filter(connection="crm", contact=True, gone_at=None)
    assert contact.count() == 1


def test_the_journal_of_a_merge_names_every_row_that_went_over(
    house: House, two: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    folded = max(candidate_of(two[0]).pk, candidate_of(two[1]).pk)
    models = {"candidateemail": CandidateEmail, "application": Application, "event": Event,
              "action": Action}  # fmt: skip
    before = {
        name: set(model._default_manager.filter(candidate=folded).values_list("pk", flat=True))
        for name, model in models.items()
    }
    records = set(ExternalId.objects.filter(candidate=folded).values_list("pk", flat=True))
    join(house, two[0])
    entry = Merge.objects.get()
    assert entry.folded_id == folded
    assert entry.evidence
    moved: dict[str, set[int]] = {}
    for change in entry.journal or []:
        if "candidate_id" in change.get("set", {}):
            moved.setdefault(change["model"], set()).update(change["ids"])
    for name, ids in before.items():
        assert moved[name] == ids
    assert moved["externalid"] == records


def test_a_merge_heard_twice_is_one_merge(
    house: House, two: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    with house.box.greenhouse.captured() as webhooks:
        house.box.greenhouse.merge(two[0]["candidate_id"], two[1]["candidate_id"])
    house.deliver(webhooks)
    house.settle()
    before = state("as_of")
    for headers, body in webhooks:
        house.receive("ats", {**headers, "Greenhouse-Event-ID": f"x{len(body)}"}, body)
    house.settle()
    assert state("as_of") == before


# Imports


EXPORT_DAY = datetime(2026, 11, 2, 9, tzinfo=UTC)


def test_an_import_of_the_starters_export_enrols_nobody(house: House) -> None:
    house.clock.at = EXPORT_DAY
    assert poll(house.runtime, "export", channel=Channel.IMPORT) == 4
    house.settle()
    nothing_failed()
    assert Candidate.objects.count() == Application.objects.count() == 4
    assert Event.objects.filter(kind=EventKind.APPLICATION_SUBMITTED).count() == 4
    assert Action.objects.count() == Enrolment.objects.count() == Message.objects.count() == 0
    assert house.contacts() == house.mails() == []


def test_an_import_again_brings_nothing_new(house: House) -> None:
    house.clock.at = EXPORT_DAY
    poll(house.runtime, "export", channel=Channel.IMPORT)
    house.settle()
    before, events = state(), table(Event)
    house.clock.move(days=1)
    assert poll(house.runtime, "export", channel=Channel.IMPORT) == 0
    path = house.folder / "data" / "candidates.csv"
    path.write_text(path.read_text())  # another time, the same rows
    assert poll(house.runtime, "export", channel=Channel.IMPORT) == 0
    house.settle()
    assert state() == before
    assert table(Event) == events


def test_an_import_welcomes_nobody_for_an_old_application_even_where_a_trigger_asks(
    house: House,
) -> None:
    path = house.folder / "warmline.yaml"
    row = "  - {on: application.submitted, from: ats, do: sequence.enrol"
    text = path.read_text()
    assert row in text
    path.write_text(text.replace(row, row.replace("from: ats", "name: old, from: export")))
    house.clock.at = EXPORT_DAY
    runtime = build(load(house.folder), now=house.clock)
    poll(runtime, "export", channel=Channel.IMPORT)
    while interpret.drain(runtime, "export"):
        pass
    runtime.close()
    asked = Action.objects.filter(trigger="old")
    assert {(a.status, a.reason[:12]) for a in asked} == {("skipped", "not enrolled")}
    assert asked.count() == 4
    assert Enrolment.objects.count() == Message.objects.count() == 0
