"""What stands before every simulated HTTP API: the log of calls, and the faults on order."""

from __future__ import annotations

import re
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from waitress.channel import ClientDisconnected

from warmline.sandbox.clock import Now, iso_ms
from warmline.sandbox.faults import FaultPlan, FaultRule

LOG_MAX = 10_000
_ID_SEGMENT = re.compile(r"/(?:\d+|[^/]*@[^/]*)(?=/|$)")
_WAIT_SLICE_S = 0.05

Answer = tuple[str, list[tuple[str, str]], bytes]
"""Status line, headers and body of a ready answer."""


class RequestLog:
    """The last calls and counters over all of them. Headers are never kept."""

    def __init__(self, now: Now, size: int = LOG_MAX) -> None:
        """Keep the last `size` calls, stamped by `now`."""
        self._now = now
        self._ring: deque[tuple[str, str, str, str, int]] = deque(maxlen=size)
        self._by_call: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, method: str, path: str, query: str, status: int) -> None:
        """Note one call; status 0 means that the connection was dropped without an answer."""
        at = iso_ms(self._now())
        call = f"{method} {_ID_SEGMENT.sub('/{id}', path)}"
        with self._lock:
            self._ring.append((at, method, path, query, status))
            self._by_call[call] += 1
            self._by_status[str(status)] += 1

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._ring.clear()
            self._by_call.clear()
            self._by_status.clear()

    def as_json(self, limit: int = LOG_MAX) -> dict[str, Any]:
        """The newest `limit` calls, newest first, and the counters."""
        with self._lock:
            newest = list(islice(reversed(self._ring), limit))
            by_call, by_status = dict(self._by_call), dict(self._by_status)
        names = ("at", "method", "path", "query", "status")
        return {
            "total": sum(by_status.values()),
            "by_call": by_call,
            "by_status": by_status,
            "requests": [dict(zip(names, row, strict=True)) for row in newest],
        }


class Front:
    """A WSGI application around the vendor's: it logs each call and lets faults strike it.

    Paths under `/_control` pass untouched.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        faults: FaultPlan,
        log: RequestLog,
        failure: Callable[[str], Answer],
        closing: threading.Event,
    ) -> None:
        """`failure(kind)` gives the vendor's own answer; `closing` cuts every wait short."""
        self._app = app
        self._faults = faults
        self._log = log
        self._failure = failure
        self._closing = closing

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        if path.startswith("/_control"):
            return self._app(environ, start)
        method: str = environ["REQUEST_METHOD"]
        status, headers, body = self._answer(environ, path, method)
        self._log.add(method, path, environ.get("QUERY_STRING", ""), int(status[:3]))
        if status.startswith("000"):
            # waitress closes the socket without writing a byte when an application raises this.
            raise ClientDisconnected
        start(status, headers)
        return [body]

    def _answer(self, environ: WSGIEnvironment, path: str, method: str) -> Answer:
        fault = self._faults.pick(path, method)
        if fault is None:
            return self._call(environ)
        if fault.kind in {"rate_limited", "error", "plan", "unavailable"}:
            return self._failure(fault.kind)
        if fault.kind == "timeout_after":
            self._call(environ)
        if fault.kind in {"slow", "timeout_before", "timeout_after"}:
            self._wait(environ, fault)
        if fault.kind == "slow":
            return self._call(environ)
        if fault.kind == "malformed":
            _, headers, body = self._call(environ)
            half = body[: len(body) // 2] or b'{"'
            kept = [(k, v) for k, v in headers if k.lower() != "content-length"]
            return "200 OK", [*kept, ("Content-Length", str(len(half)))], half
        return "000 dropped", [], b""

    def _call(self, environ: WSGIEnvironment) -> Answer:
        caught: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Any:
            caught[:] = (status, headers)

        body = b"".join(self._app(environ, start))
        return caught[0], caught[1], body

    def _wait(self, environ: WSGIEnvironment, fault: FaultRule) -> None:
        """Hang for the fault's seconds, but let the thread go once the caller has gone."""
        gone: Callable[[], bool] = environ.get("waitress.client_disconnected", lambda: False)
        left = fault.seconds
        while left > 0 and not self._closing.wait(min(left, _WAIT_SLICE_S)) and not gone():
            left -= _WAIT_SLICE_S
