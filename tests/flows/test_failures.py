"""The failed list: what stands on it, with what, and what a person's word does to it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test.utils import CaptureQueriesContext

from tests.conftest import House, connection
from warmline.core.actions import ActionKind
from warmline.core.errors import WarmlineError
from warmline.core.policy import NO_ADDRESS
from warmline.flows import failures, interpret, retry
from warmline.flows.exchanges import LONG_TRIES
from warmline.flows.explain import explain
from warmline.flows.failures import Kind, Wanted
from warmline.flows.release import plan_again
from warmline.store.models import (
    Action,
    Candidate,
    Delivery,
    Discard,
    Incident,
    Message,
)
from warmline.store.statuses import (
    ActionStatus,
    DeliveryStatus,
    IncidentStatus,
    MessageStatus,
)

UPSERT = "application.submitted -> contact.upsert"
EVERYTHING = Wanted()


def refuse(house: House) -> Callable[[], None]:
    """HubSpot loses a property, so that it refuses every contact; gives it back when called."""
    lost = house.box.hubspot.contacts.definitions.pop("applied_role")

    def mend() -> None:
        house.box.hubspot.contacts.definitions["applied_role"] = lost

    return mend


def refused(house: House, count: int = 1) -> Callable[[], None]:
    mend = refuse(house)
    for number in range(count):
        house.apply(email=f"p{number}.lind@example.com", first_name=f"Ada{number}")
    house.settle()
    return mend


def malformed(house: House) -> Delivery:
    """Signed by the vendor, and not what it documents."""
    body = b'{"action": "new_candidate_application", "payload": {"email": "x@example.com"}}'
    mac = hmac.new(b"sandbox-webhook-secret", body, hashlib.sha256).hexdigest()
    house.receive("ats", {"Signature": f"sha256 {mac}"}, body)
    house.settle()
    return Delivery.objects.latest("id")


def refs(house: House, wanted: Wanted = EVERYTHING) -> list[str]:
    return [one.ref for one in failures.listed(house.runtime, wanted)[0]]


def replay(house: House, *found: str) -> list[retry.Became]:
    chosen = [failures.find(house.runtime, ref) for ref in found]
    numbers = [(one.kind, one.number) for one in chosen]
    moved = retry.replay(house.runtime, numbers, who="me")
    house.settle()
    return retry.became(house.runtime, moved)


# What stands on it


def test_a_refused_action_stands_with_record_trigger_reason_and_redacted_exchange(
    house: House,
) -> None:
    refused(house)
    ((one,), total) = failures.listed(house.runtime, EVERYTHING)
    action = Action.objects.get(trigger=UPSERT)
    assert (total, one.ref, one.trigger, one.connection) == (1, f"a{action.pk}", UPSERT, "crm")
    assert one.record == f"candidate {action.candidate_id}"
    assert "applied_role" in one.reason
    told = failures.detail(one)
    assert isinstance(told.exchange, dict)
    assert told.exchange["call"] == "POST /crm/v3/objects/contacts/batch/upsert"
    assert told.exchange["status"] in (207, 400)
    text = json.dumps(told.exchange)
    assert "PROPERTY_DOESNT_EXIST" in text
    assert "Backend Engineer" in text
    for whole in ("p0.lind", "Ada0", "Lind", "sandbox-token"):
        assert whole not in text, whole
    assert "mend the cause" in told.hint


def test_each_action_of_a_batch_keeps_what_is_about_itself(house: House) -> None:
    """One of five is refused: its own input and nobody else's is kept."""
    crm = house.box.hubspot
    for number in range(5):
        house.apply(email=f"p{number}.lind@example.com", first_name=f"Ada{number}")
    crm.contacts.definitions["applied_role"] |= {"type": "enumeration", "options": []}
    house.settle()
    rows = Action.objects.filter(trigger=UPSERT)
    assert {row.status for row in rows} == {ActionStatus.REFUSED}
    for row in rows:
        inputs = row.exchange["request"]["inputs"]
        assert len([one for one in inputs if isinstance(one, dict)]) == 1


def test_a_name_that_the_vendor_repeats_in_a_sentence_is_not_kept(house: House) -> None:
    house.box.hubspot.contacts.definitions["firstname"] |= {"type": "enumeration", "options": []}
    house.apply(first_name="Zebedee")
    house.settle()
    text = json.dumps(Action.objects.get(trigger=UPSERT).exchange)
    assert "was not one of the allowed options" in text
    assert "Zebedee" not in text


