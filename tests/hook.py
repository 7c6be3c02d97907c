"""An HTTP listener on loopback, as whoever gets alerts by an Apprise `json://` URL."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hook:
    """`status` is what it answers, `came` what was posted; `first` is called once, with the first
    post in hand and before it is answered."""

    def __init__(self) -> None:
        self.status, self.hang_up = 200, False
        self.came: list[dict[str, Any]] = []
        self.first: Callable[[], None] | None = None
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.came.append(json.loads(body))
                if hook.hang_up:
                    self.close_connection = True
                    return
                if hook.first is not None:
                    hook.first, then = None, hook.first
                    then()
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def url(self, secret: str = "") -> str:
        return f"json://127.0.0.1:{self.port}/{secret}"

    def texts(self) -> list[str]:
        return [f"{one['title']}\n{one['message']}" for one in self.came]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
