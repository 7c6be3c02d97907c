"""What happens between a merge and its undo, and news that comes in the worst order."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.conftest import House
from tests.flows.test_merges import mailable
from warmline.core.errors import WarmlineError
from warmline.core.matching import phone_key
from warmline.flows import interpret, likeness, review, tag_all
from warmline.flows.merge import fold
from warmline.flows.nurture import tick
from warmline.flows.opt_out import suppress, suppress_candidate
from warmline.flows.placing import placements
from warmline.ports import Channel
from warmline.store.models import (
    Action,
    Candidate,
    CandidateEmail,
    Delivery,
    Enrolment,
    ExternalId,
    IdentityKey,
    Merge,
    Message,
    Segmentation,
    Suppression,
)
from warmline.store.statuses import ActionStatus, SuppressionReason


def of(row: dict[str, Any]) -> Candidate:
    record = ExternalId.objects.get(connection="ats", external_id=str(row["candidate_id"]))
    return record.candidate.merged_into or record.candidate


def polled(house: House, *candidates: dict[str, Any]) -> None:
    for candidate in candidates:
        Delivery.objects.create(
            connection="ats", key=f"polled {Delivery.objects.count()}", channel=Channel.POLL,
            stream="candidates", body=json.dumps({"candidate": candidate}).encode(),
            received_at=house.clock(),
        )  # fmt: skip
    while interpret.drain(house.runtime, "ats"):
        pass


def written(value: str) -> list[dict[str, str]]:
    return [{"value": value, "type": "personal"}]


@pytest.fixture
def pair(house: House) -> tuple[dict[str, Any], dict[str, Any]]:
    ada = house.apply(first_name="Ada", last_name="Lind", email="ada@example.com")
    bo = house.apply(first_name="Bo", last_name="Quist", email="bo@example.com")
    house.settle()
    return ada, bo


def folded(house: House, pair: tuple[dict[str, Any], dict[str, Any]]) -> Merge:
    ada, bo = of(pair[0]), of(pair[1])
    merge = fold(ada, bo, evidence="a mistake", now=house.clock())
    house.clock.move(hours=1)
    return merge


def test_i5_an_address_learned_while_they_were_one_goes_back_to_whoever_said_no(
    house: House, pair: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    ada, bo = of(pair[0]), of(pair[1])
    suppress_candidate(bo, SuppressionReason.UNSUBSCRIBED, source="crm", now=house.clock())
    merge = folded(house, pair)
    house.does(
        "update_candidate", pair[1]["candidate_id"], email_addresses=written("bo2@example.com")
    )
    house.settle()
    review.undo(house.runtime, merge.pk, who="ada")
    assert CandidateEmail.objects.get(normal="bo2@example.com").candidate == bo
    assert mailable() == {"ada@example.com"}
    names = dict(Candidate.objects.values_list("pk", "first_name"))
    assert names == {ada.pk: "Ada", bo.pk: "Bo"}
    house.clock.move(days=3)
    house.settle()
    assert house.mails("bo2@example.com") == []


def test_i11_somebody_deleted_while_they_were_one_is_gone_after_the_undo(
    house: House, pair: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    bo = of(pair[1])
    merge = folded(house, pair)
    house.does("delete_candidate", pair[1]["candidate_id"])
    house.settle()
    review.undo(house.runtime, merge.pk, who="ada")
    bo.refresh_from_db()
    assert bo.erased_at is not None
    before = len(house.mails("bo@example.com"))
    for _ in range(4):
        house.clock.move(days=2)
        house.settle()
    assert len(house.mails("bo@example.com")) == before
    assert len(house.mails("ada@example.com")) == 3


def test_what_the_vendor_merged_meanwhile_is_not_undone_here(
    house: House, pair: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    merge = folded(house, pair)
    house.does("merge", pair[1]["candidate_id"], pair[0]["candidate_id"])
    house.settle()
    gone = ExternalId.objects.exclude(gone_at=None).filter(connection="ats").get()
    if gone.external_id == str(pair[1]["candidate_id"]):
        with pytest.raises(WarmlineError, match="one record in ats"):
            review.undo(house.runtime, merge.pk, who="ada")
    else:
        review.undo(house.runtime, merge.pk, who="ada")
        assert of(pair[0]).erased_at is None or of(pair[1]).erased_at is None


def test_i3_a_mail_planned_while_they_were_one_goes_to_its_own_reader(
    house: House, pair: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    ada, bo = of(pair[0]), of(pair[1])
    Message.objects.filter(candidate=ada).delete()
    Enrolment.objects.filter(candidate=ada).delete()
    merge = folded(house, pair)
    due = Enrolment.objects.get().next_due_at
    assert due is not None
    house.clock.at = due + timedelta(minutes=1)
    tick(house.runtime)  # planned, and not yet sent
    assert Message.objects.get(step=2).candidate == ada
    review.undo(house.runtime, merge.pk, who="ada")
    assert Message.objects.get(step=2).candidate == bo
    house.settle()
    assert [m["to"] for m in house.mails() if m["headers"]["x-warmline-step"] == "welcome/2"] == [
        ["bo@example.com"]
    ]


def test_i5_a_no_after_a_bounce_holds_for_an_address_that_comes_later(house: House) -> None:
    row = house.apply(email="ada@example.com")
    house.settle()
    now = house.clock()
    suppress(["ada@example.com"], SuppressionReason.BOUNCED, source="mail", now=now)
    suppress_candidate(of(row), SuppressionReason.UNSUBSCRIBED, source="crm", now=now)
    assert Suppression.objects.get().reason == SuppressionReason.UNSUBSCRIBED
    house.clock.move(hours=1)
    house.does("update_candidate", row["candidate_id"], email_addresses=written("ada2@example.com"))
    house.settle()
    assert mailable() == set()
    assert Suppression.objects.filter(address="ada2@example.com").exists()


def test_i5_a_no_of_somebody_without_an_address_holds_for_the_first_one(house: House) -> None:
    now = house.clock()
    one = Candidate.objects.create(first_name="A", last_name="B", as_of=now, created_at=now)
    ExternalId.objects.create(candidate=one, connection="ats", external_id="9001")
    suppress_candidate(one, SuppressionReason.UNSUBSCRIBED, source="crm", now=now)
    house.clock.move(hours=1)
    at = house.clock().isoformat()
    polled(house, {"id": 9001, "email_addresses": written("ab@example.com"), "updated_at": at})
    assert CandidateEmail.objects.get().candidate == one
    assert mailable() == set()


def test_a_late_word_of_a_late_stage_makes_a_silver_medalist(house: House) -> None:
    row = house.apply()
    house.settle()
    told = []
    for verb, what in (("move", "Final Interview"), ("move", "Phone Screen"), ("reject", None)):
        house.clock.move(hours=1)
        with house.box.greenhouse.captured() as webhooks:
            getattr(house.box.greenhouse, verb)(row["id"], *filter(None, [what]))
        told.append(webhooks)
    for webhooks in (told[1], told[2], told[0]):
        house.deliver(webhooks)
        house.settle()
    pk = of(row).pk
    assert Segmentation.objects.get().segment == "silver_medalist"
    assert placements(house.runtime, [pk], house.clock())[pk].segment == "silver_medalist"


def test_i10_a_tag_whose_answer_was_lost_is_not_forgotten_when_somebody_moves_back(
    house: House,
) -> None:
    row = house.apply()
    house.settle()
    house.box.greenhouse.faults.add(
        {
            "kind": "timeout_after",
            "seconds": 0.1,
            "method": "POST",
            "count": 1,
            "path": "/applied_candidate_tags",
        }
    )
    house.clock.move(hours=1)
    house.does("reject", row["id"])
    house.settle()
    house.apply(candidate_id=row["candidate_id"], job_id=4003)  # before it is tried again
    house.settle()
    for _ in range(5):
        house.clock.move(hours=1)
        house.settle()
    found = house.box.greenhouse.world.candidates.rows[row["candidate_id"]]["tags"]
    assert [tag for tag in found if tag.startswith("warmline:")] == ["warmline:active_applicant"]
    assert not tag_all.lacking("ats").exists()


def test_a_record_that_says_nothing_new_is_tagged_too(house: House) -> None:
    house.apply(email="ada@example.com")
    house.settle()
    house.clock.move(hours=1)
    with house.box.greenhouse.captured():
        two = house.box.greenhouse.add_prospect(
            {"first_name": "Ada", "last_name": "Lind", "email": "ada@example.com"}
        )
    polled(house, {
        "id": two["candidate_id"], "first_name": "Ada", "last_name": "Lind",
        "email_addresses": written("ada@example.com"), "updated_at": house.clock().isoformat(),
    })  # fmt: skip
    house.settle()
    assert not tag_all.lacking("ats").exists()


def test_a_nameless_record_at_a_role_address_is_nobodys_double(house: House) -> None:
    house.apply(first_name="Ada", last_name="Lind", email="jobs@agency.example")
    house.settle()
    for name in ("", "Boris"):
        house.clock.move(hours=1)
        polled(house, {
            "id": 777001, "first_name": name, "last_name": name and "Okafor",
            "email_addresses": written("jobs@agency.example"),
            "updated_at": house.clock().isoformat(),
        })  # fmt: skip
    named = Candidate.objects.values_list("first_name", flat=True)
    assert set(named) == {"Ada", "Boris"} or Candidate.objects.count() == 1
    assert Candidate.objects.exclude(first_name="Boris").get().first_name == "Ada"


def test_a_tag_refused_once_and_written_since_is_not_told_for_ever(house: House) -> None:
    row = house.apply()
    house.settle()
    ExternalId.objects.filter(connection="ats").update(segment="")
    tag_all.plan_tags(house.runtime, "ats")
    Action.objects.filter(trigger=tag_all.TRIGGER).update(status=ActionStatus.REFUSED)
    assert tag_all.refused("ats").count() == 1
    house.clock.move(hours=1)
    house.does("reject", row["id"])
    house.settle()
    assert tag_all.refused("ats").count() == 0


def test_a_switchboards_number_is_counted_and_not_read(house: House) -> None:
    now, number = house.clock(), "+44 20 7946 0018"
    crowd = Candidate.objects.bulk_create(
        Candidate(last_name=f"L{i}", phones=[number], as_of=now, created_at=now) for i in range(300)
    )
    IdentityKey.objects.bulk_create(
        IdentityKey(candidate=c, kind="phone", value=phone_key(number)) for c in crowd
    )
    one = Candidate.objects.create(last_name="L", phones=[number], as_of=now, created_at=now)
    with CaptureQueriesContext(connection) as asked:
        assert likeness.find([one]) == []
    assert not any("JOIN" in q["sql"] and "LIMIT" not in q["sql"] and "COUNT" not in q["sql"]
                   and '"warmline_candidate"."last_name"' in q["sql"] and "phone" in q["sql"]
                   and phone_key(number) in q["sql"] for q in asked.captured_queries)  # fmt: skip
