"""The next fire times of a schedule, with a note where a clock change is to blame for one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ostinato_shared.firetimes import parse_schedule, parse_timezone
from ostinato_shared.walltimes import WallTimes

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from ostinato_shared.schedule_grammar import Fields

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Coming:
    """A fire time in UTC; `note` says what a clock change does to it."""

    at: datetime
    note: str | None


def preview(schedule: str, timezone: str | None, *, after: datetime, count: int) -> list[Coming]:
    """The first `count` fire times after `after`; fewer when there are no more. Raises InvalidError."""
    parsed, zone = parse_schedule(schedule), parse_timezone(timezone)
    found: list[Coming] = []
    while len(found) < count and (at := parsed.next_after(after, zone)) is not None:
        found.append(Coming(at, note(parsed.fields, at, zone)))
        after = at
    return found


def note(fields: Fields, at: datetime, zone: ZoneInfo) -> str | None:
    """What a clock change does to this fire time of a schedule, None for nothing."""
    twice = comes_twice(at, zone)
    if fields.elapsed:
        return "The clock is set back here: this hour comes twice, and this time of day with it." if twice else None
    if twice:
        return "The clock is set back here: this time of day comes twice, and it fires the first time only."
    gap = gap_before(at, zone)
    if gap is None:
        return None
    skipped = first_within(fields, *gap)
    if skipped is None:
        return None
    local = at.astimezone(zone).replace(tzinfo=None)
    if first_within(fields, local, local) is not None:
        return f"The clock is set forward here: {skipped:%H:%M} does not exist, and falls together with this fire time."
    return f"The clock is set forward here: {skipped:%H:%M} does not exist, so it fires right after the gap."


def comes_twice(at: datetime, zone: ZoneInfo) -> bool:
    """Whether the zone's clock shows the local time of this instant at another instant, too."""
    local = at.astimezone(zone)
    first, second = local.replace(fold=0).utcoffset(), local.replace(fold=1).utcoffset()
    return first is not None and second is not None and first > second


def gap_before(at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
    """The first and last naive local second of the gap that ends at this very instant, None when there is none."""
    try:
        before = (at - SECOND).astimezone(zone)
    except OverflowError:
        return None
    first = before.replace(tzinfo=None) + SECOND
    last = at.astimezone(zone).replace(tzinfo=None) - SECOND
    return (first, last) if first <= last else None


def first_within(fields: Fields, first: datetime, last: datetime) -> datetime | None:
    """The first local time from `first` to `last`, both naive, that a schedule names."""
    match = WallTimes(fields).at_or_after(first, last_year=last.year)
    return match if match is not None and match <= last else None
