"""Duplicate contacts in the CRM: which are found, and that merging them loses and doubles nothing,
whatever happens half-way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections

from tests.conftest import House
from warmline.core.errors import AuthFailed, ConfigError, Unreachable
from warmline.core.matching import mailbox_key
from warmline.core.outcomes import OutcomeKind
from warmline.flows import likeness
from warmline.flows.contact_records import incident_key
from warmline.flows.crm_duplicates import Found
from warmline.flows.merge import two_contacts
from warmline.flows.merge_crm import Step, apply, crm_of, look
from warmline.sandbox.hubspot.contacts import MERGES_MAX
from warmline.sandbox.listen import HttpServer
from warmline.store.db import writing
from warmline.store.models import (
    Candidate,
    CandidateEmail,
    Event,
    ExternalId,
    Incident,
    Message,
    Suppression,
)
from warmline.store.statuses import EventEffect, IncidentStatus, MessageStatus

HOME, WORK = "ada@example.com", "ada@work.example.com"


class Killed(Exception):
    """The process ends here."""


def no_sleep(_seconds: float) -> None:
    raise AssertionError("nothing was to be waited for")


def seen(house: House) -> Found:
    return look(house.runtime, "crm", sleep=no_sleep, seen=lambda count: None)


def merge(house: House, sleep: Callable[[float], object] = no_sleep) -> list[Step]:
    return list(apply(house.runtime, seen(house), sleep=sleep))


def waits(house: House) -> Callable[[float], object]:
    """Virtual sleep."""
    return lambda seconds: house.clock.move(seconds=seconds)


def kinds(steps: list[Step]) -> list[str]:
    return [str(step.kind) for step in steps]


def addresses(*values: str) -> list[dict[str, str]]:
    return [{"value": value, "type": "personal"} for value in values]


def twins(house: House) -> tuple[str, str]:
    """Ada applied; the CRM has her twice, and the ledger knows one of the two."""
    row = house.apply(email=HOME)
    house.settle()
    house.clock.move(minutes=1)
    other = house.box.hubspot.create(WORK, firstname="Ada", phone="1")["id"]
    house.does("update_candidate", row["candidate_id"], email_addresses=addresses(HOME, WORK))
    house.settle()
    return ExternalId.objects.get(connection="crm").external_id, str(other)


def contact() -> ExternalId:
    return ExternalId.objects.get(connection="crm", contact=True, gone_at=None)


def merges(house: House) -> int:
    calls = house.box.hubspot.log.as_json()["by_call"]
    return int(calls.get("POST /crm/v3/objects/contacts/merge", 0))


def open_incidents() -> set[str]:
    rows = Incident.objects.exclude(status=IncidentStatus.RESOLVED)
    return set(rows.values_list("key", flat=True))


def records() -> list[tuple[Any, ...]]:
    """All that a merge in the CRM may change here."""
    models = (Candidate, CandidateEmail, ExternalId, Suppression, Message)
    return [row for m in models for row in m._default_manager.order_by("pk").values_list()]


@contextmanager
def told(house: House) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """HubSpot's webhooks as they are sent, for a test to pass on when it likes."""
    events: list[dict[str, Any]] = []

    def app(environ: Any, start: Any) -> list[bytes]:
        events.extend(json.loads(environ["wsgi.input"].read()))
        start("200 OK", [("Content-Length", "0")])
        return [b""]

    server = HttpServer(app, threads=2)
    house.box.hubspot.set_webhook(server.url, house.box.hubspot.secret)

    def sent() -> list[dict[str, Any]]:
        house.box.hubspot.outbox.deliver_due()
        return list(events)

    try:
        yield sent
    finally:
        server.close()


def hear(house: House, events: list[dict[str, Any]]) -> None:
    url = f"{house.runtime.project.public_url}/in/crm"
    house.receive("crm", *house.box.hubspot.build_webhook(events, url))
    house.settle()


# What is found


