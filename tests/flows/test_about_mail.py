"""What comes back for a mail: it arrived, it bounced, somebody complained, or answered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes, policy
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import SECRETS, Clock, House, copy_starter, point_at
from warmline.config.project import load
from warmline.connectors.mailbox.contract import HOST, PASSWORD, USER, ImapServer
from warmline.engine.work import Worker
from warmline.flows import first_sync
from warmline.flows.links import message_id_header
from warmline.flows.reconcile import poll
from warmline.flows.runtime import build
from warmline.sandbox.serve import Sandbox
from warmline.store.models import Action, Candidate, Enrolment, Event, Message, Suppression
from warmline.store.statuses import (
    ActionStatus,
    EnrolmentStatus,
    MessageStatus,
    SuppressionReason,
)

ADA = "ada.lind@example.com"


class Office(House):
    """A house with a mailbox that answers come to."""

    imap: ImapServer

    def comes(self, *mails: bytes) -> None:
        """The mails come into the mailbox and are read."""
        self.clock.move(minutes=5)
        self.imap.put(*mails, at=self.clock())
        poll(self.runtime, "replies")
        self.settle()


@pytest.fixture
def office(
    ledger: None, clock: Clock, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Office]:
    for name, value in {**SECRETS, "WARMLINE_REPLIES_PASSWORD": PASSWORD}.items():
        monkeypatch.setenv(name, value)
    with Sandbox(now=clock, background=False, search_lag_s=0) as box, ImapServer() as imap:
        box.greenhouse.secret = SECRETS["WARMLINE_ATS_WEBHOOK_SECRET"]
        box.hubspot.secret = SECRETS["WARMLINE_CRM_CLIENT_SECRET"]
        folder = tmp_path / "project"
        copy_starter(folder)
        point_at(folder, box)
        file = folder / "warmline.yaml"
        replies = (
            f"  replies: {{connector: mailbox, host: {HOST}, port: {imap.port}, tls: none,"
            f" username: {USER}}}\n"
        )
        flags = (
            "  - {on: message.replied, from: replies, do: candidate.flag, in: ats,"
            " pass: [email_subject]}\n"
            "  - {on: message.complained, from: replies, do: candidate.do_not_contact, in: ats}\n"
        )
        text = file.read_text().replace("  export:\n", f"{replies}  export:\n", 1)
        ours = "\nmail:\n  replies_to: r@example.com\n  unsubscribe_mailbox: no@example.com\n"
        text = text.replace("\nmail:\n", ours, 1)
        file.write_text(text.replace("\ntriggers:\n", f"\ntriggers:\n{flags}", 1))
        runtime = build(load(folder), now=clock, chance=lambda: 0.5)
        first_sync.allow(clock())
        made = Office(runtime, box, clock, Worker(runtime), folder)
        made.imap = imap
        poll(runtime, "replies")
        made.apply()
        made.settle()
        yield made
        made.worker.close()
        runtime.close()


def the_message() -> Message:
    return Message.objects.order_by("id").first() or Message()


def id_of(message: Message) -> str:
    return message_id_header(message.pk, "example.com")


def answer(house: House, reference: str, text: str = "Yes, gladly.", **headers: str) -> bytes:
    lines = {
        "From": f"Ada Lind <{ADA}>",
        "Subject": "Re: Your application",
        "Message-ID": f"<{len(text)}.{len(headers)}@example.com>",
        "In-Reply-To": reference,
        "Date": format_datetime(house.clock() + timedelta(minutes=5)),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{head}\r\n{text}\r\n".encode()


def bounce(house: House, reference: str, *, status: str = "5.1.1", number: int = 1) -> bytes:
    return (
        "From: MAILER-DAEMON@mx.example.com\r\nSubject: Undelivered\r\n"
        f"Message-ID: <bounce-{number}@mx.example.com>\r\n"
        f"Date: {format_datetime(house.clock() + timedelta(minutes=5))}\r\n"
        "MIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n"
        f"Final-Recipient: rfc822; somebody.else@example.com\r\nAction: failed\r\n"
        f"Status: {status}\r\n\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {reference}\r\n\r\n--b--\r\n"
    ).encode()


def test_an_answer_ends_the_sequence_and_tells_the_recruiter_once(office: Office) -> None:
    message = the_message()
    mail = answer(office, id_of(message), "Yes, gladly.\r\n\r\n> Hello Ada")
    office.comes(mail, mail)
    office.comes(mail)

    event = Event.objects.get(kind="message.replied")
    assert event.message_id == message.pk
    assert event.fields["text"] == "Yes, gladly."
    enrolment = Enrolment.objects.get()
    assert (enrolment.status, enrolment.reason) == (EnrolmentStatus.STOPPED, "replied")
    recruiter = Candidate.objects.get().owner_email
    (told,) = office.mails(recruiter)
    assert told["subject"] == "Ada Lind answered: Re: Your application"
    raw = office.box.mailbox.store.raw(office.box.mailbox.store.get(told["id"])).decode()  # type: ignore[arg-type]
    assert f"Reply-To: {ADA}" in raw
    assert "Yes, gladly." in raw
    assert "> Hello" not in raw
    assert Action.objects.get(kind="recruiter.tell").status == ActionStatus.DONE
    assert Action.objects.get(kind="candidate.flag").status == ActionStatus.DONE
    office.clock.move(days=8)
    office.settle()
    assert len(office.mails(ADA)) == 1, "nothing of the sequence leaves any more"


def test_an_out_of_office_ends_nothing(office: Office) -> None:
    mail = answer(office, id_of(the_message()), "Away.", **{"Auto-Submitted": "auto-replied"})
    office.comes(mail)
    assert Enrolment.objects.get().status == EnrolmentStatus.ACTIVE
    assert the_message().delivered_at is not None
    assert not Action.objects.filter(kind="recruiter.tell").exists()


def test_a_hard_bounce_suppresses_the_address_that_we_wrote_to(office: Office) -> None:
    office.comes(bounce(office, id_of(the_message())))
    row = Suppression.objects.get()
    assert (row.address, row.reason) == (ADA, SuppressionReason.BOUNCED)
    assert the_message().bounced_at is not None
    office.clock.move(days=8)
    office.settle()
    assert len(office.mails(ADA)) == 1


@pytest.mark.parametrize("mark", ["0123456789abcdef", "0" * 16])
def test_a_forged_bounce_suppresses_nobody(office: Office, mark: str) -> None:
    office.comes(bounce(office, f"<warmline.{the_message().pk}.{mark}@example.com>"))
    assert not Suppression.objects.exists()
    assert Event.objects.get(kind="message.bounced").effect == "unknown"
    assert the_message().bounced_at is None


def test_the_third_soft_bounce_within_thirty_days_is_a_hard_one(office: Office) -> None:
    for number in (1, 2):
        mail = bounce(office, id_of(the_message()), status="5.2.2", number=number)
        office.comes(mail)
        assert not Suppression.objects.exists()
    office.clock.move(days=1)
    office.comes(bounce(office, id_of(the_message()), status="4.4.7", number=3))
    assert Suppression.objects.get().reason == SuppressionReason.BOUNCED


def test_soft_bounces_that_are_far_apart_suppress_nobody(office: Office) -> None:
    for number in range(4):
        office.comes(bounce(office, id_of(the_message()), status="5.2.2", number=number))
        office.clock.move(days=16)
    assert not Suppression.objects.exists()


def test_a_complaint_is_a_no_everywhere(office: Office) -> None:
    mail = (
        "From: abuse@isp.example\r\nMessage-ID: <arf@isp.example>\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n\r\n"
        f"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: {id_of(the_message())}\r\n"
        "Subject: x\r\n\r\nx\r\n--b--\r\n"
    )
    office.comes(mail.encode())
    assert Candidate.objects.get().opted_out == SuppressionReason.COMPLAINED
    assert Action.objects.get(kind="candidate.do_not_contact").status == ActionStatus.DONE


def test_a_mail_to_the_unsubscribe_address_unsubscribes(office: Office) -> None:
    subject = f"unsubscribe {id_of(the_message())[1:-1]}"
    office.comes(
        f"From: {ADA}\r\nSubject: {subject}\r\nMessage-ID: <u@example.com>\r\n\r\n\r\n".encode()
    )
    assert Suppression.objects.get().reason == SuppressionReason.UNSUBSCRIBED


def test_i4_an_unknown_is_settled_by_the_evidence_of_an_answer(office: Office) -> None:
    Message.objects.update(status=MessageStatus.UNKNOWN)
    office.comes(answer(office, id_of(the_message())))
    message = the_message()
    assert message.status == MessageStatus.HANDED_OFF
    assert message.settled_by == "evidence: message.replied"


def test_a_mail_of_a_stranger_never_reaches_the_ledger(office: Office) -> None:
    office.comes(b"From: x@example.com\r\nSubject: Lunch?\r\n\r\nAre you in?\r\n")
    assert not Event.objects.filter(connection="replies").exists()


def test_the_header_fields_as_the_catcher_received_them(office: Office) -> None:
    """The welcome's first mail is a receipt: it can be unsubscribed from, and is of no list."""
    store = office.box.mailbox.store
    (caught,) = store.newest(5, to=ADA)
    mail = message_from_bytes(store.raw(caught), policy=policy.default)
    marked = id_of(the_message()).rpartition("@")[0]
    assert mail["Message-ID"].startswith(f"{marked}@")
    assert mail["X-Warmline-Message"] == mail["Message-ID"]
    https, mailto = mail["List-Unsubscribe"].strip().split(", ")
    assert https.startswith("<http")
    subject = parse_qs(urlsplit(mailto.strip("<>")).query)["subject"][0]
    assert (subject, urlsplit(mailto.strip("<>")).path) == (
        f"unsubscribe {mail['Message-ID'].strip('<>')}", "no@example.com",
    )  # fmt: skip
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Feedback-ID"] == "1:welcome:transactional:warmline"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Reply-To"] == "r@example.com"
    assert mail["List-Id"] is None
    assert {part.get_content_type() for part in mail.walk()} >= {"text/plain", "text/html"}
    assert max(map(len, store.raw(caught).splitlines())) <= 998


def test_a_nurture_mail_is_of_a_list(office: Office) -> None:
    office.clock.move(days=3)
    office.settle()
    store = office.box.mailbox.store
    mail = message_from_bytes(store.raw(store.newest(5, to=ADA)[0]), policy=policy.default)
    assert mail["List-Id"].startswith("<welcome.")
