"""The one runtime that the views of this process serve, and the server that runs them."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from waitress import wasyncore
from waitress.server import create_server

from warmline.flows.intake import BODY_BYTES_MAX
from warmline.flows.runtime import Runtime

# How long a shutdown waits for answers that their readers are slow to take.
ANSWERS_WITHIN_S = 2.0

_serving: list[Runtime] = []


def runtime() -> Runtime:
    """The runtime that this process serves."""
    if not _serving:
        raise RuntimeError("nothing is served yet: make a Server first")
    return _serving[-1]


class Server:
    """The web server in a thread of this process. `port` is the one it got."""

    def __init__(self, for_runtime: Runtime, host: str, port: int, threads: int) -> None:
        _serving[:] = [for_runtime]
        self._server: Any = create_server(
            WSGIHandler(),
            host=host,
            port=port,
            threads=threads,
            ident="Warmline",
            # Twice what we take: a body just over the limit still gets our own answer.
            max_request_body_size=2 * BODY_BYTES_MAX,
            max_request_header_size=64 * 1024,
            channel_timeout=30,
            connection_limit=500,
            clear_untrusted_proxy_headers=False,
        )
        self.host = host
        self.port = int(self._server.effective_port)
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Take no new connections, finish the requests in hand, send their answers, hang up."""
        server = self._server
        server.accepting = False
        server.task_dispatcher.shutdown(cancel_pending=False, timeout=10)
        server.pull_trigger()
        deadline = time.monotonic() + ANSWERS_WITHIN_S
        while _unsent(server) and time.monotonic() < deadline:
            time.sleep(0.01)
        # Kept-alive connections would hold the loop open; they belong to its thread, which may
        # have heard us by the pull before this one, and closed what we pull.
        with contextlib.suppress(OSError):
            server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map, ignore_all=True))
        self._thread.join(timeout=10)


def _unsent(server: Any) -> bool:
    return any(one.total_outbufs_len for one in list(server.active_channels.values()))
