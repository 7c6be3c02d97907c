"""SMTP over loopback, against a server that does exactly what each test says."""

from __future__ import annotations

import contextlib
import email
import email.policy
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage
from pathlib import Path
from typing import IO, Any

import pytest
from django.conf import settings as django_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warmline.connectors.smtp.connector import Handover, Session, Smtp
from warmline.connectors.smtp.mapping import Scope, Step, Unfit, compose, outcome_of
from warmline.core.errors import AuthFailed, ConfigError, Unreachable
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.kit.manifest import make, read_manifest
from warmline.ports import Checks, Envelope, Options, SendsMail

if not django_settings.configured:
    django_settings.configure()

FIXTURES = Path(__file__).parent / "fixtures"
CERTIFICATE, KEY = FIXTURES / "localhost.crt", FIXTURES / "localhost.key"
HANG, DROP = "HANG", "DROP"
Answers = dict[str, str | Callable[[int], str]]

ENVELOPE = Envelope(
    message_id="<w-1@mail.acme.example>",
    sender_name="Rita at Acme",
    sender_address="rita@acme.example",
    recipient_name="Ada Lovelace",
    recipient_address="ada@example.com",
    reply_to="rita.desk@acme.example",
    subject="Your application",
    text="Hello Ada,\n.a line with a dot first\nthank you.\n",
    html="<p>Hello Ada,</p>\n<p>thank you.</p>\n",
    sent_at=datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
    headers={
        "List-Unsubscribe": "<https://warm.example/u/abc>, <mailto:u@acme.example?subject=abc>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    },
)


@dataclass
class Server:
    """Answers by `answers`: verb → text, HANG, DROP, or a function of how often it was asked.
    `GREETING` and `END` (the whole mail) stand beside the verbs."""

    answers: Answers = field(default_factory=dict)
    extensions: tuple[str, ...] = ("8BITMIME", "SIZE 10000000", "SMTPUTF8")
    tls: str = "none"
    connections: int = 0
    commands: list[str] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)
    open_sockets: list[socket.socket] = field(default_factory=list)
    drop_mid_payload: bool = False

    def __post_init__(self) -> None:
        self.stop = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(CERTIFICATE, KEY)

    def close(self) -> None:
        self.stop.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.hang_up()
        for thread in self.threads:
            thread.join(5)

    def hang_up(self) -> None:
        """Close every connection from this side, as a server does with idle ones."""
        for each in self.open_sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def messages(self) -> list[EmailMessage]:
        return [parsed(mail) for mail in self.mails]

    def _accept(self) -> None:
        while not self.stop.is_set():
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(accepted,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(sock.close)
            if self.tls == "implicit":
                sock = self.context.wrap_socket(sock, server_side=True)
                stack.callback(sock.close)
            self.open_sockets.append(sock)
            file = stack.enter_context(sock.makefile("rb"))
            if not self._say(sock, "GREETING", "220 test ESMTP"):
                return
            while line := file.readline():
                command = line.decode("utf-8", "replace").strip()
                self.commands.append(command)
                verb = re.split(r"[ :]", command)[0].upper()
                if verb == "EHLO":
                    offers = list(self.extensions)
                    if self.tls == "starttls" and not isinstance(sock, ssl.SSLSocket):
                        offers.append("STARTTLS")
                    default = "\r\n".join(["250-test", *(f"250-{o}" for o in offers), "250 HELP"])
                    if not self._say(sock, "EHLO", default):
                        return
                elif verb == "STARTTLS":
                    if not self._say(sock, verb, "220 go"):
                        return
                    sock = self.context.wrap_socket(sock, server_side=True)
                    stack.callback(sock.close)
                    self.open_sockets.append(sock)
                    file = stack.enter_context(sock.makefile("rb"))
                elif verb == "DATA":
                    if not self._say(sock, verb, "354 go ahead"):
                        return
                    if str(self.answers.get("DATA", "354"))[:1] != "3":
                        continue
                    if not self._take(file) or not self._say(sock, "END", "250 2.0.0 queued as Q1"):
                        return
                else:
                    defaults = {"AUTH": "235 2.7.0 welcome", "QUIT": "221 bye"}
                    if not self._say(sock, verb, defaults.get(verb, "250 2.1.0 Ok")):
                        return
                    if verb == "QUIT":
                        return

    def _take(self, file: IO[bytes]) -> bool:
        lines = []
        while (line := file.readline()) != b".\r\n":
            if not line or self.drop_mid_payload:
                return False
            lines.append(line[1:] if line.startswith(b".") else line)
        self.mails.append(b"".join(lines))
        return True

    def _say(self, sock: socket.socket, verb: str, default: str) -> bool:
        answer = self.answers.get(verb, default)
        if callable(answer):
            asked = sum(1 for command in self.commands if command.upper().startswith(verb))
            answer = answer(asked)
        if answer == HANG:
            self.stop.wait(30)
            return False
        if answer == DROP:
            return False
        sock.sendall(f"{answer}\r\n".encode())
        return not answer.startswith("421")


Serve = Callable[..., Server]


def parsed(mail: bytes) -> EmailMessage:
    found = email.message_from_bytes(mail, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Server] = []

    def start(answers: Answers | None = None, **more: Any) -> Server:
        servers.append(Server(answers or {}, **more))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def smtp(port: int = 2525, password: str = "", **settings: Any) -> Smtp:
    return Smtp(
        Options(
            name="mail",
            settings={"host": "127.0.0.1", "port": port, "tls": "none", "timeout_s": 5} | settings,
            secrets={"password": password} if password else {},
            now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        )
    )


@contextlib.contextmanager
def opened(server: Server, **settings: Any) -> Iterator[Session]:
    session = smtp(server.port, **settings).open()
    try:
        yield session
    finally:
        session.close()


def sent(server: Server, envelope: Envelope = ENVELOPE, **settings: Any) -> Outcome:
    with opened(server, **settings) as session:
        return session.send(envelope)


# The mail itself


def test_a_mail_arrives_whole(serve: Serve) -> None:
    server = serve()
    outcome = sent(server)
    assert outcome.kind is OutcomeKind.DONE
    assert outcome.reason == "250 2.0.0 queued as Q1"
    [mail] = server.messages()
    assert b'\r\nFrom: "Rita at Acme" <rita@acme.example>\r\n' in server.mails[0]
    assert b'\r\nTo: "Ada Lovelace" <ada@example.com>\r\n' in server.mails[0]
    assert mail["Reply-To"] == "rita.desk@acme.example"
    assert mail["Subject"] == "Your application"
    assert mail["Message-ID"] == "<w-1@mail.acme.example>"
    assert mail["Date"].datetime == ENVELOPE.sent_at
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["List-Unsubscribe"] == ENVELOPE.headers["List-Unsubscribe"]
    assert mail.get_content_type() == "multipart/alternative"
    text, html = (part.get_content() for part in mail.iter_parts())
    # The dot at the start of a line was stuffed and came back.
    assert text == ENVELOPE.text.replace("\n", "\r\n")
    assert html == ENVELOPE.html.replace("\n", "\r\n")
    assert "RSET" not in " ".join(server.commands).upper()
    assert b"\n" not in server.mails[0].replace(b"\r\n", b"")


def test_a_mail_without_html_is_plain_text(serve: Serve) -> None:
    server = serve()
    assert sent(server, replace(ENVELOPE, html="", reply_to="")).kind is OutcomeKind.DONE
    [mail] = server.messages()
    assert mail.get_content_type() == "text/plain"
    assert mail["Reply-To"] is None


@pytest.mark.parametrize("extensions", [("8BITMIME",), ()])
def test_words_beyond_ascii_arrive_whatever_the_server_offers(
    serve: Serve, extensions: tuple[str, ...]
) -> None:
    server = serve(extensions=extensions)
    envelope = replace(
        ENVELOPE,
        sender_name="Zoë Müller-Łukasiewicz, Talent",
        recipient_name="محمد عبد الرحمن بن عبد الله الفارسي الأندلسي الكبير المعروف",
        subject="Ihre Bewerbung als Küchenchef, schön, dass Sie da sind, und viel mehr Wörter",
        text="Grüße aus Zürich ✓\n" + "ü" * 2000 + "\n",
        html="<p>Grüße ✓</p>\n",
    )
    assert sent(server, envelope).kind is OutcomeKind.DONE
    [mail] = server.messages()
    # Not by the newer parser: it puts a space between two encoded words of a name.
    plain = email.message_from_bytes(server.mails[0])
    for header, words in [
        ("From", f"{envelope.sender_name} <rita@acme.example>"),
        ("To", f"{envelope.recipient_name} <ada@example.com>"),
        ("Subject", envelope.subject),
    ]:
        assert str(make_header(decode_header(plain[header]))) == words
    text, html = (part.get_content() for part in mail.iter_parts())
    assert text.splitlines() == envelope.text.splitlines()
    assert html.splitlines() == envelope.html.splitlines()
    head, _, body = server.mails[0].partition(b"\r\n\r\n")
    assert head.isascii()
    assert all(len(line) <= 998 for line in server.mails[0].split(b"\r\n"))
    [command] = [each for each in server.commands if each.startswith("MAIL")]
    assert ("BODY=8BITMIME" in command) == bool(extensions)
    assert body.isascii() != bool(extensions)


def test_a_domain_beyond_ascii_is_written_in_ascii(serve: Serve) -> None:
    server = serve(extensions=())
    outcome = sent(server, replace(ENVELOPE, recipient_address="ada@bücher.example"))
    assert outcome.kind is OutcomeKind.DONE
    assert "RCPT TO:<ada@xn--bcher-kva.example>" in server.commands


def test_a_local_part_beyond_ascii_goes_by_smtputf8(serve: Serve) -> None:
    server = serve()
    outcome = sent(server, replace(ENVELOPE, recipient_address="zoë@example.com"))
    assert outcome.kind is OutcomeKind.DONE
    [command] = [each for each in server.commands if each.startswith("MAIL")]
    assert " SMTPUTF8" in command
    assert "RCPT TO:<zoë@example.com>" in server.commands
    assert 'To: "Ada Lovelace" <zoë@example.com>\r\n'.encode() in server.mails[0]
    assert server.mails[0].count(b"\r\nTo:") + server.mails[0].startswith(b"To:") == 1


def test_a_local_part_beyond_ascii_is_refused_clearly_without_smtputf8(serve: Serve) -> None:
    server = serve(extensions=("8BITMIME",))
    outcome = sent(server, replace(ENVELOPE, recipient_address="zoë@example.com"))
    assert outcome.kind is OutcomeKind.REFUSED
    assert outcome.detail["scope"] == "message"  # the address may be alive
    assert "SMTPUTF8" in outcome.reason
    assert not any(each.startswith("MAIL") for each in server.commands)


# Nothing breaks out of its line

INJECTION = "x\r\nBcc: victim@example.com"


@pytest.mark.parametrize(
    "broken",
    [
        {"sender_name": INJECTION},
        {"sender_address": "rita@acme.example\r\nBcc: v@example.com"},
        {"recipient_name": INJECTION},
        {"recipient_address": "ada@example.com>\r\nRCPT TO:<v@example.com"},
        {"recipient_address": "ada@example.com\n"},
        {"reply_to": "a@acme.example\nBcc: v@example.com"},
        {"subject": INJECTION},
        {"subject": "x\rBcc: victim@example.com"},
        {"subject": "x\x0bBcc: victim@example.com"},
        {"subject": "x\u2028Bcc: victim@example.com"},
        {"subject": "x\x00"},
        {"subject": "lone \ud800 surrogate"},
        {"message_id": "<a@b>\r\nBcc: v@example.com"},
        {"headers": {"X-Note": INJECTION}},
        {"headers": {"X-Note: a\r\nBcc": "v@example.com"}},
        {"headers": {"bcc": "v@example.com"}},
        {"headers": {"Subject": "another"}},
        {"headers": {"Content-Type": "text/plain"}},
        {"text": "lone \ud800 surrogate"},
    ],
)
def test_a_value_that_could_break_out_of_its_header_is_refused(
    serve: Serve, broken: dict[str, Any]
) -> None:
    server = serve()
    outcome = sent(server, replace(ENVELOPE, **broken))
    assert outcome.kind is OutcomeKind.REFUSED
    assert outcome.detail["scope"] == "message"
    assert "example" not in outcome.reason
    assert not server.mails
    assert not any(each.startswith("MAIL") for each in server.commands)


@pytest.mark.parametrize("address", ["ada", "ada@", "@example.com", "a b@example.com", "a@b@c.de"])
def test_an_address_that_is_none_is_refused_without_asking(serve: Serve, address: str) -> None:
    server = serve()
    outcome = sent(server, replace(ENVELOPE, recipient_address=address))
    assert outcome.kind is OutcomeKind.REFUSED
    assert outcome.detail["scope"] == "recipient"


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    name=st.text(max_size=80),
    subject=st.text(max_size=120),
    text=st.text(max_size=300),
    value=st.text(max_size=120),
    eight_bit=st.booleans(),
)
def test_whatever_the_words_the_headers_are_the_same_set(
    name: str, subject: str, text: str, value: str, eight_bit: bool
) -> None:
    envelope = replace(
        ENVELOPE, recipient_name=name, subject=subject, text=text, headers={"X-Note": value}
    )
    try:
        mail = compose(envelope, eight_bit=eight_bit, utf8=False)
    except Unfit:
        return
    head = mail.payload.partition(b"\r\n\r\n")[0]
    names = re.findall(rb"(?m)^([^\s:]+):", head)
    assert sorted(names) == sorted(
        [b"Content-Type", b"MIME-Version", b"Subject", b"From", b"To", b"Reply-To", b"Date",
         b"Message-ID", b"X-Note"]
    )  # fmt: skip
    assert b"\n" not in mail.payload.replace(b"\r\n", b"")
    assert b"\r" not in mail.payload.replace(b"\r\n", b"")
    assert mail.payload.isascii() or eight_bit


