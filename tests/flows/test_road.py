"""The one road, from a webhook to a contact and a mail."""

from __future__ import annotations

import re

import pytest

from tests.conftest import House
from warmline.core.errors import BadSignature
from warmline.flows import interpret
from warmline.flows.reconcile import poll
from warmline.flows.track import unsubscribe
from warmline.store.models import (
    Action,
    Application,
    Candidate,
    CandidateEmail,
    Delivery,
    Event,
    ExternalId,
    Incident,
    Message,
    Suppression,
)
from warmline.store.statuses import ActionStatus, IncidentStatus, MessageStatus


def test_a_new_applicant_becomes_one_contact_and_gets_the_welcome_from_the_recruiter(
    house: House,
) -> None:
    row = house.apply()
    house.settle()

    (contact,) = house.contacts()
    recruiter = contact["properties"]["recruiter_owner"]
    assert contact["properties"]["applied_role"] == "Backend Engineer"
    assert contact["properties"]["application_date"] == "2026-03-02"
    assert (contact["properties"]["firstname"], contact["emails"]) == (
        "Ada",
        ["ada.lind@example.com"],
    )
    (mail,) = house.mails()
    assert recruiter in mail["from"]
    assert "Backend Engineer" in mail["subject"]
    assert mail["list_unsubscribe_post"] == "List-Unsubscribe=One-Click"
    assert Application.objects.get().external_id == str(row["id"])


def test_the_welcome_goes_on_days_0_3_and_7(house: House) -> None:
    house.apply()
    house.settle()
    steps = []
    for _ in range(8):
        steps.append([m["headers"]["x-warmline-step"] for m in house.mails()])
        house.clock.move(days=1)
        house.settle()
    steps.append([m["headers"]["x-warmline-step"] for m in house.mails()])
    assert steps[0] == steps[2] == ["welcome/1"]
    assert steps[3] == steps[6] == ["welcome/1", "welcome/2"]
    assert steps[7] == ["welcome/1", "welcome/2", "welcome/3"]


def test_i2_the_same_delivery_again_or_under_another_id_changes_nothing(house: House) -> None:
    with house.box.greenhouse.captured() as webhooks:
        house.box.greenhouse.apply(
            {"first_name": "Ada", "email": "ada@example.com", "last_name": "Lind"}, 4001
        )
    ((headers, body),) = webhooks
    for again in (headers, headers, {**headers, "Greenhouse-Event-ID": "another"}):
        house.receive("ats", again, body)
        house.settle()
    assert Event.objects.filter(connection="ats").count() == 1
    assert len(house.contacts()) == len(house.mails()) == 1
    assert Delivery.objects.count() == 2


def test_i3_a_second_application_is_the_same_person(house: House) -> None:
    first = house.apply()
    house.settle()
    house.clock.move(days=1)
    house.apply(candidate_id=first["candidate_id"], job_id=4002)
    house.settle()
    (contact,) = house.contacts()
    assert contact["properties"]["applied_role"] == "Data Engineer"
    assert Candidate.objects.count() == 1
    assert len(house.mails()) == 1


def test_i3_two_records_with_one_address_are_one_person(house: House) -> None:
    house.apply(email="ada@example.com")
    house.apply(email=" ADA@example.com\u00a0", job_id=4003)
    house.settle()
    assert Candidate.objects.count() == len(house.contacts()) == len(house.mails()) == 1
    assert ExternalId.objects.filter(connection="ats").count() == 2


def test_i3_a_record_that_joins_two_people_folds_them(house: House) -> None:
    one = house.apply(email="ada@example.com")
    house.apply(email="ada@work.example.com", job_id=4002)
    house.settle()
    assert len(house.mails()) == 2
    house.does(
        "update_candidate",
        one["candidate_id"],
        email_addresses=[
            {"value": "ada@example.com", "type": "personal"},
            {"value": "ada@work.example.com", "type": "work"},
        ],
    )
    house.settle()
    standing = Candidate.objects.get(merged_into=None)
    assert CandidateEmail.objects.filter(candidate=standing).count() == 2
    house.clock.move(days=3)
    house.settle()
    assert len(house.mails()) == 3  # one day-3 mail, not two


