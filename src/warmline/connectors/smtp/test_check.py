"""What `warmline check` tells of a mail server, over loopback: it signs in and begins no mail."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from warmline.connectors.smtp.test_connector import CERTIFICATE, DROP, ENVELOPE, Server, smtp
from warmline.core.errors import ConfigError
from warmline.ports import Finding, Needs, Verdict

NOTHING = Needs({})
Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    made: list[Server] = []

    def start(answers: dict[str, str] | None = None, **more: Any) -> Server:
        made.append(Server(dict(answers or {}), **more))
        return made[-1]

    yield start
    for server in made:
        server.close()


def found(port: int, **settings: Any) -> dict[str, Finding]:
    return {one.what: one for one in smtp(port, **settings).check(NOTHING)}


SIGNED_IN = {"username": "u", "password": "p"}


def test_what_is_there(serve: Serve) -> None:
    server = serve(tls="starttls", extensions=("AUTH PLAIN",))
    told = found(server.port, tls="starttls", ca_file=str(CERTIFICATE), **SIGNED_IN)
    assert {one.verdict for one in told.values()} == {Verdict.OK}
    assert set(told) == {
        f"mail server 127.0.0.1:{server.port}", "encryption", "8BITMIME", "SMTPUTF8", "sign-in",
    }  # fmt: skip
    assert told["encryption"].advice.startswith("TLSv1.")
    assert "not offered" in told["SMTPUTF8"].advice
    assert not server.mails
    assert not [command for command in server.commands if command.startswith(("MAIL", "RCPT"))]


def test_an_extension_that_is_offered_is_not_worth_a_line(serve: Serve) -> None:
    told = found(serve().port)
    assert "8BITMIME" not in told
    assert told["sign-in"].advice == "not signed in: no username is configured"


def test_refused_credentials_are_told_from_the_server(serve: Serve) -> None:
    server = serve({"AUTH": "535 no"}, extensions=("AUTH PLAIN",))
    told = found(server.port, **SIGNED_IN)
    assert told["sign-in"].verdict is Verdict.CREDENTIALS
    assert told[f"mail server 127.0.0.1:{server.port}"].verdict is Verdict.OK


@pytest.mark.parametrize(
    ("answers", "tls"),
    [({"GREETING": "554 go away"}, "none"), ({"GREETING": DROP}, "none"), ({}, "starttls")],
)
def test_something_that_answers_and_is_no_use_is_failed(
    serve: Serve, answers: dict[str, str], tls: str
) -> None:
    """It turns us away, hangs up, or has no STARTTLS."""
    [told] = found(serve(answers).port, tls=tls).values()
    assert told.verdict is Verdict.FAILED
    assert told.advice


def test_a_certificate_that_is_not_trusted_is_failed(serve: Serve) -> None:
    [told] = found(serve(tls="implicit").port, tls="implicit").values()
    assert told.verdict is Verdict.FAILED
    assert "certificate" in told.advice


def test_nothing_that_answers_is_unreachable(serve: Serve) -> None:
    server = serve()
    server.close()
    [told] = found(server.port).values()
    assert told.verdict is Verdict.UNREACHABLE


def test_a_server_that_says_nothing_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        [told] = found(silent.getsockname()[1], timeout_s=0.2).values()
    assert told.verdict is Verdict.UNREACHABLE
    assert "did not answer" in told.advice or "no answer" in told.advice


def test_bounces_come_to_the_address_that_is_set_for_them(serve: Serve) -> None:
    server = serve()
    session = smtp(server.port, bounces_to="bounces@acme.example").open()
    session.send(ENVELOPE)
    session.close()
    (sent,) = [one for one in server.commands if one.startswith("MAIL")]
    assert sent.startswith("MAIL FROM:<bounces@acme.example>")
    with pytest.raises(ConfigError, match="bounces_to"):
        smtp(server.port, bounces_to="not an address")
