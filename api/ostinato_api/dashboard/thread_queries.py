"""Statements of one thread's page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from ostinato_shared.models import Assistant, Cron, Run

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Select

RUNS: Final = 20  # rows


def runs(thread_id: UUID) -> Select[*tuple[Any, ...]]:
    """The thread's last runs, newest first; `total` is how many there are."""
    return (
        select(
            *(Run.run_id, Run.status, Run.attempt, Run.cron_id, Run.firing_id, Run.fire_time, Run.graph_id),
            *(Run.created_at, Run.updated_at, Run.started_at, Run.ended_at, Run.error, Run.cancel_reason),
            *(Run.assistant_id, Run.user_id, Assistant.name.label("assistant"), func.count().over().label("total")),
        )
        .outerjoin(Assistant, Assistant.assistant_id == Run.assistant_id)
        .where(Run.thread_id == thread_id)
        .order_by(Run.seq.desc())
        .limit(RUNS)
    )


def cron_of(thread_id: UUID) -> Select[*tuple[Any, ...]]:
    """Of the last run that a cron made here: the cron's id, and its name and zone if it is still there."""
    joined = select(Run.cron_id, Run.fire_time, Cron.cron_id.label("there"), Cron.name, Cron.timezone)
    last = joined.outerjoin(Cron, Cron.cron_id == Run.cron_id)
    return last.where(Run.thread_id == thread_id, Run.cron_id.is_not(None)).order_by(Run.seq.desc()).limit(1)


def last_given(thread_id: UUID) -> Select[UUID, dict[str, Any]]:
    """The assistant of the thread's last run, and what that run was given."""
    return select(Run.assistant_id, Run.kwargs).where(Run.thread_id == thread_id).order_by(Run.seq.desc()).limit(1)
