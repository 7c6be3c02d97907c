"""The mailbox over real IMAP on loopback, and servers that do not behave."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from warmline.connectors.mailbox.connector import MAIL_BYTES_MAX, Mailbox
from warmline.connectors.mailbox.contract import HOST, PASSWORD, USER, ImapServer, an_answer
from warmline.connectors.mailbox.cursor import Position
from warmline.core.errors import AuthFailed, ConfigError, Malformed, Refused, Unreachable
from warmline.ports import Channel, Needs, Options, Received, Verdict

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[ImapServer]:
    with ImapServer() as found:
        yield found


@pytest.fixture
def folder(server: ImapServer) -> Iterator[str]:
    """A folder of its own, deleted afterwards."""
    with server.client() as client:
        client.create_folder("Replies")
    yield "Replies"
    with server.client() as client:
        client.delete_folder("Replies")


def made(at_port: int, password: str = PASSWORD, **settings: Any) -> Mailbox:
    given = {"host": HOST, "port": at_port, "tls": "none", "username": USER, "timeout_s": 5}
    return Mailbox(Options("replies", {**given, **settings}, {"password": password}, lambda: NOW))


def put(server: ImapServer, folder: str, raw: bytes, at: datetime = NOW) -> None:
    with server.client() as client:
        client.append(folder, raw, msg_time=at)


def read(mailbox: Mailbox, folder: str, cursor: str = "") -> tuple[int, str]:
    pages = list(mailbox.changes(folder, cursor, now=NOW))
    return sum(len(page.records) for page in pages), pages[-1].cursor


def test_what_was_read_is_not_read_again_and_nothing_is_marked(
    server: ImapServer, folder: str
) -> None:
    mailbox = made(server.port, folder=folder)
    put(server, folder, an_answer(1))
    found, cursor = read(mailbox, folder)
    assert found == 1
    assert read(mailbox, folder, cursor) == (0, cursor)
    put(server, folder, an_answer(2))
    assert read(mailbox, folder, cursor)[0] == 1
    with server.client() as client:
        client.select_folder(folder, readonly=True)
        assert not client.search(["SEEN"])
        assert len(client.search(["ALL"])) == 2


def test_from_now_on_is_a_moment_and_not_a_day(server: ImapServer, folder: str) -> None:
    mailbox = made(server.port, folder=folder)
    put(server, folder, an_answer(1), NOW - timedelta(minutes=1))
    put(server, folder, an_answer(2), NOW + timedelta(minutes=1))
    assert read(mailbox, folder, mailbox.start(now=NOW))[0] == 1


def test_a_folder_that_is_numbered_anew_is_read_from_a_day_before(
    server: ImapServer, folder: str
) -> None:
    mailbox = made(server.port, folder=folder)
    put(server, folder, an_answer(1), NOW - timedelta(days=9))
    put(server, folder, an_answer(2), NOW)
    _, cursor = read(mailbox, folder)
    at = Position.read(cursor)
    anew = str(Position(at.validity + 1, 999_999, at.since))
    found, after = read(mailbox, folder, anew)
    assert found == 1, "the one of nine days ago is not"
    assert Position.read(after).validity == at.validity


def test_of_a_huge_mail_the_beginning_is_read(server: ImapServer, folder: str) -> None:
    put(server, folder, an_answer(1, text="Yes.\r\n" + "x" * 70 + ("\r\n" + "y" * 70) * 9000))
    (page,) = made(server.port, folder=folder).changes(folder, "", now=NOW)
    (record,) = page.records
    assert len(record.body) < 2 * MAIL_BYTES_MAX


def test_a_strangers_mail_is_no_record(server: ImapServer, folder: str) -> None:
    put(server, folder, b"From: x@example.com\r\nSubject: Lunch?\r\n\r\nToday?\r\n")
    found, cursor = read(made(server.port, folder=folder), folder)
    assert found == 0
    assert cursor, "and it is not looked at again"


def test_refused_credentials_and_a_missing_folder(server: ImapServer) -> None:
    with pytest.raises(AuthFailed):
        read(made(server.port, password="wrong"), "INBOX")
    with pytest.raises(Refused, match="no folder Nowhere"):
        read(made(server.port, folder="Nowhere"), "Nowhere")
    told = made(server.port, password="wrong").check(Needs({}))
    assert [one.verdict for one in told] == [Verdict.OK, Verdict.CREDENTIALS]
    told = made(server.port, folder="Nowhere").check(Needs({}))
    assert told[-1].verdict is Verdict.MISSING


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        (b"", Unreachable),
        (b"* OK hello\r\n", Unreachable),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", (Malformed, Unreachable)),
        (b"* BYE not today\r\n", (Malformed, Unreachable)),
    ],
)
def test_a_server_that_does_not_behave(greeting: bytes, error: Any) -> None:
    """It hangs up at once, after its greeting, or speaks something else."""
    with socket.create_server((HOST, 0)) as listening:

        def answer() -> None:
            caller, _ = listening.accept()
            caller.sendall(greeting)
            caller.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(error):
            read(made(listening.getsockname()[1]), "INBOX")
        thread.join()


def test_a_server_that_is_not_there_or_silent_is_unreachable() -> None:
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(Unreachable):
            read(made(port, timeout_s=0.1), "INBOX")
    with pytest.raises(Unreachable):
        read(made(port), "INBOX")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": ""}, "host is missing"),
        ({"username": ""}, "username is missing"),
        ({"tls": "maybe"}, "tls is 'maybe'; expected implicit, starttls or none"),
        ({"host": "imap.example.com"}, "tls is none and the host is not this machine"),
        ({"port": "many"}, "port"),
        ({"timeout_s": "soon"}, "timeout_s is 'soon'"),
        ({"ca_file": "/nowhere.pem"}, "ca_file /nowhere.pem is not there"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        made(143, **settings)


def test_a_password_is_wanted() -> None:
    with pytest.raises(ConfigError, match="password is missing"):
        made(143, password="")


def test_a_cursor_that_is_none_and_a_record_that_is_none() -> None:
    with pytest.raises(Malformed, match="cursor"):
        Position.read("tomorrow")
    with pytest.raises(Malformed, match=r"\$\.mail"):
        made(143).parse(Received(Channel.POLL, b'{"mail": "no base64!"}', NOW))
