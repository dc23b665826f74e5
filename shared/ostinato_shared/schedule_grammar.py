"""What a cron expression means: text in, the allowed values of its fields out. croniter reads it, we refuse more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from croniter import croniter

from ostinato_shared.errors import InvalidScheduleError

LONGEST = 256  # characters; real schedules have under 100, and reading costs time

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
FIELD_NAMES = ("minute", "hour", "day of month", "month", "day of week", "second", "year")
DAY_OF_MONTH, MONTH, DAY_OF_WEEK = 2, 3, 4
ALL_FIELDS = len(FIELD_NAMES)
FIELD_COUNTS = (5, 6, ALL_FIELDS)
LEAST_FIELDS = FIELD_COUNTS[0]

_STANDARD = (
    "Invalid cron schedule. Ensure the schedule uses the standard cron format "
    "(minute hour day_of_month month day_of_week). Example: '*/5 * * * *' for every 5 minutes."
)
_TEXT = re.compile(r"[\x20-\x7e\t\n\r\f\v]*")
_RANGE = re.compile(r"(\d+|[a-z]{3})-(\d+|[a-z]{3})(?:/0*[1-9]\d*)?")
_EQUAL_NTH = re.compile(r"([a-z]{3})-\1(#\d+)")
_NEAREST_WEEKDAY = re.compile(r"(\d+)w|w(\d+)")

_WEEKDAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NUMBERS = {
    MONTH: {name: n for n, name in enumerate(_MONTH_NAMES, start=1)},
    DAY_OF_WEEK: {name: n for n, name in enumerate(_WEEKDAY_NAMES)},
}

Last = Literal["l"]
Value = int | Literal["*", "l"]


@dataclass(frozen=True, slots=True)
class Fields:
    """The allowed values of each field, sorted; None where every value is allowed."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    seconds: tuple[int, ...]
    months: tuple[int, ...]
    years: tuple[int, ...] | None
    days: frozenset[int | Last] | None
    nearest_weekday: int | None  # the working day nearest this day of the month, instead of `days`
    weekdays: frozenset[tuple[int, int | Last | None]] | None  # 0 is Sunday; its which one in the month, None: each
    either_day: bool  # both day fields are restricted: one match is enough
    elapsed: bool  # follows elapsed time: fires at every real instant whose local clock matches


def parse(expression: str) -> Fields:
    """The fields of an expression. Raises InvalidScheduleError with what is wrong in it."""
    if len(expression) > LONGEST:
        raise InvalidScheduleError(expression, f"It has more than {LONGEST} characters.")
    if not _TEXT.fullmatch(expression):
        raise InvalidScheduleError(expression, "It has characters other than plain ASCII text.")
    text = expression.strip().lower()
    fields = [_without_equal_ranges(field, i) for i, field in enumerate(ALIASES.get(text, text).split())]
    if len(fields) not in FIELD_COUNTS:
        raise InvalidScheduleError(expression, _STANDARD)
    for name, field in zip(FIELD_NAMES, fields, strict=False):
        if field[0] in "hr":
            reason = f"The {name} field {field!r} is hashed (H) or random (R): it names no fixed times."
            raise InvalidScheduleError(expression, reason)
    try:
        expanded, nth = _expand(fields)
    except ValueError:
        raise InvalidScheduleError(expression, _STANDARD + _complaint(fields)) from None
    return _fields(fields, expanded, nth)


def _expand(fields: list[str]) -> tuple[list[list[Value]], dict[int, set[int | Last]]]:
    """What croniter makes of the fields. Thousands of schedules have few minutes, hours and dates among them."""
    minute, hour, *date = fields
    (minutes, *_), _ = _read(f"{minute} * * * *")
    (_, hours, *_), _ = _read(f"* {hour} * * *")
    (_, _, *others), nth = _read(" ".join(("*", "*", *date)))
    return [minutes, hours, *others], nth


_read = lru_cache(maxsize=1024)(croniter.expand)


@lru_cache(maxsize=1024)
def _without_equal_ranges(field: str, index: int) -> str:
    """The field with 9-9 written as 9, because croniter takes an equal range for the whole field."""
    return ",".join(_without_equal_range(item, index) for item in field.split(","))


def _without_equal_range(item: str, index: int) -> str:
    if index == DAY_OF_MONTH:
        item = item.replace("-l", "-31")  # croniter's own reading of a range up to the last day
    if index == DAY_OF_WEEK:
        item = _EQUAL_NTH.sub(r"\1\2", item)
    bounds = _RANGE.fullmatch(item)
    if bounds is None:
        return item
    low, high = _number(bounds[1], index), _number(bounds[2], index)
    return bounds[1] if low is not None and low == high else item


def _number(bound: str, index: int) -> int | None:
    return int(bound) if bound.isdigit() else _NUMBERS.get(index, {}).get(bound)


def _complaint(fields: list[str]) -> str:
    """One sentence for each field that is wrong in itself."""
    return "".join(
        f" The {FIELD_NAMES[i]} field {field!r} does not fit." for i, field in enumerate(fields) if not _fits(field, i)
    )


def _fits(field: str, index: int) -> bool:
    alone = ["*"] * ALL_FIELDS
    alone[index] = field
    return croniter.is_valid(" ".join(alone))


def _fields(fields: list[str], expanded: list[list[Value]], nth: dict[int, set[int | Last]]) -> Fields:
    minutes, hours, days, months, weekdays = expanded[:LEAST_FIELDS]
    has_seconds = len(expanded) > LEAST_FIELDS
    nearest = _NEAREST_WEEKDAY.fullmatch(fields[DAY_OF_MONTH])
    return Fields(
        minutes=_numbers(minutes) or tuple(range(60)),
        hours=_numbers(hours) or tuple(range(24)),
        seconds=(_numbers(expanded[LEAST_FIELDS]) or tuple(range(60))) if has_seconds else (0,),
        months=_numbers(months) or tuple(range(1, 13)),
        years=_numbers(expanded[-1]) if len(expanded) == ALL_FIELDS else None,
        days=None if "*" in days else frozenset(day for day in days if day != "*"),
        nearest_weekday=int(nearest[1] or nearest[2]) if nearest else None,
        weekdays=_weekdays(weekdays, nth),
        either_day={fields[DAY_OF_MONTH], fields[DAY_OF_WEEK]}.isdisjoint({"*", "?"}),
        elapsed=has_seconds or "*" in (fields[0][0], fields[1][0]),
    )


def _numbers(values: list[Value]) -> tuple[int, ...] | None:
    """The sorted numbers of one field, None for all."""
    return None if "*" in values else tuple(sorted(value for value in values if isinstance(value, int)))


def _weekdays(values: list[Value], nth: dict[int, set[int | Last]]) -> frozenset[tuple[int, int | Last | None]] | None:
    # As croniter reads it: where a `#` or `L` stands in the field, it alone counts.
    if nth:
        return frozenset((day, which) for day, every in nth.items() for which in every)
    numbers = _numbers(values)
    return None if numbers is None else frozenset((day, None) for day in numbers)
