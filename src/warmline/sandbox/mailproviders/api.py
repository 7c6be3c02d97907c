"""Each provider's send API under a prefix of its own (`/postmark/email`, …). What is accepted
stands in the same mail catcher as what comes by SMTP."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from email.utils import parseaddr
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from warmline.sandbox.clock import Now, utc_now
from warmline.sandbox.faults import HTTP_KINDS, FaultPlan
from warmline.sandbox.front import Answer, Front, RequestLog
from warmline.sandbox.mailbox.store import MailStore

BODY_MAX = 16 * 1024 * 1024
KEY = "sandbox-provider-key"
PREFIXES = ("postmark", "mailgun", "sendgrid", "resend")
_STATUSES = {"rate_limited": "429 Too Many Requests", "error": "500 Server Error",
             "plan": "403 Forbidden", "unavailable": "503 Unavailable"}  # fmt: skip


class MailProviders:
    """What was taken, the faults on order, and ids of mails that were sent under a key."""

    def __init__(self, store: MailStore, *, now: Now = utc_now, key: str = KEY) -> None:
        self.store, self.key = store, key
        self.faults = FaultPlan(HTTP_KINDS, seed=1)
        self.log = RequestLog(now)
        self.closing = threading.Event()
        self.keys: dict[str, tuple[bytes, str]] = {}
        self._numbers = 0
        self._lock = threading.Lock()

    def app(self) -> WSGIApplication:
        return Front(
            self._serve, faults=self.faults, log=self.log, failure=_failure, closing=self.closing
        )

    def take(self, mail: EmailMessage, sender: str, recipient: str) -> str:
        """Keep the mail; its id."""
        with self._lock:
            self._numbers += 1
            number = f"{self._numbers:08x}-sandbox"
        self.store.add(parseaddr(sender)[1], [parseaddr(recipient)[1]], mail.as_bytes())
        return number

    def _serve(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        length = min(int(environ.get("CONTENT_LENGTH") or 0), BODY_MAX)
        body = environ["wsgi.input"].read(length)
        prefix, _, path = environ["PATH_INFO"].strip("/").partition("/")
        serve = _APIS.get(prefix)
        if serve is None or environ["REQUEST_METHOD"] != "POST":
            status, said = "404 Not Found", {"message": "no such address"}
        else:
            status, said = serve(self, environ, path, body)
        raw = json.dumps(said).encode() if said is not None else b""
        start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(raw)))])
        return [raw]


_Said = tuple[str, Any]


def _postmark(box: MailProviders, environ: WSGIEnvironment, _path: str, body: bytes) -> _Said:
    if environ.get("HTTP_X_POSTMARK_SERVER_TOKEN") != box.key:
        return "401 Unauthorized", {"ErrorCode": 10, "Message": "No Account or Server API tokens"}
    told = json.loads(body)
    headers = {one["Name"]: one["Value"] for one in told.get("Headers", [])}
    if headers.pop("X-PM-KeepID", "") != "true":
        headers.pop("Message-ID", None)
    mail = _mail(told["From"], told["To"], told["Subject"], told.get("TextBody", ""),
                 told.get("HtmlBody", ""), told.get("ReplyTo", ""), headers)  # fmt: skip
    number = box.take(mail, told["From"], told["To"])
    return "200 OK", {
        "To": told["To"], "SubmittedAt": "2026-03-02T09:00:00Z", "MessageID": number,
        "ErrorCode": 0, "Message": "OK",
    }  # fmt: skip


def _mailgun(box: MailProviders, environ: WSGIEnvironment, path: str, body: bytes) -> _Said:
    wanted = "Basic " + base64.b64encode(f"api:{box.key}".encode()).decode()
    if environ.get("HTTP_AUTHORIZATION") != wanted:
        return "401 Unauthorized", {"message": "Forbidden"}
    form = _form(environ, body)
    headers = {name[2:]: value for name, value in form.items() if name.startswith("h:")}
    reply_to = headers.pop("Reply-To", "")
    mail = _mail(form["from"], form["to"], form.get("subject", ""), form.get("text", ""),
                 form.get("html", ""), reply_to, headers)  # fmt: skip
    number = box.take(mail, form["from"], form["to"])
    return "200 OK", {"id": f"<{number}@{path.split('/')[0]}>", "message": "Queued. Thank you."}


def _sendgrid(box: MailProviders, environ: WSGIEnvironment, _path: str, body: bytes) -> _Said:
    if environ.get("HTTP_AUTHORIZATION") != f"Bearer {box.key}":
        return "401 Unauthorized", {"errors": [{"message": "authorization grant is invalid"}]}
    told = json.loads(body)
    to = _named(told["personalizations"][0]["to"][0])
    contents = {one["type"]: one["value"] for one in told["content"]}
    reply = told.get("reply_to_list") or ([told["reply_to"]] if "reply_to" in told else [])
    mail = _mail(_named(told["from"]), to, told["subject"], contents.get("text/plain", ""),
                 contents.get("text/html", ""), _named(reply[0]) if reply else "",
                 told.get("headers", {}))  # fmt: skip
    box.take(mail, told["from"]["email"], to)
    return "202 Accepted", None


def _resend(box: MailProviders, environ: WSGIEnvironment, _path: str, body: bytes) -> _Said:
    if environ.get("HTTP_AUTHORIZATION") != f"Bearer {box.key}":
        return "401 Unauthorized", {"name": "invalid_api_key", "message": "API key is invalid"}
    key = environ.get("HTTP_IDEMPOTENCY_KEY", "")
    if key in box.keys:
        before, number = box.keys[key]
        if before == body:
            return "200 OK", {"id": number}
        return "409 Conflict", {"name": "invalid_idempotent_request", "message": "Another body"}
    told = json.loads(body)
    headers = {k: v for k, v in told.get("headers", {}).items() if k.lower() != "message-id"}
    mail = _mail(told["from"], told["to"][0], told["subject"], told.get("text", ""),
                 told.get("html", ""), (told.get("reply_to") or [""])[0], headers)  # fmt: skip
    number = box.take(mail, told["from"], told["to"][0])
    if key:
        box.keys[key] = (body, number)
    return "200 OK", {"id": number}


_APIS: Mapping[str, Callable[[MailProviders, WSGIEnvironment, str, bytes], _Said]] = {
    "postmark": _postmark, "mailgun": _mailgun, "sendgrid": _sendgrid, "resend": _resend,
}  # fmt: skip


def _failure(kind: str) -> Answer:
    raw = json.dumps({"message": f"{kind} on order"}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(raw)))]
    return _STATUSES[kind], [*headers, ("Retry-After", "7")], raw


def _mail(
    sender: str, to: str, subject: str, text: str, html: str, reply_to: str,
    headers: Mapping[str, str],
) -> EmailMessage:  # fmt: skip
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, to, subject
    if reply_to:
        mail["Reply-To"] = reply_to
    for name, value in headers.items():
        mail[name] = value
    mail.set_content(text)
    if html:
        mail.add_alternative(html, subtype="html")
    return mail


def _named(box: Mapping[str, str]) -> str:
    return f'"{box["name"]}" <{box["email"]}>' if box.get("name") else box["email"]


def _form(environ: WSGIEnvironment, body: bytes) -> dict[str, str]:
    """Multipart or urlencoded."""
    kind = environ.get("CONTENT_TYPE", "")
    if not kind.startswith("multipart/"):
        return {name: values[-1] for name, values in parse_qs(body.decode()).items()}
    whole = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    found: dict[str, str] = {}
    for part in whole.iter_parts():
        name = re.search(r'name="([^"]+)"', str(part["Content-Disposition"]))
        payload = part.get_payload(decode=True)
        if name is not None and isinstance(payload, bytes):
            found[name[1]] = payload.decode().replace("\r\n", "\n")
    return found
