"""Dates and moments as a trigger passes them and as a custom field holds them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """A day, in UTC, and the moment in it where that is known."""

    day: date
    at: datetime | None = None

    @property
    def shown(self) -> str:
        """For people."""
        return f"{self.at:%Y-%m-%d %H:%M} UTC" if self.at else self.day.isoformat()

    def after(self, other: Moment) -> bool:
        """Surely later than the other one: of one day only where both moments are known."""
        if self.at is not None and other.at is not None:
            return self.at > other.at
        return self.day > other.day


def read(text: object) -> Moment | None:
    """A date or a moment in ISO 8601 (without an offset: UTC); None for anything else."""
    if not isinstance(text, str):
        return None
    text = text.strip()
    try:
        if len(text) == len("2026-03-02"):
            return Moment(date.fromisoformat(text))
        at = datetime.fromisoformat(text)
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return Moment(at.date(), at)
