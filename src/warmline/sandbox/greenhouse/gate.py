"""Who may call Harvest v3, and how often: tokens, scopes, the Site Admin rule, the rate window."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import threading
from datetime import timedelta
from urllib.parse import parse_qs

import falcon

from warmline.sandbox.clock import iso_ms
from warmline.sandbox.control import write_json
from warmline.sandbox.front import Answer
from warmline.sandbox.greenhouse.simulator import Greenhouse
from warmline.sandbox.greenhouse.tables import RESOURCES, Row

WINDOW_S = 30
TOKENS_MAX = 10_000
VERB_OF_METHOD = {"POST": "create", "PATCH": "update", "DELETE": "destroy"}
EVERY_SCOPE = frozenset(
    f"harvest:{resource}:{verb}"
    for resource in RESOURCES
    for verb in ("list", *VERB_OF_METHOD.values())
)


class DeniedError(Exception):
    """401 or 403, with the vendor's message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RateWindow:
    """The fixed window of 30 seconds: the count starts anew when it turns."""

    def __init__(self, gh: Greenhouse) -> None:
        """Count against `gh.rate_limit`, which may be changed while it runs."""
        self._gh = gh
        self._lock = threading.Lock()
        self._window = -1
        self._used = 0

    def take(self) -> tuple[bool, dict[str, str], int]:
        """Use up one call: whether it may pass, the headers, and seconds until the window turns."""
        epoch = self._gh.now().timestamp()
        window = int(epoch // WINDOW_S)
        limit = self._gh.rate_limit
        with self._lock:
            if window != self._window:
                self._window, self._used = window, 0
            passes = self._used < limit
            self._used += passes
            left = limit - self._used
        reset = (window + 1) * WINDOW_S
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": str(reset),
        }
        return passes, headers, max(1, int(reset - epoch + 0.999))


class Tokens:
    """Access tokens given out, with the user they act as."""

    def __init__(self, gh: Greenhouse) -> None:
        """Tokens of `gh`'s one client."""
        self._gh = gh
        self._given: dict[str, tuple[float, int]] = {}  # token -> (expiry, user id)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`POST /token`: client credentials for a token that acts as `sub`."""
        form = {k: v[0] for k, v in parse_qs(req.bounded_stream.read(10_000).decode()).items()}
        if not self._knows(req.get_header("Authorization") or ""):
            raise DeniedError(401, "Unauthorized")
        if form.get("grant_type") != "client_credentials":
            write_json(resp, {"error": "unsupported_grant_type"}, 400)
            return
        sub = form.get("sub", "")
        if not sub.isdecimal() or int(sub) not in self._gh.world.users.rows:
            raise DeniedError(401, "Unauthorized")
        now = self._gh.now()
        if len(self._given) >= TOKENS_MAX:
            self._given.clear()
        token = secrets.token_urlsafe(24)
        expires = now + timedelta(seconds=self._gh.token_s)
        self._given[token] = (expires.timestamp(), int(sub))
        body = {"access_token": token, "token_type": "Bearer", "expires_at": iso_ms(expires)}
        write_json(resp, body)

    def on_post_introspect(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`POST /introspect`: what a token may do, as RFC 7662 has it."""
        form = {k: v[0] for k, v in parse_qs(req.bounded_stream.read(10_000).decode()).items()}
        if not self._knows(req.get_header("Authorization") or ""):
            raise DeniedError(401, "Unauthorized")
        expiry, user_id = self._given.get(form.get("token", ""), (0.0, 0))
        if expiry <= self._gh.now().timestamp():
            write_json(resp, {"active": False})
            return
        scopes = EVERY_SCOPE if self._gh.scopes is None else self._gh.scopes
        told = {"active": True, "scope": " ".join(sorted(scopes)), "exp": int(expiry)}
        write_json(resp, {**told, "sub": str(user_id), "client_id": self._gh.client_id})

    def user(self, req: falcon.Request) -> Row:
        """The user that the call acts as. Raises DeniedError."""
        kind, _, token = (req.get_header("Authorization") or "").partition(" ")
        expiry, user_id = self._given.get(token, (0.0, 0))
        if kind.lower() != "bearer" or expiry <= self._gh.now().timestamp():
            raise DeniedError(401, "Unauthorized")
        return self._gh.world.users.get(user_id)

    def _knows(self, header: str) -> bool:
        kind, _, packed = header.partition(" ")
        try:
            client_id, _, secret = base64.b64decode(packed).decode().partition(":")
        except (binascii.Error, ValueError):
            return False
        gh = self._gh
        return kind.lower() == "basic" and (client_id, secret) == (gh.client_id, gh.client_secret)


class Gate:
    """Middleware: the rate window, the token, the scope and the Site Admin rule on `/v3`."""

    def __init__(self, gh: Greenhouse, tokens: Tokens) -> None:
        """Guard `gh`."""
        self._gh = gh
        self._tokens = tokens
        self._window = RateWindow(gh)

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Let the call pass, or answer it."""
        if not req.path.startswith("/v3/"):
            return
        passes, headers, wait_s = self._window.take()
        resp.set_headers(headers)
        if not passes:
            resp.status, resp.content_type, resp.text = 429, "text/plain", "Retry later"
            resp.set_header("Retry-After", str(wait_s))
            resp.complete = True
            return
        user = self._tokens.user(req)
        resource = req.path.split("/")[2]
        verb = VERB_OF_METHOD.get(req.method, "list")
        scope = f"harvest:{resource}:{verb}"
        if self._gh.scopes is not None and scope not in self._gh.scopes:
            raise DeniedError(403, f"The token lacks the scope {scope}.")
        if verb == "list" and not user["site_admin"]:
            raise DeniedError(403, "The acting user must be a Site Admin.")

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Let a colleague act once the call is done."""
        if req.path.startswith("/v3/"):
            self._gh.answered(req.method, req.path.split("/")[2])


def failure(gh: Greenhouse, kind: str) -> Answer:
    """The vendor's own answer to a fault on order."""
    if kind == "rate_limited":
        epoch = gh.now().timestamp()
        reset = (int(epoch // WINDOW_S) + 1) * WINDOW_S
        body = b"Retry later"
        headers = [
            ("Content-Type", "text/plain"),
            ("Content-Length", str(len(body))),
            ("Retry-After", str(max(1, int(reset - epoch + 0.999)))),
            ("X-RateLimit-Limit", str(gh.rate_limit)),
            ("X-RateLimit-Remaining", "0"),
            ("X-RateLimit-Reset", str(reset)),
        ]
        return "429 Too Many Requests", headers, body
    status = "503 Service Unavailable" if kind == "unavailable" else "500 Internal Server Error"
    message = "Something went wrong"
    if kind == "plan":  # the wording is assumed: no such answer is documented
        status = "403 Forbidden"
        message = "This endpoint is not available on your organization's subscription tier."
    body = json.dumps({"message": message, "errors": []}).encode()
    kinds = ("Content-Type", "application/json")
    return status, [kinds, ("Content-Length", str(len(body)))], body
