"""When a schedule's fields match, on a clock that never changes: the calendar's part of the fire times."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from calendar import monthrange
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ostinato_shared.schedule_grammar import Fields

SATURDAY, SUNDAY = 6, 0
DAYS_OF_WEEK = 7

_month_shape = lru_cache(maxsize=8192)(monthrange)  # sparse schedules look at 400 years of months


class WallTimes:
    """The local date-times that match a schedule's fields, in order."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._days_by_shape = _days_by_shape(fields.days, fields.nearest_weekday, fields.weekdays, fields.either_day)

    def at_or_after(self, start: datetime, *, last_year: int) -> datetime | None:
        """The first match at or after `start` on its own clock, None when there is none up to `last_year`."""
        if self._has_date(start):
            time = self._time_at_or_after(start.hour, start.minute, start.second)
            if time is not None:
                return datetime(start.year, start.month, start.day, *time, tzinfo=start.tzinfo)
        date = self._date_after(start, last_year)
        if date is None:
            return None
        fields = self._fields
        return datetime(*date, fields.hours[0], fields.minutes[0], fields.seconds[0], tzinfo=start.tzinfo)

    def _has_date(self, start: datetime) -> bool:
        fields = self._fields
        return (
            start.month in fields.months
            and (fields.years is None or start.year in fields.years)
            and start.day in self._days(start.year, start.month)
        )

    def _time_at_or_after(self, hour: int, minute: int, second: int) -> tuple[int, int, int] | None:
        hours, minutes, seconds = self._fields.hours, self._fields.minutes, self._fields.seconds
        if hour in hours:
            if minute in minutes and second <= seconds[-1]:
                return hour, minute, seconds[bisect_left(seconds, second)]
            if minute < minutes[-1]:
                return hour, minutes[bisect_right(minutes, minute)], seconds[0]
        if hour < hours[-1]:
            return hours[bisect_right(hours, hour)], minutes[0], seconds[0]
        return None

    def _date_after(self, start: datetime, last_year: int) -> tuple[int, int, int] | None:
        if self._has_month(start):
            days = self._days(start.year, start.month)
            later = bisect_right(days, start.day)
            if later < len(days):
                return start.year, start.month, days[later]
        for year, month in self._months_after(start, last_year):
            days = self._days(year, month)
            if days:
                return year, month, days[0]
        return None

    def _has_month(self, start: datetime) -> bool:
        years = self._fields.years
        return start.month in self._fields.months and (years is None or start.year in years)

    def _months_after(self, start: datetime, last_year: int) -> Iterator[tuple[int, int]]:
        years = self._fields.years
        for year in range(start.year, last_year + 1) if years is None else years:
            if year < start.year:
                continue
            for month in self._fields.months:
                if year > start.year or month > start.month:
                    yield year, month

    def _days(self, year: int, month: int) -> tuple[int, ...]:
        """The matching days of a month: two months that start alike and are equally long match alike."""
        shape = _month_shape(year, month)
        days = self._days_by_shape.get(shape)
        if days is None:
            days = self._days_by_shape[shape] = _matching_days(self._fields, *shape)
        return days


@lru_cache(maxsize=1024)
def _days_by_shape(*_day_fields: object) -> dict[tuple[int, int], tuple[int, ...]]:
    """What schedules of the same day fields have found: 28 entries at most."""
    return {}


def _matching_days(fields: Fields, first: int, length: int) -> tuple[int, ...]:
    """The days that match in a month of `length` days whose 1st is the weekday `first`, Monday being 0."""
    match = any if fields.either_day else all
    return tuple(
        day
        for day in range(1, length + 1)
        if match((_has_day(fields, day, first, length), _has_weekday(fields, day, first, length)))
    )


def _has_day(fields: Fields, day: int, first: int, length: int) -> bool:
    if fields.nearest_weekday is not None:
        return day == _nearest_weekday(fields.nearest_weekday, first, length)
    return fields.days is None or day in fields.days or (day == length and "l" in fields.days)


def _has_weekday(fields: Fields, day: int, first: int, length: int) -> bool:
    if fields.weekdays is None:
        return True
    weekday = _weekday(day, first)
    which = (day - 1) // DAYS_OF_WEEK + 1
    is_last = day + DAYS_OF_WEEK > length
    return not fields.weekdays.isdisjoint({(weekday, None), (weekday, which), (weekday, "l" if is_last else None)})


def _nearest_weekday(day: int, first: int, length: int) -> int:
    """The working day nearest to `day`, never leaving the month."""
    day = min(day, length)
    weekday = _weekday(day, first)
    if weekday == SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == SUNDAY:
        return day + 1 if day < length else day - 2
    return day


def _weekday(day: int, first: int) -> int:
    """The day of the week as cron counts it, Sunday being 0."""
    return (first + day) % DAYS_OF_WEEK
