"""What holds a mail back beside a person's no: each rule by the real road, on a virtual clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.conftest import House
from warmline.config.project import load
from warmline.core.events import Event, EventKind
from warmline.engine.work import look
from warmline.flows import interpret
from warmline.flows.intake import delivery_row
from warmline.flows.merge import fold, undo
from warmline.flows.opt_out import stop_mail
from warmline.flows.reconcile import poll
from warmline.flows.recover import recover
from warmline.ports import Channel, Received
from warmline.store.db import writing
from warmline.store.models import (
    Application,
    Candidate,
    Consent,
    Incident,
    Message,
    Preference,
    SenderDay,
)
from warmline.store.statuses import ConsentBasis, MessageStatus

WHERE = "  zone: Europe/London\n  country: GB\n"


def policy(house: House, text: str) -> None:
    path = house.folder / "warmline.yaml"
    before = path.read_text().partition("\npolicy:")[0]
    path.write_text(f"{before}\npolicy:\n{WHERE}{text}")
    house.runtime.project = load(house.folder)


def on_day_3(house: House, **person: Any) -> Message:
    """Somebody applied; the first nurture mail is due, and has been looked at."""
    house.apply(**person)
    house.settle()
    house.clock.move(days=3)
    house.settle()
    return Message.objects.get(step=2)


def live(house: House, hours: float, every_h: float = 1) -> None:
    for _ in range(int(hours / every_h)):
        house.clock.move(hours=every_h)
        house.settle()


def lives(house: House, place: str, **person: Any) -> None:
    house.apply(**person)
    interpret.drain(house.runtime, "ats")
    Candidate.objects.update(place=place)
    house.settle()


def quiet(house: House) -> None:
    policy(house, '  quiet_hours: {from: "20:00", to: "08:00"}\n')


# Quiet hours


def test_i11_where_it_is_day_for_the_reader_a_mail_leaves_though_it_is_night_here(
    house: House,
) -> None:
    quiet(house)
    house.clock.at = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)  # 16:30 in Denver
    lives(house, "Denver, CO")
    house.clock.move(days=3)
    house.settle()
    assert len(house.mails()) == 2


def test_i11_at_night_where_the_reader_is_it_waits_for_their_morning(house: House) -> None:
    quiet(house)
    house.clock.at = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)  # 02:30 in Denver
    lives(house, "Denver, CO")
    house.clock.move(days=3)
    house.settle()
    message = Message.objects.get(step=2)
    assert Message.objects.get(step=1).status == MessageStatus.HANDED_OFF  # a receipt answers
    assert (message.status, message.reason) == ("planned", "it is a quiet hour where they are")
    assert message.due_at == datetime(2026, 3, 5, 15, 0, tzinfo=UTC)  # 08:00 there
    live(house, 5)
    assert len(house.mails()) == 1
    live(house, 1)
    assert len(house.mails()) == 2


def test_receipts_wait_too_where_the_policy_says_so(house: House) -> None:
    policy(house, '  quiet_hours: {from: "20:00", to: "08:00", receipts: true}\n')
    house.clock.at = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
    house.apply()
    house.settle()
    assert house.mails() == []
    live(house, 5)
    assert len(house.mails()) == 1


def test_a_night_that_begins_between_claim_and_hand_over_is_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet(house)
    house.clock.at = datetime(2026, 3, 2, 19, 59, tzinfo=UTC)
    house.apply()
    house.settle()
    house.clock.move(days=3)
    from warmline.flows import send

    composed = send.compose

    def slowly(*args: Any) -> Any:
        made = composed(*args)
        house.clock.move(minutes=2)
        return made

    monkeypatch.setattr(send, "compose", slowly)
    house.settle()
    message = Message.objects.get(step=2)
    assert (message.status, message.due_at) == (
        "planned", datetime(2026, 3, 6, 8, 0, tzinfo=UTC),
    )  # fmt: skip
    assert _counted() == 0  # the receipt was another day's


# Caps


def test_nobody_gets_more_nurture_mails_in_a_month_than_the_policy_says(house: House) -> None:
    policy(house, "  frequency: {mails: 1, days: 10}\n")
    on_day_3(house)
    house.clock.move(days=4)
    house.settle()
    third = Message.objects.get(step=3)
    assert (third.status, third.reason) == ("planned", "nobody gets more than 1 in 10 days")
    assert third.due_at == Message.objects.get(step=2).sending_at + timedelta(days=10)
    live(house, 24 * 6, every_h=24)
    assert len(house.mails()) == 3


def test_what_a_folded_candidate_got_counts_for_whoever_stands_for_them(house: House) -> None:
    policy(house, "  frequency: {mails: 2, days: 10}\n")
    house.apply()
    house.apply(email="bo@example.com", first_name="Bo")
    house.settle()
    house.clock.move(days=3)
    house.settle()
    assert len(house.mails()) == 4
    ada, bo = Candidate.objects.order_by("pk")
    with writing():
        fold(ada, bo, evidence="a test", now=house.clock())
    house.clock.move(days=4)
    house.settle()
    third = Message.objects.get(step=3)
    assert (third.candidate, third.status) == (ada, "planned")
    assert third.reason == "nobody gets more than 2 in 10 days"


def test_two_due_at_once_for_one_person_are_counted_in_the_one_claim(house: House) -> None:
    policy(house, "  frequency: {mails: 1, days: 10}\n")
    message = on_day_3(house)
    assert message.status == MessageStatus.HANDED_OFF
    Message.objects.filter(step=2).update(status=MessageStatus.PLANNED)
    Message.objects.create(
        enrolment=message.enrolment, candidate=message.candidate, step=3, step_class="marketing",
        planned_at=house.clock(), due_at=house.clock(), lane=message.lane,
    )  # fmt: skip
    house.settle()
    assert Message.objects.filter(step__in=(2, 3), status="handed_off").count() == 1


def test_i5_a_pause_that_the_person_asked_for_holds_until_it_is_over(house: House) -> None:
    house.apply()
    house.settle()
    house.clock.move(days=3)
    until = house.clock() + timedelta(days=2)
    Preference.objects.create(
        candidate=Candidate.objects.get(), paused_until=until, updated_at=house.clock()
    )
    house.settle()
    message = Message.objects.get(step=2)
    assert (message.status, message.due_at) == ("planned", until)
    assert message.reason == "they asked for a pause"
    live(house, 47)
    assert len(house.mails()) == 1
    live(house, 1)
    assert len(house.mails()) == 2


def test_i5_a_pause_asked_for_between_claim_and_hand_over_is_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warmline.flows import send

    composed = send.compose

    def meanwhile(*args: Any) -> Any:
        if args[1].step == 2:
            later = house.clock() + timedelta(days=9)
            Preference.objects.update_or_create(
                candidate=Candidate.objects.get(),
                defaults={"paused_until": later, "updated_at": house.clock()},
            )
        return composed(*args)

    monkeypatch.setattr(send, "compose", meanwhile)
    message = on_day_3(house)
    assert (message.status, message.reason) == ("planned", "they asked for a pause")
    assert len(house.mails()) == 1


def test_days_between_two_mails_are_kept(house: House) -> None:
    on_day_3(house)
    Preference.objects.create(
        candidate=Candidate.objects.get(), days_between=6, updated_at=house.clock()
    )
    house.clock.move(days=4)
    house.settle()
    third = Message.objects.get(step=3)
    assert third.due_at == Message.objects.get(step=2).sending_at + timedelta(days=6)
    live(house, 48, every_h=24)
    assert len(house.mails()) == 3


# Senders


def _many(house: House, count: int) -> None:
    for i in range(count):
        house.apply(email=f"p{i}@example.com", first_name=f"P{i}")
    house.settle()
    house.clock.move(days=3)
    house.settle()


def test_a_sender_warms_up_and_what_is_over_the_limit_goes_on_another_day(house: House) -> None:
    _many(house, 5)
    assert len(house.mails()) == 10
    warm_up = "{first: 2, growth: 2, domain_first: 2}"
    policy(house, f"  senders: {{domain_a_day: 100, warm_up: {warm_up}}}\n")
    SenderDay.objects.all().delete()
    house.clock.move(days=4)
    house.settle()
    assert len(house.mails()) == 12
    over = Message.objects.filter(step=3, status="planned")
    assert {m.reason for m in over} == {
        "2 mails have left from this domain today, which is the limit"
    }
    assert {m.due_at.date() for m in over} == {(house.clock() + timedelta(days=1)).date()}
    live(house, 24, every_h=24)
    assert len(house.mails()) == 15
    assert sorted(
        SenderDay.objects.filter(name__startswith="@").values_list("mails", flat=True)
    ) == [2, 3]


def test_receipts_are_counted_and_never_held_by_a_limit(house: House) -> None:
    policy(house, "  senders: {a_day: 1}\n")
    for i in range(3):
        house.apply(email=f"p{i}@example.com", first_name=f"P{i}")
    house.settle()
    assert len(house.mails()) == 3
    assert sum(SenderDay.objects.exclude(name__startswith="@").values_list("mails", flat=True)) == 3


def _counted() -> int:
    """Of the last day on which anything left."""
    day = SenderDay.objects.latest("day").day
    rows = SenderDay.objects.filter(day=day)
    of_domains = sum(rows.filter(name__startswith="@").values_list("mails", flat=True))
    assert of_domains == sum(rows.exclude(name__startswith="@").values_list("mails", flat=True))
    return of_domains


def test_what_did_not_leave_gives_its_share_of_the_day_back(house: House) -> None:
    house.box.mailbox.faults.add({"kind": "refuse", "path": "a@example.com"})
    house.apply(email="a@example.com")
    house.settle()
    assert _counted() == 0
    house.apply(email="b@example.com", first_name="Bo")
    interpret.drain(house.runtime, "ats")
    from warmline.flows.send import _claim

    message = Message.objects.get(candidate__first_name="Bo")
    _claim(house.runtime, {message.lane}, f"{house.runtime.token[:20]}.dead", None)
    assert _counted() == 1
    recover(house.runtime, alone=True)
    assert _counted() == 0
    house.settle()
    assert _counted() == 1


# Consent


def test_i5_an_applications_consent_ends_by_the_law_where_they_are(house: House) -> None:
    lives(house, "Toronto, Canada")
    Application.objects.update(applied_at=house.clock() - timedelta(days=190))
    house.clock.move(days=3)
    house.settle()
    message = Message.objects.get(step=2)
    assert message.status == MessageStatus.HELD
    assert message.reason.startswith("no consent stands: the last one ended on 2026-02-")
    assert message.expires_at == house.clock() + timedelta(days=14)
    Candidate.objects.update(place="London, UK")  # two years, there
    live(house, 1)
    assert len(house.mails()) == 2


def test_i5_a_held_mail_goes_once_consent_is_given(house: House) -> None:
    house.apply()
    house.settle()
    Application.objects.update(applied_at=house.clock() - timedelta(days=800))
    house.clock.move(days=3)
    house.settle()
    assert Message.objects.get(step=2).status == MessageStatus.HELD
    _consent(house, EventKind.CONSENT_GIVEN, text_version="2026-03")
    row = Consent.objects.get()
    assert (row.basis, row.text_version, row.until) == (ConsentBasis.EXPRESS, "2026-03", None)
    live(house, 1)
    assert len(house.mails()) == 2


def test_i5_withdrawing_ends_every_consent(house: House) -> None:
    house.apply()
    house.settle()
    _consent(house, EventKind.CONSENT_GIVEN, text_version="2026-03")
    house.clock.move(hours=1)
    _consent(house, EventKind.CONSENT_WITHDRAWN)
    assert Consent.objects.get().withdrawn_at == house.clock()
    house.clock.move(days=3)
    house.settle()
    assert len(house.mails()) == 1


def _consent(house: House, kind: EventKind, **fields: str) -> None:
    candidate = Candidate.objects.get()
    external = candidate.external_ids.get(connection="crm")
    received = Received(Channel.WEBHOOK, b"{}", house.clock(), stream="x")
    from warmline.core.events import CandidateFacts

    event = Event(
        kind=kind, key=f"{kind}:{house.clock()}", word=str(kind), occurred_at=house.clock(),
        candidate=CandidateFacts(external_id=external.external_id), fields=fields,
    )  # fmt: skip
    with writing():
        interpret.take(house.runtime, delivery_row("crm", received, event.key), [event])


# Holds that go, lapse or are shown


def test_i11_a_held_mail_goes_again_once_its_cause_is_gone_and_keeps_its_distance(
    house: House,
) -> None:
    row = house.apply()
    house.settle()
    house.does("move", row["id"], "Technical Interview")
    house.clock.move(days=3)
    house.settle()
    message = Message.objects.get(step=2)
    assert message.reason == "interviewing: the recruiter is in touch in person"
    house.clock.move(days=2)
    house.does("move", row["id"], "Phone Screen")
    house.settle()
    live(house, 1)
    message.refresh_from_db()
    assert message.status == MessageStatus.HANDED_OFF
    live(house, 24 * 3, every_h=12)
    assert len(house.mails()) == 2  # the next one is two days later too
    live(house, 24 * 2, every_h=12)
    assert len(house.mails()) == 3


def test_i11_a_held_mail_lapses_and_keeps_its_reason(house: House) -> None:
    policy(house, "  expire_days: 5\n")
    row = house.apply()
    house.settle()
    house.does("move", row["id"], "Technical Interview")
    house.clock.move(days=3)
    house.settle()
    live(house, 24 * 5, every_h=24)
    message = Message.objects.get(step=2)
    assert message.status == MessageStatus.EXPIRED
    assert message.reason == "interviewing: the recruiter is in touch in person"
    house.does("move", row["id"], "Phone Screen")
    live(house, 48, every_h=24)
    assert Message.objects.get(step=2).status == MessageStatus.EXPIRED
    assert not [m for m in house.mails() if m["headers"]["x-warmline-step"] == "welcome/2"]


def test_a_wait_that_is_longer_than_a_mail_is_worth_ends_in_its_lapse(house: House) -> None:
    policy(house, "  expire_days: 5\n")
    house.apply()
    house.settle()
    house.clock.move(days=3)
    Preference.objects.create(
        candidate=Candidate.objects.get(),
        paused_until=house.clock() + timedelta(days=60),
        updated_at=house.clock(),
    )
    live(house, 24 * 6, every_h=24)
    assert Message.objects.get(step=2).status == MessageStatus.EXPIRED
    assert len(house.mails()) == 1


def test_a_hold_for_good_has_no_end(house: House) -> None:
    row = house.apply()
    house.settle()
    house.does("move", row["id"], "Technical Interview")
    house.clock.move(days=3)
    house.settle()
    house.does("hire", row["id"])
    house.settle()
    live(house, 24 * 20, every_h=24)
    message = Message.objects.get(step=2)
    assert (message.status, message.reason, message.expires_at) == ("held", "hired", None)


def test_i5_what_was_stopped_while_it_waited_is_not_let_go(house: House) -> None:
    """It waits for an hour when the enrolment ends: the hold that is looked at again is over."""
    house.apply()
    house.settle()
    house.clock.move(days=3)
    Preference.objects.create(
        candidate=Candidate.objects.get(),
        paused_until=house.clock() + timedelta(hours=2),
        updated_at=house.clock(),
    )
    house.settle()
    message = Message.objects.get(step=2)
    assert message.expires_at is not None
    with writing():
        stop_mail(Candidate.objects.get(), "a test", now=house.clock())
    live(house, 4)
    message.refresh_from_db()
    assert (message.status, message.reason, message.expires_at) == ("held", "a test", None)
    # And where something else held it, and left its time.
    Message.objects.filter(pk=message.pk).update(expires_at=house.clock() + timedelta(days=9))
    live(house, 1)
    message.refresh_from_db()
    assert (message.status, message.reason, message.expires_at) == ("held", "a test", None)
    assert len(house.mails()) == 1


def test_an_overdue_step_is_shown_and_not_sent_by_the_policys_own_age(house: House) -> None:
    policy(house, "  overdue_days: 0.5\n")
    house.apply()
    house.settle()
    house.clock.move(days=3)
    look(house.runtime)
    house.clock.move(hours=13)
    house.settle()
    message = Message.objects.get(step=2)
    assert (message.status, message.expires_at) == (MessageStatus.HELD, None)
    assert message.reason == "overdue by more than 0.5 days: held for a person to look at"
    assert Incident.objects.filter(key="mail:overdue").exists()


# How they stand in the ATS now


@pytest.mark.parametrize(
    ("verb", "args", "reason"),
    [
        ("hire", (), "hired"),
        ("reject", (), "the application was rejected"),
        ("move", ("Technical Interview",), "interviewing: the recruiter is in touch in person"),
    ],
)
def test_i11_what_no_webhook_told_is_read_in_the_ats_before_the_mail(
    house: House, verb: str, args: tuple[str, ...], reason: str
) -> None:
    policy(house, "")
    row = house.apply()
    house.settle()
    poll(house.runtime, "ats")
    house.clock.move(days=2, hours=23, minutes=55)
    with house.box.greenhouse.captured():  # whose webhooks are lost
        getattr(house.box.greenhouse, verb)(row["id"], *args)
    house.clock.move(minutes=5)
    house.settle()
    message = Message.objects.get(step=2)
    assert (message.status, message.reason) == (MessageStatus.HELD, reason)
    assert len(house.mails()) == 1


def test_i11_while_the_ats_is_down_nurture_waits_and_receipts_leave(house: House) -> None:
    house.apply()
    house.settle()
    house.box.greenhouse.faults.add({"kind": "error", "path": "/v3/*"})
    house.clock.move(days=3)
    house.apply(email="bo@example.com", first_name="Bo")
    house.settle()
    message = Message.objects.get(step=2)
    assert (message.status, message.reason) == ("planned", "ats could not be asked how they stand")
    assert len(house.mails("bo@example.com")) == 1
    assert Incident.objects.filter(key="ats:poll").exists()
    house.box.greenhouse.faults.clear()
    live(house, 0.1, every_h=0.05)
    assert len(house.mails("ada.lind@example.com")) == 2


def test_the_ats_is_asked_once_for_many_mails(house: House) -> None:
    for i in range(6):
        house.apply(email=f"p{i}@example.com", first_name=f"P{i}")
    house.settle()
    house.clock.move(days=3)
    log = house.box.greenhouse.log
    before = log.as_json()["total"]
    house.settle()
    assert len(house.mails()) == 12
    first = log.as_json()["total"] - before
    house.clock.move(minutes=5)
    house.settle()
    assert log.as_json()["total"] - before == first
    assert first < 6


# Merges


def test_i5_consents_and_wishes_follow_the_person_and_undo_restores(house: House) -> None:
    house.apply()
    house.apply(email="bo@example.com", first_name="Bo")
    house.settle()
    ada, bo = Candidate.objects.order_by("pk")
    now, zone = house.clock(), ZoneInfo("UTC")
    Consent.objects.create(candidate=bo, basis="express", source="warmline", since=now)
    Preference.objects.create(
        candidate=ada, days_between=3, topics_off=["roles"], updated_at=now, language="de"
    )
    Preference.objects.create(
        candidate=bo, paused_until=datetime(2026, 9, 1, tzinfo=zone), days_between=9,
        topics_off=["culture"], updated_at=now,
    )  # fmt: skip
    before = [list(Preference.objects.order_by("pk").values()), list(Consent.objects.values())]
    with writing():
        merge = fold(ada, bo, evidence="a test", now=now)
    kept = Preference.objects.get(candidate=ada)
    assert kept.paused_until == datetime(2026, 9, 1, tzinfo=UTC)
    assert (kept.days_between, sorted(kept.topics_off)) == (9, ["culture", "roles"])
    assert kept.language == "de"
    assert Consent.objects.get().candidate == ada
    with writing():
        undo(merge.pk, who="a test", now=now)
    after = [list(Preference.objects.order_by("pk").values()), list(Consent.objects.values())]
    assert after == before
