"""Posts webhooks from a process of its own, as cheaply as Python can: one thread, plain sockets,
requests made beforehand, so that the processor is left to Warmline.

It builds its requests, prints `ready`, waits for a line on its input, posts, and prints one line
of JSON. Times are the wall clock's, to be compared with the catcher's.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from tests.harness import HOST, Post, applications

CONNECTIONS_MAX = 64
QUIET_S_MAX = 60.0  # without any answer: then it gives up


def request_of(post: Post) -> bytes:
    """The whole request, head and body."""
    headers = {"Host": HOST, **post.headers, "Content-Length": str(len(post.body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /in/ats HTTP/1.1\r\n{head}\r\n".encode() + post.body


@dataclass
class _Line:
    """One keep-alive connection; `post` is what it is busy with."""

    to: socket.socket
    post: int = -1
    heard: bytearray = field(default_factory=bytearray)

    def answered(self) -> str:
        """The status, once the whole answer is here; empty before that."""
        piece = self.to.recv(65536)
        if not piece:
            raise ConnectionError("Warmline closed the connection")
        self.heard += piece
        head, end, body = bytes(self.heard).partition(b"\r\n\r\n")
        if not end:
            return ""
        if not _whole(head.lower(), body):
            return ""
        self.heard.clear()
        return head.split(b" ", 2)[1].decode()


def _whole(head: bytes, body: bytes) -> bool:
    if b"transfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)


class Run:
    """Posts each request once: as fast as answers come, or at `rate` a second whatever comes."""

    def __init__(self, port: int, requests: list[bytes], connections: int, rate: float) -> None:
        self._port, self._requests, self._rate = port, requests, rate
        self._selector = selectors.DefaultSelector()
        self._idle: deque[_Line] = deque()
        self._connections = connections
        self._made = 0
        self.begun: list[float] = []
        self.answers: Counter[str] = Counter()
        self.last_answer = 0.0

    def go(self) -> None:
        for _ in range(self._connections):
            self._idle.append(self._connect())
        start = time.time()
        heard_at, count = time.monotonic(), len(self._requests)
        while self.answers.total() < count:
            wait_s = self._post_what_is_due(start)
            for key, _ in self._selector.select(wait_s):
                line: _Line = key.data
                if status := line.answered():
                    heard_at, self.last_answer = time.monotonic(), time.time()
                    self.answers[status] += 1
                    self._selector.unregister(line.to)
                    self._idle.append(line)
            if time.monotonic() - heard_at > QUIET_S_MAX:
                raise TimeoutError(f"no answer for {QUIET_S_MAX:g} s, after {self.answers}")

    def _connect(self) -> _Line:
        self._made += 1
        to = socket.create_connection((HOST, self._port), timeout=30)
        to.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Line(to)

    def _post_what_is_due(self, start: float) -> float:
        """Returns how long there is nothing to post."""
        while (number := len(self.begun)) < len(self._requests):
            due = start + number / self._rate if self._rate else 0.0
            if (early := due - time.time()) > 0:
                return early
            if not self._idle:
                if not self._rate or self._made >= CONNECTIONS_MAX:
                    return 1.0
                self._idle.append(self._connect())  # open loop: the slow do not slow the rest
            line = self._idle.popleft()
            # An open loop counts from when the post was due, also where we were late ourselves.
            self.begun.append(due or time.time())
            line.to.sendall(self._requests[number])
            self._selector.register(line.to, selectors.EVENT_READ, line)
        return 1.0


def main() -> None:
    asked = json.loads(sys.argv[1])
    first, count = asked["first"], asked["count"]
    posts = applications(first + count)[first:]
    run = Run(asked["port"], [request_of(p) for p in posts], asked["connections"], asked["rate"])
    print("ready", flush=True)
    sys.stdin.readline()
    run.go()
    said = {
        "first": run.begun[0],
        "last_answer": run.last_answer,
        "answers": run.answers,
        "begun": {p.email: at for p, at in zip(posts, run.begun, strict=True)},
    }
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
