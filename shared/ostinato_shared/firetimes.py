"""When a schedule fires: expression and zone in, instants in UTC out. Pure: time comes in as an argument."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass, field
from datetime import MAXYEAR, UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ostinato_shared import schedule_grammar
from ostinato_shared.errors import InvalidError, InvalidScheduleError, InvalidTimezoneError
from ostinato_shared.walltimes import WallTimes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ostinato_shared.schedule_grammar import Fields

SECOND = timedelta(seconds=1)
EARLIEST = datetime(1, 1, 3, tzinfo=UTC)  # before it, some zones' local time is not a datetime

# The calendar repeats after 400 years, and after 2100 the zones' clock changes follow one yearly rule:
# what does not come within 400 years never comes.
REGULAR_SINCE = 2100
CALENDAR_CYCLE = 400

CACHED_SCHEDULES = 4096  # some 10 MB at most; a parse costs 50 times a step


@dataclass(frozen=True)
class Schedule:
    """A cron expression's fields, and when they come."""

    fields: Fields
    _wall_times: WallTimes = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_wall_times", WallTimes(self.fields))

    def next_after(self, after: datetime, zone: ZoneInfo) -> datetime | None:
        """The first fire time strictly after an aware `after`, in UTC; None when there is none up to the year 9999.

        A schedule of fixed wall times fires once for each of them: at the first instant after the gap if the clock
        skips it, at the first of two if the clock repeats it. One that follows elapsed time fires at every real
        instant whose local clock matches.
        """
        if after.tzinfo is None:
            raise ValueError("`after` needs a time zone")
        try:
            after = max(after, EARLIEST).astimezone(UTC)
            after -= timedelta(microseconds=after.microsecond)
            last_year = min(max(after.year, REGULAR_SINCE) + CALENDAR_CYCLE, MAXYEAR)
            if self.fields.elapsed:
                return self._next_elapsed(after + SECOND, zone, last_year)
            return self._next_fixed(after, zone, last_year)
        except OverflowError:  # the next match lies past the last datetime, in the zone or in UTC
            return None

    def _next_fixed(self, after: datetime, zone: ZoneInfo, last_year: int) -> datetime | None:
        start = after.astimezone(zone) + SECOND  # on the local clock
        while (match := self._wall_times.at_or_after(start, last_year=last_year)) is not None:
            instant, second = match.astimezone(UTC), _second_time(match)
            if instant > second:
                instant = clock_change(zone, second, instant)
            if instant > after:
                return instant
            start = match + SECOND  # `after` is in the second of two hours: this match was in the first
        return None

    def _next_elapsed(self, start: datetime, zone: ZoneInfo, last_year: int) -> datetime | None:
        """The first match at or after `start`."""
        instant = self._first_elapsed(start, zone, last_year)
        again = _second_time(start.astimezone(zone))
        if again <= start:
            return instant
        # The clock will be set back, and pass again what matched before `start`.
        change = clock_change(zone, start, again)
        if instant is not None and instant < change:
            return instant
        return self._first_elapsed(change, zone, last_year)

    def _first_elapsed(self, start: datetime, zone: ZoneInfo, last_year: int) -> datetime | None:
        local = start.astimezone(zone)
        while (match := self._wall_times.at_or_after(local, last_year=last_year)) is not None:
            instant, second = match.astimezone(UTC), _second_time(match)
            if instant <= second:
                return instant if instant >= start else second
            local = clock_change(zone, second, instant).astimezone(zone)  # the clock skips this match
        return None


def parse_schedule(expression: str) -> Schedule:
    """The schedule of a cron expression. Raises InvalidScheduleError."""
    if not isinstance(expression, str):
        raise InvalidScheduleError(str(expression), "It is not text.")
    return _parse(expression)


@lru_cache(maxsize=CACHED_SCHEDULES)
def _parse(expression: str) -> Schedule:
    return Schedule(schedule_grammar.parse(expression))


def parse_timezone(name: str | None) -> ZoneInfo:
    """The zone of an IANA name, UTC for None. Raises InvalidTimezoneError."""
    if name is None:
        return ZoneInfo("UTC")
    if not isinstance(name, str) or name not in _zone_names():
        raise InvalidTimezoneError(str(name))
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones() - {"localtime"})  # Debian's link to the machine's own zone


def next_fire_time(schedule: str, timezone: str | None, *, after: datetime) -> datetime | None:
    """The first fire time strictly after `after`, in UTC; None when it never comes again. Raises InvalidError."""
    return parse_schedule(schedule).next_after(after, parse_timezone(timezone))


def fire_times(schedule: str, timezone: str | None, *, first: datetime, until: datetime) -> Iterator[datetime]:
    """The fire times from `first`, which is one, to `until`. After `first` none comes of what cannot be read."""
    at: datetime | None = first
    while at is not None and at <= until:
        yield at
        try:
            at = next_fire_time(schedule, timezone, after=at)
        except InvalidError:
            return


def check_schedule(schedule: str, timezone: str | None, *, now: datetime) -> None:
    """Raises InvalidScheduleError or InvalidTimezoneError for what no cron may be given, never-firing included."""
    if next_fire_time(schedule, timezone, after=now) is None:
        raise InvalidScheduleError(schedule, "It never fires: no moment from now on matches all of its fields.")


def _second_time(local: datetime) -> datetime:
    """When the clock shows `local` again. The one instant if it does so once; before the first if it never does."""
    zone, hour, minute, second = local.tzinfo, local.hour, local.minute, local.second
    # replace(fold=1) takes twice as long.
    return datetime(local.year, local.month, local.day, hour, minute, second, 0, zone, fold=1).astimezone(UTC)


def clock_change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first instant of the new offset, for a clock change in between."""
    old = before.astimezone(zone).utcoffset()
    while (seconds := (after - before) // SECOND) > 1:
        middle = before + seconds // 2 * SECOND
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after
