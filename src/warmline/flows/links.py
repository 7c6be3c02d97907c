"""Links in mails that prove where they come from: signed, expiring, unguessable.

Signed with the project's secret key, so that nobody can unsubscribe somebody else by counting.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime, timedelta

from django.conf import settings
from django.core.signing import BadSignature, Signer

# Longer than candidate data may be kept after the last contact (CNIL: two years), so that no
# mail outlives its unsubscribe link.
UNSUBSCRIBE_FOR = timedelta(days=730)


def _signer() -> Signer:
    return Signer(salt="warmline.unsubscribe", sep=".")


def unsubscribe_token(message_id: int, now: datetime) -> str:
    expires = int((now + UNSUBSCRIBE_FOR).timestamp())
    return _signer().sign(f"{message_id}-{expires}")


def read_unsubscribe_token(token: str, now: datetime) -> int | None:
    """The message's id; None for a token that is not ours or has expired."""
    try:
        message_id, _, expires = _signer().unsign(token).partition("-")
    except BadSignature:
        return None
    if not (message_id.isdigit() and expires.isdigit()) or int(expires) < now.timestamp():
        return None
    return int(message_id)


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
