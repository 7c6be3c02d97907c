"""The measurements: each on a fresh ledger with fresh simulators, after a short warm-up."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from tests.harness import (
    Simulators,
    Warmline,
    clean_environment,
    database,
    end,
    wait_for,
    warmline,
)

WARM_UP = 50
CONNECTIONS = 32
RATE = 50.0
# What HubSpot itself allows in ten seconds: batches must keep within it, as in real life.
HUBSPOT_RATE = 190
GREENHOUSE_RATE = 75  # calls in 30 s: the vendor's own example
KNOWN = 10_000  # candidates in the ATS, more than any run posts
LONGEST_S = 180.0
LOOK_S = 0.25

Say = Callable[[str, int, int], None]
"""Told what is being done, how far it is, and out of how many."""


class WrongError(Exception):
    """It was fast, and wrong: a mail or a contact is missing or doubled."""


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    unit: str
    aim: float | None = None
    at_least: bool = False  # the aim is a floor, not a ceiling

    @property
    def met(self) -> bool:
        if self.aim is None:
            return True
        return self.value >= self.aim if self.at_least else self.value <= self.aim


@dataclass
class House:
    """One Warmline at work, with its simulators."""

    simulators: Simulators
    warmline: Warmline
    say: Say

    @property
    def process(self) -> psutil.Process:
        assert self.warmline.process is not None
        return psutil.Process(self.warmline.process.pid)

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def peak_mb(self) -> float:
        """The most that Warmline's process ever held (Linux), or what it holds now."""
        status = Path(f"/proc/{self.process.pid}/status")
        if status.exists():
            line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
            return int(line.split()[1]) * 1024 / 1e6
        return float(self.process.memory_info().rss) / 1e6

    @contextmanager
    def poster(self, count: int, *, first: int = WARM_UP, rate: float = 0.0) -> Iterator[Poster]:
        asked = {
            "port": self.warmline.port,
            "first": first,
            "count": count,
            "connections": min(CONNECTIONS, count),
            "rate": rate,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.poster", json.dumps(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=clean_environment(),
            text=True,
        )
        try:
            yield Poster(process)
        finally:
            end(process)

    def mails(self, wanted: int, what: str) -> None:
        """Wait until so many mails have come."""

        def there() -> bool:
            came = self.simulators.mail_count()
            self.say(what, came, wanted)
            return came >= wanted

        wait_for(there, within_s=LONGEST_S, what=f"{wanted} mails", every_s=LOOK_S)

    def rest(self) -> None:
        self.warmline.at_rest(within_s=LONGEST_S)

    def warm_up(self) -> None:
        with self.poster(WARM_UP, first=0) as poster:
            poster.go()
            poster.said()
        self.mails(WARM_UP, "warming up")
        self.rest()

    def check(self, people: int) -> None:
        """One contact and one mail a person; the figures of a wrong run are worth nothing."""
        addressed = [to for mail in self.simulators.mails() for to in mail["to"]]
        contacts = [email for one in self.simulators.contacts() for email in one["emails"]]
        for what, found in (("mails", addressed), ("contacts", contacts)):
            if len(found) != people or len(set(found)) != people:
                raise WrongError(
                    f"{people} people, {len(found)} {what} to {len(set(found))} addresses\n"
                    + self.warmline.last_words()
                )


class Poster:
    """bench/poster.py, ready; `go` lets it begin."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return line
        raise RuntimeError(f"the poster ended with {end(self._process)}")

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def said(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self._line())
        if set(said["answers"]) != {"200"}:
            raise WrongError(f"answers other than 200: {said['answers']}")
        return said


@contextmanager
def house(kind: str, say: Say, command: Sequence[str]) -> Iterator[House]:
    with (
        tempfile.TemporaryDirectory(prefix="wl-bench-") as folder,
        database(kind) as url,
        # Greenhouse's own rate: tags trickle beside the rest, as they do in life.
        Simulators(hubspot_rate=HUBSPOT_RATE, greenhouse_rate=GREENHOUSE_RATE) as simulators,
        warmline(Path(folder) / "project", simulators, url) as made,
    ):
        simulators.knows(KNOWN)
        made.command = command or made.command
        made.start()
        one = House(simulators, made, say)
        one.warm_up()
        yield one
        if command:
            made.terminate()  # the profile is written at the end


def accepted(kind: str, count: int, say: Say, command: Sequence[str] = ()) -> list[Figure]:
    """Deliveries answered with 200 a second, on many keep-alive connections. The lanes work on
    what was accepted all the while: it is the rate of a Warmline in service."""
    with house(kind, say, command) as one, one.poster(count) as poster:
        say("posting as fast as it is answered", 0, count)
        poster.go()
        said = poster.said()
        per_s = count / (said["last_answer"] - said["first"])
        return [
            Figure(f"{kind}.accepted_per_s", per_s, "deliveries/s", 400, at_least=True),
            Figure(f"{kind}.peak_memory_mb", one.peak_mb(), "MB", 200),
        ]


def flood(kind: str, count: int, say: Say, command: Sequence[str] = ()) -> list[Figure]:
    """Applications a second from the first webhook to the last mail handed over."""
    with house(kind, say, command) as one, one.poster(count) as poster:
        cpu_s = one.cpu_s()
        poster.go()
        one.mails(WARM_UP + count, "mails, posting as fast as it is answered")
        said = poster.said()
        one.rest()
        cpu_s = one.cpu_s() - cpu_s
        one.check(WARM_UP + count)
        took_s = max(_received(one).values()) - said["first"]
        return [
            Figure(f"{kind}.end_to_end_per_s", count / took_s, "applications/s", 120, True),
            Figure(f"{kind}.cpu_ms_per_application", cpu_s * 1000 / count, "ms", 8),
            Figure(f"{kind}.peak_memory_mb", one.peak_mb(), "MB", 200),
        ]


def steady(kind: str, count: int, say: Say, command: Sequence[str] = ()) -> list[Figure]:
    """From the moment that a webhook was due to its mail in the catcher, at a steady rate."""
    with house(kind, say, command) as one, one.poster(count, rate=RATE) as poster:
        cpu_s = one.cpu_s()
        poster.go()
        one.mails(WARM_UP + count, f"mails, at {RATE:g} applications a second")
        said = poster.said()
        one.rest()
        cpu_s = one.cpu_s() - cpu_s
        one.check(WARM_UP + count)
        received = _received(one)
        took = sorted(received[email] - begun for email, begun in said["begun"].items())
        return [
            Figure(f"{kind}.p50_ms", took[len(took) // 2] * 1000, "ms"),
            Figure(f"{kind}.p99_ms", took[int(len(took) * 0.99)] * 1000, "ms", 1000),
            Figure(f"{kind}.cpu_ms_at_{RATE:g}_per_s", cpu_s * 1000 / count, "ms", 8),
            Figure(f"{kind}.peak_memory_mb", one.peak_mb(), "MB", 200),
        ]


def _received(one: House) -> dict[str, float]:
    """When each address got its mail, by the catcher's clock: the same machine's."""
    return {
        mail["to"][0]: datetime.fromisoformat(mail["received_at"]).timestamp()
        for mail in one.simulators.mails()
    }