def test_contacts_of_one_candidate_are_found_and_nothing_is_changed(house: House) -> None:
    ours, other = twins(house)
    before, there = records(), house.contacts()
    found = seen(house)
    [group] = found.duplicates
    assert [one.id for one in group.contacts] == [ours, other]  # the one we write to stays
    assert [one.why for one in group.contacts] == [
        "a record of the candidate",
        "has an address of the candidate",
    ]
    assert group.changes() == [f"{other} (a***@work.example.com) becomes part of {ours}"]
    assert (found.merges, found.doubts) == (1, ())
    assert (records(), house.contacts(), merges(house)) == (before, there, 0)


def test_who_applied_twice_and_has_two_contacts_is_counted(house: House) -> None:
    twins(house)
    assert (seen(house).several, seen(house).several_twice) == (0, 0)
    row = house.box.greenhouse.world.candidates.rows
    house.apply(candidate_id=next(iter(row)), job_id=4002)
    house.settle()
    assert (seen(house).several, seen(house).several_twice) == (1, 1)
    assert kinds(merge(house)) == ["done"]
    assert (seen(house).several, seen(house).several_twice) == (1, 0)


def test_one_mailbox_is_one_person_unless_the_names_differ(house: House) -> None:
    create = house.box.hubspot.create
    one = create("a.lind@gmail.com", firstname="Ada", lastname="Lind")["id"]
    house.clock.move(minutes=1)
    two = create("alind+jobs@googlemail.com", firstname="Ada")["id"]
    create("b.lind@gmail.com", firstname="Bo", lastname="Lind")
    create("blind@gmail.com", firstname="Eve", lastname="Moss")
    create("jobs@outlook.com")
    create("jobs+1@outlook.com")
    create("c.d@example.com")
    create("cd@example.com")
    found = seen(house)
    [group] = found.duplicates
    assert (group.candidate_id, [c.id for c in group.contacts]) == (None, [one, two])
    assert {doubt.evidence for doubt in found.doubts} == {
        "they share one mailbox, and their names differ",
        "they share a role address",
    }
    assert kinds(merge(house)) == ["done"]
    assert ExternalId.objects.count() == 0
    assert len(house.contacts()) == 7


def test_more_contacts_than_a_person_has_are_no_person(house: House) -> None:
    for number in range(11):
        house.box.hubspot.create(f"form+{number}@gmail.com")
    found = seen(house)
    assert found.duplicates == ()
    assert [doubt.evidence for doubt in found.doubts] == ["11 contacts have one mailbox"]


def test_contacts_of_two_candidates_are_told_and_never_merged(house: House) -> None:
    house.apply(email="a.lind@gmail.com", first_name="Ada")
    house.apply(email="alind@gmail.com", first_name="Bo")
    house.settle()
    one, other = Candidate.objects.order_by("pk")
    [doubt] = seen(house).doubts
    assert doubt.candidate_ids == (one.pk, other.pk)
    with writing():
        likeness.keep_apart(one, other, who="kim", now=house.clock())
    # A contact that has the addresses of both leads nowhere for certain.
    mixed = house.box.hubspot.create("c@x.example.com")["id"]
    row = house.box.hubspot.contacts.find(mixed)
    assert row is not None
    row.extra_emails += ["a.lind@googlemail.com"]
    row.properties["hs_additional_emails"] = "a.lind@googlemail.com"
    found = seen(house)
    assert found.duplicates == ()
    assert any("kept these apart" in doubt.evidence for doubt in found.doubts)
    assert any(mixed in {one.id for one in doubt.contacts} for doubt in found.doubts)
    assert merge(house) == []
    assert merges(house) == 0


def person(house: House, *emails: str, contact: str = "", **fields: Any) -> Candidate:
    """Somebody in the ledger, with these addresses, and a contact that we write to."""
    made = Candidate.objects.create(created_at=house.clock(), as_of=house.clock(), **fields)
    for email in emails:
        CandidateEmail.objects.create(candidate=made, normal=email, mailbox=mailbox_key(email))
    if contact:
        ExternalId.objects.create(
            candidate=made, connection="crm", external_id=contact, contact=True
        )
    return made


def test_the_contact_that_we_write_to_stays_though_it_is_younger(house: House) -> None:
    older = house.box.hubspot.create(WORK)["id"]
    house.clock.move(minutes=1)
    ours = house.box.hubspot.create(HOME)["id"]
    person(house, HOME, WORK, contact=ours)
    [group] = seen(house).duplicates
    assert [one.id for one in group.contacts] == [ours, older]


