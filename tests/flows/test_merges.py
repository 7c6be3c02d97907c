"""One identity a person: whatever the order, whatever is merged and taken back, whoever said no."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import models as fields
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import START, House
from warmline.core.candidates import normal_email
from warmline.core.errors import WarmlineError
from warmline.core.events import EventKind
from warmline.core.matching import mailbox_key
from warmline.core.policy import hold
from warmline.core.sequences import StepClass
from warmline.flows import interpret, likeness, review
from warmline.flows.merge import fold, undo
from warmline.flows.opt_out import suppress_candidate
from warmline.flows.standing import state_of
from warmline.ports import Channel
from warmline.store.models import (
    Action,
    Application,
    Candidate,
    CandidateEmail,
    Consent,
    Delivery,
    Enrolment,
    Event,
    ExternalId,
    IdentityKey,
    Likeness,
    Merge,
    Message,
    Preference,
    Suppression,
)
from warmline.store.queries import present
from warmline.store.statuses import (
    EnrolmentStatus,
    LikenessStatus,
    MessageStatus,
    SuppressionReason,
    lane_of,
)

POOL = (
    "ann@example.com", "Ann.Lee@gmail.com", "annlee+jobs@googlemail.com", "ann@work.example",
    "lee@example.org",
)  # fmt: skip
# Hypothesis runs many examples in one test: each is rolled back.
many = settings(
    max_examples=40,
    deadline=None,
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each example is dear: no shrinking
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


# The same news in any order


def record(number: int, version: int, *, emails: list[str], phone: str, can_email: bool) -> bytes:
    at = START + timedelta(hours=10 * version + number)
    candidate = {
        "id": number,
        "first_name": "Ann",
        "last_name": f"Lee {version}" if version else "Lee",
        "email_addresses": [{"value": value, "type": "other"} for value in emails],
        "phone_numbers": [{"value": phone, "type": "mobile"}] if phone else [],
        "can_email": can_email,
        "updated_at": at.isoformat(),
    }
    return json.dumps({"candidate": candidate}).encode()


news = st.lists(
    st.builds(
        lambda number, version, emails, can_email: (number, version, emails, can_email),
        st.integers(1, 5),
        st.integers(0, 2),
        st.lists(st.sampled_from(POOL), max_size=2, unique=True),
        st.sampled_from([True, True, True, False]),
    ),
    min_size=2,
    max_size=8,
    unique_by=lambda told: told[:2],
)


def hear(house: House, bodies: list[bytes], pieces: random.Random) -> None:
    """The polls' records arrive in this order, in batches of any size."""
    now = house.clock() + timedelta(days=3)  # after all that is told
    rows, numbers = iter(bodies), itertools.count()
    while piece := list(itertools.islice(rows, pieces.randint(1, 4))):
        Delivery.objects.bulk_create(
            Delivery(
                connection="ats", key=f"k{next(numbers)}", channel=Channel.POLL,
                stream="candidates", body=body, received_at=now,
            )
            for body in piece
        )  # fmt: skip
        while interpret.drain(house.runtime, "ats"):
            pass
    assert not Delivery.objects.exclude(status="interpreted").exists()


def people() -> set[tuple[Any, ...]]:
    """Everybody as the outside would know them, without our numbers."""
    found = set()
    for one in Candidate.objects.filter(merged_into=None):
        emails = list(
            CandidateEmail.objects.filter(candidate=one).order_by(*CandidateEmail.PREFERRED_FIRST)
        )
        found.add(
            (
                frozenset(ExternalId.objects.filter(candidate=one).values_list("external_id")),
                frozenset(row.normal for row in emails),
                emails[0].normal if emails else "",
                one.name,
                one.do_not_contact,
                one.as_of,
            )
        )
    suppressed = frozenset(Suppression.objects.values_list("address", "reason"))
    return found | {("suppressed", suppressed)}


