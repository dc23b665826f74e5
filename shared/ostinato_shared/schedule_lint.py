"""What is legal in a schedule but may not be what was meant. Pure: time comes in as an argument."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ostinato_shared.firetimes import clock_change, parse_schedule, parse_timezone
from ostinato_shared.schedule_grammar import ALIASES, LEAST_FIELDS
from ostinato_shared.schedule_preview import SECOND, first_within, gap_before

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from ostinato_shared.firetimes import Schedule
    from ostinato_shared.schedule_grammar import Fields

HOURS, DAY_MINUTES, DAY = 24, 1440, timedelta(days=1)
AHEAD = 366  # days: the clock changes of a year
LONG_MONTHS = frozenset({1, 3, 5, 7, 8, 10, 12})
FEBRUARY, SHORTEST_MONTH, LONG_MONTH = 2, 28, 31
WEEKEND = frozenset({0, 6})
# Fields whose steps start again: place, number of values, code, unit, and what it starts again with.
STEPS = (
    (0, 60, "restarts_hourly", "minute", "hour"),
    (1, 24, "restarts_daily", "hour", "day"),
    (5, 60, "restarts_every_minute", "second", "minute"),
)


@dataclass(frozen=True, slots=True)
class Lint:
    """One trap: a code for programs, a text for people."""

    code: str
    text: str


def lint(schedule: str, timezone: str | None, *, now: datetime) -> list[Lint]:
    """The traps in a schedule, as seen at `now`; an empty list for none. Raises InvalidError."""
    parsed, zone = parse_schedule(schedule), parse_timezone(timezone)
    text = schedule.strip().lower()
    written = ALIASES.get(text, text).split()
    return [*_seconds_last(written), *_restarts(written, parsed.fields), *_days(parsed.fields),
            *_often(parsed.fields), *_rarely(parsed, zone, now), *_clock_changes(parsed.fields, zone, now)]  # fmt: skip


def _seconds_last(written: list[str]) -> Iterator[Lint]:
    if len(written) > LEAST_FIELDS:
        seconds = written[LEAST_FIELDS]
        yield Lint("seconds_last", f"The sixth field, {seconds!r}, is the seconds: they come last here, not first.")


def _restarts(written: list[str], fields: Fields) -> Iterator[Lint]:
    values = {0: fields.minutes, 1: fields.hours, LEAST_FIELDS: fields.seconds}
    for place, whole, code, unit, outer in STEPS:
        if place >= len(written) or not written[place].startswith("*/"):
            continue
        step = written[place].removeprefix("*/")
        last = values[place][-1]
        if step.isdigit() and whole % int(step) and len(values[place]) > 1:
            rest = f"after {unit} {last} the next comes {whole - last} {unit}s later"
            yield Lint(code, f"*/{step} starts again with each {outer}: {rest}.")


def _days(fields: Fields) -> Iterator[Lint]:
    if fields.either_day:
        text = "Both a day of the month and a day of the week are set: it fires on days that match either of them."
        yield Lint("both_day_fields", text)
    elif fields.weekdays and {day for day, _ in fields.weekdays} <= WEEKEND:
        yield Lint("never_on_a_weekday", "It fires at weekends only, never from Monday to Friday.")
    numbers = [day for day in fields.days or () if day != "l"]
    if fields.nearest_weekday is None and numbers and len(numbers) == len(fields.days or ()) and not fields.either_day:
        yield from _short_months(min(numbers), fields.months)


def _short_months(day: int, months: tuple[int, ...]) -> Iterator[Lint]:
    lacking = [month for month in months if day > _longest(month)]
    if lacking:
        text = (
            f"Not every month has a day {day}: it does not fire in those that end before. `L` is the last day of each."
        )
        yield Lint("not_in_short_months", text)


def _longest(month: int) -> int:
    if month == FEBRUARY:
        return SHORTEST_MONTH
    return LONG_MONTH if month in LONG_MONTHS else LONG_MONTH - 1


def _often(fields: Fields) -> Iterator[Lint]:
    times = len(fields.hours) * len(fields.minutes) * len(fields.seconds)
    if times >= DAY_MINUTES:
        yield Lint("every_minute", f"Fires {times:,} times a day.")


def _rarely(schedule: Schedule, zone: ZoneInfo, now: datetime) -> Iterator[Lint]:
    following = schedule.next_after(now, zone)
    if following is None:
        yield Lint("never", "It never fires again.")
    elif following - now > AHEAD * DAY:
        yield Lint("rarely", f"The next fire time is more than a year away: {_date(following.astimezone(zone))}.")


def _clock_changes(fields: Fields, zone: ZoneInfo, now: datetime) -> Iterator[Lint]:
    """The next clock change of each kind that touches a fire time; none for what runs through all hours alike."""
    if fields.elapsed and len(fields.hours) == HOURS:
        return
    seen: set[bool] = set()
    for at in _changes(zone, now):
        forward = gap_before(at, zone) is not None
        text = _gap(fields, at, zone) if forward else _fold(fields, at, zone)
        if text and forward not in seen:
            seen.add(forward)
            yield Lint("clock_change", text)


def _gap(fields: Fields, at: datetime, zone: ZoneInfo) -> str | None:
    gap = gap_before(at, zone)
    skipped = gap and first_within(fields, *gap)
    if not skipped:
        return None
    change = f"On {_date(skipped)} the clock in {zone.key} is set forward, and {skipped:%H:%M} does not exist:"
    if fields.elapsed:
        return f"{change} the fire times of that gap are left out."
    return f"{change} it fires at {at.astimezone(zone):%H:%M}."


def _fold(fields: Fields, at: datetime, zone: ZoneInfo) -> str | None:
    first = at.astimezone(zone).replace(tzinfo=None, fold=0)
    last = (at - SECOND).astimezone(zone).replace(tzinfo=None, fold=0)
    repeated = first_within(fields, first, last)
    if repeated is None:
        return None
    change = f"On {_date(repeated)} the clock in {zone.key} is set back, and {repeated:%H:%M} comes twice:"
    return f"{change} it fires both times." if fields.elapsed else f"{change} it fires the first time only."


def _changes(zone: ZoneInfo, now: datetime) -> Iterator[datetime]:
    """The instants at which the zone's offset changes in the year ahead."""
    before = now.replace(microsecond=0)
    for _ in range(AHEAD):
        try:
            after = before + DAY
            old, new = before.astimezone(zone).utcoffset(), after.astimezone(zone).utcoffset()
        except OverflowError:
            return
        if old != new:
            yield clock_change(zone, before, after)
        before = after


def _date(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"
