"""What the api asks of Postgres about runs: put them on threads, read them, see whether they are over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from psycopg import Rollback
from psycopg.types.json import Jsonb
from sqlalchemy import select

from ostinato_shared.models import Run, Thread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg import AsyncConnection, AsyncCursor
    from psycopg.rows import DictRow
    from psycopg_pool import AsyncConnectionPool
    from sqlalchemy import Select

    Pool = AsyncConnectionPool[AsyncConnection[DictRow]]

ENQUEUE = "SELECT verdict, ready FROM ostinato_enqueue(%s, %s, %s, %s, %s, %s, %s, %s)"
NEW_THREAD = "INSERT INTO thread (thread_id, user_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"
READ = """
SELECT run_id, thread_id, assistant_id, status, metadata AS metadata_, kwargs, multitask_strategy,
       created_at, updated_at
FROM run WHERE run_id = ANY(%s) ORDER BY seq"""
DELETE = "SELECT next_run_id FROM ostinato_delete_run(%s, %s)"
CANCEL = "SELECT verdict, next_run_id FROM ostinato_cancel(%s, %s, %s, %s)"
# Those that wait first: none of them shall start because the one before it ends.
LIVE = """
SELECT run.thread_id, run.run_id FROM run JOIN thread USING (thread_id)
WHERE run.status IN ('pending', 'running') AND thread.deleted_at IS NULL AND {which}
ORDER BY run.status, run.seq DESC"""
LIVE_WITH_STATUS = LIVE.format(which="run.status = ANY(%s)")
LIVE_OF_THREAD = LIVE.format(which="run.thread_id = %s AND run.run_id = ANY(%s)")
# Also of a hidden thread: whoever waited for a run gets its values before the thread is purged.
OUTCOME = """
SELECT run.status, run.error, thread.values, thread.interrupts, thread.thread_id, thread.state_stale_at
FROM run JOIN thread USING (thread_id) WHERE run_id = %s"""
OVER = """
SELECT asked.run_id FROM unnest(%s::uuid[]) AS asked (run_id) LEFT JOIN run USING (run_id)
WHERE run.run_id IS NULL OR run.status NOT IN ('pending', 'running')"""
ON_THREAD = "SELECT FROM run WHERE run_id = %s AND thread_id = %s"


MADE = "made"


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that a client asks for; `payload` has its own fields and its metadata."""

    run_id: UUID
    thread_id: UUID
    assistant_id: UUID
    payload: Mapping[str, Any]
    strategy: str
    on_completion: str
    user_id: str
    delay: float = 0.0  # seconds

    @property
    def arguments(self) -> tuple[object, ...]:
        """Of `ostinato_enqueue`."""
        return (
            *(self.run_id, self.thread_id, self.assistant_id, Jsonb(self.payload)),
            *(self.strategy, self.on_completion, self.user_id, self.delay),
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """`made`, or why not: `thread_gone`, `assistant_gone`, `thread_busy`. `ready`: it is the thread's turn at once."""

    verdict: str
    ready: bool
    made: Sequence[DictRow] = ()  # the runs as the SDKs read them, oldest first


@dataclass(frozen=True, slots=True)
class Cancelled:
    """`ended`: at once, and this is the thread's next run. Else the run's owner ends it."""

    ended: bool
    next_run_id: UUID | None


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run stands, and what its thread shows."""

    status: str
    error: Any
    values: Any
    interrupts: dict[str, list[Any]]
    thread_id: UUID
    state_stale_at: datetime | None

    @property
    def over(self) -> bool:
        return self.status not in {"pending", "running"}


async def enqueue(pool: Pool, run: NewRun) -> Verdict:
    """Put a run on a thread that is there."""
    # Read before anybody can displace or delete it; in one batch, so that the thread's lock waits for no round trip.
    async with pool.connection() as connection, connection.pipeline(), connection.transaction():
        decided = await connection.execute(ENQUEUE, run.arguments)
        made = await connection.execute(READ, ([run.run_id],))
    return replace(await _verdict(decided), made=await made.fetchall())


async def enqueue_on_new_threads(pool: Pool, runs: Sequence[NewRun]) -> Verdict:
    """Make the runs' threads, unless they are there, and put the runs on them. One that cannot be made undoes all."""
    verdict = Verdict(MADE, ready=True)
    made: list[DictRow] = []
    async with pool.connection() as connection, connection.transaction() as transaction:
        for run in runs:
            await connection.execute(NEW_THREAD, (run.thread_id, run.user_id))
            verdict = await _verdict(await connection.execute(ENQUEUE, run.arguments))
            if verdict.verdict != MADE:
                raise Rollback(transaction)
        made = await (await connection.execute(READ, ([run.run_id for run in runs],))).fetchall()
    return replace(verdict, made=made)


async def remove(pool: Pool, thread_id: UUID, run_id: UUID) -> tuple[UUID | None] | None:
    """Delete the run: the thread's next pending run, if any, in a tuple; None when there is no such run."""
    row = await _one(pool, DELETE, (thread_id, run_id))
    return None if row is None else (row["next_run_id"],)


async def cancel(pool: Pool, thread_id: UUID, run_id: UUID, *, action: str, reason: str) -> Cancelled | None:
    """What becomes of the run; None when there is no such live run."""
    row = await _one(pool, CANCEL, (thread_id, run_id, action, reason))
    return None if row is None else Cancelled(row["verdict"] == "ended", row["next_run_id"])


async def live(pool: Pool, statuses: Sequence[str]) -> list[tuple[UUID, UUID]]:
    """Thread and id of every run with one of these statuses, out of `pending` and `running`."""
    return await _ids(pool, LIVE_WITH_STATUS, (statuses,))


async def live_of_thread(pool: Pool, thread_id: UUID, run_ids: Sequence[UUID]) -> list[tuple[UUID, UUID]]:
    """Thread and id of those of the runs that are on the thread and not over."""
    return await _ids(pool, LIVE_OF_THREAD, (thread_id, run_ids))


async def outcome(pool: Pool, run_id: UUID) -> RunOutcome | None:
    """How the run stands; None when it was deleted."""
    row = await _one(pool, OUTCOME, (run_id,))
    return None if row is None else RunOutcome(**row)


async def over(pool: Pool, run_ids: Sequence[UUID]) -> list[UUID]:
    """Which of these runs have ended, or are gone."""
    async with pool.connection() as connection:
        cursor = await connection.execute(OVER, (run_ids,))
        return [row["run_id"] for row in await cursor.fetchall()]


async def is_on_thread(pool: Pool, thread_id: UUID, run_id: UUID) -> bool:
    """Whether there is such a run, be its thread hidden."""
    return await _one(pool, ON_THREAD, (run_id, thread_id)) is not None


def of_thread(thread_id: UUID, *, status: str | None = None) -> Select[Run]:
    """The runs of a thread, newest first."""
    found = select(Run).where(Run.thread_id == thread_id).order_by(Run.seq.desc())
    return found if status is None else found.where(Run.status == status)


def by_id(thread_id: UUID, run_id: UUID) -> Select[Run]:
    """The run, unless its thread is hidden."""
    return (
        select(Run)
        .join(Thread, Thread.thread_id == Run.thread_id)
        .where(Run.run_id == run_id, Run.thread_id == thread_id, Thread.deleted_at.is_(None))
    )


async def _verdict(decided: AsyncCursor[DictRow]) -> Verdict:
    row = await decided.fetchone()
    if row is None:
        raise RuntimeError("ostinato_enqueue gives one row always")
    return Verdict(**row)


async def _ids(pool: Pool, statement: str, arguments: tuple[object, ...]) -> list[tuple[UUID, UUID]]:
    async with pool.connection() as connection:
        cursor = await connection.execute(statement, arguments)
        return [(row["thread_id"], row["run_id"]) for row in await cursor.fetchall()]


async def _one(pool: Pool, statement: str, arguments: tuple[object, ...]) -> DictRow | None:
    async with pool.connection() as connection:
        return await (await connection.execute(statement, arguments)).fetchone()
