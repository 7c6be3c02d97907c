"""Dates as exports write them. Where day and month cannot be told apart, nothing is guessed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_NUMBER = re.compile(r"\d{1,17}(\.\d+)?")
_PARTS = re.compile(
    r"(?P<a>\d{1,2})(?P<mark>[/.\-])(?P<b>\d{1,2})(?P=mark)(?P<year>\d{4}|\d{2})"
    r"(?:,?[ T]+(?P<time>.+))?"
)
_YEAR_FIRST = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?:[ T]+(?P<time>.+))?")
_TIME = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*([AaPp])?\.?(?(4)[Mm]\.?)\s*(?:UTC|GMT|Z)?"
)
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_MONTH_WORD = re.compile(
    r"(?:[A-Za-z]{3,9},?\s+)?"
    r"(?:(?P<d1>\d{1,2})(?:st|nd|rd|th)?[ \-]+(?P<m1>[A-Za-z]{3,9})\.?,?[ \-]+"
    r"|(?P<m2>[A-Za-z]{3,9})\.?[ \-]+(?P<d2>\d{1,2})(?:st|nd|rd|th)?,?[ \-]+)"
    r"(?P<year>\d{4}|\d{2})(?:,?\s+(?:at\s+)?(?P<time>\d.*))?"
)
_EXCEL_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)
_EXCEL_DAYS = (10_000, 80_000)  # 1927 to 2119; other numbers are no dates
_YEARS = range(1970, 2101)

EXPECTED = "a date such as 2026-03-04 or 2026-03-04T09:30:00Z"


class Ambiguous(ValueError):
    """Day and month could be either."""


def read_date(value: object, order: str) -> datetime | None:
    """The moment, in UTC where no zone is said; None where the cell is empty. `order` is dmy, mdy
    or empty. Raises ValueError, or Ambiguous."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return _plausible(_of_number(float(value)))
    text = str(value).strip()
    if not text or text in {"-", "n/a", "N/A", "null", "None"}:
        return None
    if _NUMBER.fullmatch(text):
        return _plausible(_of_number(float(text)))
    return _plausible(_of_text(text, order))


def order_of(value: object) -> str:
    """dmy or mdy where this cell proves one; `?` where it would need to be known; else empty."""
    if not isinstance(value, str) or not (found := _PARTS.fullmatch(value.strip())):
        return ""
    first, second = int(found["a"]), int(found["b"])
    if found["mark"] == "." or first == second:
        return ""
    if first > 12 >= second:
        return "dmy"
    if second > 12 >= first:
        return "mdy"
    return "?" if first <= 12 else ""


def _plausible(moment: datetime) -> datetime:
    if moment.year not in _YEARS:
        raise ValueError("year")
    return moment


def _of_number(number: float) -> datetime:
    """Excel's days, or seconds or milliseconds since 1970."""
    if _EXCEL_DAYS[0] <= number <= _EXCEL_DAYS[1]:
        moment = _EXCEL_EPOCH + timedelta(days=number)
        return (moment + timedelta(milliseconds=500)).replace(microsecond=0)
    if 19700101 <= number <= 21001231 and number == int(number):
        return datetime.strptime(str(int(number)), "%Y%m%d").replace(tzinfo=UTC)
    if 10**8 <= number < 10**10:
        return datetime.fromtimestamp(number, UTC)
    if 10**11 <= number < 10**13:
        return datetime.fromtimestamp(number / 1000, UTC)
    raise ValueError("number")


def _of_text(text: str, order: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError:
        pass
    else:
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if found := _YEAR_FIRST.fullmatch(text):
        return _moment(int(found[1]), int(found[2]), int(found[3]), found["time"])
    if found := _PARTS.fullmatch(text):
        first, second, year = int(found["a"]), int(found["b"]), _year(found["year"])
        if found["mark"] == "." or first == second:
            order = "dmy"  # dots are never written month first
        if not order:
            raise Ambiguous(text)
        day, month = (first, second) if order == "dmy" else (second, first)
        return _moment(year, month, day, found["time"])
    if found := _MONTH_WORD.fullmatch(text):
        month = _MONTHS[_month_word(found["m1"] or found["m2"])]
        return _moment(_year(found["year"]), month, int(found["d1"] or found["d2"]), found["time"])
    raise ValueError("form")


def _month_word(word: str) -> str:
    short = word[:3].lower()
    if short not in _MONTHS:
        raise ValueError("month")
    return short


def _year(text: str) -> int:
    year = int(text)
    return year if year > 99 else year + (2000 if year < 69 else 1900)


def _moment(year: int, month: int, day: int, time: str | None) -> datetime:
    hour = minute = second = 0
    if time:
        found = _TIME.fullmatch(time.strip())
        if not found:
            raise ValueError("time")
        hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
        if found[4]:
            if not 1 <= hour <= 12:
                raise ValueError("hour")
            hour = hour % 12 + (12 if found[4].lower() == "p" else 0)
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
