"""Webhooks on their way out: queued, faulted, delivered, retried and at last given up.

A virtual clock drives it with `deliver_due()` and `next_due()`; in real time, `start()` lets
threads of its own do the same.
"""

from __future__ import annotations

import contextlib
import heapq
import http.client
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from warmline.sandbox.clock import Now
from warmline.sandbox.faults import HOOK_KINDS, FaultPlan

Event = dict[str, Any]
Signed = tuple[dict[str, str], bytes]
"""Headers and body of one webhook call, ready to post."""

QUEUE_MAX = 500_000


@dataclass(order=True)
class Parcel:
    """One webhook call that waits for its time."""

    due: float  # epoch seconds
    order: int
    events: list[Event] = field(compare=False)
    key: str = field(compare=False, default="")  # the same over retries and duplicates
    attempt: int = field(compare=False, default=1)


class Poster:
    """Posts over a connection that is kept open; one for each thread."""

    def __init__(self, timeout_s: float) -> None:
        """Give an answer `timeout_s` seconds."""
        self._timeout_s = timeout_s
        self._connections: dict[tuple[str, str], http.client.HTTPConnection] = {}

    def post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """The status of the answer; 0 when none came."""
        parts = urlsplit(url)
        place = (parts.scheme, parts.netloc)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        kept = place in self._connections
        try:
            return self._once(place, target, headers, body)
        except (OSError, http.client.HTTPException) as failed:
            self._forget(place)
            # A kept connection may have been closed from the other side since; a new one counts.
            if not kept or isinstance(failed, TimeoutError):
                return 0
        try:
            return self._once(place, target, headers, body)
        except (OSError, http.client.HTTPException):
            self._forget(place)
            return 0

    def close(self) -> None:
        """Close what is open."""
        for place in list(self._connections):
            self._forget(place)

    def _once(
        self, place: tuple[str, str], target: str, headers: dict[str, str], body: bytes
    ) -> int:
        if (connection := self._connections.get(place)) is None:
            kind = (
                http.client.HTTPSConnection if place[0] == "https" else http.client.HTTPConnection
            )
            connection = self._connections[place] = kind(place[1], timeout=self._timeout_s)
        connection.request("POST", target, body=body, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    def _forget(self, place: tuple[str, str]) -> None:
        if connection := self._connections.pop(place, None):
            connection.close()


class Outbox:
    """The queue of one vendor's webhooks to one address."""

    def __init__(
        self,
        *,
        now: Now,
        rng: random.Random,
        retries_s: tuple[float, ...],
        sign: Callable[[Parcel], Signed],
        accepted: Callable[[int], bool],
        batch_max: int = 1,
        delay_s: tuple[float, float] = (0.0, 0.0),
        timeout_s: float = 5.0,
    ) -> None:
        """`retries_s` are the waits between attempts; `sign` writes headers and body of a call."""
        self.url = ""
        self.active = False
        self.delay_s = delay_s
        self.timeout_s = timeout_s  # read when a thread posts for the first time
        self.faults = FaultPlan(HOOK_KINDS, seed=rng.randrange(2**31))
        self.counts: Counter[str] = Counter()
        self._now = now
        self._rng = rng
        self._retries_s = retries_s
        self._sign = sign
        self._accepted = accepted
        self._batch_max = batch_max
        self._heap: list[Parcel] = []
        self._order = 0
        self._flying = 0
        self._changed = threading.Condition()
        self._local = threading.local()
        self._posters: list[Poster] = []
        self._stopping = False
        self._threads: list[threading.Thread] = []

    def put(self, kind: str, event: Event, key: str = "") -> None:
        """Queue one event of `kind`, unless no address listens or a fault loses it."""
        if not self.active:
            self.counts["not_configured"] += 1
            return
        if self.faults.pick(kind, kinds={"drop"}):
            self.counts["lost"] += 1
            return
        with self._changed:
            delay = self._rng.uniform(*self.delay_s) if self.delay_s[1] else 0.0
            if held := self.faults.pick(kind, kinds={"reorder"}):
                delay += self._rng.uniform(0, held.seconds)
                self.counts["reordered"] += 1
            due = self._now().timestamp() + delay
            self._push(Parcel(due, 0, [event], key))
            if self.faults.pick(kind, kinds={"duplicate"}):
                self._push(Parcel(due, 0, [event], key))
                self.counts["duplicated"] += 1
            self._changed.notify()

    def post_now(self, parcel: Parcel) -> int:
        """Post one call outside the queue (a ping) and return the status, 0 for none."""
        headers, body = self._sign(parcel)
        return self._poster().post(self.url, headers, body)

    def next_due(self) -> datetime | None:
        """When the next call is to be made; None when nothing waits."""
        with self._changed:
            return datetime.fromtimestamp(self._heap[0].due, UTC) if self._heap else None

    def deliver_due(self, now: datetime | None = None) -> dict[str, int]:
        """Make every call that is due at `now`, one after another; returns what became of them."""
        until = (now or self._now()).timestamp()
        counts: Counter[str] = Counter()
        while parcel := self._take(until):
            counts[self._deliver(parcel)] += 1
        return {name: counts[name] for name in ("delivered", "retried", "given_up")}

    def clear(self) -> None:
        """Throw away what waits."""
        with self._changed:
            self._heap.clear()

    def state(self) -> dict[str, Any]:
        """Counts for the control API."""
        with self._changed:
            waiting, flying = len(self._heap), self._flying
        return {
            "url": self.url,
            "active": self.active,
            "waiting": waiting,
            "in_flight": flying,
            **{name: self.counts[name] for name in sorted(self.counts)},
        }

    def start(self, threads: int = 4) -> None:
        """Deliver in real time, in `threads` threads, until `close()`."""
        for number in range(threads):
            thread = threading.Thread(
                target=self._run, name=f"sandbox-webhooks-{number}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Stop the threads and close the connections."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=self.timeout_s + 1)
        for poster in self._posters:
            poster.close()

    def _run(self) -> None:
        for parcel in self._wait_for_parcels():
            with contextlib.suppress(RuntimeError):  # interpreter shutting down
                self._deliver(parcel)

    def _wait_for_parcels(self) -> Iterator[Parcel]:
        while True:
            with self._changed:
                if self._stopping:
                    return
                wait_s = 1.0
                if self._heap:
                    wait_s = self._heap[0].due - self._now().timestamp()
                if wait_s > 0:
                    self._changed.wait(min(wait_s, 1.0))
                    continue
            if parcel := self._take(self._now().timestamp()):
                yield parcel

    def _push(self, parcel: Parcel) -> None:
        if len(self._heap) >= QUEUE_MAX:
            self.counts["overflowed"] += 1
            return
        self._order += 1
        parcel.order = self._order
        heapq.heappush(self._heap, parcel)

    def _take(self, until: float) -> Parcel | None:
        """The next due call; first attempts are put together up to the vendor's batch size."""
        with self._changed:
            if not self._heap or self._heap[0].due > until:
                return None
            parcel = heapq.heappop(self._heap)
            while (
                parcel.attempt == 1
                and len(parcel.events) < self._batch_max
                and self._heap
                and self._heap[0].due <= until
                and self._heap[0].attempt == 1
            ):
                parcel.events = parcel.events + heapq.heappop(self._heap).events
            self._flying += 1
            return parcel

    def _deliver(self, parcel: Parcel) -> str:
        status = self.post_now(parcel)
        with self._changed:
            self._flying -= 1
            self.counts["attempts"] += 1
            self.counts[f"status_{status}"] += 1
            if self._accepted(status):
                outcome = "delivered"
            elif parcel.attempt > len(self._retries_s):
                outcome = "given_up"
            else:
                outcome = "retried"
                due = self._now().timestamp() + self._retries_s[parcel.attempt - 1]
                self._push(Parcel(due, 0, parcel.events, parcel.key, parcel.attempt + 1))
                self._changed.notify()
            self.counts[outcome] += 1
            return outcome

    def _poster(self) -> Poster:
        poster: Poster | None = getattr(self._local, "poster", None)
        if poster is None:
            poster = self._local.poster = Poster(self.timeout_s)
            self._posters.append(poster)
        return poster
