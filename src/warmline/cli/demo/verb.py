"""The verb itself: a fresh project on simulators, the week, the summary, and the exit status."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import random
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING

import typer

from warmline.cli.demo.checks import checks
from warmline.cli.demo.script import START, Deed, Script, write
from warmline.cli.demo.show import progress, summary
from warmline.cli.setup import err, open_ledger, out, settings_of
from warmline.cli.starter import copy_starter
from warmline.config.project import load
from warmline.config.settings import TABLE
from warmline.core.errors import WarmlineError
from warmline.sandbox.clock import VirtualClock
from warmline.sandbox.greenhouse.simulator import CLIENT_ID, CLIENT_SECRET
from warmline.sandbox.hubspot.simulator import TOKEN
from warmline.sandbox.serve import Sandbox

if TYPE_CHECKING:
    from warmline.cli.demo.week import Week
    from warmline.flows.runtime import Runtime
    from warmline.web.site import Server

FOLDER = Path("demo-project")
MARKER = ".warmline-demo"
HOST, PORT, THREADS = "127.0.0.1", 8025, 4
PORTS_TRIED_MAX = 5
# Whom the ATS knew before the week began: five of every past that the sandbox can tell.
PEOPLE_BEFORE, BEFORE = 45, timedelta(days=3)
_WEBHOOK_SECRET = "sandbox-webhook-secret"  # noqa: S105 - opens nothing but a sandbox
_APP_SECRET = "sandbox-app-secret"  # noqa: S105
_SECRETS = {
    "WARMLINE_ATS_CLIENT_ID": CLIENT_ID,
    "WARMLINE_ATS_CLIENT_SECRET": CLIENT_SECRET,
    "WARMLINE_ATS_WEBHOOK_SECRET": _WEBHOOK_SECRET,
    "WARMLINE_CRM_ACCESS_TOKEN": TOKEN,
    "WARMLINE_CRM_CLIENT_SECRET": _APP_SECRET,
}
_LOOK_AGAIN_S = 0.5


def demo(*, seed: int, applicants: int, keep: bool) -> None:
    """Raises typer.Exit(1) where a number does not hold."""
    began = time.monotonic()
    folder = FOLDER.absolute()
    clock = VirtualClock(START - BEFORE)
    script = write(seed, applicants)
    with (
        _fresh(folder),
        Sandbox(now=clock, seed=seed, background=False) as box,
        _house(folder, script, box, clock, seed) as week,
    ):
        from warmline.cli.demo.count import count

        week.prepare()
        with progress(err) as show:
            week.play(show)
        found = count(week)
        verdict = checks(found)
        summary(out, found, verdict)
        failed = sum(not check.ok for check in verdict)
        took_s = time.monotonic() - began
        out.print(
            f"seed {seed}: {len(verdict) - failed} of {len(verdict)} checks hold; "
            f"{took_s:.0f} s of real time"
        )
        if keep:
            _stay(week)
    if failed:
        raise typer.Exit(1)


@contextlib.contextmanager
def _fresh(folder: Path) -> Iterator[None]:
    """An empty folder that is ours; held, so that no second demo wipes it meanwhile. Raises
    WarmlineError where it holds what is not ours."""
    marker = folder / MARKER
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise WarmlineError(
            f"{folder} is in the way: expected a folder of an earlier demo, or none"
        )
    if folder.exists() and any(folder.iterdir()):
        if not marker.exists():
            raise WarmlineError(
                f"{folder} holds files and was not made by a demo",
                hint="move it away, or run the demo in another directory",
            )
        with marker.open() as old:
            _hold(old, folder)
            shutil.rmtree(folder)
    copy_starter(folder)
    with marker.open("w") as mine:
        mine.write("Made by `warmline demo`, and made anew by the next one.\n")
        mine.flush()
        _hold(mine, folder)
        yield


def _hold(marker: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise WarmlineError(
            f"a demo is up in {folder} already", hint="end it first: Ctrl-C in its terminal"
        ) from None


@contextlib.contextmanager
def _house(
    folder: Path, script: Script, box: Sandbox, clock: VirtualClock, seed: int
) -> Iterator[Week]:
    """Warmline on a ledger of its own, with its web server up and the webhooks pointed at it."""
    for setting in (s for s in TABLE if s.name != "WARMLINE_LOG_LEVEL"):
        # The demo's own, whatever this machine is set up for.
        os.environ.pop(setting.name, None)
        os.environ.pop(f"{setting.name}_FILE", None)
    os.environ.update(_SECRETS)
    open_ledger(settings_of(folder))
    _log_to(folder / "var" / "demo.log")

    from warmline.cli.demo.week import Week
    from warmline.store.sole import SoleRunner

    runtime, server = _serve(folder, box, clock, random.Random(f"chance {seed}"))  # noqa: S311
    url = runtime.project.public_url
    server.start()
    with contextlib.ExitStack() as last:
        last.callback(runtime.close)
        last.callback(server.stop)
        # The callers hang up first: a server waits for those who keep their connection open.
        last.callback(box.greenhouse.outbox.close)
        last.callback(box.hubspot.outbox.close)
        last.enter_context(SoleRunner())
        # A busy machine's disk may take its time; virtual time does not go on meanwhile.
        box.greenhouse.outbox.timeout_s = box.hubspot.outbox.timeout_s = 120.0
        if not box.greenhouse.set_webhook(f"{url}/in/ats", _WEBHOOK_SECRET)["active"]:
            raise WarmlineError(f"the ping to {url}/in/ats was not answered")
        box.hubspot.set_webhook(f"{url}/in/crm", _APP_SECRET)
        week = Week(script, box, runtime, clock, seed=seed)
        week.before = box.greenhouse.add_history(PEOPLE_BEFORE, seed=seed)
        last.callback(week.close)
        yield week


def _serve(
    folder: Path, box: Sandbox, clock: VirtualClock, rng: random.Random
) -> tuple[Runtime, Server]:
    """On the usual port where it is free, else on any: the project is told which."""
    from warmline.flows.runtime import build
    from warmline.web.site import Server

    starter = (folder / "warmline.yaml").read_text()
    for port in (PORT, *(_free_port() for _ in range(PORTS_TRIED_MAX))):
        (folder / "warmline.yaml").write_text(_pointed_at(starter, box, f"http://{HOST}:{port}"))
        runtime = build(load(folder), now=clock, chance=rng.random)
        try:
            return runtime, Server(runtime, HOST, port, THREADS)
        except OSError:
            runtime.close()
    raise WarmlineError("no port is free on this machine")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _log_to(path: Path) -> None:
    logging.basicConfig(filename=path, level=logging.INFO, force=True)
    for noisy in ("httpx", "httpcore", "waitress", "django.request", "markdown_it"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _pointed_at(text: str, box: Sandbox, url: str) -> str:
    """The starter's warmline.yaml with its addresses replaced by those of this sandbox."""
    for old, new in {
        "http://127.0.0.1:8025": url,
        "http://127.0.0.1:8801": box.greenhouse_url,
        "http://127.0.0.1:8802": box.hubspot_url,
        "http://127.0.0.1:8803": box.mailbox_url,
        "port: 8804": f"port: {box.smtp_port}",
    }.items():
        if old not in text:
            raise WarmlineError(f"the starter's warmline.yaml has no {old}: this is our fault")
        text = text.replace(old, new)
    return text


