"""A schedule in plain words, made from what it means and not from how it is written: they promise no other times.

Pure. The libraries that turn cron expressions into words read the text: `*/7` becomes "every 7 minutes", two day fields
become an "and", seconds come first, and aliases, `#` and working days fail.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from ostinato_shared.firetimes import parse_schedule, parse_timezone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ostinato_shared.schedule_grammar import Fields, Last

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
WHICH: dict[int | Last, str] = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", "l": "last"}
ALL_DAYS = frozenset(range(1, 32))
MOST_TIMES = 6  # wall times of a day that are named one by one
MOST_LISTED = 8  # minutes or seconds likewise
MOST_RUNS = 2  # stretches of hours that are named by their ends
LEAST_RUN = 3  # numbers in a row that read better as "from ... to ..."
HOURS, MINUTES, WEEK, YEAR = 24, 60, 7, 12


def describe(schedule: str, timezone: str | None) -> str:
    """The schedule in words, such as `At 09:00, Monday to Friday, in Europe/Rome`. Raises InvalidError."""
    fields = parse_schedule(schedule).fields
    parse_timezone(timezone)
    parts = [_times(fields), _dates(fields), _years(fields), f"in {timezone}" if timezone else ""]
    text = ", ".join(part for part in parts if part)
    return text[0].upper() + text[1:]


def _times(fields: Fields) -> str:
    hours, minutes, seconds = fields.hours, fields.minutes, fields.seconds
    if len(hours) * len(minutes) * len(seconds) <= MOST_TIMES:
        return "at " + _and([_clock(h, m, s) for h in hours for m in minutes for s in seconds])
    if seconds == (0,) and minutes == (0,):
        return _whole_hours(hours)
    inner = [] if seconds == (0,) else [_within(seconds, "second", "minute")]
    if not (inner and len(minutes) == MINUTES):
        inner.append(_within(minutes, "minute", "hour"))
    return ", ".join([*inner, *_in_hours(hours)])


def _clock(hour: int, minute: int, second: int) -> str:
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")


def _whole_hours(hours: tuple[int, ...]) -> str:
    if (step := _even_step(hours, HOURS)) is not None:
        start = f", from {hours[0]:02}:00 on" if hours[0] else ""
        return ("every hour" if step == 1 else f"every {step} hours") + start
    if _in_a_row(hours):
        return f"every hour from {hours[0]:02}:00 to {hours[-1]:02}:00"
    return "at " + _and([f"{hour:02}:00" for hour in hours])


def _within(values: tuple[int, ...], unit: str, whole: str) -> str:
    """Which minutes of an hour, or seconds of a minute."""
    if (step := _even_step(values, MINUTES)) is not None:
        every = f"every {unit}" if step == 1 else f"every {step} {unit}s"
        return every + (f", from {unit} {values[0]} on" if values[0] else "")
    if len(values) > LEAST_RUN and _in_a_row(values):
        return f"every {unit} from {values[0]} to {values[-1]} of each {whole}"
    shown = _and(list(map(str, values))) if len(values) <= MOST_LISTED else _abridged(values)
    return f"at {unit}{'s' if len(values) > 1 else ''} {shown} of each {whole}"


def _abridged(values: tuple[int, ...]) -> str:
    steps = {later - value for value, later in pairwise(values)}
    if len(steps) == 1:
        return f"{values[0]}, {values[1]}, {values[2]} and so on to {values[-1]}"
    return _and(list(map(str, values)))


def _in_hours(hours: tuple[int, ...]) -> list[str]:
    if len(hours) == HOURS:
        return []
    runs = _runs(hours)
    if len(runs) <= MOST_RUNS:
        return [_and([f"from {first:02}:00 to {last:02}:59" for first, last in runs])]
    return ["in the hours that begin at " + _and([f"{hour:02}:00" for hour in hours])]


def _runs(values: Sequence[int]) -> list[tuple[int, int]]:
    """The first and last of each run of numbers without a gap."""
    breaks = [i for i, (value, later) in enumerate(pairwise(values), start=1) if later != value + 1]
    return [(values[start], values[end - 1]) for start, end in pairwise([0, *breaks, len(values)])]


def _dates(fields: Fields) -> str:
    days, weekdays = _days(fields), _weekdays(fields)
    months = "" if len(fields.months) == YEAR else _months(fields.months)
    if fields.either_day:  # a part that restricts nothing lets every day pass
        when = f"{days} or {weekdays}, whichever comes" if days and weekdays else ""
    elif days and weekdays:
        when = f"{days}, if it is {weekdays.removeprefix('on ')}"
    elif months and days.startswith("on the ") and days.endswith(OF_MONTH):
        return f"{days.removesuffix(OF_MONTH)} of {months.removeprefix('in ')}"
    else:
        when = days or weekdays
    if not when and not months and len(fields.hours) < HOURS:
        return "every day"
    return ", ".join(part for part in (when, months) if part)


OF_MONTH = " of the month"


def _days(fields: Fields) -> str:
    if fields.nearest_weekday is not None:
        return f"on the working day nearest the {_nth(fields.nearest_weekday)}{OF_MONTH}"
    if fields.days is None or fields.days >= ALL_DAYS:
        return ""
    numbers = sorted(day for day in fields.days if day != "l")
    last = ["last day"] if "l" in fields.days else []
    if len(numbers) > LEAST_RUN and _in_a_row(numbers):
        return "on the " + _and([f"{_nth(numbers[0])} to {_nth(numbers[-1])}", *last]) + OF_MONTH
    if len(numbers) > MOST_LISTED and numbers == list(range(1, 32, 2)):
        return "on the odd days" + OF_MONTH
    return "on the " + _and([*map(_nth, numbers), *last]) + OF_MONTH


def _weekdays(fields: Fields) -> str:
    if fields.weekdays is None:
        return ""
    plain = sorted((day - 1) % WEEK for day, which in fields.weekdays if which is None)  # Monday first
    if len(plain) == WEEK:
        return ""
    chosen = sorted((str(which), day, which) for day, which in fields.weekdays if which is not None)
    names = [WEEKDAYS[(day + 1) % WEEK] for day in plain]
    if len(names) >= LEAST_RUN and _in_a_row(plain):
        names = [f"{names[0]} to {names[-1]}"]
        if not chosen:
            return names[0]
    listed = names + [f"the {WHICH[which]} {WEEKDAYS[day]}" for _, day, which in chosen if which is not None]
    return "on " + _and(listed) + (OF_MONTH if chosen else "")


def _months(months: tuple[int, ...]) -> str:
    names = [MONTHS[month - 1] for month in months]
    if len(months) >= LEAST_RUN and _in_a_row(months):
        return f"in {names[0]} to {names[-1]}"
    return "in " + _and(names)


def _years(fields: Fields) -> str:
    years = fields.years
    if years is None:
        return ""
    if len(years) >= LEAST_RUN and _in_a_row(years):
        return f"in the years {years[0]} to {years[-1]}"
    if len(years) > MOST_LISTED:
        return f"in {len(years)} chosen years from {years[0]} to {years[-1]}"
    return "in " + _and(list(map(str, years)))


def _even_step(values: tuple[int, ...], whole: int) -> int | None:
    """The step of values that go round evenly, as every 15 of 60; None for any others."""
    step = whole // len(values)
    even = len(values) > 1 and len(values) * step == whole and values == tuple(range(values[0], whole, step))
    return step if even else None


def _in_a_row(values: Sequence[int]) -> bool:
    return values[-1] - values[0] == len(values) - 1


def _nth(number: int) -> str:
    ending = "th" if number in range(11, 14) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
