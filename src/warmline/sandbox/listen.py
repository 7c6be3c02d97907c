"""A WSGI application served on loopback by waitress, in a thread of this process."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from wsgiref.types import WSGIApplication

from waitress import wasyncore
from waitress.server import create_server

HOST = "127.0.0.1"


class HttpServer:
    """One listening port. `close()` frees it."""

    def __init__(self, app: WSGIApplication, port: int = 0, threads: int = 16) -> None:
        """Listen at once on `port`, 0 for a free one; `threads` answer calls side by side."""
        # A busy queue is the point of a benchmark; waitress warns about it on every call.
        logging.getLogger("waitress").setLevel(logging.ERROR)
        # Bound here, so that a port that is taken fails before waitress has started its threads.
        listening = socket.create_server((HOST, port), backlog=1024)
        self._server = create_server(
            app,
            sockets=[listening],
            threads=threads,
            # Reading ahead is how waitress notices that a caller hung up while a fault hangs.
            channel_request_lookahead=1,
            connection_limit=1000,
            max_request_body_size=16 * 1024 * 1024,
            clear_untrusted_proxy_headers=True,
            ident=None,
        )
        self.port = int(self._server.effective_port)
        self.url = f"http://{HOST}:{self.port}"
        self._thread = threading.Thread(
            target=self._server.run, name=f"sandbox-http-{self.port}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening, close the connections and wait for the threads, a few seconds at most."""
        self._server.task_dispatcher.shutdown(timeout=5)
        # The sockets belong to the loop's thread, so that is where they are closed.
        with contextlib.suppress(OSError):
            self._server.trigger.pull_trigger(
                lambda: wasyncore.close_all(self._server._map, ignore_all=True)
            )
        self._thread.join(timeout=5)
