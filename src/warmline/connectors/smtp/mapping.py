"""From an envelope to the bytes of a mail, and from the server's answer to an outcome.

Two tables below say whom a refusal is about. It matters: a refusal about the recipient means that
the address is dead and is never mailed again, so a server that rejects *us* at the RCPT command
(Postfix does, by default) must not be read as a thousand dead addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.errors import MessageError
from email.header import Header
from email.policy import Compat32
from email.utils import format_datetime, quote
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from django.core.mail import EmailMultiAlternatives
from django.core.mail.message import utf8_charset_qp
from email_validator import EmailNotValidError, validate_email

from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.ports import Envelope

ANSWER_CHARS_MAX = 300
HEADER_CHARS_MAX = 10_000
HEADER_LINE_CHARS_MAX = 76


class Scope(StrEnum):
    """Whom a refusal is about."""

    RECIPIENT = "recipient"  # the address is dead
    SENDER = "sender"  # the server will not take mail from us: nothing will pass until it is fixed
    MESSAGE = "message"  # this one mail


class Step(StrEnum):
    """How far the hand-over of a mail came."""

    MAIL = "mail"  # MAIL FROM
    RCPT = "rcpt"  # RCPT TO
    DATA = "data"  # the DATA command; the mail itself has not begun
    END = "end"  # the mail itself went out; this is the answer to the whole


SCOPES = {
    Step.MAIL: Scope.SENDER,
    Step.RCPT: Scope.RECIPIENT,
    Step.DATA: Scope.MESSAGE,
    Step.END: Scope.MESSAGE,
}

# Enhanced status codes (RFC 3463) that are about somebody else than the step suggests. The longest
# prefix wins.
SCOPES_BY_CODE = {
    Step.MAIL: {
        "5.3.4": Scope.MESSAGE,  # too big for the system
        "5.5.": Scope.MESSAGE,  # a parameter of the command
        "5.6.": Scope.MESSAGE,
    },
    Step.RCPT: {
        "5.1.7": Scope.SENDER,  # the sender's address is malformed
        "5.1.8": Scope.SENDER,  # the sender's domain does not exist
        "5.2.2": Scope.MESSAGE,  # the mailbox is full: the address lives
        "5.2.3": Scope.MESSAGE,  # too big for this mailbox
        "5.3.": Scope.MESSAGE,  # the mail system, not the address
        "5.5.": Scope.MESSAGE,  # the protocol
        "5.6.": Scope.MESSAGE,  # 5.6.7: the server knows no non-ASCII addresses
        "5.7.": Scope.SENDER,  # relaying denied, not signed in, on a blocklist
    },
    Step.DATA: {},
    Step.END: {
        "5.1.1": Scope.RECIPIENT,  # no such mailbox, found out late
        "5.1.2": Scope.RECIPIENT,  # no such domain
        "5.1.6": Scope.RECIPIENT,  # the mailbox has moved
        "5.1.10": Scope.RECIPIENT,  # the domain takes no mail
        "5.2.1": Scope.RECIPIENT,  # the mailbox is disabled
    },
}
# Codes without an enhanced one.
SCOPES_BY_BASIC_CODE = {
    500: Scope.MESSAGE, 501: Scope.MESSAGE, 502: Scope.MESSAGE, 503: Scope.MESSAGE,
    504: Scope.MESSAGE, 530: Scope.SENDER, 535: Scope.SENDER, 538: Scope.SENDER,
    552: Scope.MESSAGE, 555: Scope.MESSAGE,
}  # fmt: skip

_ENHANCED = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
# Whatever could end a header line, here or in the eyes of some reader; a tab cannot.
_LINE_BREAKING = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_HEADER_NAME = re.compile(r"[!-9;-~]{1,100}")
_OWN_HEADERS = frozenset(
    {"from", "to", "cc", "bcc", "sender", "reply-to", "subject", "date", "message-id",
     "return-path", "mime-version"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mail:
    """Ready for the wire: addresses for the SMTP envelope, the bytes between DATA and the dot."""

    sender: str
    recipient: str
    payload: bytes
    utf8: bool


class Unfit(Exception):
    """The envelope cannot be made into a mail: `args` are the scope and the reason."""

    def outcome(self) -> Outcome:
        scope, reason = self.args
        return Outcome(OutcomeKind.REFUSED, reason, detail={"scope": scope})


def compose(envelope: Envelope, *, eight_bit: bool, utf8: bool) -> Mail:
    """The mail as bytes. Raises Unfit, never anything else.

    `eight_bit` and `utf8` say what the server offers (8BITMIME, SMTPUTF8). Without the first the
    bodies are quoted-printable; an address that needs the second and cannot have it is unfit.
    """
    try:
        return _compose(envelope, eight_bit=eight_bit, utf8=utf8)
    except (ValueError, MessageError) as error:
        # Not the text of it: that may quote the address.
        raise Unfit(Scope.MESSAGE, f"the mail cannot be built: {type(error).__name__}") from None


def _compose(envelope: Envelope, *, eight_bit: bool, utf8: bool) -> Mail:
    _fence(envelope)
    sender = _address(envelope.sender_address, Scope.SENDER, "sender's", utf8=utf8)
    recipient = _address(envelope.recipient_address, Scope.RECIPIENT, "recipient's", utf8=utf8)
    boxes = {
        "From": (envelope.sender_name, sender),
        "To": (envelope.recipient_name, recipient),
    }
    if envelope.reply_to:
        reply_to = _address(envelope.reply_to, Scope.SENDER, "reply-to", utf8=utf8)
        boxes["Reply-To"] = ("", reply_to)
    mailboxes = {name: _mailbox(*box) for name, box in boxes.items()}
    # Django encodes an address beyond ASCII as a word, which no server could deliver to: such a
    # header goes in front of Django's, in UTF-8 (RFC 6532).
    raw = {name: box for name, box in mailboxes.items() if not box.isascii()}
    message_id = envelope.message_id
    message = EmailMultiAlternatives(
        subject=envelope.subject,
        body=envelope.text,
        from_email="placeholder@localhost" if "From" in raw else mailboxes["From"],
        to=[] if "To" in raw else [mailboxes["To"]],
        reply_to=[] if "Reply-To" in raw or "Reply-To" not in boxes else [mailboxes["Reply-To"]],
        headers={
            "Date": format_datetime(envelope.sent_at),
            "Message-ID": message_id if message_id.startswith("<") else f"<{message_id}>",
            **envelope.headers,
        },
    )
    message.encoding = None if eight_bit else utf8_charset_qp
    if envelope.html:
        message.attach_alternative(envelope.html, "text/html")
    built: Any = message.message()
    if "From" in raw:
        del built["From"]
    if built.is_multipart():
        # Ours cannot stand in the text either, and saves a search through it: no text holds its
        # own hash.
        mark = blake2b(f"{message_id}{envelope.text}{envelope.html}".encode(), digest_size=15)
        built.set_param("boundary", f"=_{mark.hexdigest()}")
    built.policy = _QUICK
    before = "".join(f"{name}: {box}\r\n" for name, box in raw.items()).encode()
    return Mail(sender, recipient, before + built.as_bytes(linesep="\r\n"), utf8=bool(raw))


class _Quick(Compat32):
    """Writes short headers as they are: folding them costs a third of building a mail."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        short = type(value) is str and len(name) + len(value) < HEADER_LINE_CHARS_MAX
        if short and value.isascii() and "\n" not in value:
            return f"{name}: {value}{self.linesep}".encode()
        return super().fold_binary(name, value)


