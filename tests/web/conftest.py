"""What tests of the doors share: a client of a real server, and a letter with links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from django.db import connections

from tests.conftest import House
from warmline.config.project import load
from warmline.web import site


@pytest.fixture
def wire(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A client of a real server."""
    monkeypatch.setattr(site, "_serving", [])
    # The server's threads end with the test, so each request gives its connection back.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    server = site.Server(house.runtime, "127.0.0.1", 0, 4)
    server.start()
    with httpx.Client(
        base_url=f"http://127.0.0.1:{server.port}", timeout=10, trust_env=False
    ) as client:
        yield client
    server.stop()


STEP = """---
subject: Hello {{ candidate.first_name }}
---
Hi {{ candidate.first_name }},

[one](https://careers.example.com/jobs?a=1&b=ä), [two](http://news.example.com/),
[three](https://careers.example.com/) and [me](mailto:kim@example.com).

[Yes]({{ keep_posted_url }}), [may we]({{ opt_in_url }}), [choose]({{ preferences_url }}),
[in a browser]({{ view_url }}).
"""
BROWSER = {
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/143.0 Safari/537.36",
}


@dataclass
class Letter:
    """The mail that Ada got, as the catcher has it."""

    house: House
    html: str
    text: str
    headers: dict[str, str]

    def links(self, kind: str) -> list[str]:
        """The paths of ours of one kind, in the order of the letter."""
        return re.findall(rf'(?:href|src)="http://127\.0\.0\.1:8025(/{kind}/[^"]+)"', self.html)

    def link(self, kind: str) -> str:
        return self.links(kind)[0]

    def judge(self, minutes: float = 2) -> None:
        """Time passes, and the tick looks."""
        self.house.clock.move(minutes=minutes)
        self.house.settle()


def sent(house: House, step: str = STEP, **tracking: bool) -> Letter:
    """Ada applies and gets this letter; ten minutes pass."""
    (house.folder / "sequences" / "welcome" / "01-confirmation.md").write_text(step)
    if tracking:
        path = house.folder / "warmline.yaml"
        said = ", ".join(f"{name}: {str(on).lower()}" for name, on in tracking.items())
        path.write_text(path.read_text().replace("\nmail:\n", f"\nmail:\n  tracking: {{{said}}}\n"))
    house.runtime.project = load(house.folder)
    house.apply()
    house.settle()
    mail = house.mails()[-1]
    whole = httpx.get(f"{house.box.mailbox_url}/api/messages/{mail['id']}", trust_env=False).json()
    house.clock.move(minutes=10)
    return Letter(house, whole["html"], whole["text"], dict(whole["all_headers"]))


@pytest.fixture
def letter(house: House) -> Letter:
    return sent(house)
