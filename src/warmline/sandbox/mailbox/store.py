"""The caught mails: raw bytes in memory, a few headers indexed, and a spool file if one is wanted.

Spool format: for each mail one line of JSON (id, at, from, to, size) and then `size` raw bytes and
a newline. A tail that was cut off by a kill is ignored when it is read again.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from pathlib import Path
from typing import Any, BinaryIO

from warmline.sandbox.clock import Now, iso_ms

MAILS_MAX = 200_000
BYTES_MAX = 512 * 1024 * 1024
_INDEXED = re.compile(
    rb"^(subject|from|to|message-id|date|list-unsubscribe|list-unsubscribe-post|x-[a-z0-9-]+)"
    rb":[ \t]*(.*(?:\n[ \t].*)*)",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass
class Mail:
    """One caught mail. `raw` is None once memory was needed and only the spool has it."""

    id: int
    received_at: str
    mail_from: str
    rcpt_to: tuple[str, ...]
    raw: bytes | None
    size: int
    offset: int | None = None  # of the raw bytes in the spool
    _headers: dict[str, str] | None = field(default=None, repr=False)

    def headers(self) -> dict[str, str]:
        """The indexed headers by lower-case name, decoded; read once, when first asked for."""
        if self._headers is None:
            self._headers = indexed_headers(self.raw or b"")
        return self._headers

    def subject(self) -> str:
        """The decoded subject."""
        return self.headers().get("subject", "")

    def summary(self) -> dict[str, Any]:
        """The mail as one entry of the JSON list."""
        headers = self.headers()
        return {
            "id": self.id,
            "from": headers.get("from", self.mail_from),
            "to": list(self.rcpt_to),
            "envelope_from": self.mail_from,
            "subject": headers.get("subject", ""),
            "message_id": headers.get("message-id", ""),
            "received_at": self.received_at,
            "date": headers.get("date", ""),
            "size": self.size,
            "list_unsubscribe": headers.get("list-unsubscribe", ""),
            "list_unsubscribe_post": headers.get("list-unsubscribe-post", ""),
            "headers": {name: text for name, text in headers.items() if name.startswith("x-")},
        }


def indexed_headers(raw: bytes) -> dict[str, str]:
    """The few headers that lists show, from the head of a message alone."""
    head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    found: dict[str, str] = {}
    for name, value in _INDEXED.findall(head):
        text = re.sub(r"\n[ \t]+", " ", value.decode("utf-8", "replace")).strip()
        found.setdefault(name.decode().lower(), _decoded(text))
    return found


def _decoded(text: str) -> str:
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (LookupError, ValueError):
        return text


class MailStore:
    """Keeps mails up to a bound of number and memory; the oldest go first."""

    def __init__(
        self,
        now: Now,
        *,
        spool: Path | None = None,
        mails_max: int = MAILS_MAX,
        bytes_max: int = BYTES_MAX,
    ) -> None:
        """With `spool`, mails are appended to that file and the ones in it are kept from before."""
        self.received = 0  # over all time, dropped ones included
        self._now = now
        self._mails: OrderedDict[int, Mail] = OrderedDict()
        self._to: dict[str, dict[int, None]] = {}
        self._mails_max = mails_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._oldest_with_raw = 1
        self._next_id = 1
        self._lock = threading.RLock()
        self._path = spool
        self._file: BinaryIO | None = None
        if spool is not None:
            self._open_spool(spool)

    def add(self, mail_from: str, rcpt_to: Iterable[str], raw: bytes) -> Mail:
        """Keep one mail; with a spool it is on file when this returns."""
        with self._lock:
            at = iso_ms(self._now())
            mail = Mail(self._next_id, at, mail_from, tuple(rcpt_to), raw, len(raw))
            self._next_id += 1
            if self._file is not None:
                mail.offset = self._append(self._file, mail, raw)
            self._keep(mail)
            return mail

    def get(self, mail_id: int) -> Mail | None:
        """One mail."""
        return self._mails.get(mail_id)

    def raw(self, mail: Mail) -> bytes:
        """The bytes as they came; empty when neither memory nor a spool has them any more."""
        if mail.raw is not None:
            return mail.raw
        if mail.offset is None or self._path is None:
            return b""
        with self._path.open("rb") as spool:
            spool.seek(mail.offset)
            return spool.read(mail.size)

    def count(self, to: str = "") -> int:
        """How many are kept, of all or for recipients that match `to`."""
        with self._lock:
            return len(self._mails) if not to else sum(1 for _ in self._matching(to))

    def newest(self, limit: int, offset: int = 0, to: str = "") -> list[Mail]:
        """Newest first. `to` is an address, or a part of one."""
        with self._lock:
            rows = self._matching(to) if to else iter(reversed(self._mails.values()))
            return list(itertools.islice(rows, offset, offset + limit))

    def neighbours(self, mail_id: int) -> tuple[int | None, int | None]:
        """The ids of the next newer and the next older mail."""
        with self._lock:
            newer = next((i for i in range(mail_id + 1, self._next_id) if i in self._mails), None)
            oldest = next(iter(self._mails), mail_id)
            older = next((i for i in range(mail_id - 1, oldest - 1, -1) if i in self._mails), None)
            return newer, older

    def clear(self) -> None:
        """Throw every mail away, the spool's too."""
        with self._lock:
            self._mails.clear()
            self._to.clear()
            self._bytes = self.received = 0
            self._oldest_with_raw = self._next_id
            if self._file is not None:
                self._file.truncate(0)
                self._file.seek(0)

    def close(self) -> None:
        """Close the spool."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def state(self) -> dict[str, Any]:
        """Counts for the control API."""
        with self._lock:
            kept, held = len(self._mails), self._bytes
            people = len(self._to)
        counts = {"received": self.received, "kept": kept, "bytes": held, "recipients": people}
        return {"vendor": "mailbox", "counts": counts}

    # Inside

    def _matching(self, to: str) -> Iterator[Mail]:
        wanted = to.strip().lower()
        if wanted in self._to:
            ids: Iterable[int] = reversed(self._to[wanted])
        else:
            found: set[int] = set()
            for address, mine in self._to.items():
                if wanted in address:
                    found.update(mine)
            ids = sorted(found, reverse=True)
        return (self._mails[i] for i in ids)

    def _keep(self, mail: Mail) -> None:
        self.received += 1
        self._mails[mail.id] = mail
        self._bytes += mail.size
        for address in mail.rcpt_to:
            self._to.setdefault(address.lower(), {})[mail.id] = None
        while len(self._mails) > self._mails_max:
            self._drop_oldest()
        while self._bytes > self._bytes_max and self._oldest_with_raw < mail.id:
            self._free_oldest()

    def _drop_oldest(self) -> None:
        _, gone = self._mails.popitem(last=False)
        if gone.raw is not None:
            self._bytes -= gone.size
        for address in gone.rcpt_to:
            mine = self._to.get(address.lower(), {})
            mine.pop(gone.id, None)
            if not mine:
                self._to.pop(address.lower(), None)

    def _free_oldest(self) -> None:
        """Let go of the bytes of the oldest mail that still has them; lists keep showing it."""
        mail = self._mails.get(self._oldest_with_raw)
        self._oldest_with_raw += 1
        if mail is not None and mail.raw is not None:
            mail.headers()
            mail.raw = None
            self._bytes -= mail.size

    @staticmethod
    def _append(spool: BinaryIO, mail: Mail, raw: bytes) -> int:
        meta = {
            "id": mail.id,
            "at": mail.received_at,
            "from": mail.mail_from,
            "to": mail.rcpt_to,
            "size": len(raw),
        }
        head = json.dumps(meta).encode() + b"\n"
        start = spool.seek(0, 2)
        spool.write(head + raw + b"\n")  # unbuffered: one write, and it survives a kill
        return start + len(head)

    def _open_spool(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        end = 0
        if path.exists():
            with path.open("rb") as spool:
                while line := spool.readline():
                    mail = self._read_one(spool, line)
                    if mail is None:
                        break
                    self._next_id = mail.id + 1
                    self._keep(mail)
                    end = spool.tell()
        self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
        self._file.truncate(end)

    @staticmethod
    def _read_one(spool: BinaryIO, line: bytes) -> Mail | None:
        try:
            meta = json.loads(line)
            offset = spool.tell()
            raw = spool.read(meta["size"])
            whole = len(raw) == meta["size"] and spool.read(1) == b"\n"
        except (ValueError, KeyError, TypeError):
            return None
        if not whole:
            return None
        to = tuple(meta["to"])
        return Mail(meta["id"], meta["at"], meta["from"], to, raw, len(raw), offset)


@dataclass
class Opened:
    """A mail taken apart, for the pages and the JSON of one message."""

    headers: list[tuple[str, str]]
    text: str
    html: str
    attachments: list[dict[str, Any]]


def open_mail(raw: bytes) -> Opened:
    """Parse a whole message; parts that cannot be decoded are shown as far as they can be."""
    message = message_from_bytes(raw, policy=policy.default)
    if not isinstance(message, EmailMessage):
        return Opened([], raw.decode("utf-8", "replace"), "", [])
    attachments = [
        {
            "filename": part.get_filename() or "",
            "content_type": part.get_content_type(),
            "size": len(part.get_payload(decode=True) or b""),
        }
        for part in message.iter_attachments()
    ]
    headers = [(name, str(value)) for name, value in message.items()]
    return Opened(headers, _body(message, "plain"), _body(message, "html"), attachments)


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    if part is None:
        return ""
    try:
        return str(part.get_content())
    except (LookupError, ValueError):
        payload = part.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