_QUICK = _Quick()


def _fence(envelope: Envelope) -> None:
    """No value may break out of its header line."""
    values = {
        "the sender's name": envelope.sender_name,
        "the sender's address": envelope.sender_address,
        "the recipient's name": envelope.recipient_name,
        "the recipient's address": envelope.recipient_address,
        "the reply-to address": envelope.reply_to,
        "the subject": envelope.subject,
        "the message id": envelope.message_id,
    }
    for name, value in envelope.headers.items():
        lower = name.lower()
        if not _HEADER_NAME.fullmatch(name):
            raise Unfit(Scope.MESSAGE, "an extra header has a name that is not one")
        if lower in _OWN_HEADERS or lower.startswith("content-"):
            raise Unfit(Scope.MESSAGE, f"the extra header {name} would replace the mail's own")
        values[f"the header {name}"] = value
    for what, value in values.items():
        if _LINE_BREAKING.search(value):
            raise Unfit(Scope.MESSAGE, f"{what} holds a line break or control character")
        if len(value) > HEADER_CHARS_MAX:
            raise Unfit(Scope.MESSAGE, f"{what} is longer than {HEADER_CHARS_MAX} characters")


def _address(raw: str, scope: Scope, whose: str, *, utf8: bool) -> str:
    """The address for the SMTP envelope: domain in ASCII, local part beyond it only where the
    server offers SMTPUTF8."""
    if _PLAIN_ADDRESS.fullmatch(raw):
        return raw
    try:
        found = validate_email(raw, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise Unfit(scope, f"the {whose} address is not an e-mail address") from None
    if found.ascii_email:
        return found.ascii_email
    if not utf8:
        # About the message, not the recipient: the address may be alive, this server is too old.
        raise Unfit(
            Scope.MESSAGE,
            f"the {whose} address holds characters beyond ASCII and the mail server "
            "does not offer SMTPUTF8",
        )
    return f"{found.local_part}@{found.ascii_domain}"


def _mailbox(name: str, address: str) -> str:
    if not name:
        return address
    if name.isascii() and "=?" not in name:
        return f'"{quote(name)}" <{address}>'
    # Header breaks long names into lines; Django takes one line and breaks it again itself.
    return f"{Header(name, 'utf-8').encode()} <{address}>".replace("\n", "")


def is_plain_address(text: str) -> bool:
    return _PLAIN_ADDRESS.fullmatch(text) is not None


def outcome_of(step: Step, code: int, text: str, recipient: str) -> Outcome:
    """The server's answer to `step`, as an outcome. `text` is what it said."""
    said = readable(text, recipient)
    found = _ENHANCED.search(text)
    enhanced = found.group(1) if found else ""
    detail = {"step": step.value, "code": str(code)}
    if enhanced:
        detail["enhanced"] = enhanced
    reason = f"{code} {said}".rstrip()
    if step is Step.END and 200 <= code < 300:
        return Outcome(OutcomeKind.DONE, reason, detail=detail)
    if 500 <= code < 600:
        detail["scope"] = _scope(step, code, enhanced)
        return Outcome(OutcomeKind.REFUSED, reason, detail=detail)
    if 400 <= code < 500:
        return Outcome(OutcomeKind.LATER, reason, detail=detail)
    kind = OutcomeKind.UNKNOWN if step is Step.END else OutcomeKind.LATER
    return Outcome(kind, f"the mail server gave an answer that is none: {reason}", detail=detail)


def lost(step: Step, why: str) -> Outcome:
    """The connection ended in `step` without an answer to it."""
    detail = {"step": step.value}
    if step is Step.END:
        reason = f"the mail was handed over and no answer came: {why}"
        return Outcome(OutcomeKind.UNKNOWN, reason, detail=detail)
    return Outcome(OutcomeKind.LATER, f"nothing was handed over: {why}", detail=detail)


def _scope(step: Step, code: int, enhanced: str) -> Scope:
    if enhanced:
        table = SCOPES_BY_CODE[step]
        for prefix in (enhanced, enhanced[: enhanced.rindex(".") + 1]):
            if prefix in table:
                return table[prefix]
        return SCOPES[step]
    if step in (Step.MAIL, Step.RCPT):
        return SCOPES_BY_BASIC_CODE.get(code, SCOPES[step])
    return SCOPES[step]


def readable(text: str, recipient: str = "") -> str:
    """What the server said, short, on one line, without addresses."""
    words = ["***" if "@" in word else word for word in text[: 4 * ANSWER_CHARS_MAX].split()]
    said = "".join(char if char.isprintable() else " " for char in " ".join(words))
    local = recipient.rpartition("@")[0]
    if len(local) > 2:
        said = re.sub(re.escape(local), "***", said, flags=re.IGNORECASE)
    return said[:ANSWER_CHARS_MAX]