def test_a_chain_that_leads_to_two_candidates_merges_only_what_is_one_candidates(
    house: House,
) -> None:
    """Two people of one name whom a person has kept apart, their addresses one mailbox."""
    create = house.box.hubspot.create
    one, more, two = (create(e)["id"] for e in ("a.lind@gmail.com", HOME, "alind@gmail.com"))
    ada = person(house, "a.lind@gmail.com", HOME, contact=one, first_name="Ada")
    other = person(house, "alind@gmail.com", contact=two, first_name="Ada")
    with writing():
        likeness.keep_apart(ada, other, who="kim", now=house.clock())
    found = seen(house)
    [group] = found.duplicates
    assert (group.candidate_id, {c.id for c in group.contacts}) == (ada.pk, {one, more})
    [doubt] = found.doubts
    assert {c.id for c in doubt.contacts} == {one, more, two}
    assert kinds(merge(house)) == ["done"]
    assert {tuple(c["emails"]) for c in house.contacts()} == {
        ("a.lind@gmail.com", HOME),
        ("alind@gmail.com",),
    }


def test_a_contact_of_another_name_in_a_candidates_mailbox_is_not_theirs(house: House) -> None:
    create = house.box.hubspot.create
    ours = create(HOME)["id"]
    create("alind@gmail.com", firstname="Bo", lastname="Lind")
    person(house, HOME, "a.lind@gmail.com", contact=ours, first_name="Ada", last_name="Lind")
    assert seen(house).groups == ()


def test_a_contact_with_two_peoples_addresses_is_told_with_theirs(house: House) -> None:
    create = house.box.hubspot.create
    one, two, both = (create(e)["id"] for e in (HOME, "eve@x.example.com", "c@x.example.com"))
    row = house.box.hubspot.contacts.find(both)
    assert row is not None
    row.properties["hs_additional_emails"] = "ada2@x.example.com;eve2@x.example.com"
    person(house, HOME, "ada2@x.example.com", contact=one)
    person(house, "eve@x.example.com", "eve2@x.example.com", contact=two)
    found = seen(house)
    assert found.duplicates == ()
    [doubt] = found.doubts
    assert {c.id for c in doubt.contacts} == {one, two, both}


def test_contacts_of_somebody_who_was_deleted_here_are_left_to_a_person(house: House) -> None:
    create = house.box.hubspot.create
    one = create(HOME)["id"]
    create(WORK)
    person(house, HOME, WORK, contact=one, erased_at=house.clock())
    found = seen(house)
    assert found.duplicates == ()
    assert [doubt.evidence for doubt in found.doubts] == ["the person's record was deleted"]


def test_who_waits_for_a_word_here_is_probable_there(house: House) -> None:
    house.apply(email="ada@x.example.com")
    house.apply(email="ada@y.example.com")
    house.settle()
    one, other = Candidate.objects.order_by("pk")
    pair = likeness.Pair(one, other, "they share a phone number")
    with writing():
        likeness.wait([pair], now=house.clock())
    [doubt] = seen(house).doubts
    assert doubt.candidate_ids == (one.pk, other.pk)
    assert "they share a phone number" in doubt.evidence
    assert merge(house) == []


# What a merge does


def test_two_contacts_become_one_and_the_ledger_follows(house: House) -> None:
    ours, other = twins(house)
    [step] = merge(house)
    assert (step.kind, step.primary, step.other) == (OutcomeKind.DONE, ours, other)
    [left] = house.contacts()
    assert left["emails"] == [HOME, WORK]
    assert (contact().external_id, contact().candidate) == (left["id"], Candidate.objects.get())
    gone = ExternalId.objects.filter(connection="crm", gone_at__isnull=False)
    assert set(gone.values_list("external_id", "candidate")) == {
        (ours, contact().candidate_id),
        (other, contact().candidate_id),
    }
    assert step.standing == left["id"]
    assert merge(house) == []
    assert seen(house).groups == ()