def test_a_lost_answer_keeps_what_was_asked_until_it_is_done(house: House) -> None:
    house.box.hubspot.faults.add({"kind": "timeout_after", "seconds": 0, "count": 1})
    house.apply()
    house.settle()
    row = Action.objects.get(trigger=UPSERT)
    assert row.status == ActionStatus.UNKNOWN
    assert row.exchange["status"] is None
    assert row.exchange["answer"].startswith("no answer: ")
    house.clock.move(minutes=1)
    house.settle()
    row.refresh_from_db()
    assert (row.status, row.exchange) == (ActionStatus.DONE, None)


def test_what_is_put_off_keeps_its_call_only_when_it_takes_long(house: House) -> None:
    house.box.hubspot.faults.add({"kind": "plan"})
    house.apply()
    kept = []
    for _ in range(LONG_TRIES + 1):
        house.settle()
        row = Action.objects.get(trigger=UPSERT)
        assert row.status == ActionStatus.PLANNED
        kept.append(row.exchange is not None)
        house.clock.move(minutes=10)
    assert kept == [False] * (LONG_TRIES - 1) + [True, True]
    assert row.exchange["status"] == 403


def test_deliveries_and_mails_stand_beside_the_actions(house: House) -> None:
    refused(house)
    house.box.mailbox.faults.add({"kind": "refuse", "path": "dead@example.com"})
    house.apply(email="dead@example.com", first_name="Bo")
    house.clock.move(minutes=1)
    house.settle()
    bad = malformed(house)
    mail = Message.objects.get(status=MessageStatus.REFUSED)
    assert bad.status == DeliveryStatus.MALFORMED
    assert {f"d{bad.pk}", f"m{mail.pk}"} < set(refs(house))
    letter = failures.find(house.runtime, f"m{mail.pk}")
    assert (letter.trigger, letter.connection) == ("welcome/1", "mail")
    told = failures.detail(failures.find(house.runtime, f"d{bad.pk}"))
    assert "x@example.com" not in json.dumps(told.exchange)
    assert "new_candidate_application" in json.dumps(told.exchange)


def test_newest_first_by_pages_and_filtered(house: House) -> None:
    refused(house, 3)
    house.clock.move(minutes=1)
    bad = malformed(house)
    found = refs(house)
    assert found[0] == f"d{bad.pk}"
    assert len(found) == 4
    page, total = failures.listed(house.runtime, EVERYTHING, page=2, size=3)
    assert ([one.ref for one in page], total) == (found[3:], 4)
    assert failures.listed(house.runtime, EVERYTHING, page=9, size=3) == ([], 4)
    assert refs(house, Wanted(connection="ats")) == [f"d{bad.pk}"]
    assert refs(house, Wanted(trigger=UPSERT)) == found[1:]
    assert refs(house, Wanted(trigger="mail")) == []
    first = Action.objects.filter(trigger=UPSERT).earliest("id")
    assert refs(house, Wanted(candidate=first.candidate_id)) == [f"a{first.pk}"]
    for wrong, words in (
        (Wanted(trigger="nonsense"), "there is no trigger 'nonsense'; expected one of"),
        (Wanted(connection="lever"), "there is no connection 'lever'; expected one of"),
        (Wanted(candidate=987), "there is no candidate 987"),
    ):
        with pytest.raises(WarmlineError, match=words):
            failures.listed(house.runtime, wrong)


def test_a_thousand_of_one_cause_are_one_group(house: House) -> None:
    refused(house, 2)
    rows = Action.objects.filter(trigger=UPSERT).order_by("id")
    for number, row in enumerate(rows):
        Action.objects.filter(pk=row.pk).update(reason=f"record {1000 + number}: no, 40{number}77")
    (group,) = failures.groups(house.runtime, EVERYTHING)
    assert (group.count, group.reason) == (2, "record #: no, #")
    assert (group.trigger, group.connection) == (UPSERT, "crm")
    with CaptureQueriesContext(connection) as few:
        failures.groups(house.runtime, EVERYTHING)
    assert len(few) == 3


# Replay