def test_stage_to_interview_updates_the_contact(house: House) -> None:
    poll(house.runtime, "ats")
    row = house.apply()
    house.settle()
    house.clock.move(hours=5)
    stages = house.box.greenhouse.world.job_interview_stages.rows.values()
    interview = next(
        s["name"] for s in stages if s["job_id"] == row["job_id"] and "nterview" in s["name"]
    )
    house.does("move", row["id"], interview)
    house.settle()
    assert house.contacts()[0]["properties"]["candidate_stage"] == interview
    starts = house.clock.at.replace(hour=15)
    people = [u["id"] for u in house.box.greenhouse.world.staff("interviewer")][:1]
    house.box.greenhouse.schedule_interview(
        row["id"], starts_at=starts, ends_at=starts.replace(hour=16), interviewers=people
    )
    house.clock.move(minutes=5)
    poll(house.runtime, "ats")
    house.settle()
    properties = house.contacts()[0]["properties"]
    assert (
        properties["interview_date"].startswith("2026-03-02T15:00")
        or properties["interview_date"].isdigit()
    )
    assert properties["interviewer"]


def test_i6_an_old_change_never_overwrites_a_newer_one(house: House) -> None:
    row = house.apply()
    house.settle()
    stages = [
        s["name"]
        for s in house.box.greenhouse.world.job_interview_stages.rows.values()
        if s["job_id"] == row["job_id"]
    ]
    late: list[tuple[dict[str, str], bytes]] = []
    for stage in (stages[1], next(s for s in stages if "nterview" in s)):
        house.clock.move(minutes=30)
        with house.box.greenhouse.captured() as webhooks:
            house.box.greenhouse.move(row["id"], stage)
        late = webhooks + late
    house.deliver(late)  # the newer one first
    house.settle()
    application = Application.objects.select_related("stage").get()
    assert application.stage is not None
    assert "nterview" in application.stage.name
    assert "nterview" in house.contacts()[0]["properties"]["candidate_stage"]
    told = Event.objects.filter(connection="ats").values_list("effect", flat=True)
    assert sorted(told) == ["applied", "applied", "stale"]


def test_i5_an_opt_out_stops_the_next_mail(house: House) -> None:
    house.apply()
    house.settle()
    assert unsubscribe(house.runtime, Message.objects.get().pk, how="one-click")
    house.clock.move(days=8)
    house.settle()
    assert len(house.mails()) == 1
    assert Suppression.objects.get().address == "ada.lind@example.com"


def test_i5_an_opt_out_between_claim_and_hand_over_stops_the_mail(house: House) -> None:
    house.apply()
    from warmline.flows import send

    interpret.drain(house.runtime, "ats")
    message = Message.objects.get()
    begin = send._begin

    def opt_out_first(runtime: object, item: object, token: str) -> bool:
        unsubscribe(house.runtime, message.pk, how="page")
        return begin(runtime, item, token)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(send, "_begin", opt_out_first)
        house.worker.drain("mail", range(32))
    message.refresh_from_db()
    assert message.status == MessageStatus.HELD
    assert not house.mails()


def test_i5_a_new_address_of_somebody_who_opted_out_is_not_mailed(house: House) -> None:
    row = house.apply()
    house.settle()
    unsubscribe(house.runtime, Message.objects.get().pk, how="page")
    house.does(
        "update_candidate",
        row["candidate_id"],
        email_addresses=[{"value": "new@example.com", "type": "personal"}],
    )
    house.apply(email="new@example.com", job_id=4004)
    house.clock.move(days=8)
    house.settle()
    assert len(house.mails()) == 1


def test_i11_somebody_hired_meanwhile_gets_no_culture_story(house: House) -> None:
    row = house.apply()
    house.settle()
    house.clock.move(days=1)
    house.does("hire", row["id"])
    house.clock.move(days=3)
    house.settle()
    held = Message.objects.get(step=2)
    assert (held.status, held.reason) == (MessageStatus.HELD, "hired")
    assert len(house.mails()) == 1


def test_a_candidate_without_an_address_waits_for_one_and_loses_nothing(house: House) -> None:
    row = house.apply(email="")
    house.settle()
    assert not house.mails()
    incident = Incident.objects.get()
    assert incident.status == IncidentStatus.OPEN
    assert incident.record == f"candidate {Candidate.objects.get().pk}"
    house.clock.move(days=4)
    house.does(
        "update_candidate",
        row["candidate_id"],
        email_addresses=[{"value": "at.last@example.com", "type": "personal"}],
    )
    house.settle()
    steps = [m["headers"]["x-warmline-step"] for m in house.mails("at.last@example.com")]
    assert steps == ["welcome/1"]
    house.clock.move(days=3)
    house.settle()
    assert len(house.mails("at.last@example.com")) == 2
    assert house.contacts()[0]["emails"] == ["at.last@example.com"]
    incident.refresh_from_db()
    assert incident.status == IncidentStatus.RESOLVED


