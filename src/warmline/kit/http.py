"""The one door to the network: timeout, rate limit, status to error, redaction, User-Agent.

Only the host of the connection's own `base_url` (and hosts named beside it) is ever called, and
redirects are not followed, so that a vendor's answer cannot send our credentials elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

import httpx

from warmline import __version__
from warmline.core.errors import AuthFailed, Malformed, Refused, Throttled, Unreachable, Unsure
from warmline.kit.exchange import note
from warmline.kit.pace import Window
from warmline.kit.redaction import ADDRESS, TOKENS

TIMEOUT_S = 20.0
BODY_BYTES_MAX = 32 * 1024 * 1024
FALLBACK_WAIT_S = 10.0  # where a 429 names no time: HubSpot's own window
WAIT_S_MAX = 3600.0  # whatever a header asks for: after it the vendor is asked again
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
        scheme, netloc = _place(self._base)
        self._hosts = frozenset((scheme, host.lower()) for host in (netloc, *other_hosts))
        self._now = now
        self._blocked_until = 0.0
        self._window = Window()
        self._lock = threading.Lock()
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 5.0)),
            follow_redirects=False,
            trust_env=False,
            verify=_trusted(),
            headers={"user-agent": f"Warmline/{__version__}"},
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=8),
        )

    def close(self) -> None:
        self._client.close()

    def wait_s(self) -> float:
        """How many seconds the vendor is better left alone for, so that it need not say so: 0 where
        a call may be made now. For who has much to write and can wait before it begins."""
        with self._lock:
            now = self._seconds()
            asked_s = self._blocked_until - now
            return max(asked_s if asked_s <= WAIT_S_MAX else 0.0, self._window.full_s(now), 0.0)

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
        url = path if _WHOLE_URL.match(path) else self._base + path
        if _place(url) not in self._hosts:
            raise Refused(f"{self._vendor}: an address outside the configured host was not called")
        self._wait_asked()
        leaves_doubt = method not in _SAFE if writes is None else writes
        content = json.dumps(body).encode() if body is not None else None
        extra = {"content-type": "application/json"} if content is not None else {}
        try:
            request = self._client.build_request(
                method,
                url,
                params=params,
                content=content,
                data=form,
                headers={**extra, **(headers or {})},
            )
            answer = self._noted(request)
        except _NEVER_SENT as error:
            raise Refused(
                f"{self._vendor}: the call cannot be written: {_kind(error)}",
                hint="look for stray characters in the base_url and in the credentials",
            ) from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unreachable(f"{self._vendor} cannot be reached: {_kind(error)}") from None
        except (httpx.HTTPError, _TooBig) as error:
            if leaves_doubt:
                raise Unsure(f"{self._vendor} did not answer a write: {_kind(error)}") from None
            if isinstance(error, _TooBig):
                raise Malformed(
                    f"{self._vendor} answered with over {BODY_BYTES_MAX} bytes"
                ) from None
            raise Unreachable(f"{self._vendor} did not answer: {_kind(error)}") from None
        self._note_limits(answer)
        if answer.is_success or answer.status_code in accept:
            return answer
        raise self._error(answer, leaves_doubt=leaves_doubt)

    def _noted(self, request: httpx.Request) -> httpx.Response:
        """The answer; the call is noted, so that a failure can be shown with it."""
        told = (request.method, str(request.url), request.content)
        secrets = tuple(_sent_secrets(request))
        try:
            answer = self._whole(request)
        except (httpx.HTTPError, _TooBig) as error:
            note(*told, trouble=_kind(error), secrets=secrets)
            raise
        note(*told, status=answer.status_code, answer=answer.content, secrets=secrets)
        return answer

    def _whole(self, request: httpx.Request) -> httpx.Response:
        """The answer with its body, which is read no further than BODY_BYTES_MAX."""
        answer = self._client.send(request, stream=True)
        try:
            body = bytearray()
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    raise _TooBig
        finally:
            answer.close()
        # The body is decoded by now: what spoke of its encoding and length is not true any more.
        headers = [(k, v) for k, v in answer.headers.multi_items() if k.lower() not in _OF_THE_WIRE]
        return httpx.Response(
            answer.status_code, headers=headers, content=bytes(body), request=request
        )

    def json(self, answer: httpx.Response) -> Any:
        """The answer's JSON. Malformed where it is none: after a write, that leaves doubt, so the
        caller of a write turns it into Unsure."""
        try:
            return answer.json()
        except (ValueError, RecursionError):
            raise Malformed(f"{self._vendor} answered {answer.status_code} with no JSON") from None

    def _seconds(self) -> float:
        return self._now().timestamp()

    def _wait_asked(self) -> None:
        with self._lock:
            left = self._blocked_until - self._seconds()
            if left > WAIT_S_MAX:  # the clock was set back
                self._blocked_until = left = 0.0
        if left > 0:
            raise Throttled(f"{self._vendor} asked to wait", after_s=left)

    def _note_limits(self, answer: httpx.Response) -> None:
        """Stop before the vendor has to say so: its own headers tell when nothing is left."""
        headers = answer.headers
        if limit := headers.get("x-hubspot-ratelimit-max", ""):
            interval_ms = headers.get("x-hubspot-ratelimit-interval-milliseconds", "10000")
            interval_s = _bounded(_number(interval_ms, FALLBACK_WAIT_S * 1000) / 1000)
            with self._lock:
                self._window.answered(self._seconds(), int(_number(limit, 0)), interval_s)
        if headers.get("x-ratelimit-remaining") == "0":
            self._block(_reset_s(headers, self._seconds()))
        elif headers.get("x-hubspot-ratelimit-remaining") == "0":
            interval_ms = headers.get("x-hubspot-ratelimit-interval-milliseconds", "10000")
            self._block(_number(interval_ms, FALLBACK_WAIT_S * 1000) / 1000)

    def _block(self, seconds: float) -> None:
        with self._lock:
            self._blocked_until = max(
                self._blocked_until, self._seconds() + min(seconds, WAIT_S_MAX)
            )

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


@cache
def _trusted() -> ssl.SSLContext:
    """The public authorities, for every door: reading them takes some 20 ms."""
    return httpx.create_ssl_context(trust_env=False)


class _TooBig(Exception):
    """The answer is longer than we take."""


# What httpx says of a call that it could not even put into words.
_NEVER_SENT = (httpx.InvalidURL, httpx.LocalProtocolError, httpx.UnsupportedProtocol, UnicodeError)
_WHOLE_URL = re.compile(r"https?://", re.IGNORECASE)
_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding"})
SAID_CHARS_MAX = 300
READ_CHARS_MAX = 4096


def _place(url: str) -> tuple[str, str]:
    """Scheme and host with port; empty for what is no URL, which then is no host of ours."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return parts.scheme, parts.netloc.lower()


