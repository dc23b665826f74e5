"""The ledger as a list: newest first, by keys and not by offsets, so that no page gets slower than the first."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import exists, select, tuple_

from ostinato_api.crons import CronNotFoundError
from ostinato_api.schemas.base import UUID_TEXT
from ostinato_shared.errors import InvalidError
from ostinato_shared.models import Cron, CronEvent, Firing, Outcome, Trigger

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncSession

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LONGEST_CURSOR = 128  # characters
SHORTEST_BEGINNING = 8  # characters of an id: they say when it was made to the minute, fewer mean all of an hour
FIRST_ID, LAST_ID = str(UUID(int=0)), str(UUID(int=2**128 - 1))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which firings: all that is given must fit; times from `since` up to, not including, `until`."""

    cron_id: UUID | None = None
    outcomes: Collection[Outcome] = ()
    triggers: Collection[Trigger] = ()
    since: datetime | None = None
    until: datetime | None = None
    run_id: str | None = None  # a whole id, or its beginning
    among: Select[UUID] | None = None  # the ids of those that come into question


async def page(
    session: AsyncSession, wanted: Filter, *, limit: int, cursor: str | None = None
) -> tuple[Sequence[Firing], str | None]:
    """The firings of one page, newest first, and the cursor of the next; None on the last. Raises InvalidError."""
    found = matching(wanted)
    if cursor is not None:
        found = found.where(tuple_(Firing.fire_time, Firing.firing_id) < tuple_(*_read(cursor)))
    newest = found.order_by(Firing.fire_time.desc(), Firing.firing_id.desc()).limit(limit + 1)
    rows = (await session.scalars(newest)).all()
    return rows[:limit], _write(rows[limit - 1]) if len(rows) > limit else None


def matching(wanted: Filter) -> Select[Firing]:
    """The firings that a filter means."""
    found = select(Firing)
    if wanted.cron_id is not None:
        found = found.where(Firing.cron_id == wanted.cron_id)
    if wanted.outcomes:
        found = found.where(Firing.outcome.in_(wanted.outcomes))
    if wanted.triggers:
        found = found.where(Firing.trigger.in_(wanted.triggers))
    if wanted.since is not None:
        found = found.where(Firing.fire_time >= wanted.since)
    if wanted.until is not None:
        found = found.where(Firing.fire_time < wanted.until)
    if wanted.run_id is not None:
        found = found.where(Firing.run_id.between(*_ids_from(wanted.run_id)))
    if wanted.among is not None:
        found = found.where(Firing.firing_id.in_(wanted.among))
    return found


async def check_known(session: AsyncSession, cron_id: UUID) -> None:
    """Raises CronNotFoundError for a cron that neither is nor ever was."""
    known = [exists().where(table.cron_id == cron_id) for table in (Cron, Firing, CronEvent)]
    if not await session.scalar(select(known[0] | known[1] | known[2])):
        raise CronNotFoundError(cron_id)


def _ids_from(beginning: str) -> tuple[UUID, UUID]:
    """The first and the last id that begin so. Raises InvalidError."""
    first, last = (beginning + filling[len(beginning) :] for filling in (FIRST_ID, LAST_ID))
    if len(beginning) < SHORTEST_BEGINNING or not UUID_TEXT.fullmatch(first):
        raise InvalidError(f"run_id: must be a UUID, or at least the first {SHORTEST_BEGINNING} characters of one")
    return UUID(first), UUID(last)


def _write(last: Firing) -> str:
    text = f"{(last.fire_time - EPOCH) // MICROSECOND}.{last.firing_id.hex}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[datetime, UUID]:
    cursor = cursor[:LONGEST_CURSOR]
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        microseconds, _, firing_id = text.partition(".")
        return EPOCH + int(microseconds) * MICROSECOND, UUID(firing_id)
    except (ValueError, binascii.Error, OverflowError):
        raise InvalidError("cursor: must be one that `x-pagination-next` gave") from None
