"""A server of our own between a connector and its vendor's simulator, on a real socket.

It passes each call on, but for those that a script strikes: these get the scripted answer instead,
or none. So every call of a connector can be answered in every way, at any point of a run.
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from warmline.kit.http import BODY_BYTES_MAX

HOST = "127.0.0.1"
RETRY_AFTER_S = 7.0
_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
)


class Way(Enum):
    """What happens to a struck call."""

    ANSWER = auto()  # it is answered as the script says; the vendor never hears of it
    DROP = auto()  # the connection ends; the vendor never hears of it
    HANG = auto()  # nothing comes; the vendor never hears of it
    DROP_AFTER = auto()  # the vendor does it, and the connection ends without an answer
    HANG_AFTER = auto()  # the vendor does it, and nothing comes


@dataclass(frozen=True)
class Answer:
    """What a struck call gets. `body` None: an error in JSON that repeats what it was sent.
    `replay`: the vendor's own answer to this earlier path instead."""

    name: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    way: Way = Way.ANSWER
    replay: str = ""

    @property
    def lost(self) -> bool:
        """Whether the caller cannot know what became of the call."""
        return self.way is not Way.ANSWER or self.status == 408 or self.status >= 500


_JSON = {"content-type": "application/json"}
_HTML = {"content-type": "text/html"}
_BOMB = gzip.compress(bytes(BODY_BYTES_MAX + 1), compresslevel=9)

ANSWERS: tuple[Answer, ...] = (
    Answer("200 with an error inside", 200, _JSON),
    Answer("200 with an empty object", 200, _JSON, b"{}"),
    Answer("200 without JSON", 200, _HTML, b"<html><h1>Sign in to continue</h1></html>"),
    Answer("200 over the limit", 200, {**_JSON, "content-encoding": "gzip"}, _BOMB),
    Answer("204", 204, body=b""),
    Answer("301", 301, {"location": "/elsewhere"}),
    *(Answer(str(status), status, _JSON) for status in (400, 401, 402, 403, 404, 409, 410, 422)),
    Answer("429 with Retry-After", 429, {**_JSON, "retry-after": f"{RETRY_AFTER_S:g}"}),
    Answer("429", 429, _JSON),
    *(Answer(str(status), status, _JSON) for status in (500, 502, 503, 504)),
    Answer("dropped", way=Way.DROP),
    Answer("timeout", way=Way.HANG),
    Answer("done, then dropped", way=Way.DROP_AFTER),
    Answer("done, then timeout", way=Way.HANG_AFTER),
)


LOST = tuple(one for one in ANSWERS if one.way in (Way.DROP, Way.DROP_AFTER))
# A read that was done and not answered is a read that was not answered.
OF_A_READ = tuple(
    one for one in ANSWERS if one.way not in (Way.DROP_AFTER, Way.HANG_AFTER) and one.status != 502
)
# Enough for a call that is like one which got the whole table.
FEW = tuple(one for one in ANSWERS if one.name in ("200 without JSON", "429", "dropped"))


@dataclass(frozen=True)
class Call:
    """One call as it came: what was asked, and what was answered in truth (status 0: nothing)."""

    method: str
    path: str
    status: int
    body: bytes
    struck: bool


def cases(
    calls: Sequence[Call],
    calls_max: int,
    seen: set[tuple[str, str]],
    table: Sequence[Answer] = OF_A_READ,
) -> Iterator[tuple[int, Answer]]:
    """Every way for the first call of each path; a few for those that are like one in `seen`."""
    for number, call in enumerate(calls[:calls_max]):
        like = (call.method, call.path.partition("?")[0])
        yield from ((number, answer) for answer in (FEW if like in seen else table))
        seen.add(like)


Script = Callable[[int, str, str], Answer | None]


class Between:
    """Listens at `url` and passes calls on to `upstream`. Use it with `with`."""

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream).netloc
        self._script: Script = lambda number, method, path: None
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self.calls: list[Call] = []
        self.first: dict[str, tuple[int, list[tuple[str, str]], bytes]] = {}  # answers, by path
        outer = self

        class Handler(_Handler):
            between = outer

        self._server = _Server((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Between:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def play(self, script: Script | None = None) -> None:
        """Forget the calls so far; from now on strike those for which the script has an answer. It
        is asked with the number of the call, from 0, its method and its path with the query."""
        with self._lock:
            self.calls = []
            self._script = script or (lambda number, method, path: None)

    def strike(self, at: int, answer: Answer, *, ever_after: bool = False) -> None:
        """Strike the call of this number, and where `ever_after` all that follow."""
        self.play(
            lambda number, _method, _path: (
                answer if number == at or (ever_after and number > at) else None
            )
        )

    def reserve(self, method: str, path: str) -> tuple[int, Answer | None]:
        """The number of a call that comes in, and how it is struck."""
        with self._lock:
            number = len(self.calls)
            answer = self._script(number, method, path)
            self.calls.append(Call(method, path, 0, b"", answer is not None))
            return number, answer

    def note(self, number: int, method: str, path: str, status: int, body: bytes) -> None:
        with self._lock:
            if number < len(self.calls):
                self.calls[number] = Call(method, path, status, body, self.calls[number].struck)

    def forward(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """The vendor's own answer."""
        connection = http.client.HTTPConnection(self._upstream, timeout=20)
        try:
            connection.request(method, path, body=body or None, headers=dict(headers))
            answer = connection.getresponse()
            kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in _HOP]
            return answer.status, kept, answer.read()
        finally:
            connection.close()

    def wait(self, sock: socket.socket) -> None:
        """Say nothing until the caller has gone."""
        sock.settimeout(0.02)
        while not self._ends.is_set():
            try:
                if not sock.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is what is being tested."""


class _Handler(BaseHTTPRequestHandler):
    between: Between
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else b""
        number, struck = self.between.reserve(self.command, self.path)
        if struck is None or struck.replay or struck.way in (Way.DROP_AFTER, Way.HANG_AFTER):
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
            path = struck.replay if struck is not None and struck.replay else self.path
            if struck is not None and struck.replay in self.between.first:
                status, told, said = self.between.first[struck.replay]
            else:
                status, told, said = self.between.forward(self.command, path, headers, body)
                self.between.first[self.path] = (status, told, said)
            self.between.note(number, self.command, self.path, status, said)
        if struck is None or struck.replay:
            self._send(status, told, said)
            return
        if struck.way is Way.ANSWER:
            said = self._echo(body) if struck.body is None else struck.body
            self._send(struck.status, list(struck.headers.items()), said)
            return
        if struck.way in (Way.HANG, Way.HANG_AFTER):
            self.between.wait(self.connection)
        self._drop()

    # http.server finds them by these names.
    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer  # noqa: N815

    def _echo(self, body: bytes) -> bytes:
        """An error that repeats the credentials and every address that it was sent: vendors do."""
        addresses = re.findall(rb"[\w.+-]+@[\w.-]+", body)
        told = b" ".join(addresses).decode()
        message = f"no: {self.headers.get('authorization', '')} {told} {self.path}"
        return json.dumps(
            {"success": False, "message": message, "errors": [{"message": message}]}
        ).encode()

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            with suppress(OSError):
                self.wfile.write(body)

    def _drop(self) -> None:
        """End the connection at once, without a farewell."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the calls are kept in `Between.calls`."""