def test_the_next_write_goes_to_the_record_that_is_left(house: House) -> None:
    twins(house)
    merge(house)
    before = dict(contact().written)
    assert before["email"] == HOME
    house.does("move", next(iter(house.box.greenhouse.world.applications.rows)), "Phone Screen")
    house.settle()
    [left] = house.contacts()
    assert contact().external_id == left["id"]
    assert open_incidents() == set()


def test_what_we_had_emptied_is_not_taken_for_written_after_a_merge(house: House) -> None:
    twins(house)
    row = contact()
    ExternalId.objects.filter(pk=row.pk).update(written={**row.written, "interviewer": ""})
    merge(house)
    assert contact().written == row.written


def test_three_contacts_become_one(house: House) -> None:
    twins(house)
    house.box.hubspot.create("ada+2@work.example.com")
    row = house.box.greenhouse.world.candidates.rows
    mails = addresses(HOME, WORK, "ada+2@work.example.com")
    house.does("update_candidate", next(iter(row)), email_addresses=mails)
    house.settle()
    steps = merge(house)
    assert kinds(steps) == ["done", "done"]
    assert steps[1].primary == steps[0].standing
    [left] = house.contacts()
    assert contact().external_id == left["id"] == steps[1].standing
    assert ExternalId.objects.filter(connection="crm").count() == 5


def test_the_incident_of_two_contacts_ends_when_one_is_left(house: House) -> None:
    one = house.apply(email=HOME)
    house.apply(email=WORK, job_id=4002)
    house.settle()
    house.does("update_candidate", one["candidate_id"], email_addresses=addresses(HOME, WORK))
    house.settle()
    key = two_contacts(Candidate.objects.get(merged_into=None).pk)
    assert key in open_incidents()
    assert kinds(merge(house)) == ["done"]
    assert key not in open_incidents()


# Opt-outs


def planned(house: House) -> int:
    return Message.objects.filter(status=MessageStatus.PLANNED).count()


def test_i5_the_strictest_opt_out_stands_before_the_merge_is_asked_for(house: House) -> None:
    twins(house)
    house.box.hubspot.opt_out(WORK)
    house.clock.move(days=2)
    house.box.hubspot.faults.add({"kind": "drop", "path": "/merge"})
    stood: list[tuple[set[str], int]] = []

    def sleep(_seconds: float) -> None:
        stood.append((set(Suppression.objects.values_list("address", flat=True)), merges(house)))
        raise Killed

    assert seen(house).duplicates[0].opted_out
    with pytest.raises(Killed):
        merge(house, sleep)
    assert stood[0][0] == {HOME, WORK}
    assert len(house.contacts()) == 2
    assert Message.objects.filter(status=MessageStatus.PLANNED).count() == 0
    house.box.hubspot.faults.clear()
    assert kinds(merge(house)) == ["done"]
    # The merged record itself shows nothing of it, and nobody is mailed all the same.
    assert "hs_email_optout" not in house.contacts()[0]["properties"]
    mails = len(house.mails())
    house.clock.move(days=8)
    house.settle()
    assert len(house.mails()) == mails
    assert {row.reason for row in Suppression.objects.all()} == {"unsubscribed"}


def test_i5_an_opt_out_between_the_listing_and_the_merge_counts(house: House) -> None:
    twins(house)
    found = seen(house)
    house.box.hubspot.opt_out(WORK)
    house.box.hubspot.faults.add({"kind": "drop", "path": "/merge", "count": 1})
    stood: list[set[str]] = []

    def sleep(_seconds: float) -> None:  # it was asked for, and nothing has come of it yet
        stood.append(set(Suppression.objects.values_list("address", flat=True)))

    assert kinds(list(apply(house.runtime, found, sleep=sleep))) == ["done"]
    assert stood == [{HOME, WORK}]


def test_an_opt_out_of_somebody_unknown_here_is_kept_by_address(house: House) -> None:
    house.box.hubspot.create("a.lind@gmail.com")
    house.box.hubspot.create("alind@gmail.com")
    house.box.hubspot.opt_out("alind@gmail.com")
    assert kinds(merge(house)) == ["done"]
    known = set(Suppression.objects.values_list("address", flat=True))
    assert known == {"a.lind@gmail.com", "alind@gmail.com"}


