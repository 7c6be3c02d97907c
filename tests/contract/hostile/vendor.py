"""A small vendor: contacts over HTTP, with a token and a rate limit on a virtual clock."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from warmline.testing.contract import Clock

TOKEN = "canary-toy-token-77aZ"
WINDOW_S = 10


class Vendor:
    """The account, and the server before it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.contacts: list[dict[str, Any]] = []
        self.merged: dict[str, str] = {}
        self.limit = 10_000
        self.window, self.used = -1, 0
        self.lock = threading.Lock()
        outer = self

        class Handler(_Handler):
            vendor = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def open(self) -> Iterator[Vendor]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(5)

    def add(self, email: str, stage: str = "") -> dict[str, Any]:
        at = self.clock().isoformat()
        made = {"id": f"c-{len(self.contacts) + 1}", "email": email, "stage": stage, "at": at}
        self.contacts.append(made)
        return made

    def of(self, email: str) -> list[dict[str, Any]]:
        return [one for one in self.contacts if one["email"] == email]

    def take(self) -> tuple[bool, dict[str, str]]:
        """Whether one more call may pass in this window, and the headers that tell."""
        second = int(self.clock().timestamp())
        with self.lock:
            if second // WINDOW_S != self.window:
                self.window, self.used = second // WINDOW_S, 0
            passes = self.used < self.limit
            self.used += passes
            left = self.limit - self.used
        reset = (second // WINDOW_S + 1) * WINDOW_S
        return passes, {"x-ratelimit-remaining": str(left), "x-ratelimit-reset": str(reset)}

    def answer(self, method: str, path: str, asked: dict[str, str], body: Any) -> tuple[int, Any]:
        with self.lock:
            if path == "/me":
                return 200, {"ok": True}
            if (method, path) == ("GET", "/contacts"):
                return 200, self._page(asked)
            if method == "GET":
                return self._one(unquote(path.removeprefix("/contacts/")))
            if path == "/contacts/new":
                return 201, self.add(body["email"], body["stage"])
            if path == "/contacts":
                there = self.of(body["email"])
                one = there[0] if there else self.add(body["email"])
                one |= {"stage": body["stage"], "at": self.clock().isoformat()}
                return 201, one
            keep, join = (self._resolve(body[name]) for name in ("keep", "join"))
            if keep != join:
                self.merged[join] = keep
            return 200, {"id": keep}

    def put_on(self, key: str) -> None:
        """On the list that a sequence of this vendor's is."""
        for one in self.contacts:
            if one["id"] == key:
                one["listed"] = "yes"

    def _resolve(self, key: str) -> str:
        return self.merged.get(key, key)

    def _one(self, key: str) -> tuple[int, Any]:
        for one in self.contacts:
            if self._resolve(key) == one["id"] or one["email"] == key:
                return 200, one
        return 404, {"message": f"no contact {key}"}

    def _page(self, asked: dict[str, str]) -> dict[str, Any]:
        at, size = int(asked.get("after", "0")), int(asked["limit"])
        rows = [one for one in self.contacts if one["at"] > asked.get("since", "")]
        more = at + size < len(rows)
        return {"contacts": rows[at : at + size], "next": str(at + size) if more else ""}


class _Handler(BaseHTTPRequestHandler):
    vendor: Vendor
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        passes, headers = self.vendor.take()
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if not passes:
            status, told = 429, {"message": "slow down"}
        elif self.headers.get("authorization") != f"Bearer {TOKEN}":
            status, told = 401, {"message": "who are you"}
        else:
            found = json.loads(body) if body else None
            status, told = self.vendor.answer(self.command, parts.path, asked, found)
        said = json.dumps(told).encode()
        self.send_response_only(status)
        for name, value in {**headers, "content-length": str(len(said))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = answer  # noqa: N815 -- http.server finds them by these names

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""
