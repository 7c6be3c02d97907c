"""`warmline up`: web server and lanes in one process, until SIGTERM."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from warmline.cli.setup import logs, out
from warmline.config.project import Project
from warmline.config.settings import Settings
from warmline.core.errors import WarmlineError
from warmline.engine.inline import Inline
from warmline.flows.runtime import build
from warmline.web.site import Server


def up(settings: Settings, loaded: Project) -> None:
    logs(settings.log_level)
    runtime = build(loaded)
    engine = Inline(runtime, mail_threads=settings.mail_threads, tick_s=settings.tick_s)
    stop = threading.Event()

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    try:
        server = Server(runtime, settings.listen_host, settings.listen_port, settings.web_threads)
    except OSError as error:
        raise WarmlineError(
            f"cannot listen on {settings.listen_host}:{settings.listen_port}: {error.strerror}",
            hint="end what listens there, or set WARMLINE_LISTEN to another address",
        ) from None
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
    server.start()
    out.print(f"Warmline is up: http://{server.host}:{server.port}/  (Ctrl-C ends it)")
    while not stop.wait(1.0):
        pass
    server.stop()
    lanes.join()
    runtime.close()
    if failed:
        raise failed[0]
