"""The one door to the network: timeout, rate limit, status to error, redaction, User-Agent.

Only the host of the connection's own `base_url` (and hosts named beside it) is ever called, and
redirects are not followed, so that a vendor's answer cannot send our credentials elsewhere.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from warmline import __version__
from warmline.core.errors import AuthFailed, Malformed, Refused, Throttled, Unreachable, Unsure

TIMEOUT_S = 20.0
BODY_BYTES_MAX = 32 * 1024 * 1024
FALLBACK_WAIT_S = 10.0  # where a 429 names no time: HubSpot's own window
_SAFE = frozenset({"GET", "HEAD"})


class Door:
    """HTTP to one vendor. Thread-safe; keeps connections open.

    Raises, of `warmline.core.errors`: Unreachable (nothing was done), Unsure (a write was sent and
    no answer came), Throttled, AuthFailed, Refused (with the vendor's status), Malformed.
    `now` tells the time, for `X-RateLimit-Reset` and for how long to keep away.
    """

    def __init__(
        self,
        base_url: str,
        *,
        vendor: str,
        timeout_s: float = TIMEOUT_S,
        other_hosts: tuple[str, ...] = (),
        now: Callable[[], datetime],
    ) -> None:
        self._base = base_url.rstrip("/")
        self._vendor = vendor
        self._hosts = frozenset({urlsplit(self._base).netloc, *other_hosts})
        self._now = now
        self._blocked_until = 0.0
        self._lock = threading.Lock()
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 5.0)),
            follow_redirects=False,
            trust_env=False,
            headers={"user-agent": f"Warmline/{__version__}"},
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=8),
        )

    def close(self) -> None:
        self._client.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        writes: bool | None = None,
        accept: tuple[int, ...] = (),
    ) -> httpx.Response:
        """The vendor's answer where it is 2xx or in `accept`; else one of the errors above.

        `path` is relative to the base, or a whole URL on an allowed host. `writes`: whether a lost
        answer leaves doubt (default: every method but GET; a search by POST passes False).
        """
        url = path if "://" in path else self._base + path
        if urlsplit(url).netloc not in self._hosts:
            raise Refused(f"{self._vendor}: an address outside the configured host was not called")
        self._wait_asked()
        leaves_doubt = method not in _SAFE if writes is None else writes
        content = json.dumps(body).encode() if body is not None else None
        extra = {"content-type": "application/json"} if content is not None else {}
        try:
            answer = self._client.request(
                method,
                url,
                params=params,
                content=content,
                data=form,
                headers={**extra, **(headers or {})},
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unreachable(f"{self._vendor} cannot be reached: {_kind(error)}") from None
        except httpx.HTTPError as error:
            if leaves_doubt:
                raise Unsure(f"{self._vendor} did not answer a write: {_kind(error)}") from None
            raise Unreachable(f"{self._vendor} did not answer: {_kind(error)}") from None
        self._note_limits(answer)
        if answer.is_success or answer.status_code in accept:
            return answer
        raise self._error(answer, leaves_doubt=leaves_doubt)

    def json(self, answer: httpx.Response) -> Any:
        """The answer's JSON. Malformed where it is none: after a write, that leaves doubt, so the
        caller of a write turns it into Unsure."""
        try:
            return answer.json()
        except ValueError:
            raise Malformed(f"{self._vendor} answered {answer.status_code} with no JSON") from None

    def _seconds(self) -> float:
        return self._now().timestamp()

    def _wait_asked(self) -> None:
        with self._lock:
            left = self._blocked_until - self._seconds()
        if left > 0:
            raise Throttled(f"{self._vendor} asked to wait", after_s=left)

    def _note_limits(self, answer: httpx.Response) -> None:
        """Stop before the vendor has to say so: its own headers tell when nothing is left."""
        headers = answer.headers
        if headers.get("x-ratelimit-remaining") == "0":
            self._block(_reset_s(headers, self._seconds()))
        elif headers.get("x-hubspot-ratelimit-remaining") == "0":
            interval_ms = headers.get("x-hubspot-ratelimit-interval-milliseconds", "10000")
            self._block(_number(interval_ms, FALLBACK_WAIT_S * 1000) / 1000)

    def _block(self, seconds: float) -> None:
        with self._lock:
            self._blocked_until = max(self._blocked_until, self._seconds() + min(seconds, 3600.0))

    def _error(self, answer: httpx.Response, *, leaves_doubt: bool) -> Exception:
        status, said = answer.status_code, _said(answer)
        if status == 429:
            after_s = _retry_after_s(answer.headers, self._seconds())
            self._block(after_s)
            return Throttled(f"{self._vendor} answered 429: {said}", after_s=after_s)
        if status in (401, 403):
            return AuthFailed(
                f"{self._vendor} answered {status}: {said}",
                hint="check the credentials, their scopes and the vendor's plan",
            )
        if status in (408, 502, 503, 504) or status >= 500:
            # A server error says nothing about whether the write happened.
            kind = Unsure if leaves_doubt else Unreachable
            return kind(f"{self._vendor} answered {status}: {said}")
        return Refused(f"{self._vendor} answered {status}: {said}", status=status)


def _kind(error: Exception) -> str:
    return type(error).__name__


def _said(answer: httpx.Response) -> str:
    """The vendor's message, short and without addresses."""
    try:
        found = answer.json()
        text = str(found.get("message", "")) if isinstance(found, dict) else ""
    except ValueError:
        text = answer.text
    words = [word if "@" not in word else "***" for word in text[:300].split()]
    return " ".join(words) or "no message"


def _number(text: str, default: float) -> float:
    try:
        return float(text)
    except ValueError:
        return default


def _reset_s(headers: httpx.Headers, now: float) -> float:
    return max(0.0, _number(headers.get("x-ratelimit-reset", ""), now + FALLBACK_WAIT_S) - now)


def _retry_after_s(headers: httpx.Headers, now: float) -> float:
    """Seconds or an HTTP date (RFC 9110, 10.2.3), else the window's reset, else the fallback."""
    text = headers.get("retry-after", "")
    if text:
        try:
            return max(0.0, float(text))
        except ValueError:
            try:
                at = parsedate_to_datetime(text)
            except ValueError:
                return FALLBACK_WAIT_S
            return max(0.0, (at - datetime.fromtimestamp(now, UTC)).total_seconds())
    if "x-ratelimit-reset" in headers:
        return _reset_s(headers, now)
    return FALLBACK_WAIT_S
