"""How far a folder has been read: `<UIDVALIDITY>:<UID>:<when the newest of them came>`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from warmline.core.errors import Malformed


@dataclass(frozen=True, slots=True)
class Position:
    """`uid` is the last one that was read under this `validity`; 0: none, and then mails count
    that came at `since` or later, or all of them."""

    validity: int = 0
    uid: int = 0
    since: datetime | None = None

    def __str__(self) -> str:
        since = self.since.isoformat() if self.since else ""
        return f"{self.validity}:{self.uid}:{since}" if self.uid or since else ""

    @classmethod
    def read(cls, text: str) -> Position:
        if not text:
            return cls()
        try:
            validity, uid, since = text.split(":", 2)
            at = datetime.fromisoformat(since) if since else None
            return cls(int(validity), int(uid), at)
        except ValueError:
            raise Malformed("mailbox: the cursor cannot be read: begin anew") from None
