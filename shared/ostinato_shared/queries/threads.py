"""Statements about threads. A thread with `deleted_at` is nobody's any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, func, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert

from ostinato_shared.models import Run, RunStatus, Thread, ThreadStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import Exists, Select, Update
    from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

LIVE = (RunStatus.PENDING, RunStatus.RUNNING)
SORT_COLUMNS = {
    "thread_id": Thread.thread_id,
    "status": Thread.status,
    "created_at": Thread.created_at,
    "updated_at": Thread.updated_at,
    "state_updated_at": Thread.state_updated_at,
}

# One statement, one snapshot: no run slips in between its parts. The copy is as the original when no run is live on it.
COPY = """
WITH original AS (SELECT * FROM thread WHERE thread_id = %(original)s AND deleted_at IS NULL),
points AS (
    INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
    SELECT %(copy)s::text, p.checkpoint_ns, p.checkpoint_id, p.parent_checkpoint_id, p.type, p.checkpoint, p.metadata
    FROM checkpoints AS p JOIN original ON p.thread_id = original.thread_id::text),
blobs AS (
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT %(copy)s::text, b.checkpoint_ns, b.channel, b.version, b.type, b.blob
    FROM checkpoint_blobs AS b JOIN original ON b.thread_id = original.thread_id::text),
writes AS (
    INSERT INTO checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT %(copy)s::text, w.checkpoint_ns, w.checkpoint_id, w.task_id, w.task_path, w.idx, w.channel, w.type, w.blob
    FROM checkpoint_writes AS w JOIN original ON w.thread_id = original.thread_id::text)
INSERT INTO thread
    (thread_id, status, rest_status, metadata, config, values, interrupts, error, state_stale_at, user_id)
SELECT %(copy)s::uuid, rest_status, rest_status, metadata, config, values, interrupts, error, state_stale_at,
    %(user_id)s
FROM original RETURNING thread_id"""


def insert_new(thread_id: UUID, *, metadata: Mapping[str, Any], user_id: str) -> ReturningInsert[Thread]:
    """Make a thread. No row comes back when the id is taken."""
    return (
        insert(Thread)
        .values(thread_id=thread_id, metadata_=metadata, user_id=user_id)
        .on_conflict_do_nothing()
        .returning(Thread)
    )


def by_id(thread_id: UUID) -> Select[Thread]:
    """The thread, unless it is hidden."""
    return select(Thread).where(Thread.thread_id == thread_id, Thread.deleted_at.is_(None))


def merge(thread_id: UUID, *, metadata: Mapping[str, Any]) -> ReturningUpdate[Thread]:
    """Overlay a thread's metadata. No row comes back when there is no such thread."""
    return (
        update(Thread)
        .where(Thread.thread_id == thread_id, Thread.deleted_at.is_(None))
        .values(
            metadata_=Thread.metadata_.op("||", return_type=JSONB())(metadata),
            updated_at=func.clock_timestamp(),
        )
        .returning(Thread)
    )


def matching(
    *,
    metadata: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
    status: str | None = None,
    ids: Sequence[UUID] | None = None,
) -> Select[Thread]:
    """The threads that fit all that is given."""
    found = select(Thread).where(Thread.deleted_at.is_(None))
    if metadata:
        found = found.where(Thread.metadata_.op("@>")(metadata))
    if values:
        found = found.where(Thread.values.op("@>")(values))
    if status is not None:
        found = found.where(Thread.status == status)
    if ids is not None:
        found = found.where(Thread.thread_id.in_(ids))
    return found


def in_order(found: Select[Thread], *, by: str, descending: bool) -> Select[Thread]:
    """The same in a stable order."""
    columns = (SORT_COLUMNS[by], Thread.thread_id)
    return found.order_by(*(column.desc() if descending else column.asc() for column in columns))


def at_rest(thread_ids: Collection[UUID]) -> Select[UUID]:
    """Which of these threads have no live run."""
    live = exists().where(Run.thread_id == Thread.thread_id, Run.status.in_(LIVE))
    return select(Thread.thread_id).where(Thread.thread_id.in_(thread_ids), Thread.deleted_at.is_(None), ~live)


def is_busy(thread_id: UUID) -> Select[bool]:
    """Whether a run is pending or running on the thread."""
    return select(_live_runs(thread_id))


def last_configurable(thread_id: UUID) -> Select[Any]:
    """The `configurable` of the thread's last run; null when there is none."""
    return (
        select(Run.kwargs["config"]["configurable"]).where(Run.thread_id == thread_id).order_by(Run.seq.desc()).limit(1)
    )


def follow_state(thread_id: UUID, *, values: Any, interrupts: Mapping[str, Any], waits: bool) -> ReturningUpdate[UUID]:
    """Show an edited state on its thread, unless a run has started since: its end will show its own."""
    status = ThreadStatus.INTERRUPTED if waits else ThreadStatus.IDLE
    return (
        update(Thread)
        .where(Thread.thread_id == thread_id, Thread.deleted_at.is_(None), ~_live_runs(thread_id))
        .values(
            values=values,
            interrupts=interrupts,
            error=None,
            status=status,
            rest_status=status,
            state_stale_at=None,
            state_updated_at=func.clock_timestamp(),
            updated_at=func.clock_timestamp(),
        )
        .returning(Thread.thread_id)
    )


def stale(limit: int) -> Select[Thread]:
    """Threads whose values and interrupts are older than their head."""
    return select(Thread).where(Thread.state_stale_at.is_not(None), Thread.deleted_at.is_(None)).limit(limit)


def show_head(thread_id: UUID, *, stale_at: datetime, shown: Mapping[str, Any]) -> Update:
    """Show what the head holds on a thread that has been stale since then: a run that ended later shows its own."""
    return (
        update(Thread)
        .where(Thread.thread_id == thread_id, Thread.state_stale_at == stale_at)
        .values(state_stale_at=None, state_updated_at=stale_at, **shown)
    )


def _live_runs(thread_id: UUID) -> Exists:
    return exists().where(Run.thread_id == thread_id, Run.status.in_(LIVE))
