"""What the contract suite needs to know of mail providers: Postmark's API, simulated, for the
mails, and MailerSend's webhooks, which sign their whole body."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from django.conf import settings

from warmline.connectors.anymail.connector import Anymail
from warmline.ports import Received
from warmline.sandbox.listen import HttpServer
from warmline.sandbox.mailbox.store import MailStore
from warmline.sandbox.mailproviders.api import KEY, MailProviders
from warmline.testing.contract import Clock, Harness, MailPlace, Parsing, Signing
from warmline.testing.contract.harness import fixtures, webhook

SIGNING_KEY = "canary-signing-key-2Vx"
URL = "https://hire.example.com/in/mail"
RULES: Mapping[str, Mapping[str, object]] = {
    "refuse": {"kind": "plan"},
    "later": {"kind": "rate_limited"},
    "later_after": {"kind": "unavailable"},
    "drop_after": {"kind": "timeout_after", "seconds": 0},
    "timeout": {"kind": "timeout_before", "seconds": 30},
}


if not settings.configured:  # run alone: anymail asks Django for what we do not set
    settings.configure()


def harness() -> Harness:
    return Harness(
        build=lambda options, timeout_s: Anymail(
            replace(options, settings={**options.settings, "timeout_s": timeout_s})
        ),
        settings={"provider": "mailersend"},
        secrets={"api_key": "canary-api-key-7Qw", "signing_key": SIGNING_KEY},
        signing=Signing(_signed, "signing_key", ("signature",)),
        parsing=Parsing(_deliveries, unknown=("survey_opened",)),
        mail=_place,
        exempt={
            "an_old_delivery_is_refused": "MailerSend signs no time, an event's key is its guard",
            "a_server_that_is_not_there_is_unreachable": "open makes no call: the first mail tells"
            " that the provider is not there, as later",
        },
    )


def _signed(body: bytes, secret: str, at: datetime) -> Received:
    mark = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return webhook(body, {"signature": mark}, URL)


def _deliveries(folder: Path) -> Mapping[str, Received]:
    found = {}
    for name, body in fixtures(folder):
        url = f"{URL}?kind=inbound" if name.startswith("inbound") else URL
        found[name] = webhook(body, {"content-type": "application/json"}, url)
    return found


@contextmanager
def _place(clock: Clock) -> Iterator[MailPlace]:
    store = MailStore(clock)
    box = MailProviders(store, now=clock)
    app = box.app()
    servers = [HttpServer(app, threads=4)]
    port = servers[0].port

    def strike(fault: str) -> None:
        if fault == "drop_before":
            servers.pop().close()
        else:
            box.faults.add(RULES[fault])

    def calm() -> None:
        box.faults.clear()
        if not servers:
            servers.append(HttpServer(app, port, threads=4))

    try:
        yield MailPlace(
            settings={"provider": "postmark", "api_url": f"http://127.0.0.1:{port}/postmark/"},
            secrets={"api_key": KEY},
            strike=strike,
            calm=calm,
            kept=store.count,
        )
    finally:
        box.closing.set()
        for server in servers:
            server.close()
        store.close()
