"""Reports by machines: bounces (RFC 3464, and in the words of each mail server), complaints
(RFC 5965)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import policy
from email.message import Message
from email.parser import HeaderParser

from flufl.bounce import all_failures

from warmline.core.events import EventKind
from warmline.kit.incoming.letter import Letter, body, parts, text_of
from warmline.kit.incoming.said import DIAGNOSTIC, STATUS, Said

DIAGNOSTIC_CHARS_MAX = 300
# Enhanced codes (RFC 3463) of class 5 that say that the address is dead. The longest prefix wins.
# Every other one is about this mail, about us or about the day: the address may live.
DEAD = ("5.0.", "5.1.", "5.2.0", "5.2.1", "5.4.1", "5.4.4")
ALIVE = ("5.1.7", "5.1.8", "5.1.9")  # about the sender's address
# What servers say who send no enhanced code, or 5.0.0.
_DEAD_WORDS = re.compile(
    r"user unknown|unknown user|no such (user|recipient|mailbox)|does(n't| not) exist|"
    r"(mailbox|address|recipient|user).{0,20}(unavailable|not found|disabled|inactive|rejected)|"
    r"invalid (recipient|mailbox)|account.{0,20}(disabled|closed|deleted)",
    re.IGNORECASE,
)
_ALIVE_WORDS = re.compile(
    r"spam|block|policy|reputation|quota|full|too large|rate|throttl|greylist|dmarc|spf\b|dkim",
    re.IGNORECASE,
)
_ENHANCED = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_BASIC = re.compile(r"\b([45])\d\d\b")
_REPORTS = ("message/delivery-status", "message/global-delivery-status")
_COMPLAINTS = frozenset({"abuse", "fraud", "virus", "other"})


def about_a_report(letter: Letter) -> Said | None:
    for part in parts(letter.message):
        kind = part.get_content_type()
        if kind == "message/feedback-report":
            return _complaint(part)
        if kind in _REPORTS:
            return _delivery(part)
    return _unwritten(letter)


def _complaint(part: Message) -> Said | None:
    kind = next((text_of(block.get("Feedback-Type")) for block in blocks(part)), "").lower()
    if kind in _COMPLAINTS:
        return Said(EventKind.MESSAGE_COMPLAINED, kind)
    if kind.startswith("opt-out"):
        return Said(EventKind.CANDIDATE_UNSUBSCRIBED, kind)
    return None  # not-spam, auth-failure: nobody complained


def _delivery(part: Message) -> Said | None:
    """What became of the mail: of us each mail has one recipient, so the first word counts."""
    for block in blocks(part):
        action = text_of(block.get("Action")).lower()
        status = text_of(block.get("Status"))
        diagnostic = text_of(block.get("Diagnostic-Code")).partition(";")[2].strip()
        if action == "failed":
            return bounced(status, diagnostic)
        if action in ("delivered", "relayed", "expanded"):
            return Said(EventKind.MESSAGE_DELIVERED, action)
    return None  # delayed: the server goes on trying, and will tell


def bounced(status: str, diagnostic: str) -> Said:
    """Hard, the address is dead, or soft."""
    found = _ENHANCED.search(status)
    code = found[1] if found else ""
    if not code or code.endswith(".0.0"):
        more = _ENHANCED.search(diagnostic)
        code = more[1] if more else code
    kind = EventKind.MESSAGE_BOUNCED if is_dead(code, diagnostic) else EventKind.MESSAGE_DEFERRED
    fields = {STATUS: code, DIAGNOSTIC: readable(diagnostic)}
    return Said(kind, f"failed {code}".rstrip(), fields)


def is_dead(code: str, diagnostic: str) -> bool:
    if code.startswith("4."):
        return False
    if not code:
        basic = _BASIC.search(diagnostic)
        if basic is not None and basic[1] == "4":
            return False
    if not code or code == "5.0.0":
        if _DEAD_WORDS.search(diagnostic):
            return True
        return not _ALIVE_WORDS.search(diagnostic)
    return code.startswith(DEAD) and not code.startswith(ALIVE)


def _unwritten(letter: Letter) -> Said | None:
    """A bounce in a server's own words: only from a machine, and only where the library knows
    them."""
    sender = letter.sender.lower()
    empty = letter.header("Return-Path") == "<>"
    if not empty and not sender.startswith(("mailer-daemon", "postmaster")):
        return None
    try:
        temporary, permanent = all_failures(letter.message)
    except Exception:  # a detector's own bug over a stranger's mail
        return None
    if permanent:
        text = letter.text
        found = _ENHANCED.search(text)
        return bounced(found[1] if found else "", text)
    if temporary:
        return Said(EventKind.MESSAGE_DEFERRED, "failed for now")
    return None


def blocks(part: Message) -> Iterator[Message]:
    """The groups of fields of a report: parsed already, or a text of them."""
    payload = part.get_payload()
    if isinstance(payload, list):
        yield from (one for one in payload[:50] if isinstance(one, Message))
        return
    reader = HeaderParser(policy=policy.compat32)
    for text in re.split(r"\r?\n\r?\n", body(part))[:50]:
        if text.strip():
            yield reader.parsestr(text.strip())


def readable(text: str) -> str:
    """What a server said, short, without addresses."""
    words = ["***" if "@" in word else word for word in text[: 4 * DIAGNOSTIC_CHARS_MAX].split()]
    return " ".join(words)[:DIAGNOSTIC_CHARS_MAX]
