"""What was deleted or merged in the ATS while no webhook came."""

from __future__ import annotations

from tests.conftest import House
from warmline.flows.absent import BELIEVED_AFTER, RECORDS_A_LOOK, look_for_missing
from warmline.store.models import Application, Candidate, Cursor, Event, ExternalId, Incident


def look(house: House, times: int = 2, *, records: int = RECORDS_A_LOOK, name: str = "ats") -> None:
    """So many looks, each long enough after the one before."""
    for _ in range(times):
        look_for_missing(house.runtime, name, records=records)
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


# In the CRM


def contact_of(email: str) -> ExternalId:
    return ExternalId.objects.get(connection="crm", candidate__emails__normal=email)


def test_a_contact_deleted_without_a_webhook_is_gone_and_the_person_is_not(house: House) -> None:
    house.apply(email="ada@example.com")
    house.apply(email="bo@example.com", first_name="Bo", last_name="Moe")
    house.settle()
    with house.box.hubspot.captured() as late:
        house.box.hubspot.delete("ada@example.com")
    look(house, 1, name="crm")
    assert contact_of("ada@example.com").gone_at is None
    look(house, 1, name="crm")
    assert contact_of("ada@example.com").gone_at is not None
    assert contact_of("bo@example.com").gone_at is None
    assert not Candidate.objects.exclude(erased_at=None).exists()
    url = f"{house.runtime.project.public_url}/in/crm"
    house.receive("crm", *house.box.hubspot.build_webhook(late, url))
    house.settle()
    told = Event.objects.filter(kind="candidate.deleted").order_by("id")
    assert [one.effect for one in told] == ["applied", "no_change"]


def test_a_contact_merged_without_a_webhook_is_followed(house: House) -> None:
    house.apply(email="ada@example.com")
    house.settle()
    old = contact_of("ada@example.com").external_id
    house.box.hubspot.create("ada@old.example.com")
    new = house.box.hubspot.merge("ada@example.com", "ada@old.example.com")["id"]
    look(house, name="crm")
    assert ExternalId.objects.get(external_id=old).gone_at is not None
    row = ExternalId.objects.get(connection="crm", gone_at=None)
    assert (row.external_id, row.contact) == (new, True)
    assert Candidate.objects.count() == 1


def test_another_hubspot_account_deletes_nobody(house: House) -> None:
    for number in range(12):
        house.apply(email=f"p{number}@example.com", first_name=f"P{number}", last_name="Q")
    house.settle()
    for number in range(12):
        house.box.hubspot.delete(f"p{number}@example.com")
    look(house, 3, name="crm")
    assert not ExternalId.objects.filter(connection="crm").exclude(gone_at=None).exists()
    assert "too few to believe" in Incident.objects.get(key="crm:absent").reason
