"""What the audit has to say of the file itself: which rows it could not read, and what is odd."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

EXAMPLES_MAX = 10
# Faults kept one by one; beyond, they are counted.
FAULTS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Note:
    """One sentence on the file; `rows` are examples, numbered as a spreadsheet does."""

    text: str
    rows: tuple[int, ...] = ()
    count: int = 0

    def sentence(self) -> str:
        if not self.rows:
            return self.text
        more = self.count - len(self.rows)
        listed = ", ".join(f"{row:,}" for row in self.rows)
        rest = f" and {more:,} more" if more > 0 else ""
        return f"{self.text} (row {listed}{rest})"


@dataclass(slots=True)
class Reading:
    """What came of reading the source. `columns`: field → header. `unread`: (row, why) of rows that
    could not be read, of which there were `unread_count`."""

    source: str
    form: str = ""
    rows: int = 0
    columns: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    unread: list[tuple[int, str]] = field(default_factory=list)
    unread_count: int = 0
    notes: list[Note] = field(default_factory=list)

    def fault(self, row: int, why: str) -> None:
        self.unread_count += 1
        if len(self.unread) < FAULTS_MAX:
            self.unread.append((row, why))

    def note(self, text: str, rows: Iterable[int] = (), count: int = 0) -> None:
        some = tuple(rows)[:EXAMPLES_MAX]
        self.notes.append(Note(text, some, count or len(some)))

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "form": self.form,
            "rows": self.rows,
            "columns": self.columns,
            "unknown": self.unknown,
            "unread": self.unread,
            "unread_count": self.unread_count,
            "notes": [[note.text, list(note.rows), note.count] for note in self.notes],
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Reading:
        fields = dict(kept)
        fields["unread"] = [(int(row), str(why)) for row, why in kept["unread"]]
        fields["notes"] = [Note(text, tuple(rows), count) for text, rows, count in kept["notes"]]
        return cls(**fields)
