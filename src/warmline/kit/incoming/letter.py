"""A mail as bytes, read leniently: what it is about, who sent it, what they wrote.

By the parser that never raises (`compat32`): what comes in is written by strangers. Everything is
bounded.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import Message
from email.parser import HeaderParser
from email.utils import parseaddr, parsedate_to_datetime
from html.parser import HTMLParser

from warmline.kit.json_reader import clean

HEADER_CHARS_MAX = 1000
TEXT_CHARS_MAX = 8000  # read of a text; far less of it is kept
PARTS_MAX = 100
IDS_MAX = 50
# The id that `flows.links.message_id_header` gives each mail: a number, and a mark that nobody can
# make without the key.
MARKED = re.compile(r"warmline\.\d{1,18}\.[0-9a-f]{16}@[A-Za-z0-9.-]{1,253}")
OURS = "X-Warmline-Message"  # the same id, where a provider puts one of its own in its place
# Those that do. An answer names their id, which is what they told us when they took the mail.
PROVIDERS = ("amazonses.com", "mailin.fr", "mtasv.net", "mailersend.net", "mailjet.com")
_ID = re.compile(r"<([^<>\s]{1,250})>")
_HEADERS_OF_ANOTHER = ("text/rfc822-headers", "message/global-headers")


@dataclass(frozen=True, slots=True)
class Letter:
    """`message_id` and `provider_id` name the mail of ours that it is about; empty: none."""

    message: Message
    digest: str
    message_id: str
    provider_id: str

    def header(self, name: str) -> str:
        """Decoded, on one line."""
        return text_of(self.message.get(name))

    @property
    def subject(self) -> str:
        return self.header("Subject")

    @property
    def sender(self) -> str:
        """The address in From; empty where there is none."""
        return parseaddr(self.header("From"))[1].strip()

    @property
    def date(self) -> datetime | None:
        try:
            return parsedate_to_datetime(self.header("Date"))
        except (TypeError, ValueError, IndexError, OverflowError):
            return None

    @property
    def text(self) -> str:
        """The plain text, or the words of the HTML; not what is attached."""
        html = ""
        for part in parts(self.message):
            if part.get_content_type() == "text/plain" and part.get_filename() is None:
                if found := body(part).strip():
                    return found
            elif part.get_content_type() == "text/html" and not html:
                html = body(part)
        return words_of(html) if html else ""


def read(raw: bytes) -> Letter:
    message = message_from_bytes(raw, policy=policy.compat32)
    own = text_of(message.get("Message-ID")).strip().strip("<>")
    digest = hashlib.sha256(own.encode("utf-8", "replace") if own else raw).hexdigest()[:40]
    message_id, provider_id = _named(message)
    return Letter(message, digest, message_id, provider_id)


def text_of(found: object) -> str:
    """A header's value, decoded as far as it can be."""
    if found is None:
        return ""
    text = str(found)[:HEADER_CHARS_MAX]
    if "=?" in text:
        with suppress(LookupError, ValueError):
            text = str(make_header(decode_header(text)))
    return " ".join(clean(text).split())


def parts(message: Message) -> Iterator[Message]:
    """Every part, those of mails within it too."""
    for number, part in enumerate(message.walk()):
        if number == PARTS_MAX:
            return
        yield part


def body(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    payload = payload[: 4 * TEXT_CHARS_MAX]
    try:
        text = payload.decode(part.get_content_charset("utf-8") or "utf-8", "replace")
    except LookupError:
        text = payload.decode("utf-8", "replace")
    return clean(text)[:TEXT_CHARS_MAX]


def _named(message: Message) -> tuple[str, str]:
    """The mail of ours: by the headers of a mail within this one (a report brings it back), by the
    ids that this one answers, then by any text of a report."""
    inner = [one for one in _within(message) if one is not message]
    for one in inner:
        if found := _marked(one.get(OURS)) or _marked(one.get("Message-ID")):
            return found, ""
    answered = [text_of(message.get(name)) for name in ("In-Reply-To", "References", "Subject")]
    for text in answered:
        if found := _marked(text):
            return found, ""
    if message.get_content_type() == "multipart/report" or _from_a_machine(message):
        for part in parts(message):
            if part.get_content_maintype() == "text" and (found := _marked(body(part))):
                return found, ""
    for text in answered[:2]:
        for found in _ID.findall(text)[:IDS_MAX]:
            if found.lower().endswith(PROVIDERS):
                return "", found
    return "", ""


def _within(message: Message) -> Iterator[Message]:
    """Mails within this one, whole or their headers only."""
    for part in parts(message):
        if part.get_content_type() in _HEADERS_OF_ANOTHER:
            yield HeaderParser(policy=policy.compat32).parsestr(body(part).lstrip())
        elif part.get("Message-ID") is not None or part.get(OURS) is not None:
            yield part


def _from_a_machine(message: Message) -> bool:
    sender = parseaddr(text_of(message.get("From")))[1].lower()
    empty = text_of(message.get("Return-Path")) == "<>"
    return empty or sender.startswith(("mailer-daemon", "postmaster"))


def _marked(text: object) -> str:
    found = MARKED.search(str(text)) if text is not None else None
    return f"<{found[0]}>" if found else ""


class _Words(HTMLParser):
    """The words of an HTML mail up to what it quotes."""

    _QUOTES = ("gmail_quote", "divrplyfwdmsg", "appendonsend", "yahoo_quoted", "moz-cite-prefix")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._quoted = False
        self._skip = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = " ".join(value or "" for name, value in attrs if name in ("class", "id")).lower()
        if tag == "blockquote" or any(word in named for word in self._QUOTES):
            self._quoted = True
        if tag in ("style", "script", "head"):
            self._skip += 1
        if tag in ("br", "p", "div", "li", "tr"):
            self.found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script", "head") and self._skip:
            self._skip -= 1

    def handle_data(self, data: str) -> None:
        if not self._quoted and not self._skip:
            self.found.append(data)


def words_of(html: str) -> str:
    reader = _Words()
    reader.feed(html)
    lines = (" ".join(line.split()) for line in "".join(reader.found).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