def _stay(week: Week) -> None:
    """Up with the pages, the clock standing still, until Ctrl-C; what is done to the simulators
    meanwhile takes its way."""
    url = week.runtime.project.public_url
    box = week.box
    box.greenhouse.outbox.delay_s = (0.0, 0.0)
    box.hubspot.faults.clear()
    box.mailbox.faults.clear()
    out.print(f"overview   {url}/", soft_wrap=True)
    out.print(f"explain    {url}/explain?q={_interesting(week)}", soft_wrap=True)
    out.print(f"mailbox    {box.mailbox_url}/", soft_wrap=True)
    out.print(
        f"one more   curl -s {box.greenhouse_url}/_control/do/apply -H 'content-type: "
        "application/json' -d '{}'",
        soft_wrap=True,
    )
    out.print(f"It is {week.clock():%A %d %B %Y, %H:%M} UTC here, and stays so. Ctrl-C ends it.")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(_LOOK_AGAIN_S):
        week.step()


def _interesting(week: Week) -> str:
    """Somebody with much to explain: interviewed, and by two applications if there is one."""
    acts = {Deed.APPLY_AGAIN: 3, Deed.APPLY_ANEW: 3, Deed.HIRE: 2, Deed.RESCHEDULE: 2}
    points: dict[int, int] = {}
    for scene in week.script.scenes:
        if scene.who >= 0:
            points[scene.who] = points.get(scene.who, 0) + acts.get(scene.deed, 1)
    return week.script.parts[max(points, key=lambda who: points[who])].person.email
