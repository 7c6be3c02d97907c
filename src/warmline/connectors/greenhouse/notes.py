"""Notes on candidates: what they say, and the marker by which one is found again.

Harvest has no key that makes a call happen once, and a note can be neither changed nor taken back.
So each carries a short marker made of its action's key. Where the marker stands, the note does, and
with it the whole action: the note is written last.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from warmline.connectors.greenhouse import moments, shapes
from warmline.connectors.greenhouse.harvest import Harvest, number_of
from warmline.core.actions import ActionKind
from warmline.core.errors import Malformed, Refused, Unreachable

NOTES = "notes"
VISIBILITY = "public"  # to everybody who may see the candidate: it is for their recruiters
SUBJECT_LENGTH_MAX = 200
LINK_LENGTH_MAX = 1000
_MARKER = re.compile(r"\[warmline [0-9a-f]{12}\]")


@dataclass(frozen=True, slots=True)
class Note:
    marker: str
    body: str


def marker(key: str) -> str:
    """The same for the same action, another for another; of twelve digits, which are enough among
    the notes of one candidate."""
    return f"[warmline {hashlib.sha256(key.encode()).hexdigest()[:12]}]"


def note(kind: ActionKind, key: str, fields: Mapping[str, str]) -> Note:
    """What happened, in plain words. Fields that are not given are not spoken of."""
    said = _flag(fields) if kind is ActionKind.CANDIDATE_FLAG else _do_not_contact(fields)
    mark = marker(key)
    return Note(mark, f"{said}\n\nWritten by Warmline. {mark}")


def _flag(fields: Mapping[str, str]) -> str:
    when, subject = _on(fields.get("click_date", "")), _line(fields.get("email_subject", ""))
    link = _line(fields.get("link_url", ""), LINK_LENGTH_MAX)
    mail = f'our e-mail "{subject}"' if subject else "one of our e-mails"
    did = f"clicked a link in {mail}" if link else f"said yes to {mail}"
    return f"Interested again: this candidate {did}{when}." + (f"\nLink: {link}" if link else "")


def _do_not_contact(fields: Mapping[str, str]) -> str:
    when = _on(fields.get("unsubscribe_date", ""))
    return (
        f"Do not contact: this candidate unsubscribed from our e-mails{when}."
        " Greenhouse is set to send them no e-mail."
    )


def _on(text: str) -> str:
    if not text.strip():
        return ""
    found = moments.read(text)
    return f" on {found.shown if found else _line(text)}"


def _line(text: str, length_max: int = SUBJECT_LENGTH_MAX) -> str:
    """On one line, without what cannot be shown; and no marker but ours."""
    words = "".join(c if c.isprintable() else " " for c in shapes.clean(text)).split()
    line = _MARKER.sub("", " ".join(words)).strip()
    return line if len(line) <= length_max else line[: length_max - 1] + "…"


def read_markers(harvest: Harvest, records: Iterable[str]) -> dict[str, set[str]]:
    """Record → the markers in its notes. Raises Unreachable where the answer cannot be read."""
    found: dict[str, set[str]] = {record: set() for record in records}
    try:
        rows = harvest.look_up(NOTES, found, by="candidate_ids")
    except (Malformed, Refused) as error:
        raise Unreachable(error.reason) from None
    for row in rows:
        record, body = number_of(row, "candidate_id"), row.get("body")
        if record in found and isinstance(body, str):
            found[record].update(_MARKER.findall(body))
    return found
