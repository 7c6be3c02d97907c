"""The mail catcher takes mail over SMTP, shows it, and fails when it is told to."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import httpx
import pytest

from warmline.sandbox.mailbox.store import MailStore
from warmline.sandbox.serve import Sandbox

from .conftest import START

TO = "ann@mail.example.com"


@pytest.fixture
def smtp(box: Sandbox) -> Iterator[smtplib.SMTP]:
    client = smtplib.SMTP(box.smtp_host, box.smtp_port, timeout=5)
    yield client
    client.close()


def mail(subject: str = "Thank you, Zoë", to: str = TO) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = "Mirela Vasquez <mirela@staff.example.com>"
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = "<1.2@warmline.example.com>"
    message["X-Warmline-Step"] = "welcome/01-confirmation"
    message["List-Unsubscribe"] = "<https://w.example.com/u/abc>, <mailto:u@w.example.com>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content("Hello Zoë\n.a dot\n..two dots\n")
    message.add_alternative("<p>Hello <b>Zoë</b></p><script>x</script>", subtype="html")
    return message


def order(box: Sandbox, **rule: object) -> None:
    assert httpx.post(f"{box.mailbox_url}/_control/faults", json=rule).status_code == 201


def count(box: Sandbox) -> int:
    return int(httpx.get(f"{box.mailbox_url}/api/count").json()["count"])


def test_a_mail_and_its_json(box: Sandbox, smtp: smtplib.SMTP) -> None:
    smtp.send_message(mail())
    listed = httpx.get(f"{box.mailbox_url}/api/messages").json()
    assert listed["total"] == 1
    one = listed["messages"][0]
    assert one["subject"] == "Thank you, Zoë"
    assert one["from"] == "Mirela Vasquez <mirela@staff.example.com>"
    assert one["to"] == [TO]
    assert one["message_id"] == "<1.2@warmline.example.com>"
    assert one["received_at"] == "2026-03-02T09:00:00.000Z"
    assert one["headers"] == {"x-warmline-step": "welcome/01-confirmation"}
    assert one["list_unsubscribe"].startswith("<https://w.example.com/u/abc>")
    assert one["list_unsubscribe_post"] == "List-Unsubscribe=One-Click"
    whole = httpx.get(f"{box.mailbox_url}/api/messages/{one['id']}").json()
    assert whole["text"].splitlines() == ["Hello Zoë", ".a dot", "..two dots"]
    assert "<b>Zoë</b>" in whole["html"]
    assert ["To", TO] in whole["all_headers"]
    assert httpx.get(f"{box.mailbox_url}/api/messages/99").status_code == 404


def test_the_server_speaks_8bit_and_utf8(box: Sandbox, smtp: smtplib.SMTP) -> None:
    smtp.ehlo()
    assert smtp.has_extn("8bitmime")
    assert smtp.has_extn("smtputf8")
    raw = "From: a@x.example.com\r\nSubject: Grüße\r\n\r\nhéllo\r\n".encode()
    options = ["SMTPUTF8", "BODY=8BITMIME"]
    smtp.sendmail("a@x.example.com", ["zoë@mail.example.com"], raw, mail_options=options)
    one = httpx.get(f"{box.mailbox_url}/api/messages").json()["messages"][0]
    assert (one["to"], one["subject"]) == (["zoë@mail.example.com"], "Grüße")
    assert httpx.get(f"{box.mailbox_url}/messages/{one['id']}/raw").content == raw


def test_one_connection_carries_many_mails(box: Sandbox, smtp: smtplib.SMTP) -> None:
    for number in range(5):
        smtp.send_message(mail(to=f"p{number}@mail.example.com"))
    smtp.sendmail("a@x.example.com", [TO], b"\r\n")
    smtp.sendmail("a@x.example.com", [TO], b"Subject: .\r\n\r\n.\r\n..\r\n")
    assert count(box) == 7
    newest = box.mailbox.store.newest(1)[0]
    assert box.mailbox.store.raw(newest) == b"Subject: .\r\n\r\n.\r\n..\r\n"


def test_search_and_paging(box: Sandbox, smtp: smtplib.SMTP) -> None:
    for number in range(5):
        smtp.send_message(mail(f"Mail {number}", to=f"p{number % 2}@mail.example.com"))
    url = f"{box.mailbox_url}/api/messages"
    subjects = [
        m["subject"] for m in httpx.get(url, params={"limit": 2, "offset": 1}).json()["messages"]
    ]
    assert subjects == ["Mail 3", "Mail 2"]
    assert httpx.get(url, params={"to": "P1@mail.example.com"}).json()["total"] == 2
    assert httpx.get(url, params={"to": "p0@"}).json()["total"] == 3
    assert httpx.get(url, params={"to": "nobody"}).json()["total"] == 0
    assert httpx.get(url, params={"limit": 0}).status_code == 400
    assert httpx.delete(url).status_code == 204
    assert count(box) == 0


def test_pages(box: Sandbox, smtp: smtplib.SMTP) -> None:
    with httpx.Client(base_url=box.mailbox_url) as browser:
        assert "No mail yet" in browser.get("/").text
        smtp.send_message(mail("<script>alert(1)</script>"))
        listing = browser.get("/", params={"to": TO})
        assert "&lt;script&gt;" in listing.text
        assert "<script" not in listing.text
        assert "default-src 'none'" in listing.headers["Content-Security-Policy"]
        page = browser.get("/messages/1")
        assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page.text
        inner = browser.get("/messages/1/html")
        assert inner.text.startswith('<!doctype html><base target="_blank">')
        assert "sandbox" in inner.headers["Content-Security-Policy"]
        assert "script-src" not in inner.headers["Content-Security-Policy"]
        assert ".a dot" in browser.get("/messages/1?view=text").text
        assert "X-Warmline-Step" in browser.get("/messages/1?view=headers").text
        assert "Content-Type: text/html" in browser.get("/messages/1?view=source").text
        assert browser.get("/messages/2").status_code == 404
        assert browser.get("/style.css").headers["Content-Type"].startswith("text/css")
        assert "No mail to" in browser.get("/", params={"to": "nobody"}).text


def test_refuse_at_rcpt(box: Sandbox, smtp: smtplib.SMTP) -> None:
    order(box, kind="refuse", path="ann@")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        smtp.send_message(mail())
    code, text = caught.value.recipients[TO]
    assert code == 550
    assert text.startswith(b"5.1.1")
    smtp.send_message(mail(to="bob@mail.example.com"))
    assert count(box) == 1


def test_later_at_rcpt_or_after_data(box: Sandbox, smtp: smtplib.SMTP) -> None:
    order(box, kind="later", count=1)
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        smtp.send_message(mail())
    assert caught.value.recipients[TO][0] == 451
    order(box, kind="later", stage="data", count=1)
    with pytest.raises(smtplib.SMTPDataError) as after:
        smtp.send_message(mail())
    assert after.value.smtp_code == 451
    assert count(box) == 0
    smtp.send_message(mail())
    assert count(box) == 1


@pytest.mark.parametrize(("kind", "kept"), [("drop_before", 0), ("drop_after", 1), ("timeout", 0)])
def test_dropped_connections(box: Sandbox, smtp: smtplib.SMTP, kind: str, kept: int) -> None:
    order(box, kind=kind, count=1)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        smtp.send_message(mail())
    assert count(box) == kept
    with smtplib.SMTP(box.smtp_host, box.smtp_port, timeout=5) as again:
        again.send_message(mail())
    assert count(box) == kept + 1


def test_slow(box: Sandbox, smtp: smtplib.SMTP) -> None:
    order(box, kind="slow", seconds=0.01, share=1)
    smtp.send_message(mail())
    assert count(box) == 1


def test_login_is_asked_for_when_there_is_one() -> None:
    with Sandbox(background=False, login=("warmline", "pass")) as box:
        with smtplib.SMTP(box.smtp_host, box.smtp_port, timeout=5) as client:
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("warmline", "wrong")
            client.login("warmline", "pass")
            client.send_message(mail())
        assert count(box) == 1


def test_a_restarted_catcher_keeps_its_mails(tmp_path: Path) -> None:
    spool = tmp_path / "mail.spool"
    for expected in (1, 2):
        with Sandbox(background=False, spool=spool) as box:
            with smtplib.SMTP(box.smtp_host, box.smtp_port, timeout=5) as client:
                client.send_message(mail(f"Mail {expected}"))
            assert count(box) == expected
    with spool.open("ab") as torn:
        torn.write(b'{"id": 3, "at": "2026", "from": "a", "to": ["b"], "size": 100}\nshort')
    store = MailStore(lambda: START, spool=spool)
    assert [m.subject() for m in store.newest(9)] == ["Mail 2", "Mail 1"]
    assert store.add("a@x.example.com", [TO], b"Subject: third\r\n\r\n").id == 3
    store.close()
    again = MailStore(lambda: START, spool=spool)
    assert again.newest(1)[0].subject() == "third"
    again.clear()
    again.close()
    assert spool.stat().st_size == 0


def test_memory_is_bounded(tmp_path: Path) -> None:
    raw = b"Subject: x\r\n\r\n" + b"y" * 100
    few = MailStore(lambda: START, mails_max=3)
    for number in range(5):
        few.add("a@x.example.com", [f"p{number}@mail.example.com"], raw)
    assert [m.id for m in few.newest(9)] == [5, 4, 3]
    assert (few.count("p0@"), few.received) == (0, 5)
    lean = MailStore(lambda: START, bytes_max=300, spool=tmp_path / "spool")
    bare = MailStore(lambda: START, bytes_max=300)
    for store in (lean, bare):
        for _ in range(5):
            store.add("a@x.example.com", [TO], raw)
    oldest = lean.newest(9)[-1]
    assert oldest.raw is None
    assert oldest.subject() == "x"
    assert lean.raw(oldest) == raw
    assert bare.raw(bare.newest(9)[-1]) == b""
    lean.close()
