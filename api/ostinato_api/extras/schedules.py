"""What a schedule means: its words, its traps, its next times; and how a stored cron stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ostinato_api import crons
from ostinato_shared import schedule_lint, schedule_preview, schedule_words
from ostinato_shared.errors import InvalidError
from ostinato_shared.firetimes import check_schedule

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncSession


def preview(
    schedule: str, timezone: str | None, *, now: datetime, since: datetime | None, count: int
) -> dict[str, Any]:
    """Words, next fire times and traps of a schedule. Raises InvalidError for one that no cron may be given."""
    check_schedule(schedule, timezone, now=now)
    return {
        "description": schedule_words.describe(schedule, timezone),
        "next": schedule_preview.preview(schedule, timezone, after=since or now, count=count),
        "lint": schedule_lint.lint(schedule, timezone, now=now),
    }


def describe(schedule: str, timezone: str | None) -> str | None:
    """A stored schedule in words, None for one that cannot be read any more."""
    try:
        return schedule_words.describe(schedule, timezone)
    except InvalidError:
        return None


async def status(session: AsyncSession, cron_id: UUID) -> dict[str, Any]:
    """Ostinato's own facts about a cron. Raises CronNotFoundError."""
    cron = await crons.get(session, cron_id)
    names = ("cron_id", "name", "enabled", "paused_by", "note", "fault", "consecutive_failures", "run_count")
    facts = {name: getattr(cron, name) for name in names}
    return {**facts, "description": describe(cron.schedule, cron.timezone), "next_run_date": cron.next_run_date}