# What each answer means

REFUSED, LATER, UNKNOWN = OutcomeKind.REFUSED, OutcomeKind.LATER, OutcomeKind.UNKNOWN


@pytest.mark.parametrize(
    ("verb", "answer", "kind", "scope"),
    [
        ("RCPT", "550 5.1.1 <ada@example.com>: no such user", REFUSED, "recipient"),
        ("RCPT", "550 no such user", REFUSED, "recipient"),
        ("RCPT", "550 5.7.1 Relaying denied", REFUSED, "sender"),
        ("RCPT", "554 5.7.1 Service unavailable; client host blocked", REFUSED, "sender"),
        ("RCPT", "550 5.1.8 Sender address rejected", REFUSED, "sender"),
        ("RCPT", "552 5.2.2 Mailbox full", REFUSED, "message"),
        ("RCPT", "530 Authentication required", REFUSED, "sender"),
        ("RCPT", "451 4.7.1 Greylisted, come back", LATER, None),
        ("RCPT", "421 4.3.2 Shutting down", LATER, None),
        ("MAIL", "553 5.1.8 who are you", REFUSED, "sender"),
        ("MAIL", "550 no", REFUSED, "sender"),
        ("MAIL", "552 5.3.4 Message too big", REFUSED, "message"),
        ("MAIL", "451 4.3.0 Try later", LATER, None),
        ("MAIL", "421 4.7.0 Too many mails", LATER, None),
        ("DATA", "554 5.5.1 No", REFUSED, "message"),
        ("DATA", "451 4.3.0 Disk is full", LATER, None),
        ("DATA", "421 bye", LATER, None),
        ("END", "554 5.7.1 Looks like spam", REFUSED, "message"),
        ("END", "550 5.1.1 no such user after all", REFUSED, "recipient"),
        ("END", "452 4.3.1 Out of room", LATER, None),
        ("END", "421 4.3.2 Shutting down", LATER, None),
        ("MAIL", DROP, LATER, None),
        ("RCPT", DROP, LATER, None),
        ("DATA", DROP, LATER, None),
        ("END", DROP, UNKNOWN, None),
        ("MAIL", HANG, LATER, None),
        ("RCPT", HANG, LATER, None),
        ("DATA", HANG, LATER, None),
        ("END", HANG, UNKNOWN, None),
        ("MAIL", "hello?", LATER, None),
        ("RCPT", "hello?", LATER, None),
        ("DATA", "250 what data", LATER, None),
        ("END", "hello?", UNKNOWN, None),
        ("END", "354 more", UNKNOWN, None),
        ("END", "250-" + "x" * 9000, UNKNOWN, None),
    ],
)
def test_each_answer_is_classed(
    serve: Serve, verb: str, answer: str, kind: OutcomeKind, scope: str | None
) -> None:
    server = serve({verb: answer})
    with opened(server, timeout_s=0.2 if answer == HANG else 5) as session:
        outcome = session.send(ENVELOPE)
        assert outcome.kind is kind
        assert outcome.detail.get("scope") == scope
        assert outcome.detail["step"] == verb.lower()
        assert "ada" not in outcome.reason
        if answer[:3].isdigit() and answer[3] == " ":
            assert outcome.detail["code"] == answer[:3]
            assert answer[:3] in outcome.reason
        if " 5." in answer:
            assert outcome.detail["enhanced"] == answer.split()[1]
        # And the session goes on with the next mail, as if nothing had been.
        server.answers.clear()
        after = session.send(replace(ENVELOPE, message_id="<w-2@mail.acme.example>"))
        assert after.kind is OutcomeKind.DONE
    assert server.messages()[-1]["Message-ID"] == "<w-2@mail.acme.example>"


