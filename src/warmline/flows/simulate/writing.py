"""The files of a simulation: CSV for spreadsheets, JSON for programs, and the report."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from warmline.flows.simulate.compare import Comparison
from warmline.flows.simulate.findings import Mail, Simulation, Volume
from warmline.flows.simulate.page import page

REPORT, MAILS, NOTHING = "report.html", "mails.csv", "without.csv"
COLLISIONS, HOLDS, WHOLE, CHANGES = "collisions.csv", "holds.csv", "simulation.json", "changes.csv"
# What a spreadsheet takes for the beginning of a formula, also behind blanks.
_DANGEROUS = re.compile(r"^[\t\r\n]|^\s*[=+\-@＝＋－＠]")  # noqa: RUF001 - these are meant
_MAIL = (
    "candidate", "address", "segment", "sequence", "step", "piece", "subject", "local", "zone",
    "utc", "sender", "status", "reason",
)  # fmt: skip


def write(found: Simulation, folder: Path, compared: Comparison | None = None) -> None:
    """Into a folder that nobody else on the machine may read. Files of before are replaced."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _table(folder / MAILS, _MAIL, map(_mail, found.mails))
    _table(
        folder / NOTHING,
        ("candidate", "address", "segment", "reason"),
        ((w.candidate, w.address, w.segment, w.reason) for w in found.without),
    )
    _table(
        folder / HOLDS,
        ("candidate", "address", "mail", "due_utc", "held_until_utc", "reason"),
        ((h.candidate, h.address, h.where, utc(h.at), utc(h.until), h.reason) for h in found.holds),
    )
    _table(
        folder / COLLISIONS,
        ("candidate", "address", "what", "first", "second", "utc", "days_apart"),
        (
            (c.candidate, c.address, c.what, c.first, c.second, utc(c.at),
             "" if c.apart_days is None else c.apart_days)
            for c in found.collisions
        ),
    )  # fmt: skip
    (folder / CHANGES).unlink(missing_ok=True)
    if compared is not None:
        _table(folder / CHANGES, _CHANGE, map(_change, compared.changes))
    with _whole(folder / WHOLE) as file:
        _json(file, found, compared)
    with _whole(folder / REPORT) as file:
        file.write(page(found, compared))


_CHANGE = (
    "candidate", "address", "sequence", "piece", "change", "utc_before", "utc_now",
    "subject_before", "subject_now", "sender_before", "sender_now", "why",
)  # fmt: skip


def _change(one: Any) -> Sequence[object]:
    b, a, mail = one.before, one.after, one.mail
    return (
        mail.candidate, mail.address, mail.sequence, mail.piece, one.kind,
        utc(b.at if b else None), utc(a.at if a else None),
        b.subject if b else "", a.subject if a else "",
        b.sender if b else "", a.sender if a else "", one.why,
    )  # fmt: skip


def _mail(mail: Mail) -> Sequence[object]:
    return (
        mail.candidate, mail.address, mail.segment, mail.sequence, mail.step, mail.piece,
        mail.subject, mail.local, mail.zone, utc(mail.at), mail.sender, mail.fate, mail.reason,
    )  # fmt: skip


def utc(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else ""


def _table(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with _whole(path) as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows([safe(str(cell)) for cell in row] for row in rows)


def safe(text: str) -> str:
    """A cell that no spreadsheet executes: a leading apostrophe makes it a text."""
    return f"'{text}" if _DANGEROUS.match(text) else text


@contextmanager
def _whole(path: Path) -> Iterator[TextIO]:
    """Whole or not at all, readable by its owner alone."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "w", encoding="utf-8", errors="replace", newline="") as file:
            yield file
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def totals(found: Simulation, compared: Comparison | None = None) -> dict[str, Any]:
    """The figures, without a row a person."""
    sent = found.sent
    told: dict[str, Any] = {
        "version": 1,
        "begins": utc(found.begins),
        "ends": utc(found.ends),
        "days": found.days,
        "assumed": found.assumed,
        "people": found.people,
        "people_mailed": len({mail.candidate for mail in sent}),
        "mails": len(sent),
        "mails_by_step": dict(Counter(mail.where for mail in sent)),
        "not_sent": dict(Counter(str(mail.fate) for mail in found.kept)),
        "holds": dict(found.why_held.most_common()),
        "without": dict(found.why_nothing.most_common()),
        "collisions": dict(Counter(one.what for one in found.collisions)),
        "senders": [_volume(one) for one in found.senders],
        "domains": [_volume(one) for one in found.domains],
        "enrolled_by_backfill": found.enrolled_by_backfill,
        "actions": {name: dict(kinds) for name, kinds in found.actions.items()},
    }
    if compared is not None:
        told["against"] = {
            "old": compared.old,
            "mails_before": len(compared.before.sent),
            "people_affected": compared.people,
            "changes": {str(kind): n for kind, n in compared.counts.items()},
            "parts": [
                {
                    "sequence": part.sequence,
                    "piece": part.piece,
                    "before": part.sent_before,
                    "now": part.sent_after,
                    "people": len(part.people),
                    "shift_days": round(part.shift_days, 3),
                    **{str(kind): n for kind, n in part.counts.items()},
                }
                for part in compared.parts
            ],
        }
    return told


def _volume(one: Volume) -> dict[str, Any]:
    return {
        "name": one.name,
        "mails": one.total,
        "days": [
            {"day": day.isoformat(), "mails": n, "limit": one.limits.get(day)}
            for day, n in sorted(one.by_day.items())
        ],
    }


def _json(file: TextIO, found: Simulation, compared: Comparison | None) -> None:
    """The mails one a line, as they are written and not all at once."""
    text = json.dumps(totals(found, compared), ensure_ascii=False, indent=1)
    file.write(text[: text.rindex("}")].rstrip() + ',\n "every_mail": [')
    for i, mail in enumerate(found.mails):
        row = dict(zip(_MAIL, _mail(mail), strict=True))
        file.write((",\n  " if i else "\n  ") + json.dumps(row, ensure_ascii=False))
    file.write("\n ]\n}\n")
