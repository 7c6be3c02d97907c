"""What tests share: a ledger on SQLite and on PostgreSQL, a virtual clock, a project on a sandbox.

Tests of the ledger run in this process on SQLite. The same tests run on PostgreSQL in a second
process (tests/test_on_postgres.py), because Django is set up once a process.
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

# Run in the background by a shell, the tests ignore Ctrl-C, and so would every child of theirs.
signal.signal(signal.SIGINT, signal.default_int_handler)

_HOME = Path(tempfile.mkdtemp(prefix="wl-tests-"))
if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker has a ledger of its own; what stands there is the one that started it.
    os.environ.pop("WARMLINE_PROJECT", None)
    os.environ.pop("WARMLINE_DATABASE_URL", None)
os.environ.setdefault("WARMLINE_PROJECT", str(_HOME))
os.environ.setdefault("WARMLINE_SECRET_KEY", "a key of the tests")
os.environ.setdefault("WARMLINE_DATABASE_URL", f"sqlite:///{_HOME}/ledger.sqlite3")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "warmline.store.settings")

import django

django.setup()

from django.core.management import call_command
from django.db import connection, connections

from warmline.cli.starter import copy_starter
from warmline.config.project import load
from warmline.engine.work import Worker, run_until_idle
from warmline.flows import first_sync
from warmline.flows.runtime import Runtime, build
from warmline.sandbox.serve import Sandbox

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Clock:
    """Virtual time: it moves when it is told to."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def move(self, **delta: float) -> datetime:
        self.at += timedelta(**delta)
        return self.at


@pytest.fixture(scope="session")
def _tables() -> None:
    call_command("migrate", interactive=False, verbosity=0)


@pytest.fixture
def ledger(_tables: None) -> Iterator[None]:
    """An empty ledger. Threads may write to it: it is emptied afterwards, not rolled back."""
    yield
    call_command("flush", interactive=False, verbosity=0)
    connections.close_all()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@dataclass
class House:
    """The starter project, pointed at a sandbox of its own, on an empty ledger."""

    runtime: Runtime
    box: Sandbox
    clock: Clock
    worker: Worker
    folder: Path

    def settle(self) -> None:
        """Do everything that is due now."""
        run_until_idle(self.runtime, self.worker)

    def receive(self, name: str, headers: dict[str, str], body: bytes) -> str:
        """A webhook, past the web server: straight into intake."""
        from warmline.flows.intake import receive
        from warmline.ports import Channel, Received

        lower = {key.lower(): value for key, value in headers.items()}
        url = f"{self.runtime.project.public_url}/in/{name}"
        received = Received(Channel.WEBHOOK, body, self.clock(), lower, "POST", url)
        return receive(self.runtime, name, received)

    def deliver(self, webhooks: list[tuple[dict[str, str], bytes]]) -> None:
        for headers, body in webhooks:
            self.receive("ats", headers, body)

    def apply(self, **person: Any) -> dict[str, Any]:
        """Somebody applies; the webhook arrives."""
        fields = {"first_name": "Ada", "last_name": "Lind", "email": "ada.lind@example.com"}
        again = person.pop("candidate_id", None)
        job_id = person.pop("job_id", 4001)
        with self.box.greenhouse.captured() as webhooks:
            row = self.box.greenhouse.apply(
                None if again else {**fields, **person}, job_id, candidate_id=again
            )
        self.deliver(webhooks)
        return row

    def does(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        """Something happens in Greenhouse; its webhooks arrive."""
        with self.box.greenhouse.captured() as webhooks:
            row = getattr(self.box.greenhouse, verb)(*args, **kwargs)
        self.deliver(webhooks)
        return row

    def needs_a_first_name(self) -> None:
        """The first letter of the welcome has no word for whoever has none: their mail is held."""
        path = self.folder / "sequences/welcome/01-confirmation.md"
        text, without = path.read_text(), "Hi {{ candidate.first_name }},"
        greeting = 'Hi {{ candidate.first_name | default: "there" }},'
        assert greeting in text
        path.write_text(text.replace(greeting, without))
        self.runtime.project = load(self.folder)

    def mails(self, to: str = "") -> list[dict[str, Any]]:
        return [m for m in mails_of(self.box) if not to or to in m["to"]]

    def contacts(self) -> list[dict[str, Any]]:
        return self.box.hubspot.all_contacts()


def mails_of(box: Sandbox) -> list[dict[str, Any]]:
    """What the catcher caught, oldest first."""
    import httpx

    answer = httpx.get(f"{box.mailbox_url}/api/messages", params={"limit": "1000"}, trust_env=False)
    return list(reversed(answer.json()["messages"]))


SECRETS = {
    "WARMLINE_ATS_CLIENT_ID": "sandbox-client",
    "WARMLINE_ATS_CLIENT_SECRET": "sandbox-client-secret",
    "WARMLINE_ATS_WEBHOOK_SECRET": "sandbox-webhook-secret",
    "WARMLINE_CRM_ACCESS_TOKEN": "sandbox-token",
    "WARMLINE_CRM_CLIENT_SECRET": "sandbox-app-secret",
}


def point_at(folder: Path, box: Sandbox) -> None:
    """The starter project's addresses, replaced by this sandbox's."""
    path = folder / "warmline.yaml"
    text = path.read_text()
    for old, new in {
        "http://127.0.0.1:8801": box.greenhouse_url,
        "http://127.0.0.1:8802": box.hubspot_url,
        "http://127.0.0.1:8803": box.mailbox_url,
        "port: 8804": f"port: {box.smtp_port}",
    }.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


@pytest.fixture
def house(
    ledger: None, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    with Sandbox(now=clock, background=False, search_lag_s=0) as box:
        box.greenhouse.secret = SECRETS["WARMLINE_ATS_WEBHOOK_SECRET"]
        box.hubspot.secret = SECRETS["WARMLINE_CRM_CLIENT_SECRET"]
        folder = tmp_path / "project"
        copy_starter(folder)
        point_at(folder, box)
        runtime = build(load(folder), now=clock, chance=random.Random(7).random)
        first_sync.allow(clock())
        worker = Worker(runtime)
        yield House(runtime, box, clock, worker, folder)
        worker.close()
        runtime.close()


__all__ = ["Clock", "House", "connection", "mails_of"]
