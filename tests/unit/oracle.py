"""Fire times by brute force: look at every moment and every wall time. Shares no code with what it judges."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

MONTHS = {name.lower(): i for i, name in enumerate(calendar.month_abbr) if name}
WEEKDAYS = {name.lower(): (i + 1) % 7 for i, name in enumerate(calendar.day_abbr)}


def allowed(field: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    values: set[int] = set()
    for item in field.lower().split(","):
        span, _, step = item.partition("/")
        first, dash, last = span.partition("-")
        if first in {"*", "?"}:
            start, end = low, high
        else:
            start = (names or {}).get(first) if first.isalpha() else int(first)
            end = ((names or {}).get(last) if last.isalpha() else int(last)) if dash else (high if step else start)
        span_values = range(start, end + 1) if start <= end else [*range(start, high + 1), *range(low, end + 1)]
        values.update(list(span_values)[:: int(step or 1)])
    return values


def day_matches(day: date, day_of_month: str, month: str, day_of_week: str) -> bool:
    if day.month not in allowed(month, 1, 12, MONTHS):
        return False
    by_day = any(_in_month(day, item) for item in day_of_month.lower().split(","))
    by_weekday = any(_in_week(day, item) for item in day_of_week.lower().split(","))
    if day_of_month in {"*", "?"} or day_of_week in {"*", "?"}:
        return by_day and by_weekday
    return by_day or by_weekday


def _in_month(day: date, item: str) -> bool:
    length = calendar.monthrange(day.year, day.month)[1]
    if item == "l":
        return day.day == length
    if item.endswith("w"):
        wanted = day.replace(day=min(int(item[:-1]), length))
        working = [day.replace(day=n) for n in range(1, length + 1) if day.replace(day=n).weekday() < 5]
        return day == min(working, key=lambda other: abs((other - wanted).days))
    return day.day in allowed(item, 1, 31)


def _in_week(day: date, item: str) -> bool:
    same = [n for n in range(1, 32) if n <= calendar.monthrange(day.year, day.month)[1] and (n - day.day) % 7 == 0]
    if item.startswith("l"):
        return day.isoweekday() % 7 == int(item[1:]) % 7 and day.day == same[-1]
    name, _, which = item.partition("#")
    if which and same.index(day.day) + 1 != int(which):
        return False
    return day.isoweekday() % 7 in {value % 7 for value in allowed(name, 0, 6, WEEKDAYS)}


@lru_cache(maxsize=200)
def moments(zone: ZoneInfo, start: datetime, end: datetime, step: timedelta) -> list[tuple[datetime, datetime]]:
    """Each instant with what the local clock shows."""
    count = (end - start) // step
    return [(at, at.astimezone(zone).replace(tzinfo=None)) for at in (start + i * step for i in range(count + 1))]


def fire_times(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """All fire times from `start` to `end`, for clock changes on whole minutes that do not touch the ends."""
    minute, hour, day_of_month, month, day_of_week, *second = expression.split()
    minutes, hours = allowed(minute, 0, 59), allowed(hour, 0, 23)
    seconds = allowed(second[0], 0, 59) if second else {0}
    days: dict[date, bool] = {}

    def matches(wall: datetime) -> bool:
        if wall.minute not in minutes or wall.hour not in hours or wall.second not in seconds:
            return False
        if wall.date() not in days:
            days[wall.date()] = day_matches(wall.date(), day_of_month, month, day_of_week)
        return days[wall.date()]

    step = timedelta(seconds=1) if second else timedelta(minutes=1)
    line = moments(zone, start, end, step)
    if second or minute.startswith("*") or hour.startswith("*"):
        return [at for at, wall in line if matches(wall)]
    return _once_each(line, matches, step)


def _once_each(
    line: list[tuple[datetime, datetime]], matches: Callable[[datetime], bool], step: timedelta
) -> list[datetime]:
    fired: set[datetime] = set()
    seen: set[datetime] = set()
    expected = line[0][1]
    for at, wall in line:
        while expected < wall:  # what the clock skips comes now
            if expected not in seen and matches(expected):
                fired.add(at)
            seen.add(expected)
            expected += step
        if wall not in seen and matches(wall):
            fired.add(at)
        seen.add(wall)
        expected = wall + step
    return sorted(fired)


def clock_changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """The instants of a year at which the offset from UTC changes, to the minute."""
    changes = []
    hour, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    while hour < end:
        following = hour + timedelta(hours=1)
        if hour.astimezone(zone).utcoffset() != following.astimezone(zone).utcoffset():
            minutes = (hour + timedelta(minutes=n) for n in range(1, 61))
            changes.append(
                next(at for at in minutes if at.astimezone(zone).utcoffset() != hour.astimezone(zone).utcoffset())
            )
        hour = following
    return changes
