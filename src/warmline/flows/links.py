"""Links in mails that prove where they come from: signed, expiring, unguessable.

Signed with the project's secret key, so that nobody can unsubscribe somebody else by counting.
"""

from __future__ import annotations

import hashlib
import hmac
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


def message_id_header(message_id: int, domain: str) -> str:
    """RFC 5322 Message-ID, derived from the message's row: the same on every attempt, and not to
    be guessed from a number."""
    mark = hmac.new(settings.SECRET_KEY.encode(), b"message-id:%d" % message_id, hashlib.sha256)
    return f"<warmline.{message_id}.{mark.hexdigest()[:16]}@{domain}>"