@pytest.mark.parametrize("verb", ["RCPT", "DATA", "MAIL", "END"])
def test_after_a_refusal_the_same_connection_goes_on(serve: Serve, verb: str) -> None:
    server = serve({verb: "550 5.1.1 no"})
    with opened(server) as session:
        assert session.send(ENVELOPE).kind is REFUSED
        server.answers.clear()
        assert session.send(ENVELOPE).kind is OutcomeKind.DONE
    assert server.connections == 1
    # A half-made mail must be taken back, or the next MAIL is out of turn.
    assert ("RSET" in [each.upper() for each in server.commands]) == (verb in ("RCPT", "DATA"))


def test_a_drop_in_the_middle_of_the_mail_is_unknown(serve: Serve) -> None:
    server = serve(drop_mid_payload=True)
    outcome = sent(server, replace(ENVELOPE, text="long line\n" * 500_000))
    assert outcome.kind is UNKNOWN


def test_an_unknown_mail_is_not_sent_again_by_the_session(serve: Serve) -> None:
    server = serve({"END": DROP})
    with opened(server) as session:
        assert session.send(ENVELOPE).kind is UNKNOWN
    assert len(server.mails) == 1


def test_a_timeout_is_told_as_one(serve: Serve) -> None:
    server = serve({"END": HANG})
    outcome = sent(server, timeout_s=0.1)
    assert outcome.kind is UNKNOWN
    assert "did not answer within 0.3 s" in outcome.reason