@many
@given(news, st.randoms(use_true_random=False))
def test_i3_any_order_of_the_same_news_gives_the_same_people(
    house: House, told: list[tuple[int, int, list[str], bool]], dice: random.Random
) -> None:
    bodies = [
        record(number, version, emails=emails, phone="", can_email=can_email)
        for number, version, emails, can_email in told
    ]
    turned = list(bodies)
    dice.shuffle(turned)
    with rolled_back():
        hear(house, bodies, dice)
        first = people()
    with rolled_back():
        hear(house, turned, dice)
        assert people() == first


# Merge, and undo


def person(number: int, dice: random.Random, *, now: datetime) -> Candidate:
    """Somebody with everything that can hang on a candidate."""
    one = Candidate.objects.create(
        first_name=dice.choice(["Ann", ""]), last_name="Lee", tags=dice.sample(["a", "b"], 1),
        phones=dice.sample(["+44 20 7946 0018"], dice.randint(0, 1)), links=[],
        do_not_contact=dice.random() < 0.2, created_at=now - timedelta(days=number),
        as_of=now - timedelta(hours=dice.randint(0, 99)),
        sourced_at=dice.choice([None, now - timedelta(days=dice.randint(1, 900))]),
    )  # fmt: skip
    for rank in range(dice.randint(1, 3)):
        normal = f"p{number}.{rank}@example.com"
        CandidateEmail.objects.create(
            candidate=one, normal=normal, mailbox=mailbox_key(normal), rank=rank
        )
        if dice.random() < 0.2:
            Suppression.objects.create(
                address=normal, reason=dice.choice(["unsubscribed", "bounced"]), source="crm",
                since=now,
            )  # fmt: skip
    delivery = Delivery.objects.create(
        connection="ats", key=f"d{number}", channel=Channel.WEBHOOK, body=b"{}", received_at=now
    )
    for system, contact in (("ats", False), ("crm", True)):
        ExternalId.objects.create(
            candidate=one, connection=system, external_id=f"{system}{number}", contact=contact
        )
    application = Application.objects.create(
        candidate=one, connection="ats", external_id=f"a{number}", as_of=now
    )
    event = Event.objects.create(
        connection="ats", key=f"e{number}", kind=EventKind.APPLICATION_SUBMITTED, word="w",
        record=f"ats{number}", occurred_at=now, recorded_at=now, delivery=delivery, candidate=one,
        application=application,
    )  # fmt: skip
    Action.objects.create(
        key=f"act{number}", trigger="t", kind="contact.upsert", target="crm", candidate=one,
        event=event, planned_at=now, lane=lane_of(one.pk), due_at=now,
    )  # fmt: skip
    IdentityKey.objects.create(candidate=one, kind="phone", value="79460018")
    if dice.random() < 0.5:
        Consent.objects.create(
            candidate=one, basis="express", source="warmline", since=now, event=event
        )
        Preference.objects.create(
            candidate=one, days_between=dice.randint(0, 9), topics_off=dice.sample(["a", "b"], 1),
            paused_until=dice.choice([None, now + timedelta(days=number)]), updated_at=now,
        )  # fmt: skip
    for sequence in dice.sample(["welcome", "silver"], dice.randint(0, 2)):
        enrolment = Enrolment.objects.create(
            candidate=one, sequence=sequence, version="v", application=application, event=event,
            enrolled_at=now, next_step=3, next_due_at=now + timedelta(days=3),
        )  # fmt: skip
        for step in (1, 2):
            Message.objects.create(
                enrolment=enrolment, step=step, step_class=StepClass.MARKETING, candidate=one,
                status=dice.choice(["handed_off", "planned", "held"]), planned_at=now, due_at=now,
                lane=lane_of(one.pk),
            )  # fmt: skip
    return one


TABLES: tuple[type[fields.Model], ...] = (
    Candidate, CandidateEmail, ExternalId, Application, Event, Action, Enrolment, Message,
    Suppression, IdentityKey, Consent, Preference,
)  # fmt: skip


