"""The one runtime that the views of this process serve, and the server that runs them."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any
from urllib.parse import urlsplit

from django.core.handlers.wsgi import WSGIHandler
from waitress import wasyncore
from waitress.server import create_server

from warmline.flows.intake import BODY_BYTES_MAX
from warmline.flows.runtime import Runtime

# How long a shutdown waits for answers that their readers are slow to take.
ANSWERS_WITHIN_S = 2.0

_serving: list[Runtime] = []
# Where pages answer; empty: on every listener.
_pages_ports: set[int] = set()


def pages_answer_on(port: str) -> bool:
    """Whether the operator's pages answer on this port of ours."""
    return not _pages_ports or (port.isdecimal() and int(port) in _pages_ports)


def behind_a_proxy(for_runtime: Runtime) -> bool:
    """Whether the outside reaches us through something else on this machine: then whatever comes
    to the public listener may be a stranger's, however local it looks."""
    return urlsplit(for_runtime.project.public_url).hostname not in (
        "127.0.0.1",
        "localhost",
        "::1",
    )


def runtime() -> Runtime:
    """The runtime that this process serves."""
    if not _serving:
        raise RuntimeError("nothing is served yet: make a Server first")
    return _serving[-1]


class Server:
    """A listener in a thread of this process. `port` is the one it got. With `pages_only` it is
    the one where pages answer, and no other does."""

    def __init__(
        self,
        for_runtime: Runtime,
        host: str,
        port: int,
        threads: int,
        *,
        pages_only: bool = False,
    ) -> None:
        _serving[:] = [for_runtime]
        self._server: Any = create_server(
            WSGIHandler(),
            host=host,
            port=port,
            threads=threads,
            ident="Warmline",
            # Twice what we take: a body just over the limit still gets our own answer.
            max_request_body_size=2 * BODY_BYTES_MAX,
            asyncore_use_poll=True,  # select() ends at 1,024 descriptors
            map={},  # each listener loops over its own connections
            max_request_header_size=64 * 1024,
            channel_timeout=30,
            connection_limit=300,
            clear_untrusted_proxy_headers=False,
        )
        self.host = host
        self.port = int(self._server.effective_port)
        _pages_ports.clear()
        if pages_only:
            _pages_ports.add(self.port)
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def alive(self) -> bool:
        return self._thread.is_alive()

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