def test_nobody_is_suppressed_by_looking_or_for_anothers_opt_out(house: House) -> None:
    twins(house)
    house.box.hubspot.create("eve@x.example.com")
    house.box.hubspot.opt_out("eve@x.example.com")
    seen(house)
    merge(house)
    assert Suppression.objects.count() == 0


# Half-way


def test_i7_the_webhook_of_our_own_merge_changes_nothing(house: House) -> None:
    twins(house)
    with told(house) as sent:
        merge(house)
        events = [e for e in sent() if e["subscriptionType"] == "contact.merge"]
    assert len(events) == 1
    before, incidents = records(), open_incidents()
    hear(house, events)
    assert Event.objects.filter(connection="crm", word="contact.merge").exists()
    assert (records(), open_incidents()) == (before, incidents)
    assert kinds(merge(house)) == []


def test_the_webhook_may_come_before_the_answer(house: House) -> None:
    twins(house)
    house.box.hubspot.faults.add({"kind": "timeout_after", "path": "/merge", "count": 1})
    with told(house) as sent:

        def sleep(_seconds: float) -> None:
            hear(house, [e for e in sent() if e["subscriptionType"] == "contact.merge"])

        steps = merge(house, sleep)
    assert kinds(steps) == ["already_done"]
    [left] = house.contacts()
    assert contact().external_id == left["id"]
    assert ExternalId.objects.filter(connection="crm", gone_at__isnull=False).count() == 2
    assert open_incidents() == set()


def test_an_unknown_is_settled_by_reading(house: House) -> None:
    twins(house)
    house.box.hubspot.faults.add({"kind": "timeout_after", "path": "/merge", "count": 1})
    assert kinds(merge(house, waits(house))) == ["already_done"]
    assert merges(house) == 1
    assert contact().external_id == house.contacts()[0]["id"]


def test_i10_killed_after_the_crm_merged_it_is_finished_and_not_done_twice(house: House) -> None:
    ours, other = twins(house)
    house.box.hubspot.faults.add({"kind": "timeout_after", "path": "/merge", "count": 1})

    def killed(_seconds: float) -> None:
        raise Killed

    with pytest.raises(Killed):
        merge(house, killed)
    [left] = house.contacts()
    assert contact().external_id == ours  # the ledger does not know yet
    assert {step.other for step in merge(house)} == {ours, other}
    assert contact().external_id == left["id"]
    assert merges(house) == 1
    assert merge(house) == []
    assert seen(house).groups == ()


def test_i10_killed_between_two_of_three_it_goes_on(house: House) -> None:
    """What we write to stays first, also where the CRM calls it the youngest."""
    twins(house)
    third = house.box.hubspot.create("ada3@example.com")["id"]
    mails = addresses(HOME, WORK, "ada3@example.com")
    row = next(iter(house.box.greenhouse.world.candidates.rows))
    house.does("update_candidate", row, email_addresses=mails)
    house.settle()
    house.box.hubspot.faults.add({"kind": "timeout_after", "path": "/merge", "count": 1})

    def killed(_seconds: float) -> None:
        raise Killed

    with pytest.raises(Killed):
        merge(house, killed)
    merged = house.box.hubspot.contacts.find(HOME, "email")
    assert merged is not None
    merged.properties["createdate"] = "2026-05-01T09:00:00.000Z"
    last = merge(house)[-1]
    assert (last.kind, last.primary, last.other) == (OutcomeKind.DONE, str(merged.id), third)
    assert merges(house) == 2
    [left] = house.contacts()
    assert contact().external_id == left["id"]


def test_told_to_stop_it_ends_after_the_pair_in_hand(house: House) -> None:
    for name in ("a.a", "b.b"):
        house.box.hubspot.create(f"{name}@gmail.com")
        house.box.hubspot.create(f"{name.replace('.', '')}@gmail.com")
    steps = []
    for step in apply(house.runtime, seen(house), sleep=no_sleep):
        steps.append(step)
        house.runtime.stopping.set()
    assert kinds(steps) == ["done"]
    assert len(house.contacts()) == 3
    house.runtime.stopping.clear()
    assert kinds(merge(house)) == ["done"]


# What the world does meanwhile


