"""`warmline up`: web server and lanes in one process, until SIGTERM."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from warmline.cli.pauses import told_at_start
from warmline.cli.setup import logs, out
from warmline.config.project import Project
from warmline.config.settings import Settings
from warmline.core.errors import WarmlineError
from warmline.engine.inline import Inline
from warmline.flows.runtime import Runtime, build
from warmline.web.site import Server, behind_a_proxy

PAGES_THREADS = 4


def up(settings: Settings, loaded: Project) -> None:
    logs(settings.log_level)
    runtime = build(loaded)
    engine = Inline(runtime, mail_threads=settings.mail_threads, tick_s=settings.tick_s)
    stop = threading.Event()

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    servers = [_listen(runtime, settings.listen_host, settings.listen_port, settings.web_threads)]
    if behind_a_proxy(runtime):
        host, port = settings.pages_host, settings.pages_port
        servers.append(_listen(runtime, host, port, PAGES_THREADS, pages_only=True))
    pages = servers[-1]
    runtime.pages_url = f"http://{pages.host}:{pages.port}"
    failed: list[BaseException] = []

    def run_engine() -> None:
        try:
            engine.run(stop)
        except BaseException as error:
            failed.append(error)
        finally:
            stop.set()

    lanes = threading.Thread(target=run_engine, name="engine")
    lanes.start()
    while not engine.started.wait(0.1):
        if failed:
            raise failed[0]
    for server in servers:
        server.start()
    out.print(f"Warmline is up: http://{pages.host}:{pages.port}/  (Ctrl-C ends it)")
    told_at_start()
    while not stop.wait(1.0):
        if not all(server.alive() for server in servers):
            failed.append(WarmlineError("the web server ended by itself", hint="see the log"))
            stop.set()
    for server in servers:
        server.stop()
    lanes.join()
    runtime.close()
    if failed:
        raise failed[0]


def _listen(
    runtime: Runtime, host: str, port: int, threads: int, *, pages_only: bool = False
) -> Server:
    try:
        return Server(runtime, host, port, threads, pages_only=pages_only)
    except OSError as error:
        setting = "WARMLINE_PAGES_LISTEN" if pages_only else "WARMLINE_LISTEN"
        raise WarmlineError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            hint=f"end what listens there, or set {setting} to another address",
        ) from None