def ledger_rows() -> dict[str, list[dict[str, Any]]]:
    return {
        str(model._meta.model_name): list(model._default_manager.order_by("pk").values())
        for model in TABLES
    }


@many
@given(st.randoms(use_true_random=False), st.booleans())
def test_i3_a_merge_taken_back_leaves_the_ledger_as_it_was(
    house: House, dice: random.Random, turned: bool
) -> None:
    now = house.clock()
    with rolled_back():
        one, other = person(1, dice, now=now), person(2, dice, now=now)
        before = ledger_rows()
        kept, folded = (other, one) if turned else (one, other)
        done = fold(kept, folded, evidence="they share an address", now=now)
        assert Candidate.objects.get(pk=folded.pk).merged_into_id == kept.pk
        assert ledger_rows() != before
        undo(done.pk, who="ada", now=now + timedelta(days=1))
        assert ledger_rows() == before


@many
@given(st.randoms(use_true_random=False))
def test_i3_merges_of_many_taken_back_last_first_leave_the_ledger_as_it_was(
    house: House, dice: random.Random
) -> None:
    now = house.clock()
    with rolled_back():
        everybody = [person(number, dice, now=now) for number in range(1, 6)]
        seen = [ledger_rows()]
        merges = []
        for _ in range(4):
            kept, folded = dice.sample([c for c in everybody if c.merged_into_id is None], 2)
            merges.append(fold(kept, folded, evidence="e", now=now).pk)
            everybody = list(Candidate.objects.order_by("pk"))
            seen.append(ledger_rows())
        for merge in reversed(merges):
            assert ledger_rows() == seen.pop()
            undo(merge, who="ada", now=now)
        assert ledger_rows() == seen.pop()


def mailable() -> set[str]:
    """The addresses that the last look before a hand-over would let a mail go to."""
    found: set[str] = set()
    for one in Candidate.objects.all():
        seen = present(one.pk)
        state, usable = state_of(
            seen.addresses, do_not_contact=seen.do_not_contact, merged=seen.merged,
            erased=seen.erased, nurture_hold="", candidacies=[],
        )  # fmt: skip
        if not hold(StepClass.TRANSACTIONAL, state, due_at=START, now=START):
            found |= set(usable)
    return found


@many
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 3), max_size=14))
def test_i5_no_sequence_of_merges_ever_mails_an_address_that_opted_out(
    house: House, dice: random.Random, deeds: list[int]
) -> None:
    """Merges, undos, opt-outs of a person, and marks on a record, in any order."""
    now = house.clock()
    with rolled_back():
        for number in range(1, 5):
            person(number, dice, now=now)
        said_no = set(
            Suppression.objects.filter(reason="unsubscribed").values_list("address", flat=True)
        )
        for deed in deeds:
            standing = list(Candidate.objects.filter(merged_into=None))
            if deed == 0 and len(standing) > 1:
                kept, folded = dice.sample(standing, 2)
                fold(kept, folded, evidence="e", now=now)
            elif deed == 1 and (last := Merge.objects.filter(undone_at=None).last()):
                undo(last.pk, who="ada", now=now)
            elif deed == 2:
                one = dice.choice(standing)
                suppress_candidate(one, SuppressionReason.UNSUBSCRIBED, source="page", now=now)
                said_no |= set(
                    CandidateEmail.objects.filter(candidate=one).values_list("normal", flat=True)
                )
            elif deed == 3:
                one = dice.choice(standing)
                ExternalId.objects.filter(candidate=one, connection="ats").update(
                    do_not_contact=True
                )
                Candidate.objects.filter(pk=one.pk).update(do_not_contact=True)
                suppress_candidate(one, SuppressionReason.DO_NOT_CONTACT, source="ats", now=now)
            assert not mailable() & said_no
            for one in Candidate.objects.filter(merged_into=None):
                mine = CandidateEmail.objects.filter(candidate=one).values_list("normal", flat=True)
                marked = ExternalId.objects.filter(candidate=one, do_not_contact=True).exists()
                if said_no & set(mine) or marked:
                    assert not mailable() & set(mine)


