"""The sandbox as a process of its own, and the people it invents."""

from __future__ import annotations

import io
import json
import random
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest

from warmline.sandbox.clock import VirtualClock
from warmline.sandbox.people import JOBS, People, plain
from warmline.sandbox.serve import Sandbox, run

from .conftest import START


def test_as_a_process_until_sigterm() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "warmline.sandbox", "--seed", "3"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        where = json.loads(process.stdout.readline())
        for name in ("greenhouse", "hubspot", "mailbox"):
            answer = httpx.get(f"{where[name]['url']}/_control/state")
            assert answer.json()["vendor"] == name
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.stdout.close()  # type: ignore[union-attr]


def test_run_tells_the_addresses_and_stops() -> None:
    stop, out = threading.Event(), io.StringIO()
    thread = threading.Thread(target=run, kwargs={"stop": stop, "out": out, "background": False})
    thread.start()
    while "\n" not in out.getvalue():
        time.sleep(0.002)
    url = json.loads(out.getvalue())["hubspot"]["url"]
    stop.set()
    thread.join(timeout=10)
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_closing_twice_and_a_taken_port() -> None:
    box = Sandbox(background=False)
    for taken in ({"smtp_port": box.smtp_port}, {"hubspot_port": box.hubspot_port}):
        with pytest.raises(OSError, match="in use"):
            Sandbox(background=False, **taken)  # type: ignore[arg-type]
    box.close()
    box.close()


def test_the_same_seed_makes_the_same_week() -> None:
    def week(seed: int) -> list[object]:
        with Sandbox(now=VirtualClock(START), seed=seed, background=False) as box:
            for _ in range(5):
                box.greenhouse.apply()
            return list(box.greenhouse.world.candidates.rows.values())

    assert week(1) == week(1) != week(2)


def test_people_are_nobody() -> None:
    people = People(random.Random(1)).applicants(500)
    assert len({person.email for person in people}) == 500
    for person in people:
        local, host = person.email.split("@")
        assert local.isascii()
        assert host.endswith((".example.com", ".example.org", ".example.net"))
    assert any(not person.first_name.isascii() for person in people)
    assert plain("Wójcik") == "wojcik"
    assert plain("O'Brien") == "obrien"
    assert 8 <= len(JOBS) <= 10
    assert all(job.stages[0] == "Application Review" for job in JOBS)


def test_a_virtual_clock_does_not_run_backwards(clock: VirtualClock) -> None:
    with pytest.raises(ValueError, match="backwards"):
        clock.set(START.replace(year=2025))