def test_the_answer_holds_no_address() -> None:
    text = "5.1.1 <Ada.Lovelace@example.com>: user ada.lovelace unknown\nsee postmaster@x.example"
    outcome = outcome_of(Step.RCPT, 550, text, "ada.lovelace@example.com")
    assert outcome.reason == "550 5.1.1 *** user *** unknown see ***"
    assert outcome.detail["scope"] == Scope.RECIPIENT


def test_the_answer_is_short_and_on_one_line() -> None:
    outcome = outcome_of(Step.END, 554, "5.7.1 \x1b[31m" + "blah\r\n" * 1000, "a@b.example")
    assert len(outcome.reason) < 320
    assert outcome.reason.isprintable()


# The connection


def test_many_mails_take_one_connection(serve: Serve) -> None:
    server = serve()
    with opened(server) as session:
        for _ in range(20):
            assert session.send(ENVELOPE).kind is OutcomeKind.DONE
    assert server.connections == 1
    verbs = [command.split(":")[0].split()[0].upper() for command in server.commands]
    assert verbs == ["EHLO", *["MAIL", "RCPT", "DATA"] * 20, "QUIT"]


def test_a_connection_is_changed_after_its_number_of_mails(serve: Serve) -> None:
    server = serve()
    with opened(server, mails_per_connection=3) as session:
        for _ in range(7):
            assert session.send(ENVELOPE).kind is OutcomeKind.DONE
    assert server.connections == 3


