"""A cron's history: who did what, and what it changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from ostinato_shared.errors import InvalidError
from ostinato_shared.models import CronEvent

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncSession

BIGGEST_ID = 2**63 - 1
UNTOLD = frozenset({"updated_at", "next_run_date", "payload"})  # they follow from the rest
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the history; `changes` has what differs from the version before as {"from", "to"}."""

    row: CronEvent
    changes: dict[str, Json]

    def told(self) -> Json:
        """The event as HTTP gives it."""
        names = ("event_id", "kind", "revision", "user_id", "at", "note", "snapshot")
        return {**{name: getattr(self.row, name) for name in names}, "changes": self.changes}


async def page(
    session: AsyncSession, cron_id: UUID, *, limit: int, cursor: str | None = None
) -> tuple[list[Event], str | None]:
    """The events of one page, newest first, and the cursor of the next; None on the last. Raises InvalidError."""
    found = _newest(cron_id)
    if cursor is not None:
        found = found.where(CronEvent.event_id < _read(cursor))
    rows = list((await session.scalars(found.limit(limit + 1))).all())
    shown = rows[:limit]
    previous = await _version_before(session, cron_id, shown[-1].event_id) if shown else None
    events: list[Event] = []
    for row in reversed(shown):
        whole = "payload" in row.snapshot
        events.append(Event(row, changes(previous, row.snapshot) if whole and previous is not None else {}))
        previous = row.snapshot if whole else previous
    return events[::-1], str(shown[-1].event_id) if len(rows) > limit else None


def changes(before: Json, after: Json) -> dict[str, Json]:
    """What differs between two snapshots of a cron, field by field, the payload's own fields among them."""
    old, new = _flat(before), _flat(after)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return {name: {"from": old.get(name), "to": new.get(name)} for name in names}


def _flat(snapshot: Json) -> Json:
    inside = {name: value for name, value in snapshot["payload"].items() if name not in snapshot}
    return {**inside, **{name: value for name, value in snapshot.items() if name not in UNTOLD}}


def _newest(cron_id: UUID) -> Select[CronEvent]:
    return select(CronEvent).where(CronEvent.cron_id == cron_id).order_by(CronEvent.event_id.desc())


async def _version_before(session: AsyncSession, cron_id: UUID, event_id: int) -> Json | None:
    earlier = _newest(cron_id).where(CronEvent.event_id < event_id, CronEvent.snapshot.has_key("payload")).limit(1)
    row = (await session.scalars(earlier)).one_or_none()
    return None if row is None else row.snapshot


def _read(cursor: str) -> int:
    if cursor.isascii() and cursor.isdecimal() and len(cursor) <= len(str(BIGGEST_ID)) and int(cursor) <= BIGGEST_ID:
        return int(cursor)
    raise InvalidError("cursor: must be one that `x-pagination-next` gave")
