"""Fire times that had come, but were not in the ledger yet, when a cron's schedule was changed: none gets lost."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ostinato_shared.firetimes import fire_times
from ostinato_shared.ids import new_id
from ostinato_shared.models import Outcome, SkipReason, Trigger

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from ostinato_shared.models import Cron

LATE = timedelta(seconds=10)  # up to here every fire time fires; beyond it one does, and the rest are a gap


def rows(cron: Cron, *, now: datetime) -> list[dict[str, Any]]:
    """The ledger rows that a cron owes by its definition so far."""
    first = cron.next_run_date
    if not cron.enabled or first is None or first > now:
        return []
    until = now if cron.end_time is None else min(now, cron.end_time)
    times = fire_times(cron.schedule, cron.timezone, first=first, until=until)
    if now - first < LATE:
        return [_row(cron, at, outcome=Outcome.DUE, trigger=Trigger.SCHEDULE) for at in times]
    caught_up = _row(cron, first, outcome=Outcome.DUE, trigger=Trigger.CATCHUP)
    missed = next((at for at in times if at > first), None)
    if missed is None:
        return [caught_up]
    gap = _row(cron, missed, outcome=Outcome.SKIPPED, trigger=Trigger.SCHEDULE)
    return [caught_up, gap | {"reason": SkipReason.MISSED, "ended_at": now, "missed_until": until}]


def _row(cron: Cron, fire_time: datetime, *, outcome: Outcome, trigger: Trigger) -> dict[str, Any]:
    return {
        "firing_id": new_id(), "cron_id": cron.cron_id, "fire_time": fire_time, "outcome": outcome, "trigger": trigger,
        "cron_revision": cron.revision, "user_id": cron.user_id, "assistant_id": cron.assistant_id, "name": cron.name,
        "reason": None, "ended_at": None, "missed_until": None,
    }  # fmt: skip