def test_an_invalid_address_is_no_address(house: House) -> None:
    house.apply(email="not an address@@example")
    house.settle()
    assert not house.mails()
    assert Incident.objects.filter(status=IncidentStatus.OPEN).count() == 1


def test_a_missing_template_variable_holds_the_mail_and_opens_an_incident(house: House) -> None:
    house.needs_a_first_name()
    house.apply(first_name="")
    house.settle()
    message = Message.objects.get()
    assert message.status == MessageStatus.HELD
    assert "candidate.first_name" in message.reason
    assert Incident.objects.get(key=f"message:{message.pk}").candidate_id == message.candidate_id
    assert not house.mails()


def test_an_unreachable_crm_delays_the_contact_and_not_the_mail(house: House) -> None:
    house.box.hubspot.faults.add({"kind": "error", "share": 1})
    house.apply()
    house.settle()
    assert len(house.mails()) == 1
    assert not house.contacts()
    assert Incident.objects.get().status == IncidentStatus.OPEN
    house.box.hubspot.faults.clear()
    house.clock.move(minutes=2)
    house.settle()
    assert len(house.contacts()) == 1
    assert Incident.objects.get().status == IncidentStatus.RESOLVED
    assert Action.objects.get(kind="contact.upsert").status in (
        ActionStatus.DONE,
        ActionStatus.ALREADY_DONE,
    )


def test_a_write_without_an_answer_is_looked_for_before_it_is_repeated(house: House) -> None:
    house.box.hubspot.faults.add({"kind": "timeout_after", "seconds": 0, "count": 1})
    house.apply()
    house.settle()
    assert Action.objects.get(kind="contact.upsert").status == ActionStatus.UNKNOWN
    house.clock.move(minutes=1)
    house.settle()
    assert len(house.contacts()) == 1
    assert Action.objects.get(kind="contact.upsert").status in (
        ActionStatus.DONE,
        ActionStatus.ALREADY_DONE,
    )


def test_i4_a_hand_over_without_an_answer_is_never_blindly_repeated(house: House) -> None:
    house.box.mailbox.faults.add({"kind": "drop_after", "count": 1})
    house.apply()
    house.settle()
    house.clock.move(days=1)
    house.settle()
    message = Message.objects.get()
    assert message.status == MessageStatus.UNKNOWN
    assert len(house.mails()) == 1  # the catcher did take it
    from warmline.flows.settle import settle

    settle(message.pk, arrived=True, who="a person", now=house.clock())
    message.refresh_from_db()
    assert message.status == MessageStatus.HANDED_OFF


def test_a_dead_mailbox_is_suppressed_and_told(house: House) -> None:
    house.box.mailbox.faults.add({"kind": "refuse", "path": "ada.lind@example.com"})
    house.apply()
    house.settle()
    house.clock.move(days=8)
    house.settle()
    assert Message.objects.get().status == MessageStatus.REFUSED
    assert Suppression.objects.get().reason == "bounced"
    assert "ada.lind" not in Incident.objects.get().reason


def test_a_busy_mail_server_is_tried_again(house: House) -> None:
    house.box.mailbox.faults.add({"kind": "later", "count": 1})
    house.apply()
    house.settle()
    assert not house.mails()
    house.clock.move(seconds=10)
    house.settle()
    assert len(house.mails()) == 1
    assert Incident.objects.get().status == IncidentStatus.RESOLVED


def test_a_stranger_is_turned_away_and_nothing_is_kept(house: House) -> None:
    with pytest.raises(BadSignature):
        house.receive("ats", {"Signature": "sha256 00"}, b"{}")
    assert not Delivery.objects.exists()
    assert Incident.objects.get().connection == "ats"


def test_signed_bytes_that_are_not_json_are_kept_as_malformed(house: House) -> None:
    body = b'{"action": '
    import hashlib
    import hmac

    mac = hmac.new(b"sandbox-webhook-secret", body, hashlib.sha256).hexdigest()
    assert "expected JSON" in house.receive("ats", {"Signature": f"sha256 {mac}"}, body)
    house.settle()
    row = Delivery.objects.get()
    assert (row.status, bytes(row.body)) == ("malformed", body)
    assert re.match("a signed delivery could not be read", Incident.objects.get().reason)


def test_i6_a_deletion_that_overtakes_the_application_is_not_undone_by_it(house: House) -> None:
    with house.box.greenhouse.captured() as applied:
        row = house.box.greenhouse.apply(
            {"first_name": "Ada", "last_name": "Lind", "email": "ada@example.com"}, 4001
        )
    house.does("delete_candidate", row["candidate_id"])
    house.deliver(applied)
    house.settle()
    assert not house.mails()
    assert not house.contacts()
    assert not Candidate.objects.exists()


