"""The house in which a year is played: simulators, a provider, the public pages, a virtual clock.

Django is set up, and the secrets stand in the environment, before this is imported.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import httpx

from tests.year import SECRET, Year, prepare
from warmline.config.project import load
from warmline.engine.work import Worker
from warmline.flows import first_sync
from warmline.flows.reconcile import poll
from warmline.flows.runtime import build
from warmline.sandbox.clock import VirtualClock
from warmline.sandbox.listen import HttpServer
from warmline.sandbox.mailproviders.api import KEY, MailProviders
from warmline.sandbox.serve import Sandbox
from warmline.web.site import Server

HOST = "127.0.0.1"
MAIL_SECRETS = {"WARMLINE_MAIL_API_KEY": KEY, "WARMLINE_MAIL_WEBHOOK_SECRET": SECRET}
_UNLIMITED = 10**6


@contextmanager
def staged(
    folder: Path,
    begins: datetime,
    webhook_secret: str,
    *,
    people: int,
    days: int,
    seed: int,
    grid_hours: int = 1,
    told: Callable[[datetime], object] = lambda at: None,
) -> Iterator[Year]:
    """The starter project lies in `folder`, and the ledger is empty."""
    clock = VirtualClock(begins)
    with ExitStack() as last:
        box = last.enter_context(
            Sandbox(
                now=clock, background=False, search_lag_s=0, seed=seed, greenhouse_rate=_UNLIMITED
            )
        )
        box.greenhouse.secret = webhook_secret
        providers = MailProviders(box.mailbox.store, now=clock)
        catcher = HttpServer(providers.app(), threads=4)
        last.callback(catcher.close)
        last.callback(providers.closing.set)
        path = folder / "warmline.yaml"
        text = path.read_text()
        for old, new in {
            "http://127.0.0.1:8801": box.greenhouse_url,
            "http://127.0.0.1:8802": box.hubspot_url,
        }.items():
            text = text.replace(old, new)
        path.write_text(text)
        rules = prepare(folder, catcher.url)
        runtime = build(load(folder), now=clock, chance=random.Random(seed).random)
        last.callback(runtime.close)
        first_sync.allow(clock())
        server = Server(runtime, HOST, 0, 4)
        server.start()
        last.callback(server.stop)
        url = f"http://{HOST}:{server.port}"
        file = runtime.project.file.model_copy(update={"public_url": url})
        runtime.project = dataclasses.replace(runtime.project, file=file)
        poll(runtime, "ats")
        worker = Worker(runtime)
        last.callback(worker.close)
        client = last.enter_context(httpx.Client(timeout=60, trust_env=False))

        def move(at: datetime) -> None:
            clock.advance((at - clock()).total_seconds())

        yield Year(
            runtime, worker, box, move, client, rules,
            people=people, days=days, seed=seed, grid_hours=grid_hours, told=told,
        )  # fmt: skip
