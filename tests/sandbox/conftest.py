"""A sandbox on a virtual clock, and a small server that webhooks are sent to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from warmline.sandbox.clock import VirtualClock
from warmline.sandbox.listen import HttpServer
from warmline.sandbox.serve import Sandbox

START = datetime(2026, 3, 2, 9, 0, 0, tzinfo=UTC)


@dataclass
class Receiver:
    """Answers every POST with `status` and keeps what came."""

    status: int = 200
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    def __call__(self, environ: Any, start: Any) -> list[bytes]:
        headers = {
            key[5:].replace("_", "-").lower(): value
            for key, value in environ.items()
            if key.startswith("HTTP_")
        }
        self.calls.append((headers, environ["wsgi.input"].read()))
        start(f"{self.status} Whatever", [("Content-Length", "0")])
        return [b""]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def box(clock: VirtualClock) -> Iterator[Sandbox]:
    with Sandbox(now=clock, seed=7, background=False) as box:
        yield box


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    server = HttpServer(receiver, threads=2)
    receiver.url = f"{server.url}/hooks/x?source=y"
    yield receiver
    server.close()


@pytest.fixture
def ats(box: Sandbox) -> Iterator[httpx.Client]:
    """A client of the simulated Greenhouse that has a token of a Site Admin."""
    where = box.addresses()["greenhouse"]
    with httpx.Client(base_url=box.greenhouse_url, timeout=5) as client:
        answer = client.post(
            "/token",
            auth=(where["client_id"], where["client_secret"]),
            data={"grant_type": "client_credentials", "sub": str(where["user_id"])},
        )
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


@pytest.fixture
def crm(box: Sandbox) -> Iterator[httpx.Client]:
    """A client of the simulated HubSpot."""
    headers = {"Authorization": f"Bearer {box.hubspot.token}"}
    with httpx.Client(base_url=box.hubspot_url, headers=headers, timeout=5) as client:
        yield client