def _kind(error: Exception) -> str:
    return type(error).__name__


def _said(answer: httpx.Response) -> str:
    """The vendor's message, short, on one line, without addresses and without tokens: those that
    we sent with this very call, and whatever looks like one."""
    try:
        found = answer.json()
        text = str(found.get("message", "")) if isinstance(found, dict) else ""
    except (ValueError, RecursionError):
        text = answer.text
    text = text[:READ_CHARS_MAX]
    for secret in _sent_secrets(answer.request):
        text = text.replace(secret, "***")
    text = ADDRESS.sub("***", TOKENS.sub("***", text))
    words = "".join(c if c.isprintable() else " " for c in text).split()
    return " ".join(words)[:SAID_CHARS_MAX] or "no message"


def _sent_secrets(request: httpx.Request) -> Iterable[str]:
    """The credentials of this call, in the forms in which a vendor may repeat them."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    found = {value}
    if scheme.lower() == "basic":
        with suppress(binascii.Error, UnicodeDecodeError):
            found |= set(base64.b64decode(value).decode().split(":", 1))
    return sorted((secret for secret in found if len(secret) >= 4), key=len, reverse=True)


def _number(text: str, default: float) -> float:
    """A number that can be counted with: neither "nan" nor "inf", which float() also takes."""
    try:
        found = float(text)
    except ValueError:
        return default
    return found if isfinite(found) else default


def _reset_s(headers: httpx.Headers, now: float) -> float:
    reset = _number(headers.get("x-ratelimit-reset", ""), now + FALLBACK_WAIT_S)
    return _bounded(reset - now)


def _retry_after_s(headers: httpx.Headers, now: float) -> float:
    """Seconds or an HTTP date (RFC 9110, 10.2.3), else the window's reset, else the fallback."""
    text = headers.get("retry-after", "")
    if text:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return _bounded(_number(text, FALLBACK_WAIT_S))
        at = at if at.tzinfo else at.replace(tzinfo=UTC)  # "-0000"
        return _bounded((at - datetime.fromtimestamp(now, UTC)).total_seconds())
    if "x-ratelimit-reset" in headers:
        return _reset_s(headers, now)
    return FALLBACK_WAIT_S


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), WAIT_S_MAX)
