"""The rate limits: ten rolling seconds for most calls, one for searches."""

from __future__ import annotations

import json
import threading
from collections import deque
from typing import Any

import falcon

from warmline.sandbox.control import write_json
from warmline.sandbox.front import Answer
from warmline.sandbox.hubspot.emails import SCOPE as CONTENT
from warmline.sandbox.hubspot.errors import ApiError, rate_body
from warmline.sandbox.hubspot.simulator import PORTAL_ID, PREFERENCES, HubSpot

ROLLING_S = 10.0
SEARCH_S = 1.0
DAILY = 650_000


class Rolling:
    """At most so many calls within the last `window_s` seconds."""

    def __init__(self, window_s: float) -> None:
        """Nothing used yet."""
        self._window_s = window_s
        self._times: deque[float] = deque()
        self._lock = threading.Lock()

    def take(self, at: float, limit: int) -> tuple[bool, int]:
        """Use up one call at the epoch second `at`: whether it may pass, and what is left."""
        with self._lock:
            while self._times and self._times[0] <= at - self._window_s:
                self._times.popleft()
            passes = len(self._times) < limit
            if passes:
                self._times.append(at)
            return passes, max(0, limit - len(self._times))


class Gate:
    """Middleware: the token, and the limits with their headers (searches carry none)."""

    def __init__(self, hs: HubSpot) -> None:
        """Guard `hs`; its limits may be changed while it runs."""
        self._hs = hs
        self._all = Rolling(ROLLING_S)
        self._search = Rolling(SEARCH_S)

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Let the call pass, or answer it."""
        if req.path.startswith("/_control"):
            return
        if req.get_header("Authorization") != f"Bearer {self._hs.token}":
            message = "Authentication credentials not found. This API supports OAuth 2.0."
            raise ApiError(401, "INVALID_AUTHENTICATION", message)
        scopes = scopes_of(req.method, req.path)
        if scopes and not self._hs.scopes & set(scopes):
            raise lacks(*scopes)
        at = self._hs.now().timestamp()
        if req.path.endswith("/search"):
            passes, _ = self._search.take(at, self._hs.search_limit)
            policy = "SECONDLY"
        else:
            passes, left = self._all.take(at, self._hs.rate_limit)
            policy = "TEN_SECONDLY_ROLLING"
            resp.set_headers(headers(self._hs.rate_limit, left))
        if not passes:
            write_json(resp, rate_body(policy), 429)
            resp.complete = True


def scopes_of(method: str, path: str) -> tuple[str, ...]:
    """The scopes of which a call takes one; none: nothing is looked at here."""
    if path.startswith("/crm/v3/properties/contacts"):
        return (f"crm.schemas.contacts.{'read' if method == 'GET' else 'write'}",)
    if path.startswith("/crm/v3/objects/contacts"):
        reads = method == "GET" or path.endswith(("/search", "/batch/read"))
        return (f"crm.objects.contacts.{'read' if reads else 'write'}",)
    if path.startswith("/communication-preferences/"):
        return (PREFERENCES, f"communication_preferences.{'read' if method == 'GET' else 'write'}")
    if path.startswith("/automation/v4/sequences"):
        what = "read" if method == "GET" else "enrollments.write"
        return (f"automation.sequences.{what}",)
    if path.startswith("/crm/v3/lists"):
        return (f"crm.lists.{'read' if method == 'GET' else 'write'}",)
    if path.startswith("/email/public/v1/"):
        return (CONTENT,)
    return ()


def lacks(*scopes: str) -> ApiError:
    """403, as a private app's token is told it."""
    needed = {
        "message": "One or more of the following scopes are required.",
        "context": {"requiredGranularScopes": list(scopes)},
    }
    message = "This app hasn't been granted all required scopes to make this call."
    return ApiError(403, "MISSING_SCOPES", message, errors=[needed])


def headers(limit: int, left: int) -> dict[str, str]:
    """The rate headers of every answer but a search's."""
    return {
        "x-hubspot-ratelimit-max": str(limit),
        "x-hubspot-ratelimit-remaining": str(left),
        "x-hubspot-ratelimit-interval-milliseconds": str(int(ROLLING_S * 1000)),
        "x-hubspot-ratelimit-daily": str(DAILY),
    }


def failure(hs: HubSpot, kind: str) -> Answer:
    """The vendor's own answer to a fault on order."""
    more: list[tuple[str, str]] = []
    value: dict[str, Any]
    if kind == "rate_limited":
        status, value = "429 Too Many Requests", rate_body("TEN_SECONDLY_ROLLING")
        more = list(headers(hs.rate_limit, 0).items())
    elif kind == "unavailable":
        status = "503 Service Unavailable"
        value = ApiError(503, "SERVICE_UNAVAILABLE", "Service unavailable").body()
    elif kind == "plan":
        # The wording is assumed: that of a refused feature, seen of other endpoints.
        status, message = "403 Forbidden", f"{PORTAL_ID} does not have access to this feature."
        value = ApiError(403, "FORBIDDEN", message).body()
    else:
        status, value = (
            "500 Internal Server Error",
            ApiError(500, "INTERNAL", "internal error").body(),
        )
    body = json.dumps(value).encode()
    kinds = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return status, [*kinds, *more], body
