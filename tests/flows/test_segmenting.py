"""Every candidate in one segment and tagged with it, as things happen and as time passes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.conftest import House
from warmline.core.engagement import CONFIDENCE, HUMAN
from warmline.core.errors import Throttled
from warmline.core.events import EventKind
from warmline.core.segments import Segment
from warmline.flows import first_sync, interpret, tag_all
from warmline.flows.everybody import survey
from warmline.flows.reconcile import history_is_read, read_history
from warmline.flows.runtime import build
from warmline.flows.segment import counts
from warmline.store.models import (
    Action,
    Candidate,
    Cursor,
    Delivery,
    Enrolment,
    Event,
    ExternalId,
    Incident,
    Message,
    Segmentation,
)
from warmline.store.statuses import ActionStatus, EnrolmentStatus, MessageStatus

TAG = "warmline:{}".format


def tags(house: House, candidate_id: int) -> set[str]:
    return set(house.box.greenhouse.world.candidates.rows[candidate_id]["tags"])


def standing() -> Segmentation:
    return Segmentation.objects.get()


def test_a_candidate_is_placed_and_tagged_as_things_happen(house: House) -> None:
    row = house.apply()
    who = row["candidate_id"]
    house.does("update_candidate", who, tags=["baker"])
    house.settle()
    assert (standing().segment, standing().rule) == (Segment.ACTIVE_APPLICANT, "in a pipeline")
    assert tags(house, who) == {"baker", TAG("active_applicant")}
    house.clock.move(days=3)
    house.does("move", row["id"], "Final Interview")
    house.clock.move(days=1)
    house.does("reject", row["id"])
    house.settle()
    now = standing()
    assert now.segment == Segment.SILVER_MEDALIST
    assert now.evidence["reached"] == "final"
    assert tags(house, who) == {"baker", TAG("silver_medalist")}
    moves = Event.objects.filter(kind=EventKind.CANDIDATE_SEGMENTED).order_by("id")
    assert [(e.fields["before"], e.fields["segment"]) for e in moves] == [
        ("", "active_applicant"), ("active_applicant", "silver_medalist"),
    ]  # fmt: skip
    assert all(e.fields["rule"] for e in moves)


def test_every_record_of_a_person_is_tagged_whichever_way_it_became_theirs(house: House) -> None:
    one = house.apply(email="ada@example.com")
    house.settle()
    two = house.apply(email="ada@example.com", job_id=4003)  # a second record, the same segment
    three = house.apply(email="ada@work.example", link="https://linkedin.com/in/ada")
    house.settle()
    house.does("reject", three["id"])
    house.settle()
    assert tags(house, two["candidate_id"]) == {TAG("active_applicant")}
    assert tags(house, three["candidate_id"]) == {TAG("archived")}
    house.clock.move(hours=1)
    house.does("update_candidate", one["candidate_id"],
               social_media_addresses=[{"value": "https://linkedin.com/in/ada"}])  # fmt: skip
    house.settle()
    assert Candidate.objects.filter(merged_into=None).count() == 1
    for row in (one, two, three):
        assert tags(house, row["candidate_id"]) == {TAG("active_applicant")}


def test_somebody_rejected_early_is_archived_and_a_medal_is_not_lost_by_a_move_back(
    house: House,
) -> None:
    early = house.apply(email="early@example.com")
    late = house.apply(email="late@example.com")
    for stage in ("Offer", "Phone Screen"):  # a slip of the mouse, and back
        house.clock.move(hours=1)
        house.does("move", late["id"], stage)
    house.does("reject", early["id"])
    house.does("reject", late["id"])
    house.settle()
    by_rule = dict(Segmentation.objects.values_list("rule", "segment"))
    assert by_rule == {
        "rejected before a late stage": "archived",
        "reached a late stage, not hired": "silver_medalist",
    }


def test_time_alone_archives_and_no_webhook_is_needed(house: House) -> None:
    row = house.apply()
    house.settle()
    house.clock.move(days=729)
    house.settle()
    assert standing().segment == Segment.ACTIVE_APPLICANT
    house.clock.move(days=2)
    house.settle()
    assert (standing().segment, standing().rule) == (Segment.ARCHIVED, "quiet for long")
    assert tags(house, row["candidate_id"]) == {TAG("archived")}
    cause = Event.objects.filter(kind=EventKind.CANDIDATE_SEGMENTED).latest("id").delivery
    assert (cause.connection, cause.channel) == ("warmline", "clock")


def test_i7_the_tag_that_comes_back_as_a_webhook_changes_nothing(house: House) -> None:
    row = house.apply()
    house.settle()
    with house.box.greenhouse.captured() as echoes:  # what Greenhouse tells of a tag
        house.box.greenhouse.update_candidate(row["candidate_id"])
    assert TAG("active_applicant").encode() in echoes[0][1]
    before = (
        list(Candidate.objects.values("tags")),
        Event.objects.filter(effect="applied").count(),
    )
    writes = house.box.greenhouse.world.tagging.writes.total()
    house.clock.move(minutes=1)
    house.deliver(echoes)
    house.settle()
    assert before == (
        list(Candidate.objects.values("tags")), Event.objects.filter(effect="applied").count()
    )  # fmt: skip
    assert house.box.greenhouse.world.tagging.writes.total() == writes
    assert not Delivery.objects.exclude(status="interpreted").exists()


def test_archived_people_are_never_exported_and_their_contact_is_kept_right(house: House) -> None:
    row = house.apply()
    Segmentation.objects.all().delete()
    with house.box.greenhouse.captured() as webhooks:
        house.box.greenhouse.reject(row["id"])
    house.deliver(webhooks)
    house.settle()  # applied and rejected before anything was exported
    export = Action.objects.get(kind="contact.upsert")
    assert export.status == ActionStatus.SKIPPED
    assert export.reason == "archived (rejected before a late stage): never exported"
    assert house.contacts() == []
    two = house.apply(email="bo@example.com")
    house.settle()
    assert len(house.contacts()) == 1
    house.does("reject", two["id"])
    house.clock.move(hours=1)
    house.does("update_candidate", two["candidate_id"], first_name="Bo")
    third = house.apply(candidate_id=two["candidate_id"], job_id=4003)
    house.settle()
    assert len(house.contacts()) == 1
    assert third["id"]


def prospect(house: House, **person: Any) -> Candidate:
    with house.box.greenhouse.captured() as webhooks:
        house.box.greenhouse.add_prospect(
            {"first_name": "Pia", "last_name": "Berg", "email": "pia@example.com", **person}
        )
    house.deliver(webhooks)
    house.settle()
    return Candidate.objects.latest("id")


# The first sync


@pytest.fixture
def closed(house: House) -> House:
    """Before `segment --apply` has ever run."""
    Cursor.objects.filter(connection="warmline").delete()
    house.runtime.first_sync_allowed = False
    return house


def test_nothing_is_exported_or_mailed_before_everybody_is_tagged(closed: House) -> None:
    house = closed
    row = house.apply()
    house.settle()
    assert house.contacts() == house.mails() == []
    assert tags(house, row["candidate_id"]) == {TAG("active_applicant")}  # that may go
    incident = Incident.objects.get(key="first-sync")
    assert "segment --apply" in incident.hint
    assert apply(house) == Counter(waiting=0, refused=0)
    house.settle()
    assert len(house.contacts()) == len(house.mails()) == 1
    assert Incident.objects.get(key="first-sync").status == "resolved"


def read(house: House) -> None:
    read_history(house.runtime, "ats")
    while interpret.drain(house.runtime, "ats"):
        pass


def apply(house: House, *, stop_after: int = 0) -> Counter[str]:
    """What `segment --apply` does, on the virtual clock."""
    runtime = house.runtime
    survey(runtime, write=True)
    tag_all.plan_tags(runtime, "ats")
    written = house.box.greenhouse.world.tagging.writes
    before = written.total()

    def told(_: int) -> None:
        if stop_after and written.total() - before >= stop_after:
            runtime.stopping.set()

    left = tag_all.write_tags(
        runtime, "ats", sleep=lambda s: house.clock.move(seconds=s), told=told
    )
    if not left:
        first_sync.allow(house.clock())
    return Counter(waiting=left, refused=tag_all.refused("ats").count())


def test_the_whole_history_is_read_and_sets_off_nothing(closed: House) -> None:
    house = closed
    people = house.box.greenhouse.add_history(60, seed=3)
    read(house)
    assert history_is_read("ats")
    assert Candidate.objects.count() == len(people)
    assert sum(counts().values()) == len(people)
    assert {s for s, n in counts().items() if n} == set(Segment)
    since = house.clock() - interpret.HISTORY_AFTER
    for action in Action.objects.select_related("event"):  # of today's news, nothing else
        assert action.event.occurred_at >= since
    upserts = Action.objects.filter(kind="contact.upsert")
    assert len(set(upserts.values_list("candidate", flat=True))) < 3
    assert read_history(house.runtime, "ats") == 0  # it is read once


def test_a_vendor_that_asks_to_wait_is_waited_for_until_all_is_read(closed: House) -> None:
    house = closed
    greenhouse = house.box.greenhouse
    people = greenhouse.add_history(60, seed=3)
    greenhouse.rate_limit = 9  # calls in 30 seconds
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        house.clock.move(seconds=seconds)

    with pytest.raises(Throttled):
        read_history(house.runtime, "ats")
    assert not history_is_read("ats")
    read_history(house.runtime, "ats", sleep=sleep)
    assert history_is_read("ats")
    assert slept
    while interpret.drain(house.runtime, "ats"):
        pass
    assert Candidate.objects.count() == len(people)


def test_an_application_of_a_moment_ago_is_welcomed_though_the_history_read_it_first(
    house: House,
) -> None:
    with house.box.greenhouse.captured() as webhooks:
        house.box.greenhouse.apply(
            {"first_name": "Ada", "last_name": "Lind", "email": "ada@example.com"}, 4001
        )
    house.clock.move(seconds=20)
    read(house)
    house.deliver(webhooks)
    house.settle()
    assert len(house.mails("ada@example.com")) == 1
    assert len(house.contacts()) == 1


def test_a_dry_run_writes_nothing_and_says_who_would_move(closed: House) -> None:
    house = closed
    house.box.greenhouse.add_history(60, seed=3)
    read(house)
    Segmentation.objects.filter(segment="archived").update(segment="passive_lead")
    rows = list(Segmentation.objects.order_by("pk").values())
    moved: list[Any] = []
    found = survey(house.runtime, write=False, moved=moved.append)
    assert list(Segmentation.objects.order_by("pk").values()) == rows
    assert not house.box.greenhouse.world.tagging.writes
    assert set(found.moves) == {("passive_lead", Segment.ARCHIVED)}
    assert len(moved) == found.moves.total() == found.counts[Segment.ARCHIVED]
    assert found.candidates == 60
    survey(house.runtime, write=True)
    assert survey(house.runtime, write=False).moves == Counter()
    told = Event.objects.filter(delivery__channel="operator")
    assert told.count() == len(moved)


def test_apply_tags_each_candidate_exactly_once_killed_half_way_and_started_again(
    closed: House, request: pytest.FixtureRequest
) -> None:
    house = closed
    people = house.box.greenhouse.add_history(150, seed=5)
    world = house.box.greenhouse.world
    others = {p["candidate_id"]: tags(house, p["candidate_id"]) for p in people}
    read(house)
    assert apply(house, stop_after=60)["waiting"] > 0
    assert not Cursor.objects.filter(connection="warmline").exists()
    # Another process, with what the ledger and the ATS have.
    ExternalId.objects.filter(segment="archived").update(segment="")  # answers that were lost
    house.runtime = build(house.runtime.project, now=house.clock)
    request.addfinalizer(house.runtime.close)
    Action.objects.filter(status=ActionStatus.CLAIMED).update(status=ActionStatus.PLANNED)
    assert apply(house) == Counter(waiting=0, refused=0)
    assert len(world.tagging.writes) == len(people)
    assert set(world.tagging.writes.values()) == {1}
    assert not world.tagging.removals
    for row in ExternalId.objects.filter(connection="ats"):
        who = int(row.external_id)
        segment = Segmentation.objects.get(candidate=row.candidate_id).segment
        assert row.segment == segment
        assert tags(house, who) == others[who] | {TAG(segment)}
    assert "429" not in house.box.greenhouse.log.as_json()["by_status"]
    assert first_sync.allowed(house.runtime)
    before = world.tagging.writes.total()
    apply(house)
    assert world.tagging.writes.total() == before


# Nurture


def warmed(house: House, who: Candidate, kind: EventKind, **fields: str) -> None:
    """An act of the person's, as the ledger has it."""
    delivery = Delivery.objects.create(
        connection="crm", key=f"act{Event.objects.count()}", channel="webhook", body=b"[]",
        received_at=house.clock(), status="interpreted",
    )  # fmt: skip
    Event.objects.create(
        connection="crm", key=f"act:{delivery.pk}", kind=kind, word="w", delivery=delivery,
        occurred_at=house.clock(), recorded_at=house.clock(), candidate=who, effect="applied",
        fields=fields,
    )  # fmt: skip