def test_an_idle_connection_that_the_server_closed_is_made_anew(serve: Serve) -> None:
    server = serve()
    with opened(server) as session:
        assert session.send(ENVELOPE).kind is OutcomeKind.DONE
        server.hang_up()
        time.sleep(0.05)
        assert session.send(ENVELOPE).kind is OutcomeKind.DONE
    assert server.connections == 2


def test_a_connection_closed_at_the_first_command_is_made_anew_once(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve({"MAIL": lambda asked: DROP if asked == 2 else "250 Ok"})
    with opened(server) as session:
        assert session.send(ENVELOPE).kind is OutcomeKind.DONE
        assert session.send(ENVELOPE).kind is OutcomeKind.DONE
    assert server.connections == 2
    assert len(server.mails) == 2


def test_a_server_that_always_closes_is_not_asked_for_ever(serve: Serve) -> None:
    server = serve({"MAIL": DROP})
    with opened(server) as session:
        assert session.send(ENVELOPE).kind is LATER
    assert server.connections == 2


def test_a_421_is_later_and_the_next_mail_has_a_new_connection(serve: Serve) -> None:
    server = serve({"MAIL": lambda asked: "421 4.7.0 enough" if asked == 2 else "250 Ok"})
    with opened(server) as session:
        kinds = [session.send(ENVELOPE).kind for _ in range(3)]
    assert kinds == [OutcomeKind.DONE, LATER, OutcomeKind.DONE]
    assert server.connections == 2


def test_a_server_gone_between_mails_is_later(serve: Serve) -> None:
    server = serve()
    with opened(server, timeout_s=0.3) as session:
        assert session.send(ENVELOPE).kind is OutcomeKind.DONE
        server.close()
        outcome = session.send(ENVELOPE)
    assert outcome.kind is LATER
    assert "nothing was handed over" in outcome.reason


def test_a_server_that_hangs_at_quit_does_not_hold_us(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmline.connectors.smtp.connector.QUIT_TIMEOUT_S", 0.1)
    server = serve({"QUIT": HANG})
    begun = time.monotonic()
    assert sent(server).kind is OutcomeKind.DONE
    assert time.monotonic() - begun < 2


def test_nobody_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable, match="refused"):
        smtp(port).open()


def test_a_name_that_is_none_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_name(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", no_such_name)
    with pytest.raises(Unreachable, match="no such host name"):
        smtp().open()


@pytest.mark.parametrize(
    "answers",
    [
        {"GREETING": "554 5.3.2 not today"},
        {"GREETING": "421 too many connections"},
        {"GREETING": "SSH-2.0-OpenSSH"},
        {"GREETING": DROP},
        {"GREETING": HANG},
        {"EHLO": DROP},
        {"EHLO": "500 what", "HELO": "500 what"},
    ],
)
def test_a_server_that_will_not_begin_is_unreachable(serve: Serve, answers: Answers) -> None:
    server = serve(answers)
    tuned: dict[str, Any] = {"timeout_s": 0.2, "username": "u", "password": "p"}
    with pytest.raises(Unreachable):
        smtp(server.port, **tuned).open()


# Encryption and sign-in


@pytest.mark.parametrize(("mode", "host"), [("starttls", "127.0.0.1"), ("implicit", "localhost")])
def test_the_connection_is_encrypted_and_signed_in(serve: Serve, mode: str, host: str) -> None:
    server = serve(tls=mode, extensions=("AUTH PLAIN LOGIN", "8BITMIME"))
    tuned = {"tls": mode, "host": host, "ca_file": str(CERTIFICATE)}
    with opened(server, username="u", password="geheim", **tuned) as session:
        for _ in range(3):
            assert session.send(ENVELOPE).kind is OutcomeKind.DONE
        connection = session._connection
        assert connection is not None
        assert isinstance(connection.sock, ssl.SSLSocket)
    assert server.connections == 1
    assert sum(command.startswith("AUTH") for command in server.commands) == 1


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
def test_a_certificate_that_is_not_trusted_is_unreachable(serve: Serve, mode: str) -> None:
    server = serve(tls=mode)
    with pytest.raises(Unreachable, match="not trusted") as caught:
        smtp(server.port, tls=mode).open()
    assert "ca_file" in caught.value.hint


def test_a_server_without_starttls_gets_nothing(serve: Serve) -> None:
    server = serve()
    with pytest.raises(Unreachable, match="no STARTTLS"):
        smtp(server.port, tls="starttls", username="u", password="p").open()
    assert not any("AUTH" in command for command in server.commands)


def test_implicit_tls_to_a_plain_port_is_unreachable(serve: Serve) -> None:
    server = serve()
    with pytest.raises(Unreachable, match="encryption failed"):
        smtp(server.port, tls="implicit", timeout_s=1).open()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("535 5.7.8 bad credentials for u@example.com", AuthFailed),
        ("534 5.7.9 app password wanted", AuthFailed),
        ("454 4.7.0 temporary failure", Unreachable),
    ],
)
def test_a_refused_sign_in(
    serve: Serve, answer: str, error: type[AuthFailed | Unreachable]
) -> None:
    server = serve({"AUTH": answer}, extensions=("AUTH PLAIN",))
    with pytest.raises(error) as caught:
        smtp(server.port, username="u@example.com", password="geheim").open()
    assert answer[:3] in caught.value.reason
    assert "@" not in caught.value.reason
    assert "geheim" not in caught.value.reason


