"""What will fire: the fire times of all enabled crons, in order."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select

from ostinato_shared.errors import InvalidError
from ostinato_shared.firetimes import fire_times, next_fire_time
from ostinato_shared.models import Cron
from ostinato_shared.policies import runs_left

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncSession

LONGEST = timedelta(days=31)
MICROSECOND = timedelta(microseconds=1)
COUNTED = 1000  # runs left that are counted down before a range begins; more outlast it for all that is shown


class Scheduled(NamedTuple):  # made ten thousand times a request: a dataclass takes five times as long
    """What of a cron says when it fires."""

    cron_id: UUID
    name: str | None
    schedule: str
    timezone: str | None
    end_time: datetime | None
    next_run_date: datetime
    policy: dict[str, Any] | None
    run_count: int


@dataclass(frozen=True, slots=True)
class Upcoming:
    cron_id: UUID
    name: str | None
    at: datetime
    schedule: str
    timezone: str | None


async def between(session: AsyncSession, *, start: datetime, end: datetime, limit: int) -> list[Upcoming]:
    """The first `limit` fire times from `start` to `end`, both included. Raises InvalidError."""
    if end < start:
        raise InvalidError("to: must not be before `from`")
    if end - start > LONGEST:
        raise InvalidError(f"to: must be at most {LONGEST.days} days after `from`")
    cron = Cron.__table__.c  # the table, not the model: rows come in half the time
    waiting = select(*(cron[field] for field in Scheduled._fields)).where(cron.enabled, cron.fault.is_(None))
    # Each of these has its first fire time in the range, and so no later ones can be among the first `limit`.
    coming = waiting.where(cron.next_run_date.between(start, end)).order_by(cron.next_run_date, cron.cron_id)
    found = [
        *await _rows(session, coming.limit(limit)),
        *await _rows(session, waiting.where(cron.next_run_date < start)),
    ]
    # In a thread: ten thousand schedules, or far ones with runs to count, would keep all other requests waiting.
    return await asyncio.to_thread(lambda: list(islice(_in_order(found, start, end), limit)))


async def _rows(session: AsyncSession, crons: Select[*tuple[Any, ...]]) -> list[Scheduled]:
    return list(map(Scheduled._make, await session.execute(crons)))


def _in_order(crons: Iterable[Scheduled], start: datetime, end: datetime) -> Iterator[Upcoming]:
    """The fire times of these crons by time, each cron stepped only as far as it is asked for."""
    heap = list(_first(crons, start, end))
    heapq.heapify(heap)
    while heap:
        at, cron_id, left, cron = heap[0]
        yield Upcoming(cron_id, cron.name, at, cron.schedule, cron.timezone)
        following = _next(cron.schedule, cron.timezone, after=at) if left > 1 else None
        if following is None or following > _last(cron, end):
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following, cron_id, left - 1, cron))


def _first(
    crons: Iterable[Scheduled], start: datetime, end: datetime
) -> Iterator[tuple[datetime, UUID, float, Scheduled]]:
    """Each cron's first fire time in the range, with the runs it has left; a shared schedule is worked out once."""
    known: dict[tuple[str, str | None], datetime | None] = {}
    for cron in crons:
        at: datetime | None = cron.next_run_date
        key = (cron.schedule, cron.timezone)
        if cron.next_run_date < start:
            if key not in known:
                known[key] = _next(*key, after=start - MICROSECOND)
            at = known[key]
        if at is not None and at <= _last(cron, end) and (left := _left(cron, start)):
            yield at, cron.cron_id, left, cron


def _next(schedule: str, timezone: str | None, *, after: datetime) -> datetime | None:
    try:
        return next_fire_time(schedule, timezone, after=after)
    except InvalidError:  # parked: it will not fire until somebody mends it
        return None


def _left(cron: Scheduled, start: datetime) -> float:
    """The runs that it has left when the range begins: fire times before that use some up."""
    left = runs_left(cron.policy, cron.run_count)
    if left > COUNTED:
        return left
    before = fire_times(cron.schedule, cron.timezone, first=cron.next_run_date, until=start - MICROSECOND)
    return left - sum(1 for _ in islice(before, int(left)))


def _last(cron: Scheduled, end: datetime) -> datetime:
    return end if cron.end_time is None else min(end, cron.end_time)