def test_a_passive_lead_is_nurtured_above_the_line_only(house: House) -> None:
    lead = prospect(house)
    assert Segmentation.objects.get(pk=lead.pk).segment == Segment.PASSIVE_LEAD
    message = enrolled(house, lead)
    house.settle()
    message.refresh_from_db()
    assert (message.status, message.reason) == (
        MessageStatus.HELD, "the engagement score of 0.0 is under the line of 10",
    )  # fmt: skip
    for _ in range(3):
        warmed(house, lead, EventKind.MESSAGE_CLICKED, **{CONFIDENCE: HUMAN})
    house.clock.move(days=32)  # the clock looks again
    house.settle()
    row = Segmentation.objects.get(pk=lead.pk)
    assert 10 < row.score < 15
    message = enrolled(house, lead, step=2)
    house.settle()
    message.refresh_from_db()
    assert message.status == MessageStatus.HANDED_OFF


def enrolled(house: House, who: Candidate, *, step: int = 1) -> Message:
    event = Event.objects.filter(candidate=who).first()
    assert event is not None
    enrolment, _ = Enrolment.objects.get_or_create(
        candidate=who, sequence="welcome", defaults={
            "version": "v", "event": event, "enrolled_at": house.clock(),
            "status": EnrolmentStatus.FINISHED,
        },
    )  # fmt: skip
    return Message.objects.create(
        enrolment=enrolment, step=step, step_class="marketing", candidate=who,
        planned_at=house.clock(), due_at=house.clock(), lane=who.pk % 32,
    )  # fmt: skip