@pytest.mark.parametrize(
    ("extensions", "password"), [((), "p"), (("AUTH XOAUTH2",), "p"), (("AUTH PLAIN",), "pässword")]
)
def test_a_sign_in_that_cannot_be_is_auth_failed(
    serve: Serve, extensions: tuple[str, ...], password: str
) -> None:
    server = serve(extensions=extensions)
    with pytest.raises(AuthFailed):
        smtp(server.port, username="u", password=password).open()


def test_a_sign_in_refused_on_the_way_is_later(serve: Serve) -> None:
    server = serve(extensions=("AUTH PLAIN",))
    tuned = {"username": "u", "password": "p", "mails_per_connection": 1}
    with opened(server, **tuned) as session:
        assert session.send(ENVELOPE).kind is OutcomeKind.DONE
        server.answers["AUTH"] = "535 5.7.8 changed"
        assert session.send(ENVELOPE).kind is LATER


# Settings, check, manifest


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"host": ""}, "host is missing"),
        ({"host": "mail.example.com", "tls": "none"}, "not this machine"),
        ({"tls": "ssl"}, "expected starttls, implicit or none"),
        ({"port": 0}, "port is 0"),
        ({"port": "smtp"}, "port is 'smtp'"),
        ({"timeout_s": -1}, "timeout_s is -1"),
        ({"timeout_s": True}, "timeout_s is True"),
        ({"mails_per_connection": 0}, "mails_per_connection is 0"),
        ({"ca_file": "/nowhere/ca.pem"}, "is not there"),
        ({"ca_file": str(KEY), "tls": "implicit"}, "holds no certificate"),
        ({"hello_name": "a\r\nMAIL FROM:<x@y.example>"}, "expected a host name"),
        ({"username": "u"}, "password is missing"),
        ({"password": "p"}, "username is missing"),
    ],
)
def test_a_wrong_setting_stops_start_up_with_a_sentence(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        smtp(**wrong)


@pytest.mark.parametrize("host", ["localhost", "::1", "127.0.0.2"])
def test_unencrypted_is_allowed_to_this_machine(host: str) -> None:
    assert smtp(host=host).tls == "none"


def test_the_manifest_is_what_the_class_does() -> None:
    manifest = read_manifest(Path(__file__).parent / "manifest.toml")
    options = Options("mail", {"host": "localhost", "tls": "none"}, {}, lambda: ENVELOPE.sent_at)
    made = make(manifest, options)
    assert isinstance(made, Smtp)
    assert isinstance(made, SendsMail)
    assert isinstance(made, Checks)
    readme = (Path(__file__).parent / "README.md").read_text()
    for setting in manifest.settings:
        assert f"`{setting.name}`" in readme


def test_a_greeting_name_is_used(serve: Serve) -> None:
    server = serve()
    assert sent(server, hello_name="warm.acme.example").kind is OutcomeKind.DONE
    assert server.commands[0].lower() == "ehlo warm.acme.example"


def test_the_payload_is_sent_without_delay(serve: Serve) -> None:
    server = serve()
    with opened(server) as session:
        connection = session._connection
        assert isinstance(connection, Handover)
        assert connection.sock is not None
        assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
