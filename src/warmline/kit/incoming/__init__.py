"""What a mail that came in says of a mail that we sent: it bounced, it was delivered, somebody
complained, unsubscribed or answered. A mail that names none of ours says nothing.

Pure. Whether an id in it is truly ours is for `flows.about_mail` to say, which has the key.
"""

from __future__ import annotations

from datetime import datetime

from warmline.core.events import Event, EventKind
from warmline.kit.incoming.answers import about_an_answer
from warmline.kit.incoming.letter import Letter, read
from warmline.kit.incoming.reports import about_a_report
from warmline.kit.incoming.said import ADDRESS, MESSAGE_ID, PROVIDER_ID, Said

__all__ = ["ADDRESS", "MESSAGE_ID", "PROVIDER_ID", "Letter", "Said", "events_of", "read"]


def events_of(raw: bytes) -> list[Event]:
    """At most one event. Never raises for what a mail holds: anybody can send one."""
    letter = read(raw)
    if not (letter.message_id or letter.provider_id):
        return []
    said = about_a_report(letter) or about_an_answer(letter)
    return [event(letter, said)] if said else []


def event(letter: Letter, said: Said) -> Event:
    """Its key is the mail's own: the same however often and by whatever way it comes."""
    kind = EventKind(said.kind)
    return Event(
        kind=kind,
        key=f"{kind}:{letter.digest}",
        word=said.word,
        occurred_at=_sane(letter.date),
        fields={
            name: text
            for name, text in {
                MESSAGE_ID: letter.message_id,
                PROVIDER_ID: letter.provider_id,
                **said.fields,
            }.items()
            if text
        },
    )


def _sane(date: datetime | None) -> datetime | None:
    """A mail's date is its sender's word: one without a zone, or of long ago, tells nothing."""
    return date if date is not None and date.tzinfo is not None and date.year >= 2000 else None