def test_i5_an_opt_out_said_while_they_were_one_stands_after_the_undo(house: House) -> None:
    dice, now = random.Random(1), house.clock()
    one, other = person(1, dice, now=now), person(2, dice, now=now)
    Suppression.objects.all().delete()
    Candidate.objects.update(do_not_contact=False)
    Suppression.objects.create(
        address="p1.0@example.com", reason="unsubscribed", source="crm", since=now
    )
    done = fold(
        Candidate.objects.get(pk=one.pk), Candidate.objects.get(pk=other.pk), evidence="e", now=now
    )
    inherited = Suppression.objects.get(address="p2.0@example.com")
    assert inherited.source == "merge"
    suppress_candidate(one, SuppressionReason.COMPLAINED, source="mail", now=now)
    undo(done.pk, who="ada", now=now)
    own = Suppression.objects.get(address="p2.0@example.com")
    assert (own.reason, own.source) == ("complained", "mail")
    first = Suppression.objects.get(address="p1.0@example.com")
    assert (first.reason, first.source) == ("unsubscribed", "crm")  # as it was


def test_what_came_since_through_the_folded_ones_record_goes_with_it(house: House) -> None:
    one = house.apply(email="ann@example.com", first_name="Ann", last_name="Lee")
    two = house.apply(email="ann@work.example", first_name="Ann", last_name="Lee")
    house.settle()
    first, second = Candidate.objects.order_by("pk")
    done = fold(first, second, evidence="they are one", now=house.clock())
    house.clock.move(hours=1)
    third = house.apply(candidate_id=two["candidate_id"], job_id=4003)
    house.settle()
    assert Application.objects.get(external_id=str(third["id"])).candidate_id == first.pk
    review.undo(house.runtime, done.pk, who="ada")
    assert Application.objects.get(external_id=str(third["id"])).candidate_id == second.pk
    assert Application.objects.get(external_id=str(one["id"])).candidate_id == first.pk
    assert set(Event.objects.filter(record=str(two["candidate_id"])).values_list("candidate")) == {
        (second.pk,)
    }


def test_two_who_were_kept_apart_are_not_joined_by_evidence_again(house: House) -> None:
    one = house.apply(email="ann@example.com")
    house.apply(email="ann@work.example")
    house.settle()
    first, second = Candidate.objects.order_by("pk")
    done = fold(first, second, evidence="a mistake", now=house.clock())
    review.undo(house.runtime, done.pk, who="ada")
    house.clock.move(hours=1)
    house.does(
        "update_candidate", one["candidate_id"],
        email_addresses=[{"value": "ann@work.example", "type": "personal"}],
    )  # fmt: skip
    house.settle()
    assert Candidate.objects.filter(merged_into=None).count() == 2
    assert CandidateEmail.objects.get(normal="ann@work.example").candidate_id == second.pk
    assert not Delivery.objects.exclude(status="interpreted").exists()


def test_a_merge_is_not_undone_before_one_that_built_on_it_nor_twice(house: House) -> None:
    dice, now = random.Random(3), house.clock()
    one, two, three = (person(number, dice, now=now) for number in (1, 2, 3))
    first = fold(one, two, evidence="e", now=now)
    second = fold(Candidate.objects.get(pk=one.pk), three, evidence="e", now=now)
    with pytest.raises(WarmlineError, match=f"before merge {second.pk}"):
        undo(first.pk, who="ada", now=now)
    undo(second.pk, who="ada", now=now)
    undo(first.pk, who="ada", now=now)
    with pytest.raises(WarmlineError, match="was undone by ada"):
        undo(first.pk, who="ada", now=now)
    with pytest.raises(WarmlineError, match="there is no merge 999"):
        undo(999, who="ada", now=now)


# Who is who, live


def applied(house: House, **person: Any) -> Candidate:
    row = house.apply(**person)
    house.settle()
    found = ExternalId.objects.get(connection="ats", external_id=str(row["candidate_id"])).candidate
    return found.merged_into or found


