"""What we write to the ATS comes back by webhook and by poll: it changes nothing (I7)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import House
from warmline.core.actions import Action as CoreAction
from warmline.core.actions import ActionKind
from warmline.core.outcomes import OutcomeKind
from warmline.flows.opt_out import suppress_candidate
from warmline.flows.reconcile import poll
from warmline.store.db import writing
from warmline.store.models import (
    Action,
    Candidate,
    Delivery,
    Enrolment,
    Event,
    ExternalId,
    Message,
    Suppression,
)
from warmline.store.statuses import ActionStatus, SuppressionReason, lane_of

FLAG, STOP = ActionKind.CANDIDATE_FLAG, ActionKind.CANDIDATE_DO_NOT_CONTACT


def unsubscribed(house: House) -> Candidate:
    candidate = Candidate.objects.get()
    with writing():
        suppress_candidate(
            candidate, SuppressionReason.UNSUBSCRIBED, source="warmline", now=house.clock()
        )
    return candidate


def written(house: House, kind: ActionKind, record: int, status: ActionStatus) -> None:
    """The action as the ledger has it, and carried out at Greenhouse."""
    candidate, now = Candidate.objects.get(), house.clock()
    Action.objects.create(
        key=f"{kind}|1",
        trigger="way back",
        kind=kind,
        target="ats",
        candidate=candidate,
        event=Event.objects.earliest("id"),
        planned_at=now,
        due_at=now,
        lane=lane_of(candidate.pk),
        status=status,
        finished_at=now,
    )
    fields = {"click_date": "2026-03-02", "unsubscribe_date": "2026-03-02"}
    core = CoreAction(f"{kind}|1", kind, candidate.pk, fields=fields, records=(str(record),))
    (outcome,) = house.runtime.connectors["ats"].apply([core])
    assert outcome.kind is OutcomeKind.DONE


def state() -> dict[str, Any]:
    return {
        "candidates": list(
            Candidate.objects.values("pk", "tags", "do_not_contact", "opted_out", "merged_into")
        ),
        "records": list(ExternalId.objects.values("external_id", "do_not_contact")),
        "suppressed": list(Suppression.objects.values("address", "reason", "source")),
        "applied": Event.objects.filter(effect="applied").count(),
        "actions": list(Action.objects.order_by("id").values("key", "status")),
        "enrolments": list(Enrolment.objects.values("sequence", "status")),
        "messages": list(Message.objects.values("step", "status")),
    }


def come_back(house: House, record: int) -> None:
    """As a webhook and by poll."""
    house.clock.move(minutes=1)
    house.does("update_candidate", record)
    house.settle()
    poll(house.runtime, "ats")
    house.settle()


@pytest.mark.parametrize("status", [ActionStatus.DONE, ActionStatus.REFUSED, ActionStatus.UNKNOWN])
def test_i7_our_do_not_contact_comes_back_and_is_no_recruiters_mark(
    house: House, status: ActionStatus
) -> None:
    record = house.apply()["candidate_id"]
    house.settle()
    unsubscribed(house)
    written(house, STOP, record, status)
    row = house.box.greenhouse.world.candidates.rows[record]
    assert (row["can_email"], row["tags"][-1]) == (False, "do-not-contact")
    Action.objects.filter(kind=STOP).update(due_at=house.clock() + timedelta(days=1))
    before = state()
    come_back(house, record)
    assert state() == before
    assert before["candidates"][0]["do_not_contact"] is False
    assert not Delivery.objects.exclude(status="interpreted").exists()


def test_i7_our_flag_comes_back_and_sets_off_nothing(house: House) -> None:
    record = house.apply()["candidate_id"]
    house.settle()
    written(house, FLAG, record, ActionStatus.DONE)
    assert "warmline:re-engaged" in house.box.greenhouse.world.candidates.rows[record]["tags"]
    before = state()
    come_back(house, record)
    assert state() == before
    assert before["candidates"][0]["tags"] == []


def test_a_recruiters_mark_on_somebody_who_unsubscribed_is_taken_where_we_wrote_none(
    house: House,
) -> None:
    record = house.apply()["candidate_id"]
    house.settle()
    unsubscribed(house)
    house.does("update_candidate", record, can_email=False)
    house.settle()
    assert Candidate.objects.get().do_not_contact is True
    assert ExternalId.objects.get(external_id=str(record)).do_not_contact is True


def test_our_tags_are_those_of_the_segments_and_of_the_connections(house: House) -> None:
    assert {"warmline:archived", "warmline:re-engaged", "do-not-contact"} <= house.runtime.own_tags
