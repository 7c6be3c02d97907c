"""Links in mails that prove where they come from: signed, expiring, unguessable.

Signed with the project's secret key, so that nobody can unsubscribe somebody else by counting. Each
purpose has a salt of its own: a token that was made for one is refused by every other. A click's
token carries where it leads, so there is no table to lose, and no address that leads to anywhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.core.signing import BadSignature, Signer

from warmline.core.mail_links import is_target

# Longer than candidate data may be kept after the last contact (CNIL: two years), so that no
# mail outlives its unsubscribe link.
UNSUBSCRIBE_FOR = timedelta(days=730)
# No token that we make is longer; what is, is not looked at.
_TOKEN_CHARS_MAX = 2000


class Purpose(StrEnum):
    """What a link is for. The value is the salt of its signature: changed, it breaks every link
    that was ever sent."""

    UNSUBSCRIBE = "warmline.unsubscribe"  # /u/
    CLICK = "warmline.click"  # /c/, a link of the letter
    OPEN = "warmline.open"  # /o/, the picture that counts opens
    VIEW = "warmline.view"  # /v/, the letter in a browser
    PREFERENCES = "warmline.preferences"  # /p/
    KEEP_POSTED = "warmline.keep_posted"  # /k/, yes, keep me posted
    OPT_IN = "warmline.opt_in"  # /k/ too, yes, you may write to me


# Where each is answered, below the public address.
PATHS = {
    Purpose.UNSUBSCRIBE: "/u/",
    Purpose.CLICK: "/c/",
    Purpose.OPEN: "/o/",
    Purpose.VIEW: "/v/",
    Purpose.PREFERENCES: "/p/",
    Purpose.KEEP_POSTED: "/k/",
    Purpose.OPT_IN: "/k/",
}
# What a letter and its layout call them.
VARIABLES = {
    "unsubscribe_url": Purpose.UNSUBSCRIBE,
    "view_url": Purpose.VIEW,
    "preferences_url": Purpose.PREFERENCES,
    "keep_posted_url": Purpose.KEEP_POSTED,
    "opt_in_url": Purpose.OPT_IN,
}
# The number of the link that no person can see; those of the letter count from 1.
TRAP = 0


@dataclass(frozen=True, slots=True)
class Click:
    """What the token of a link says: of which message it is, the how many-th, where it leads."""

    message_id: int
    link: int
    target: str


def _sign(purpose: Purpose, said: str, now: datetime) -> str:
    expires = int((now + UNSUBSCRIBE_FOR).timestamp())
    message_id, dash, rest = said.partition("-")
    return Signer(salt=purpose, sep=".").sign(f"{message_id}-{expires}{dash}{rest}")


def _read(purpose: Purpose, token: str, now: datetime) -> tuple[int, str] | None:
    """The message's id and what else was signed; None for a token that is not ours, was made for
    something else, or has expired."""
    if len(token) > _TOKEN_CHARS_MAX:
        return None
    try:
        said = Signer(salt=purpose, sep=".").unsign(token)
    except BadSignature:
        return None
    message_id, _, rest = said.partition("-")
    expires, _, rest = rest.partition("-")
    if not (message_id.isdigit() and expires.isdigit()) or int(expires) < now.timestamp():
        return None
    return int(message_id), rest


def token(purpose: Purpose, message_id: int, now: datetime) -> str:
    return _sign(purpose, str(message_id), now)


def read_token(purpose: Purpose, token: str, now: datetime) -> int | None:
    """The message's id; None for a token that is not ours, is for something else, or expired."""
    found = _read(purpose, token, now)
    return found[0] if found and not found[1] else None


def unsubscribe_token(message_id: int, now: datetime) -> str:
    return token(Purpose.UNSUBSCRIBE, message_id, now)


def read_unsubscribe_token(said: str, now: datetime) -> int | None:
    return read_token(Purpose.UNSUBSCRIBE, said, now)


def click_token(message_id: int, link: int, target: str, now: datetime) -> str:
    """Raises ValueError for what is no web address: it would be refused when it comes back."""
    if not is_target(target):
        raise ValueError("a link leads to a web address")
    coded = base64.urlsafe_b64encode(target.encode()).decode().rstrip("=")
    return _sign(Purpose.CLICK, f"{message_id}-{link}-{coded}", now)


def read_click_token(token: str, now: datetime) -> Click | None:
    found = _read(Purpose.CLICK, token, now)
    if found is None:
        return None
    link, _, coded = found[1].partition("-")
    try:
        target = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    if not link.isdigit() or not is_target(target):
        return None
    return Click(found[0], int(link), target)


def address(public_url: str, purpose: Purpose, message_id: int, now: datetime) -> str:
    return f"{public_url}{PATHS[purpose]}{token(purpose, message_id, now)}"


def addresses(public_url: str, message_id: int, now: datetime) -> dict[str, str]:
    """The links of ours that a letter may hold, by the names of their variables."""
    return {
        name: address(public_url, purpose, message_id, now) for name, purpose in VARIABLES.items()
    }


def is_ours(public_url: str, url: str) -> bool:
    """Whether it is one of our own pages, which know by themselves who comes."""
    return url.startswith(tuple(f"{public_url}{path}" for path in PATHS.values()))


_MESSAGE_ID = re.compile(r"<?warmline\.(\d{1,18})\.([0-9a-f]{16})@")


def read_message_id(header: str) -> int | None:
    """The message's number of a Message-ID that we made; None for one that is not ours."""
    found = _MESSAGE_ID.match(header.strip())
    if found is None:
        return None
    number = int(found[1])
    ours = message_id_header(number, "x").removeprefix("<").partition("@")[0]
    return number if hmac.compare_digest(ours, f"warmline.{number}.{found[2]}") else None


def message_id_header(message_id: int, domain: str) -> str:
    """RFC 5322 Message-ID, derived from the message's row: the same on every attempt, and not to
    be guessed from a number."""
    mark = hmac.new(settings.SECRET_KEY.encode(), b"message-id:%d" % message_id, hashlib.sha256)
    return f"<warmline.{message_id}.{mark.hexdigest()[:16]}@{domain}>"