def test_who_became_somebody_elses_meanwhile_is_left_alone(house: House) -> None:
    _, other = twins(house)
    found = seen(house)
    stranger = Candidate.objects.create(created_at=house.clock(), as_of=house.clock())
    CandidateEmail.objects.filter(normal=WORK).update(candidate=stranger)
    [step] = apply(house.runtime, found, sleep=no_sleep)
    assert (step.kind, step.other) == (OutcomeKind.SKIPPED, other)
    assert merges(house) == 0


def test_a_contact_that_was_merged_there_meanwhile_is_left_alone(house: House) -> None:
    twins(house)
    found = seen(house)
    house.box.hubspot.create("eve@x.example.com")
    house.box.hubspot.merge("eve@x.example.com", WORK)
    [step] = apply(house.runtime, found, sleep=no_sleep)
    assert (step.kind, merges(house)) == (OutcomeKind.SKIPPED, 0)
    assert ExternalId.objects.filter(connection="crm").count() == 1


def test_a_contact_that_was_deleted_there_is_gone_here(house: House) -> None:
    ours, _ = twins(house)
    house.box.hubspot.delete(HOME)
    [step] = merge(house)
    assert (step.other, step.reason) == (ours, "it was deleted there")
    assert ExternalId.objects.get(connection="crm").gone_at is not None
    found = seen(house)
    assert found.groups == ()


def test_a_contact_that_became_anothers_there_is_told(house: House) -> None:
    """Somebody merged Ada's contact into Eve's, and the webhook was lost."""
    ours, other = twins(house)
    house.apply(email="eve@x.example.com", first_name="Eve", last_name="Moss")
    house.settle()
    new = house.box.hubspot.merge("eve@x.example.com", HOME)["id"]
    [step] = merge(house)
    assert (step.other, step.reason) == (ours, f"it had become part of {new}")
    assert merges(house) == 0  # Eve's contact and Ada's other one are two
    assert {one["id"] for one in house.contacts()} == {new, other}
    assert ExternalId.objects.get(external_id=ours).gone_at is not None
    assert open_incidents() == {two_contacts(Candidate.objects.get(first_name="Ada").pk)}


def test_a_running_warmline_and_a_merge_do_not_disturb_each_other(house: House) -> None:
    """Another runner writes the same contact while the merges go on."""
    row = house.apply(email=HOME)
    house.settle()
    mails = [HOME]
    for number in range(6):
        mails.append(f"ada{number}@example.com")
        house.box.hubspot.create(mails[-1])
    house.does("update_candidate", row["candidate_id"], email_addresses=addresses(*mails))
    house.settle()
    found, failed = seen(house), []

    def run() -> None:
        try:
            list(apply(house.runtime, found, sleep=lambda _s: None))
        except Exception as error:  # told to the test's own thread
            failed.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    for stage in ("Phone Screen", "Technical Interview") * 3:
        house.does("move", row["id"], stage)
        house.settle()
    thread.join()
    assert failed == []
    merge(house)
    [left] = house.contacts()
    assert sorted(left["emails"]) == sorted(mails)
    assert contact().external_id == left["id"]
    assert open_incidents() == set()


# What the CRM says


def test_a_refusal_is_an_incident_until_it_is_mended(house: House) -> None:
    ours, other = twins(house)
    row = house.box.hubspot.contacts.find(other)
    assert row is not None
    row.merges = MERGES_MAX
    [step] = merge(house)
    assert step.kind is OutcomeKind.REFUSED
    assert "250 times" in step.reason
    incident = Incident.objects.get(key=incident_key("crm", other))
    assert ours in incident.reason
    assert "@" not in incident.reason + incident.record
    # News of it is the candidate's from here on.
    assert ExternalId.objects.get(external_id=other).candidate == Candidate.objects.get()
    merge(house)
    assert Incident.objects.get(key=incident_key("crm", other)).count == 2
    row.merges = 0
    assert kinds(merge(house)) == ["done"]
    assert open_incidents() == set()