def test_a_replay_whose_cause_stands_fails_again_and_says_so(house: House) -> None:
    mend = refused(house)
    (ref,) = refs(house)
    (again,) = replay(house, ref)
    assert (again.ref, again.again, again.pending) == (ref, True, False)
    assert "applied_role" in again.reason
    assert Incident.objects.get(key__startswith="action:").count == 2
    mend()
    (done,) = replay(house, ref)
    assert (done.status, done.again) == (ActionStatus.DONE, False)
    assert refs(house) == []
    assert Incident.objects.get(key__startswith="action:").status == IncidentStatus.RESOLVED
    assert len(house.contacts()) == 1


def test_what_is_replayed_and_not_tried_yet_is_pending(house: House) -> None:
    refused(house)
    (ref,) = refs(house)
    one = failures.find(house.runtime, ref)
    numbers = [(one.kind, one.number)]
    assert retry.replay(house.runtime, numbers, who="me") == numbers
    (stands,) = retry.became(house.runtime, numbers)
    assert (stands.pending, stands.again) == (True, False)
    assert retry.replay(house.runtime, numbers, who="me") == []  # it is not failed any more
    with pytest.raises(WarmlineError, match=f"{ref} has not failed: action .* is planned"):
        failures.find(house.runtime, ref)


def test_only_what_was_replayed_is_tried_here(house: House) -> None:
    mend = refused(house, 2)
    mend()
    house.apply(email="third@example.com", first_name="Cy")
    interpret.drain(house.runtime, "ats")  # due now, and nobody's to do here
    first, _ = sorted(refs(house))
    one = failures.find(house.runtime, first)
    numbers = [(one.kind, one.number)]
    retry.replay(house.runtime, numbers, who="me")
    retry.carry_out(house.runtime, numbers)
    assert retry.became(house.runtime, numbers)[0].status == ActionStatus.DONE
    assert len(house.contacts()) == 1
    assert len(refs(house)) == 1


def test_what_leaves_a_note_is_looked_for_before_it_is_tried_again(house: House) -> None:
    """It may have been given up for want of an answer, and may have happened."""
    refused(house)
    Action.objects.filter(trigger=UPSERT).update(kind=ActionKind.CANDIDATE_FLAG)
    rows = Action.objects.filter(status=ActionStatus.REFUSED)
    assert plan_again(rows, house.clock.at) == 1
    assert Action.objects.get(trigger=UPSERT).status == ActionStatus.UNKNOWN


def test_a_delivery_is_read_again_and_a_mail_sent_again(house: House) -> None:
    bad = malformed(house)
    (again,) = replay(house, f"d{bad.pk}")
    assert (again.status, again.again) == (DeliveryStatus.MALFORMED, True)
    house.box.mailbox.faults.add({"kind": "refuse", "path": "slow@example.com", "count": 1})
    house.apply(email="slow@example.com")
    house.settle()
    mail = Message.objects.get(status=MessageStatus.REFUSED)
    (held,) = replay(house, f"m{mail.pk}")
    assert (held.status, held.again) == (MessageStatus.HELD, True)
    assert "bounced" in held.reason  # the policy is asked again: the address is dead


def test_replay_of_a_trigger_takes_its_failures_and_no_others(house: House) -> None:
    mend = refused(house, 2)
    malformed(house)
    mend()
    numbers = retry.chosen(house.runtime, Wanted(trigger=UPSERT))
    assert [kind for kind, _ in numbers] == [Kind.ACTION, Kind.ACTION]
    retry.replay(house.runtime, numbers, who="me")
    house.settle()
    assert len(house.contacts()) == 2
    assert len(refs(house)) == 1


# Discard


def test_a_discard_keeps_whose_word_it_is_and_ends_the_incident(house: House) -> None:
    refused(house)
    (ref,) = refs(house)
    one = failures.find(house.runtime, ref)
    house.clock.move(minutes=5)
    assert retry.discard([one], why=" a test person ", who="me", now=house.clock.at) == [one]
    row = Action.objects.get(pk=one.number)
    assert (row.status, row.finished_at) == (ActionStatus.DISCARDED, house.clock.at)
    assert row.reason == f"{one.reason}; discarded by me: a test person"
    word = Discard.objects.get()
    assert (word.failure, word.why, word.by, word.at) == (
        ref,
        "a test person",
        "me",
        house.clock.at,
    )
    assert word.reason == one.reason
    incident = Incident.objects.get(key__startswith="action:")
    assert incident.status == IncidentStatus.RESOLVED
    assert incident.resolution == "discarded by me: a test person"
    assert refs(house) == []
    history = explain(house.runtime, Candidate.objects.get()).history
    assert any("discarded by me: a test person" in line.detail for line in history)
    house.clock.move(days=1)
    house.settle()
    assert Action.objects.get(pk=one.number).status == ActionStatus.DISCARDED


