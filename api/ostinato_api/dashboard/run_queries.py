"""Statements of the runs page: the newest of a million firings, none of them by counting all."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import ARRAY, DateTime, Interval, TextClause, Uuid, bindparam, func, select, text, union_all

from ostinato_shared.models import Assistant, Cron, Firing, Outcome, Run, RunStatus, Thread, ThreadStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Any
    from uuid import UUID

    from sqlalchemy import ColumnElement, Select

ROWS: Final = 25
DAY: Final = timedelta(hours=24)
SLOT: Final = timedelta(minutes=20)
MOST: Final = 1000  # that are counted
QUESTION: Final = 4000  # characters of an interrupt's value that are read

LIVE: Final = Run.status.in_((RunStatus.PENDING, RunStatus.RUNNING))
WAITS: Final[tuple[ColumnElement[bool], ...]] = (
    Thread.status == ThreadStatus.INTERRUPTED,
    Thread.interrupts != text("'{}'"),
    Thread.deleted_at.is_(None),
)


def running() -> Select[UUID]:
    """The ids of the firings that are due or under way."""
    due = select(Firing.firing_id).where(Firing.outcome == Outcome.DUE)
    live = select(Run.firing_id).where(Run.cron_id.is_not(None), LIVE)
    found = union_all(due, live).subquery()
    return select(found.c.firing_id)


def waiting() -> Select[UUID]:
    """The ids of the firings whose threads ask a person: of each thread its last one."""
    last = (
        select(Run.firing_id)
        .where(Run.thread_id == Thread.thread_id, Run.firing_id.is_not(None))
        .order_by(Run.seq.desc())
        .limit(1)
        .lateral("last")
    )
    return select(last.c.firing_id).select_from(Thread).join(last, text("true")).where(*WAITS)


def live_counts() -> Select[int, int]:
    """How many run, and how many wait for a person: at most so many as are counted."""
    counts = [select(func.count()).select_from(ids.limit(MOST).subquery()) for ids in (running(), waiting())]
    return select(counts[0].scalar_subquery().label("running"), counts[1].scalar_subquery().label("waiting"))


def slots(*, since: datetime, until: datetime) -> TextClause:
    """What became of the fire times of each 20 minutes: counted from an index alone, and sorted by nobody."""
    return text("""
        SELECT slot.at, counted.* FROM generate_series(:since, :until - :slot, :slot) AS slot (at)
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE outcome = 'success') AS succeeded,
                   count(*) FILTER (WHERE outcome IN ('error', 'timeout')) AS failed,
                   count(*) FILTER (WHERE outcome = 'skipped') AS skipped
            FROM firing WHERE fire_time >= slot.at AND fire_time < slot.at + :slot) AS counted
    """).bindparams(
        bindparam("since", since, type_=DateTime(timezone=True)),
        bindparam("until", until, type_=DateTime(timezone=True)),
        bindparam("slot", SLOT, type_=Interval()),
    )


def threads(thread_ids: Sequence[UUID]) -> TextClause:
    """Those of these threads that can be read; of one that waits the firing that asks, and its first question."""
    return text("""
        SELECT thread_id, CASE WHEN waits THEN (
                   SELECT firing_id FROM run WHERE run.thread_id = found.thread_id AND firing_id IS NOT NULL
                   ORDER BY seq DESC LIMIT 1) END AS asking,
               CASE WHEN waits THEN left(jsonb_path_query_first(interrupts, '$.*[0].value')::text, :most)
               END AS question
        FROM (SELECT thread_id, interrupts, status = 'interrupted' AND interrupts <> '{}' AS waits FROM thread
              WHERE thread_id = ANY(:ids) AND deleted_at IS NULL) AS found
    """).bindparams(bindparam("ids", list(thread_ids), type_=ARRAY(Uuid())), most=QUESTION)


def crons(cron_ids: Sequence[UUID]) -> Select[*tuple[Any, ...]]:
    """The names of these crons and of their assistants, as far as they are there."""
    joined = select(Cron.cron_id, Cron.name, Cron.timezone, Cron.schedule, Assistant.name.label("assistant"))
    return joined.outerjoin(Assistant, Assistant.assistant_id == Cron.assistant_id).where(Cron.cron_id.in_(cron_ids))
