"""What becomes of a due entry: which fire time, which one next, what was missed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ostinato_beat.entries import BrokenEntryError, Entry
from ostinato_shared.firetimes import parse_schedule, parse_timezone
from ostinato_shared.models.states import Trigger

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from ostinato_shared.firetimes import Schedule

LATE_SECONDS: Final = 10  # up to here every nominal time fires; beyond it the catch-up policy applies
COUNT_LIMIT: Final = 500  # a gap's fire times are counted so far: a step costs 5 us, and neighbours wait
SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Missed:
    """Fire times that nobody will fire, first and last included."""

    first: int
    last: int
    count: int | None  # None: more than COUNT_LIMIT


@dataclass(frozen=True, slots=True)
class Step:
    """One firing of an entry, and where the entry goes."""

    entry: Entry
    trigger: Trigger
    next: int | None  # None: never again
    missed: Missed | None = None


def step(entry: Entry, *, now: float) -> Step:
    """The firing of the entry's nominal time, and the time after it. Raises BrokenEntryError."""
    try:
        if now - entry.nominal < LATE_SECONDS:
            after = _following(entry.schedule, entry.timezone, entry.nominal, entry.end)
            return Step(entry, Trigger.SCHEDULE, after)
        schedule, zone = parse_schedule(entry.schedule), parse_timezone(entry.timezone)
        return _catch_up(entry, schedule, zone, now=int(now))
    except Exception as error:  # whatever is wrong with one definition, its neighbours fire
        raise BrokenEntryError(f"{type(error).__name__}: {error}") from error


@lru_cache(maxsize=4096)  # herds share their schedules
def _following(schedule: str, timezone: str | None, nominal: int, end: int | None) -> int | None:
    return _next(parse_schedule(schedule), parse_timezone(timezone), nominal, end=end)


def has_ended(entry: Entry) -> bool:
    """True for an entry whose nominal time is past its end: it must not fire."""
    return entry.end is not None and entry.nominal > entry.end


def _catch_up(entry: Entry, schedule: Schedule, zone: ZoneInfo, *, now: int) -> Step:
    after_now = _next(schedule, zone, now, end=entry.end)
    first = _next(schedule, zone, entry.nominal, end=entry.end)
    if first is None or first > now:
        return Step(entry, Trigger.CATCHUP, after_now)
    until = now if entry.end is None else min(now, entry.end)
    return Step(entry, Trigger.CATCHUP, after_now, _missed(schedule, zone, first, until=until))


def _missed(schedule: Schedule, zone: ZoneInfo, first: int, *, until: int) -> Missed:
    """All fire times from `first` to `until`, counted as far as that is quick."""
    last, count = first, 1
    while count < COUNT_LIMIT:
        following = _next(schedule, zone, last, end=until)
        if following is None:
            return Missed(first, last, count)
        last, count = following, count + 1
    return Missed(first, _last(schedule, zone, last, until=until), None)


def _last(schedule: Schedule, zone: ZoneInfo, known: int, *, until: int) -> int:
    """The last fire time up to `until`, by halves: there is one after `t` exactly when the next one is in time."""
    low, high = known - 1, until  # a fire time comes after `low`, none after `high`
    while high - low > 1:
        middle = (low + high) // 2
        if _next(schedule, zone, middle, end=until) is None:
            high = middle
        else:
            low = middle
    return high


def _next(schedule: Schedule, zone: ZoneInfo, after: int, *, end: int | None) -> int | None:
    found = schedule.next_after(datetime.fromtimestamp(after, UTC), zone)
    if found is None:
        return None
    seconds = (found - _EPOCH) // SECOND
    return None if end is not None and seconds > end else seconds


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