def test_what_was_discarded_can_be_taken_up_again_by_its_number(house: House) -> None:
    mend = refused(house)
    (ref,) = refs(house)
    retry.discard([failures.find(house.runtime, ref)], why="w", who="me", now=house.clock.at)
    assert retry.chosen(house.runtime, EVERYTHING) == []
    one = failures.find(house.runtime, ref)
    with pytest.raises(WarmlineError, match=f"{ref} is discarded already"):
        retry.discard([one], why="w", who="me", now=house.clock.at)
    mend()
    assert replay(house, ref)[0].status == ActionStatus.DONE


def test_deliveries_and_mails_are_discarded_too(house: House) -> None:
    bad = malformed(house)
    house.box.mailbox.faults.add({"kind": "refuse", "path": "dead@example.com"})
    house.apply(email="dead@example.com")
    house.settle()
    for ref in refs(house):
        one = failures.find(house.runtime, ref)
        retry.discard([one], why="w", who="me", now=house.clock.at)
    bad.refresh_from_db()
    assert bad.status == DeliveryStatus.DISCARDED
    assert Message.objects.get(step=1).status == MessageStatus.DISCARDED
    open_ = Incident.objects.exclude(status=IncidentStatus.RESOLVED)
    assert list(open_.values_list("key", flat=True)) == []


def test_the_incident_of_a_missing_address_stays_while_something_else_waits_for_one(
    house: House,
) -> None:
    house.apply(email_addresses=[], email=None)
    house.settle()
    Action.objects.filter(trigger=UPSERT).update(
        status=ActionStatus.REFUSED, reason=NO_ADDRESS, finished_at=house.clock.at
    )
    ref = f"a{Action.objects.get(trigger=UPSERT).pk}"
    one = failures.find(house.runtime, ref)
    retry.discard([one], why="w", who="me", now=house.clock.at)
    incident = Incident.objects.get(key__startswith="no-address:")
    assert incident.status == IncidentStatus.OPEN  # the letter waits for the address still


@pytest.mark.parametrize("why", ["", "  "])
def test_a_discard_without_a_reason_is_refused(house: House, why: str) -> None:
    refused(house)
    one = failures.find(house.runtime, refs(house)[0])
    with pytest.raises(WarmlineError, match="needs a reason"):
        retry.discard([one], why=why, who="me", now=house.clock.at)
    assert Action.objects.get(trigger=UPSERT).status == ActionStatus.REFUSED


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("a987654", "there is no failure a987654"),
        ("987654", "there is no failure 987654"),
        ("x1", "is no number of a failure; expected one like a17"),
        ("", "is no number of a failure"),
        ("a" + "9" * 40, "is no number of a failure"),
    ],
)
def test_a_number_that_is_none_is_said(house: House, ref: str, words: str) -> None:
    with pytest.raises(WarmlineError, match=words):
        failures.find(house.runtime, ref)


def test_a_number_without_a_letter_will_do_where_one_failure_has_it(house: House) -> None:
    refused(house)
    (ref,) = refs(house)
    assert failures.find(house.runtime, ref[1:]).ref == ref
    assert failures.find(house.runtime, ref.upper()).ref == ref
    Delivery.objects.filter(pk=1).update(status=DeliveryStatus.FAILED)
    Action.objects.filter(trigger=UPSERT).update(
        status=ActionStatus.REFUSED, finished_at=house.clock.at - timedelta(days=1)
    )
    same = {f"a{row.pk}" for row in Action.objects.filter(pk=1, status=ActionStatus.REFUSED)}
    if same:
        with pytest.raises(WarmlineError, match="1 is ambiguous; expected one of a1, d1"):
            failures.find(house.runtime, "1")
