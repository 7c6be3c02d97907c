"""What was deleted or merged in the ATS while no webhook came."""

from __future__ import annotations

from tests.conftest import House
from warmline.flows.absent import BELIEVED_AFTER, RECORDS_A_LOOK, look_for_missing
from warmline.store.models import Application, Candidate, Cursor, Event, ExternalId, Incident


def look(house: House, times: int = 2, *, records: int = RECORDS_A_LOOK) -> None:
    """So many looks, each long enough after the one before."""
    for _ in range(times):
        look_for_missing(house.runtime, "ats", records=records)
        house.clock.at += BELIEVED_AFTER
    house.settle()


def test_a_deletion_without_a_webhook_is_found_and_believed_the_second_time(house: House) -> None:
    row = house.apply()
    stays = house.apply(email="bo@example.com")
    house.settle()
    house.box.greenhouse.delete_candidate(row["candidate_id"])
    look(house, 1)
    assert not Candidate.objects.exclude(erased_at=None).exists()
    look(house, 1)
    gone = ExternalId.objects.get(external_id=str(row["candidate_id"]))
    assert gone.gone_at is not None
    assert gone.candidate.erased_at is not None
    here = ExternalId.objects.get(external_id=str(stays["candidate_id"]))
    assert here.gone_at is None
    events = Event.objects.filter(kind="candidate.deleted")
    assert [e.word for e in events] == ["candidates.absent"]
    house.clock.move(days=10)
    house.settle()
    assert len(house.mails("ada.lind@example.com")) == 1  # the receipt, and no more


def test_a_webhook_that_comes_after_all_changes_nothing(house: House) -> None:
    row = house.apply()
    house.settle()
    with house.box.greenhouse.captured() as late:
        house.box.greenhouse.delete_candidate(row["candidate_id"])
    look(house)
    erased = Candidate.objects.get().erased_at
    house.deliver(late)
    house.settle()
    assert Candidate.objects.get().erased_at == erased
    assert Event.objects.filter(kind="candidate.deleted").count() == 1


def test_a_merge_without_a_webhook_is_followed(house: House) -> None:
    one = house.apply(email="ada@example.com")
    two = house.apply(email="ada@work.example")
    house.settle()
    assert Candidate.objects.filter(merged_into=None).count() == 2
    house.box.greenhouse.merge(two["candidate_id"], one["candidate_id"])
    look(house)
    standing = Candidate.objects.get(merged_into=None)
    assert Application.objects.filter(candidate=standing).count() == 2


def test_what_is_there_again_is_forgotten(house: House) -> None:
    row = house.apply()
    house.settle()
    house.box.greenhouse.world.hidden.add(row["candidate_id"])
    look(house, 3)
    house.box.greenhouse.world.hidden.clear()
    look(house, 1)
    assert Candidate.objects.get().erased_at is None
    assert not Cursor.objects.filter(stream__startswith="absent:").exists()


def test_so_many_missing_at_once_are_rights_that_were_lost(house: House) -> None:
    for number in range(12):
        house.apply(email=f"p{number}@example.com")
    house.settle()
    world = house.box.greenhouse.world
    for table in ("candidates", "applications"):
        world.tables[table].rows.clear()
    look(house)
    assert not Candidate.objects.exclude(erased_at=None).exists()
    assert Incident.objects.get(key="ats:absent").reason


def test_it_goes_round_and_round(house: House) -> None:
    rows = [house.apply(email=f"p{number}@example.com") for number in range(5)]
    house.settle()
    house.box.greenhouse.delete_candidate(rows[4]["candidate_id"])
    look(house, 3, records=2)  # 0 and 1, 2 and 3, 4
    assert Cursor.objects.get(stream="absent").position == ""
    look(house, 3, records=2)
    assert Candidate.objects.exclude(erased_at=None).count() == 1