def test_one_mailbox_written_in_two_ways_is_one_person(house: House) -> None:
    one = applied(house, email="ada.lind@gmail.com")
    assert applied(house, email="adalind+jobs@googlemail.com") == one
    assert Merge.objects.count() == 0  # never two to begin with
    assert len(house.contacts()) == 1


def test_a_role_address_under_two_names_is_two_people_and_a_question(house: House) -> None:
    one = applied(house, email="jobs@agency.example", first_name="Ada", last_name="Lind")
    two = applied(house, email="jobs@agency.example", first_name="Boris", last_name="Okafor")
    assert one != two
    assert CandidateEmail.objects.get(normal="jobs@agency.example").candidate == one
    (pair,) = likeness.waiting()
    assert (pair.one_id, pair.other_id) == (one.pk, two.pk)
    assert pair.evidence == ["they share a role address, and not a name"]


def test_a_phone_and_a_name_in_common_wait_for_a_persons_word(house: House) -> None:
    one = applied(house, email="ada@example.com", phone="+44 20 7946 0018")
    two = applied(house, email="ada@work.example", phone="020 7946 0018")
    three = applied(house, email="bo@example.com", first_name="Bo", phone="020 7946 0018")
    assert len({one, two, three}) == 3
    (pair,) = likeness.waiting()
    assert (pair.one, pair.other) == (one, two)
    assert pair.evidence == ["they share a phone number, and have the same name"]
    done = review.join(house.runtime, pair.pk, who="ada")
    assert (done.kept_id, done.folded_id) == (one.pk, two.pk)
    assert likeness.waiting() == []
    review.undo(house.runtime, done.pk, who="ada")
    assert Likeness.objects.get().status == LikenessStatus.KEPT_APART
    with pytest.raises(WarmlineError, match="was decided"):
        review.join(house.runtime, pair.pk, who="ada")


def test_a_profile_page_and_a_name_in_common_are_certain(house: House) -> None:
    link = "https://www.linkedin.com/in/ada-lind/"
    one = applied(house, email="ada@example.com", link=link)
    two = applied(house, email="ada@work.example", link="http://uk.linkedin.com/in/Ada-Lind?x=1")
    assert one == two
    assert Merge.objects.get().evidence == "they share a profile page, and have the same name"
    three = applied(house, email="bo@example.com", first_name="Bo", last_name="Quist", link=link)
    assert three != one
    assert [p.evidence for p in likeness.waiting()] == [
        ["they share a profile page, but their names differ"]
    ]


def test_what_too_many_share_tells_nothing(house: House) -> None:
    for number in range(likeness.HOLDERS_MAX + 3):
        applied(
            house, email=f"p{number}@example.com", phone="+44 20 7946 0018",
        )  # fmt: skip
    found = likeness.waiting()
    pairs = likeness.HOLDERS_MAX * (likeness.HOLDERS_MAX - 1) // 2
    assert 0 < len(found) <= pairs


def test_enrolments_fold_into_one_and_none_is_dropped(house: House) -> None:
    one = applied(house, email="ada@example.com")
    house.clock.move(days=3)
    house.settle()
    two = applied(house, email="ada@work.example")
    review_pair = fold(one, two, evidence="e", now=house.clock())
    assert Enrolment.objects.filter(status=EnrolmentStatus.ACTIVE).count() == 1
    review.undo(house.runtime, review_pair.pk, who="ada")
    for _ in range(2):
        house.clock.move(days=4)
        house.settle()
    left = Message.objects.filter(status=MessageStatus.HANDED_OFF)
    assert left.filter(candidate=one).count() == left.filter(candidate=two).count() == 3


def test_the_mailbox_of_every_address_is_kept(house: House) -> None:
    applied(house, email="Ada.Lind@Gmail.com")
    row = CandidateEmail.objects.get()
    assert row.normal == normal_email("Ada.Lind@gmail.com")
    assert row.mailbox == mailbox_key(row.normal) == "adalind@gmail.com"