def test_a_refusal_ends_too_when_somebody_deletes_the_duplicate(house: House) -> None:
    _, other = twins(house)
    row = house.box.hubspot.contacts.find(other)
    assert row is not None
    row.merges = MERGES_MAX
    merge(house)
    house.box.hubspot.delete(WORK)
    merge(house)
    assert open_incidents() == set()


def test_an_answer_that_never_comes_is_an_incident_and_stays_unknown(house: House) -> None:
    _, other = twins(house)
    house.box.hubspot.faults.add({"kind": "drop", "path": "/merge"})
    assert kinds(merge(house, waits(house))) == ["unknown"]
    assert open_incidents() == {incident_key("crm", other)}
    house.box.hubspot.faults.clear()
    assert kinds(merge(house)) == ["done"]
    assert open_incidents() == set()


def test_a_lost_answer_stays_unknown_though_the_crm_is_down_after_it(house: House) -> None:
    _, other = twins(house)
    house.box.hubspot.faults.add({"kind": "timeout_after", "path": "/merge", "count": 1})

    def sleep(seconds: float) -> None:
        house.clock.move(seconds=seconds)
        house.box.hubspot.faults.add({"kind": "unavailable"})

    assert kinds(merge(house, sleep)) == ["unknown"]
    assert incident_key("crm", other) in open_incidents()
    house.box.hubspot.faults.clear()
    merge(house)
    assert open_incidents() == set()


def test_a_throttled_run_waits_as_it_is_told_and_loses_nothing(house: House) -> None:
    for number in range(30):
        house.box.hubspot.create(f"p.{number}@gmail.com")
        house.box.hubspot.create(f"p{number}@gmail.com")
    house.box.hubspot.rate_limit = 20
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        house.clock.move(seconds=seconds)

    found = look(house.runtime, "crm", sleep=sleep, seen=lambda count: None)
    steps = list(apply(house.runtime, found, sleep=sleep))
    assert kinds(steps) == ["done"] * 30
    assert len(house.contacts()) == 30
    assert waited
    assert "429" not in house.box.hubspot.log.as_json()["by_status"]


def test_a_crm_that_is_down_ends_the_run(house: House) -> None:
    for name in ("a.a", "b.b"):
        house.box.hubspot.create(f"{name}@gmail.com")
        house.box.hubspot.create(f"{name.replace('.', '')}@gmail.com")
    found = seen(house)
    house.box.hubspot.faults.add({"kind": "unavailable"})
    steps = list(apply(house.runtime, found, sleep=waits(house)))
    assert kinds(steps) == ["later"]
    with pytest.raises(Unreachable):
        look(house.runtime, "crm", sleep=waits(house), seen=lambda count: None)
    house.box.hubspot.faults.clear()
    assert kinds(merge(house)) == ["done", "done"]


def test_a_refused_token_ends_the_run_with_its_own_error(house: House) -> None:
    twins(house)
    found = seen(house)
    house.box.hubspot.token = "another"
    with pytest.raises(AuthFailed):
        list(apply(house.runtime, found, sleep=no_sleep))


def test_the_connection_is_the_only_one_or_the_one_named(house: House) -> None:
    assert crm_of(house.runtime, None) == crm_of(house.runtime, "crm") == "crm"
    for name in ("ats", "nowhere"):
        with pytest.raises(ConfigError, match="crm"):
            crm_of(house.runtime, name)


def test_events_of_the_crm_are_read_whole(house: House) -> None:
    """An opt-out told of a record before the ledger knew whose it was is heard at the merge."""
    _, other = twins(house)
    entry = {
        "eventId": 1, "subscriptionId": 1, "portalId": 1, "appId": 9, "attemptNumber": 0,
        "occurredAt": int(house.clock().timestamp() * 1000), "objectId": int(other),
        "subscriptionType": "contact.propertyChange", "propertyName": "hs_email_optout_1001",
        "propertyValue": "true", "changeSource": "CRM_UI", "sourceId": "userId:1",
    }  # fmt: skip
    hear(house, [entry])
    assert Event.objects.get(connection="crm").effect == EventEffect.UNKNOWN
    house.box.hubspot.faults.add({"kind": "drop", "path": "/merge"})
    merge(house, waits(house))
    house.settle()
    assert set(Suppression.objects.values_list("address", flat=True)) == {HOME, WORK}
