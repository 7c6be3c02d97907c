"""What the contract suite needs to know of mailboxes: mails as they come in, and an IMAP server."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path

from imapclient import IMAPClient
from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import DictBackend
from pymap.imap import IMAPServer

from warmline.connectors.mailbox.connector import Mailbox
from warmline.ports import Channel, Received
from warmline.testing.contract import Clock, Harness, Listing, Parsing, Place
from warmline.testing.contract.harness import START

USER, PASSWORD = "warmline", "canary-imap-password-8Kz"
HOST = "127.0.0.1"
_IMAP = "the suite's server in between speaks HTTP: test_connector.py strikes an IMAP server"


def harness() -> Harness:
    return Harness(
        build=lambda options, timeout_s: Mailbox(
            replace(options, settings={**options.settings, "timeout_s": timeout_s})
        ),
        settings={"host": HOST, "tls": "none", "username": USER},
        secrets={"password": PASSWORD},
        parsing=Parsing(_deliveries),
        place=_place,
        exempt={
            "an_unknown_word_is_kept": "what a mail says is told from it, without a vendor's words",
            "a_listing_without_an_end_is_malformed": _IMAP,
            "a_listing_survives_every_answer": _IMAP,
        },
    )


def _deliveries(folder: Path) -> Mapping[str, Received]:
    found = {}
    for path in sorted((folder / "fixtures").glob("*.eml")):
        raw = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        body = {"folder": "INBOX", "uid": 1, "mail": base64.b64encode(raw).decode()}
        found[path.stem] = Received(Channel.POLL, json.dumps(body).encode(), START, stream="INBOX")
    return found


class ImapServer:
    """pymap with one empty mailbox, in a thread of its own."""

    def __init__(self) -> None:
        # It logs what it hears, the password too: the server's log is none of Warmline's.
        logging.getLogger("pymap").setLevel(logging.WARNING)
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run, name="imap", daemon=True)
        self._thread.start()
        self._ready.wait(20)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        args = Namespace(
            host=HOST, port=0, cert=None, key=None, tls=False, proxy_protocol=None,
            demo_data=False, demo_user=USER, demo_password=PASSWORD, debug=False,
            skip_services=[], passlib_cfg=None,
        )  # fmt: skip
        backend, config = await DictBackend.init(args)
        config.apply_context()
        answer = ProxyProtocolReader(config.proxy_protocol).get_callback(
            IMAPServer(backend.login, config)
        )
        async with await asyncio.start_server(answer, HOST, 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stop.wait()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def close(self) -> None:
        if self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def __enter__(self) -> ImapServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def client(self) -> Iterator[IMAPClient]:
        with IMAPClient(HOST, self.port, ssl=False, timeout=20) as client:
            client.login(USER, PASSWORD)
            yield client

    def put(self, *mails: bytes, at: datetime) -> None:
        """The mails come in, one after the other."""
        with self.client() as client:
            for raw in mails:
                client.append("INBOX", raw, msg_time=at)


def an_answer(number: int, *, text: str = "Yes, gladly.") -> bytes:
    """Somebody answers the mail of this number (its mark is nobody's)."""
    lines = (
        f"From: Ada <canary.{number}@people.example>",
        "To: rita@acme.example",
        "Subject: Re: Open to talk?",
        f"Message-ID: <answer-{number}@people.example>",
        f"In-Reply-To: <warmline.{number}.0123456789abcdef@acme.example>",
        "Date: Mon, 2 Mar 2026 09:00:00 +0000",
        "",
        text,
    )
    return "\r\n".join(lines).encode()


@contextmanager
def _place(clock: Clock) -> Iterator[Place]:
    with ImapServer() as server:
        numbers = count(1)

        def fill(mails: int) -> None:
            server.put(*(an_answer(next(numbers)) for _ in range(mails)), at=clock())

        yield Place(
            settings=lambda url: {
                "host": HOST, "port": server.port, "tls": "none", "username": USER,
                "mails_per_page": 3,
            },
            secrets={"password": PASSWORD},
            listing=Listing(fill, 3, streams=("INBOX",)),
        )  # fmt: skip
