"""Who may see what, and the headers that every answer carries.

Until sign-in exists, pages answer to this machine only. Webhooks and the addresses that mails name
are the only doors to the outside. Where a proxy stands in front (`public_url` is not local), its
requests look local; so pages then have a listener of their own.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from warmline.flows.links import PATHS
from warmline.web.site import pages_answer_on

PUBLIC = ("/in/", *PATHS.values())
# A reverse proxy on this machine makes the whole world look local; these headers give it away.
_PROXIED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


class Gate:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._answer(request)
        if isinstance(response, HttpResponse):
            # Without it waitress closes the connection after each answer.
            response.headers.setdefault("Content-Length", str(len(response.content)))
            if request.method == "HEAD":
                # waitress would send it, and the connection's next answer begin in its middle.
                response.content = b""
        return response

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith("/in/"):
            return self._get_response(request)  # no browser reads it: no headers to add
        page = not request.path_info.startswith(PUBLIC)
        if page and not (
            _from_this_machine(request) and pages_answer_on(request.META["SERVER_PORT"])
        ):
            return HttpResponse(
                "Warmline's pages answer on this machine only, until sign-in exists.\n",
                status=403,
                content_type="text/plain",
            )
        nonce = secrets.token_urlsafe(12)
        request.META["warmline.nonce"] = nonce
        response = self._get_response(request)
        headers = {
            "Content-Security-Policy": f"default-src 'none'; style-src 'nonce-{nonce}'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "Cross-Origin-Opener-Policy": "same-origin",
        }
        if not page:
            headers["X-Robots-Tag"] = "noindex, nofollow"
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response


def _from_this_machine(request: HttpRequest) -> bool:
    """The peer is loopback, no proxy stands between, and the name asked for is local (a foreign
    name that resolves here is DNS rebinding)."""
    try:
        local = ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
    host = request.META.get("HTTP_HOST", "")
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return local and name in _LOCAL_NAMES and not any(key in request.META for key in _PROXIED)
