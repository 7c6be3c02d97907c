"""Starts the simulators: inside a test or the demo as `Sandbox`, or as a process of their own."""

from __future__ import annotations

import argparse
import json
import random
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from warmline.sandbox.clock import Now, utc_now
from warmline.sandbox.greenhouse.api import make_app as greenhouse_app
from warmline.sandbox.greenhouse.simulator import Greenhouse
from warmline.sandbox.hubspot.api import make_app as hubspot_app
from warmline.sandbox.hubspot.simulator import HubSpot
from warmline.sandbox.lever.api import make_app as lever_app
from warmline.sandbox.lever.simulator import Lever
from warmline.sandbox.listen import HOST, HttpServer
from warmline.sandbox.mailbox.api import make_app as mailbox_app
from warmline.sandbox.mailbox.simulator import Mailbox
from warmline.sandbox.mailbox.smtp import SmtpServer


class Sandbox:
    """The simulators on loopback. Use it with `with`, or call `close()`.

    `greenhouse`, `hubspot` and `mailbox` are the objects themselves: what is done to them shows
    over HTTP at once, and the other way round.
    """

    def __init__(
        self,
        *,
        now: Now = utc_now,
        seed: int = 1,
        greenhouse_port: int = 0,
        hubspot_port: int = 0,
        mailbox_port: int = 0,
        smtp_port: int = 0,
        lever_port: int | None = None,
        background: bool = True,
        spool: Path | None = None,
        greenhouse_rate: int = 75,
        hubspot_rate: int = 190,
        search_lag_s: float = 5.0,
        webhook_delay_s: tuple[float, float] = (0.0, 0.0),
        tls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
        threads: int = 16,
    ) -> None:
        """Ports of 0 are free ones; there is a Lever beside them where `lever_port` is given.
        With `background` webhooks go out by themselves in real time; without it `deliver_due()`
        sends them, for clocks that are not real."""
        rng = random.Random(seed)
        self._closers: list[Callable[[], None]] = []
        try:
            self.greenhouse = Greenhouse(
                now=now, rng=random.Random(rng.random()), rate_limit=greenhouse_rate
            )
            self.hubspot = HubSpot(
                now=now,
                rng=random.Random(rng.random()),
                rate_limit=hubspot_rate,
                search_lag_s=search_lag_s,
            )
            self.mailbox = Mailbox(now=now, rng=random.Random(rng.random()), spool=spool)
            # Closed in the other order: first the faults let go, then the ports.
            self._closers += [self.mailbox.store.close]
            self.greenhouse.outbox.delay_s = self.hubspot.outbox.delay_s = webhook_delay_s
            greenhouse = self._listen(greenhouse_app(self.greenhouse), greenhouse_port, threads)
            hubspot = self._listen(hubspot_app(self.hubspot), hubspot_port, threads)
            mailbox = self._listen(mailbox_app(self.mailbox), mailbox_port, 4)
            smtp = SmtpServer(
                self.mailbox.store, self.mailbox.faults, port=smtp_port, tls=tls, login=login
            )
            self._closers += [smtp.close, self.greenhouse.close, self.hubspot.close]
            if lever_port is not None:
                self.lever = Lever(now=now, rng=random.Random(rng.random()))
                self.lever.outbox.delay_s = webhook_delay_s
                self.lever_url = self._listen(lever_app(self.lever), lever_port, 4).url
                self._closers.append(self.lever.close)
        except BaseException:
            self.close()
            raise
        self.greenhouse_url, self.greenhouse_port = greenhouse.url, greenhouse.port
        self.hubspot_url, self.hubspot_port = hubspot.url, hubspot.port
        self.mailbox_url, self.mailbox_port = mailbox.url, mailbox.port
        self.smtp_host, self.smtp_port = HOST, smtp.port
        if background:
            self.greenhouse.outbox.start()
            self.hubspot.outbox.start()
            if lever_port is not None:
                self.lever.outbox.start()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def deliver_due(self) -> dict[str, dict[str, int]]:
        """Send every webhook that is due now; what became of them, by simulator."""
        vendors = ("greenhouse", "hubspot", "lever")
        there = {name: getattr(self, name) for name in vendors if hasattr(self, name)}
        return {name: vendor.outbox.deliver_due() for name, vendor in there.items()}

    def addresses(self) -> dict[str, Any]:
        """Where everything is, with the credentials that open it, ready for JSON."""
        admin = self.greenhouse.world.staff("admin")[0]
        return {
            "greenhouse": {
                "url": self.greenhouse_url,
                "token_url": f"{self.greenhouse_url}/token",
                "client_id": self.greenhouse.client_id,
                "client_secret": self.greenhouse.client_secret,
                "user_id": admin["id"],
            },
            "hubspot": {"url": self.hubspot_url, "token": self.hubspot.token},
            "mailbox": {"url": self.mailbox_url},
            "smtp": {"host": self.smtp_host, "port": self.smtp_port},
        }

    def close(self) -> None:
        """Stop everything and free the ports. It may be called twice."""
        for simulator in ("greenhouse", "hubspot", "mailbox", "lever"):
            if hasattr(self, simulator):
                getattr(self, simulator).closing.set()
        while self._closers:
            self._closers.pop()()

    def _listen(self, app: Any, port: int, threads: int) -> HttpServer:
        server = HttpServer(app, port, threads)
        self._closers.append(server.close)
        return server


def run(
    *, stop: threading.Event | None = None, out: TextIO | None = None, **options: Any
) -> None:  # fmt: skip
    """Serve until SIGTERM, SIGINT or `stop`. One line of JSON with the addresses says it is ready.

    `options` are those of `Sandbox`. Signals are only watched from the main thread.
    """
    stop = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    with Sandbox(**options) as box:
        print(json.dumps(box.addresses()), file=out or sys.stdout, flush=True)
        stop.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m warmline.sandbox`."""
    parser = argparse.ArgumentParser(
        prog="python -m warmline.sandbox",
        description="Simulators of Greenhouse and HubSpot and a mail catcher, on loopback.",
    )
    parser.add_argument("--greenhouse-port", type=int, default=0, metavar="N")
    parser.add_argument("--hubspot-port", type=int, default=0, metavar="N")
    parser.add_argument("--mailbox-port", type=int, default=0, metavar="N")
    parser.add_argument("--smtp-port", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--spool", type=Path, default=None, help="file that keeps caught mail")
    parser.add_argument("--greenhouse-rate", type=int, default=75, help="calls in 30 seconds")
    parser.add_argument("--hubspot-rate", type=int, default=190, help="calls in 10 seconds")
    parser.add_argument("--search-lag-s", type=float, default=5.0, help="HubSpot's search lag")
    run(**vars(parser.parse_args(argv)))
    return 0
