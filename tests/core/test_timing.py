"""Steps fall due on the reader's own days and hours, through every change of their clocks."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from warmline.core.timing import (
    LOOK_AHEAD_DAYS,
    Days,
    Window,
    clock_time,
    due,
    local_day,
    next_fit,
    no_holiday,
)

BERLIN, NEW_YORK, LISBON = (
    ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Europe/Lisbon")
)
OFFICE = Window(time(9), time(17), Days.BUSINESS)
# Clocks that move at midnight, by half an hour, or in the other half of the year.
ODD = [
    "Australia/Lord_Howe", "America/Havana", "America/Santiago", "America/Asuncion", "Asia/Beirut",
    "Africa/Cairo", "Africa/Casablanca", "Pacific/Chatham", "Asia/Kathmandu", "Atlantic/Azores",
    "Pacific/Kiritimati", "America/St_Johns",
]  # fmt: skip
zones = st.sampled_from([*ODD, *sorted(zoneinfo.available_timezones() - {"localtime"})]).map(
    ZoneInfo
)
moments = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001 - Hypothesis adds the zone
    datetime(2036, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
minutes = st.integers(0, 24 * 60 - 1).map(lambda n: time(n // 60, n % 60))


@st.composite
def windows(draw: st.DrawFn) -> Window:
    opens, closes = draw(minutes), draw(minutes)
    assume(closes == time(0) or opens < closes)
    return Window(opens, closes, draw(st.sampled_from(Days)))


def thursdays(day: date) -> bool:
    """A calendar with many holidays."""
    return day.weekday() == 3


@given(moments, zones, windows())
@example(datetime(2026, 3, 29, 0, 30, tzinfo=UTC), BERLIN, Window(time(2, 15), time(2, 45)))
@example(datetime(2026, 10, 25, 0, 10, tzinfo=UTC), BERLIN, Window(time(1), time(2, 5)))
def test_what_fits_is_in_the_window_and_not_before_the_moment(
    moment: datetime, zone: ZoneInfo, window: Window
) -> None:
    found = next_fit(moment, zone, window, thursdays)
    local = found.astimezone(zone)
    assert found.tzinfo is UTC
    assert found >= moment
    assert window.opens <= local.time()
    assert window.closes == time(0) or local.time() < window.closes
    if window.days is Days.BUSINESS:
        assert local.weekday() in (0, 1, 2, 4)
    assert next_fit(found, zone, window, thursdays) == found


@given(st.sampled_from(ODD).map(ZoneInfo), moments, windows())
@example(BERLIN, datetime(2026, 3, 29, 0, 30, tzinfo=UTC), Window(time(2, 30), time(4)))
@example(BERLIN, datetime(2026, 10, 25, 0, 40, tzinfo=UTC), Window(time(0, 30), time(2, 30)))
@example(BERLIN, datetime(2026, 10, 25, 0, 40, tzinfo=UTC), Window(time(2, 15), time(2, 30)))
def test_nothing_that_fits_is_passed_over(zone: ZoneInfo, moment: datetime, window: Window) -> None:
    """Minute by minute, as a clock on the wall would find it: around a change of that clock."""
    moment = moment.replace(second=0, microsecond=0)
    found = next_fit(moment, zone, window)
    walked = min(found - moment, timedelta(days=2))
    for minute in range(0, int(walked.total_seconds()) // 60, 7):
        at = (moment + timedelta(minutes=minute)).astimezone(zone)
        assert not window.fits(at, no_holiday)
    if found != moment:
        just_before = found - timedelta(seconds=1)
        assert not window.fits(just_before.astimezone(zone), no_holiday)


@given(moments, zones, st.integers(0, 400))
def test_a_day_is_a_date_on_the_readers_calendar(
    anchor: datetime, zone: ZoneInfo, day: int
) -> None:
    local, then = anchor.astimezone(zone), local_day(anchor, day, zone).astimezone(zone)
    wanted = local.date() + timedelta(days=day)
    there = datetime.combine(wanted, local.time(), tzinfo=zone)
    if there.astimezone(UTC).astimezone(zone).time() == local.time():  # no gap in that night
        assert (then.date(), then.time()) == (wanted, local.time())
    else:
        assert timedelta(0) < then.replace(tzinfo=None) - there.replace(tzinfo=None)
        assert then.replace(tzinfo=None) - there.replace(tzinfo=None) <= timedelta(days=1)


@given(moments, zones, windows(), st.lists(st.integers(0, 60), min_size=2, max_size=5).map(sorted))
def test_later_days_are_never_due_sooner(
    anchor: datetime, zone: ZoneInfo, window: Window, days: list[int]
) -> None:
    found = [due(anchor, day, zone, window, thursdays) for day in days]
    assert found == sorted(found)
    assert found[0] >= anchor


@pytest.mark.parametrize(
    ("zone", "enrolled", "day", "local"),
    [
        # The clock goes forward on 2026-03-29: nine stays nine.
        (BERLIN, "2026-03-25T09:15+01:00", 7, "2026-04-01T09:15+02:00"),
        # And back on 2026-10-25.
        (BERLIN, "2026-10-20T09:15+02:00", 7, "2026-10-27T09:15+01:00"),
        # New York changes on other days than Europe does.
        (NEW_YORK, "2026-03-04T10:00-05:00", 7, "2026-03-11T10:00-04:00"),
        # Enrolled on a Sunday at night: the next day it opens.
        (LISBON, "2026-06-14T23:50+01:00", 0, "2026-06-15T09:00+01:00"),
        # Past the end of Friday: Monday morning.
        (LISBON, "2026-06-12T17:00+01:00", 0, "2026-06-15T09:00+01:00"),
        # The reader's Friday, although it is Saturday in UTC.
        (NEW_YORK, "2026-06-05T16:59-04:00", 7, "2026-06-12T16:59-04:00"),
    ],
)
def test_the_hour_is_the_readers(zone: ZoneInfo, enrolled: str, day: int, local: str) -> None:
    anchor = datetime.fromisoformat(enrolled)
    found = due(anchor, day, zone, OFFICE)
    assert found.astimezone(zone).isoformat(timespec="minutes") == local


def test_a_time_that_the_night_leaves_out_is_later_by_the_jump() -> None:
    anchor = datetime(2026, 3, 28, 2, 30, tzinfo=BERLIN)
    then = due(anchor, 1, BERLIN, None).astimezone(BERLIN)
    assert then.isoformat() == "2026-03-29T03:30:00+02:00"


def test_of_a_time_that_comes_twice_it_is_the_first() -> None:
    anchor = datetime(2026, 10, 24, 2, 30, tzinfo=BERLIN)
    then = due(anchor, 1, BERLIN, None)
    assert then.astimezone(BERLIN).isoformat() == "2026-10-25T02:30:00+02:00"


def test_a_window_that_the_night_leaves_out_opens_on_the_day_after() -> None:
    moment = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    found = next_fit(moment, BERLIN, Window(time(2, 15), time(2, 45))).astimezone(BERLIN)
    assert found.isoformat() == "2026-03-30T02:15:00+02:00"


def test_a_window_that_begins_in_the_gap_opens_with_the_jump() -> None:
    moment = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    found = next_fit(moment, BERLIN, Window(time(2, 30), time(4))).astimezone(BERLIN)
    assert found.isoformat() == "2026-03-29T03:00:00+02:00"


def test_a_clock_that_goes_back_opens_the_window_again() -> None:
    """00:30 to 02:30, and at 03:00 it is 02:00 once more."""
    closed = datetime(2026, 10, 25, 0, 40, tzinfo=UTC)  # 02:40 of summer
    found = next_fit(closed, BERLIN, Window(time(0, 30), time(2, 30))).astimezone(BERLIN)
    assert found.isoformat() == "2026-10-25T02:00:00+01:00"
    assert found.fold == 1


def test_a_clock_that_goes_back_over_midnight_opens_the_evening_again() -> None:
    """In St. John's one minute past midnight was 23:01 of the day before, until 2010."""
    zone = ZoneInfo("America/St_Johns")
    moment = datetime(2008, 11, 2, 0, 0, 30, tzinfo=zone)
    found = next_fit(moment, zone, Window(time(22), time(0))).astimezone(zone)
    assert found.isoformat() == "2008-11-01T23:01:00-03:30"