def test_late_news_of_a_deleted_candidate_does_not_bring_them_back(house: House) -> None:
    row = house.apply()
    house.settle()
    with house.box.greenhouse.captured() as late:
        house.box.greenhouse.move(row["id"], "Offer")
    house.does("delete_candidate", row["candidate_id"])
    house.settle()
    house.deliver(late)
    house.clock.move(days=4)
    house.settle()
    assert Candidate.objects.get().erased_at is not None
    assert len(house.mails()) == 1
    told = Event.objects.filter(connection="ats").values_list("effect", flat=True)
    assert sorted(told) == ["applied", "applied", "stale"]


def test_two_events_of_one_batch_see_each_others_changes(house: House) -> None:
    """One candidate is one object in a batch: a name that the first event brings is not undone by
    the second, older one."""
    row = house.apply()
    house.settle()
    house.clock.move(minutes=1)
    house.does("update_candidate", row["candidate_id"], first_name="Adelaide")
    house.does("move", row["id"], "Offer")
    house.settle()
    assert Candidate.objects.get().first_name == "Adelaide"


def test_an_action_of_a_candidate_who_is_merged_in_the_same_batch_reaches_the_contact(
    house: House,
) -> None:
    one = house.apply(email="ada@example.com")
    house.apply(email="ada@work.example.com", job_id=4002)
    house.does(
        "update_candidate",
        one["candidate_id"],
        email_addresses=[
            {"value": "ada@example.com", "type": "personal"},
            {"value": "ada@work.example.com", "type": "work"},
        ],
    )
    house.settle()
    assert len(house.contacts()) == 1
    assert len(house.mails()) == 1
    assert not Action.objects.filter(status=ActionStatus.REFUSED).exists()


def test_an_opt_out_in_the_crm_before_the_contact_is_linked_is_heard_once_it_is(
    house: House,
) -> None:
    house.apply()
    interpret.drain(house.runtime, "ats")
    house.worker.drain("mail", range(32))
    crm = house.runtime.connectors["crm"]
    url = f"{house.runtime.project.public_url}/in/crm"
    apply = crm.apply

    def opt_out_meanwhile(actions: object) -> object:
        outcomes = apply(actions)
        with house.box.hubspot.captured() as events:
            house.box.hubspot.opt_out("ada.lind@example.com")
        house.receive("crm", *house.box.hubspot.build_webhook(events, url))
        interpret.drain(house.runtime, "crm")
        return outcomes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crm, "apply", opt_out_meanwhile)
        house.worker.drain("act:crm", range(32))
    house.clock.move(days=8)
    house.settle()
    assert Suppression.objects.get().reason == "unsubscribed"
    assert len(house.mails()) == 1


def test_i6_an_undated_word_that_may_be_a_late_retry_does_not_outrank_a_poll(
    house: House,
) -> None:
    poll(house.runtime, "ats")
    row = house.apply()
    house.settle()
    house.clock.move(minutes=2)
    with house.box.greenhouse.captured() as late:
        house.box.greenhouse.update_candidate(row["candidate_id"], first_name="Typo")
    house.clock.move(minutes=2)
    with house.box.greenhouse.captured():  # this webhook is lost
        house.box.greenhouse.update_candidate(row["candidate_id"], first_name="Adelaide")
    house.clock.move(minutes=2)
    poll(house.runtime, "ats")
    house.settle()
    assert Candidate.objects.get().first_name == "Adelaide"
    house.clock.move(minutes=3)
    house.deliver(late)
    house.settle()
    assert Candidate.objects.get().first_name == "Adelaide"


def test_a_known_move_told_again_with_a_new_tag_does_not_set_its_triggers_off(
    house: House,
) -> None:
    row = house.apply()
    house.clock.move(minutes=1)
    house.does("move", row["id"], "Offer")
    house.settle()
    kinds = Event.objects.filter(kind="application.stage_changed")
    assert kinds.count() == 1
    house.clock.move(minutes=1)
    with house.box.greenhouse.captured():
        house.box.greenhouse.update_candidate(row["candidate_id"], tags=["Baking"])
    house.clock.move(minutes=1)
    world = house.box.greenhouse.world
    application = world.applications.get(row["id"])
    world.touch(application)
    payload = house.box.greenhouse.application_payload(row["id"])
    house.receive("ats", *house.box.greenhouse.build_webhook("candidate_stage_change", payload))
    house.settle()
    assert Candidate.objects.get().tags == ["Baking"]
    assert kinds.filter(effect="applied").count() == 1
