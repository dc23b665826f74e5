"""Pause and resume crons, with a note that says why: a PATCH of `enabled` that people can read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ostinato_api import crons, switching
from ostinato_api.clock import read_clock

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncSession

    from ostinato_shared.models import Cron


async def pause(session: AsyncSession, cron_id: UUID, *, note: str | None, user_id: str) -> Cron:
    """The cron, paused; one that is paused already only gets the new note. What had come stays owed."""
    cron = await crons.hold(session, cron_id)
    now = await read_clock(session)
    if cron.enabled:
        await crons.settle(session, cron, now=now)
        switching.switch(cron, enabled=False, note=note)
        cron.revision += 1
    elif note is None or note == cron.note:
        return cron
    cron.note = note
    _record(session, cron, kind="paused", note=note, user_id=user_id, now=now)
    return cron


async def resume(session: AsyncSession, cron_id: UUID, *, note: str | None, user_id: str) -> Cron:
    """The cron, enabled, with its next fire time from now on. Raises ConflictError when its max_runs are used up."""
    cron = await crons.hold(session, cron_id)
    if cron.enabled:
        return cron
    switching.check_runs_left(cron)
    now = await read_clock(session)
    switching.switch(cron, enabled=True)
    cron.revision += 1
    cron.next_run_date = crons.next_run_date(cron, now=now)
    _record(session, cron, kind="resumed", note=note, user_id=user_id, now=now)
    return cron


def _record(session: AsyncSession, cron: Cron, *, kind: str, note: str | None, user_id: str, now: datetime) -> None:
    cron.payload = {**cron.payload, "enabled": cron.enabled}
    cron.updated_at = now
    crons.tell(session, cron, kind=kind, user_id=user_id, note=note)