def test_a_day_that_a_country_leaves_out_is_the_next_one() -> None:
    """Samoa went from the 29th to the 31st of December 2011."""
    apia = ZoneInfo("Pacific/Apia")
    anchor = datetime(2011, 12, 29, 10, tzinfo=apia)
    assert local_day(anchor, 1, apia).astimezone(apia).day == 31
    assert local_day(anchor, 2, apia).astimezone(apia).day == 31


def test_holidays_are_no_business_days_and_any_day_is_any_day() -> None:
    good_friday = datetime(2026, 4, 3, 8, tzinfo=UTC)

    def easter(day: date) -> bool:
        return day in (date(2026, 4, 3), date(2026, 4, 6))

    found = next_fit(good_friday, BERLIN, OFFICE, easter).astimezone(BERLIN)
    assert found.isoformat() == "2026-04-07T09:00:00+02:00"
    any_day = Window(time(9), time(17))
    assert next_fit(good_friday, BERLIN, any_day, easter) == good_friday


def test_a_calendar_without_a_working_day_is_an_error_and_no_endless_search() -> None:
    with pytest.raises(ValueError, match=f"next {LOOK_AHEAD_DAYS}"):
        next_fit(datetime(2026, 3, 1, tzinfo=UTC), BERLIN, OFFICE, lambda day: True)


@pytest.mark.parametrize(("opens", "closes"), [("17:00", "09:00"), ("09:00", "09:00")])
def test_a_window_that_spans_no_time_is_refused(opens: str, closes: str) -> None:
    with pytest.raises(ValueError, match="spans no time"):
        Window(clock_time(opens), clock_time(closes))


def test_a_window_may_be_the_whole_day() -> None:
    whole = Window(clock_time("00:00"), clock_time("24:00"))
    at = datetime(2026, 3, 1, 23, 59, 59, 999999, tzinfo=UTC)
    assert next_fit(at, BERLIN, whole) == at


@pytest.mark.parametrize(
    "text", ["9:00", "25:00", "09:60", "noon", "", "24:01", "09:00:00", " 09:00"]
)
def test_what_is_no_time_of_day_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="no time of day"):
        clock_time(text)


def test_a_moment_without_a_zone_is_refused() -> None:
    naive = datetime(2026, 3, 1)  # noqa: DTZ001
    for ask in (lambda: due(naive, 1, BERLIN, None), lambda: next_fit(naive, BERLIN, None)):
        with pytest.raises(ValueError, match="without a zone"):
            ask()
