"""When a step is due where its reader lives: local days, send windows, business days and holidays.

All moments that go in and come out are aware and, what comes out, in UTC. A moment fits a window
when the reader's own clock and calendar say so, on the two odd nights of a year too: a clock that
jumps over the window's beginning opens it with the jump, and one that goes back opens it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

# Nobody has so many days off in a row: a calendar that says so is wrong.
LOOK_AHEAD_DAYS = 60
_MIDNIGHT = time(0)
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_SATURDAY = 5


class Days(StrEnum):
    BUSINESS = "business"  # Monday to Friday, without the public holidays of the reader's country
    ANY = "any"  # every day of the week, holidays too


def no_holiday(_: date) -> bool:
    """The calendar of somebody whose country is not known."""
    return False


@dataclass(frozen=True, slots=True)
class Window:
    """The hours of a day in which mail may leave: from `opens` to just before `closes`, which is
    the end of the day where it is 00:00. Raises ValueError where that spans no time."""

    opens: time = _MIDNIGHT
    closes: time = _MIDNIGHT
    days: Days = Days.ANY

    def __post_init__(self) -> None:
        if self.closes != _MIDNIGHT and self.opens >= self.closes:
            raise ValueError(
                f"from {self.opens:%H:%M} to {self.closes:%H:%M} spans no time of one day"
            )

    def fits(self, local: datetime, holiday: Callable[[date], bool]) -> bool:
        """Whether mail may leave at this local time."""
        clock = local.time()
        in_time = clock >= self.opens and (self.closes == _MIDNIGHT or clock < self.closes)
        return in_time and self.open_on(local.date(), holiday)

    def open_on(self, day: date, holiday: Callable[[date], bool]) -> bool:
        if self.days is Days.ANY:
            return True
        return day.weekday() < _SATURDAY and not holiday(day)


def clock_time(text: str) -> time:
    """`09:30`; `24:00` is the end of the day. Raises ValueError for anything else."""
    if text == "24:00":
        return _MIDNIGHT
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time of day; expected 00:00 to 24:00, such as 09:30")
    return time(int(found[1]), int(found[2]))


def local_day(anchor: datetime, day: int, zone: ZoneInfo) -> datetime:
    """The same time of the reader's day, `day` local dates later. A time that the clock leaves out
    that night is as much later as it jumps; of one that comes twice it is the first."""
    _must_be_aware(anchor)
    if day == 0:
        return anchor.astimezone(UTC)
    local = anchor.astimezone(zone)
    then = datetime.combine(local.date() + timedelta(days=day), local.time(), tzinfo=zone)
    return then.astimezone(UTC)


def due(
    anchor: datetime,
    day: int,
    zone: ZoneInfo,
    window: Window | None,
    holiday: Callable[[date], bool] = no_holiday,
) -> datetime:
    """When the step of this day is due for somebody who was enrolled at `anchor`."""
    return next_fit(local_day(anchor, day, zone), zone, window, holiday)


def next_fit(
    moment: datetime,
    zone: ZoneInfo,
    window: Window | None,
    holiday: Callable[[date], bool] = no_holiday,
) -> datetime:
    """The first moment from this one on that fits the window; itself where it fits, or where there
    is none. Raises ValueError where the calendar leaves no day."""
    _must_be_aware(moment)
    moment = moment.astimezone(UTC)
    if window is None or window.fits(moment.astimezone(zone), holiday):
        return moment
    today = moment.astimezone(zone).date()
    for ahead in range(LOOK_AHEAD_DAYS + 1):
        day = today + timedelta(days=ahead)
        if not window.open_on(day, holiday):
            continue
        for opening in sorted(_openings(day, zone, window)):
            if opening >= moment and window.fits(opening.astimezone(zone), holiday):
                return opening
    raise ValueError(f"no day of the next {LOOK_AHEAD_DAYS} is one on which mail may leave")


def _openings(day: date, zone: ZoneInfo, window: Window) -> Iterator[datetime]:
    """Every moment of this local day at which the window may open: when the clock shows its
    beginning, once or twice, and when the clock is moved."""
    for fold in (0, 1):
        local = datetime.combine(day, window.opens, tzinfo=zone).replace(fold=fold)
        yield local.astimezone(UTC)
    before = datetime.combine(day, _MIDNIGHT, tzinfo=UTC) - timedelta(days=1)
    after = before + timedelta(days=3)
    if _offset(before, zone) != _offset(after, zone):
        yield _moved(before, after, zone)


def _moved(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The second between these two at which the clock is moved."""
    low, high, old = 0, int((after - before).total_seconds()), _offset(before, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(before + timedelta(seconds=middle), zone) == old:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _must_be_aware(moment: datetime) -> None:
    if moment.tzinfo is None:
        raise ValueError("a moment without a zone is no moment")
