"""Not selected after the final round: onto the silver medalists' sequence, and nobody else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.conftest import House
from warmline.store.models import Action, Enrolment, Message


def rejected_at(house: House, stage: str) -> None:
    row = house.apply()
    house.settle()
    house.does("move", row["id"], stage)
    house.clock.move(days=1)
    house.does("reject", row["id"])
    house.settle()


def on_silver() -> list[Enrolment]:
    return list(Enrolment.objects.filter(sequence="silver-medalist"))


def test_a_rejection_after_the_final_round_enrols(house: House) -> None:
    rejected_at(house, "Final Interview")
    (one,) = on_silver()
    assert one.event.kind == "application.rejected"
    assert one.next_due_at == one.enrolled_at + timedelta(days=7)


@pytest.mark.parametrize("stage", ["Phone Screen", "Technical Interview"])
def test_a_rejection_before_the_final_round_does_not(house: House, stage: str) -> None:
    rejected_at(house, stage)
    assert on_silver() == []
    assert not Action.objects.filter(trigger="silver medalist").exists()


def test_the_letters_leave_although_no_application_is_active(house: House) -> None:
    """The welcome is held for somebody who was rejected; this sequence is for them."""
    rejected_at(house, "Final Interview")
    for _ in range(90):
        house.clock.move(days=1)
        house.settle()
    sent = Message.objects.filter(enrolment__in=on_silver(), status="handed_off")
    assert [m.step for m in sent.order_by("step")] == [1, 2, 3, 4]
    welcome = Enrolment.objects.get(sequence="welcome")
    assert (welcome.status, welcome.reason) == ("stopped", "the application was rejected")
    assert [m.step for m in welcome.messages.all()] == [1]


def test_who_applies_again_gets_no_more_of_it(house: House) -> None:
    rejected_at(house, "Final Interview")
    house.clock.move(days=7)
    house.settle()
    house.apply(candidate_id=next(iter(house.box.greenhouse.world.candidates.rows)), job_id=4002)
    house.clock.move(days=23)
    house.settle()
    (one,) = on_silver()
    assert (one.status, one.reason) == ("stopped", "another application is in a pipeline")
    assert [m.step for m in one.messages.filter(status="handed_off")] == [1]
