"""What a worker asks of Postgres: claim, start and finish runs, hold its lease. Each is one autocommit statement."""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, cast

from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime
    from uuid import UUID

    import psycopg
    from psycopg import AsyncConnection, Connection
    from psycopg.rows import DictRow

STRAY = """
SELECT *, ostinato_seconds_left(run) AS seconds_left FROM run
WHERE run_id = %s AND owner = %s AND status = 'running'"""
STRAY_ON_THREAD = """
SELECT r.*, ostinato_seconds_left(r) AS seconds_left FROM run AS asked JOIN run AS r USING (thread_id)
WHERE asked.run_id = %s AND r.owner = %s AND r.status = 'running'"""
FINISH = """
SELECT next_run_id
FROM ostinato_finish(%s, %s, %s, %s::text, %s::text, %s::jsonb, %s::jsonb, %s::jsonb, %s::text)"""
UNDER_WAY = "SELECT run_id, cancel_requested IS NOT NULL AS cancelled FROM run WHERE owner = %s AND status = 'running'"
HAND_ON = """
UPDATE run SET status = 'pending', owner = NULL, updated_at = clock_timestamp()
WHERE run_id = %s AND owner = %s AND attempt = %s AND status = 'running' AND cancel_requested IS NULL
RETURNING run_id"""

# What `ostinato_finish` would have said had its answer not been lost.
FINISHED = """
SELECT (SELECT n.run_id FROM run AS n WHERE n.thread_id = r.thread_id AND n.status = 'pending'
        AND n.waits_until IS NULL ORDER BY n.seq LIMIT 1) AS next_run_id
FROM run AS r WHERE r.run_id = %s AND r.owner = %s AND r.attempt = %s AND r.ended_at IS NOT NULL"""
RECORD_ANSWERS = """
UPDATE run SET answers = %s WHERE run_id = %s AND owner = %s AND attempt = %s AND status = 'running'
RETURNING run_id"""

REFUSE = """
UPDATE firing SET outcome = 'skipped', reason = 'invalid', error = %s, ended_at = clock_timestamp(),
    lag_ms = least(extract(epoch FROM clock_timestamp() - fire_time) * 1000, 2147483647)::int
WHERE firing_id = %s AND outcome = 'due' RETURNING firing_id"""

RENEW_LEASE = """
INSERT INTO worker (worker_id, hostname, pid, slots, blocked_by, expires_at, loop_lag_ms, blocked_graph, blocked_since)
VALUES (%s, %s, %s, %s, %s, clock_timestamp() + make_interval(secs => %s), %s, %s,
        clock_timestamp() - make_interval(secs => %s))
ON CONFLICT (worker_id) DO UPDATE SET expires_at = EXCLUDED.expires_at, blocked_by = EXCLUDED.blocked_by,
    loop_lag_ms = EXCLUDED.loop_lag_ms,
    blocked_graph = CASE WHEN EXCLUDED.loop_lag_ms > 0 THEN EXCLUDED.blocked_graph ELSE worker.blocked_graph END,
    blocked_since = coalesce(EXCLUDED.blocked_since, worker.blocked_since)"""
RELEASE_LEASE = """
UPDATE worker SET expires_at = clock_timestamp(), released_at = clock_timestamp() WHERE worker_id = %s"""
ABANDON_LEASE = "UPDATE worker SET expires_at = clock_timestamp(), blocked_by = %s WHERE worker_id = %s"
# A lease that still owns runs stays, expired: it is what shows that they are orphaned.
DROP_SPENT_LEASES = """
DELETE FROM worker WHERE expires_at < clock_timestamp()
AND NOT EXISTS (SELECT FROM run WHERE run.owner = worker.worker_id AND run.status = 'running')"""


@dataclass(frozen=True, slots=True)
class Stall:
    """A worker's loop stands still, or did a moment ago."""

    graph_id: str | None  # the graph that keeps it from turning, if it is known
    seconds: float
    began: float  # by the monotonic clock

    def ago(self) -> float:
        """The seconds since it began."""
        return time.monotonic() - self.began


class Pool(Protocol):
    """Where autocommit connections with dict rows come from."""

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection[DictRow]]: ...


@dataclass(frozen=True, slots=True)
class RunRow:
    """What executing a run takes of its row."""

    run_id: UUID
    thread_id: UUID
    assistant_id: UUID
    graph_id: str
    status: str
    metadata: dict[str, Any]
    kwargs: dict[str, Any]
    owner: UUID | None
    attempt: int
    cron_id: UUID | None
    firing_id: UUID | None
    fire_time: datetime | None
    answers: list[str] | None = None
    multitask_strategy: str = "enqueue"
    cancel_requested: str | None = None  # already when it was started: its earlier worker did not come to it
    timeout_seconds: float | None = None
    seconds_left: float | None = None  # of that, when the row was read


RUN_FIELDS = tuple(field.name for field in fields(RunRow))
RUN_COLUMNS = RUN_FIELDS[:-1]  # the last one is computed
CLAIM = (
    f"SELECT c.outcome, c.reason, c.wait_seconds, {', '.join(f'(c.claimed).{name}' for name in RUN_COLUMNS)}"  # noqa: S608 - our own names
    ", ostinato_seconds_left(c.claimed) AS seconds_left FROM ostinato_claim(%s, %s, %s, %s) AS c"
)
START = "SELECT *, ostinato_seconds_left(r) AS seconds_left FROM ostinato_start(%s, %s) AS r"


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of a firing; `run` is there when it made one, `pending` if its thread is busy."""

    outcome: str
    reason: str | None
    wait_seconds: float
    run: RunRow | None
    on_new_thread: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, in the order of the SQL function; JSON as text. `values` None leaves the thread its own."""

    status: str
    rest_status: str
    values: str | None = None
    interrupts: str = "{}"
    error: str | None = None
    output: str | None = None


async def claim(pool: Pool, firing_id: UUID, *, run_id: UUID, thread_id: UUID, owner: UUID) -> Claim | None:
    """What became of the firing; None when it was not `due` any more."""
    row = await _one(pool, CLAIM, (firing_id, run_id, thread_id, owner))
    if row is None:
        return None
    run = None if row["run_id"] is None else _run(row)
    on_new_thread = row["thread_id"] == thread_id
    return Claim(row["outcome"], row["reason"], row["wait_seconds"], run, on_new_thread=on_new_thread)


async def refuse(pool: Pool, firing_id: UUID, *, error: psycopg.Error) -> None:
    """Record a firing that cannot be claimed, and why."""
    why = {"error": type(error).__name__, "message": str(error).partition("\n")[0]}
    await _one(pool, REFUSE, (Jsonb(why), firing_id))


async def start(pool: Pool, run_id: UUID, *, owner: UUID) -> RunRow | None:
    """The oldest pending run of this run's thread, now running; None when there is none, or the thread is busy."""
    row = await _one(pool, START, (run_id, owner))
    return None if row is None else _run(row)


async def stray(pool: Pool, run_id: UUID, *, owner: UUID) -> RunRow | None:
    """This run, if the owner runs it: its claim was committed though the answer was lost."""
    row = await _one(pool, STRAY, (run_id, owner))
    return None if row is None else _run(row)


async def stray_on_thread(pool: Pool, run_id: UUID, *, owner: UUID) -> RunRow | None:
    """The run that the owner runs on this run's thread, for the same reason."""
    row = await _one(pool, STRAY_ON_THREAD, (run_id, owner))
    return None if row is None else _run(row)


async def finish(pool: Pool, run: RunRow, ending: Ending) -> tuple[UUID | None] | None:
    """The thread's next pending run, if any, in a tuple; None when the run is not this worker's any more."""
    fence = (run.run_id, run.owner, run.attempt)
    row = await _one(pool, FINISH, (*fence, *astuple(ending)))
    return None if row is None else (row["next_run_id"],)


async def finished(pool: Pool, run: RunRow) -> tuple[UUID | None] | None:
    """As `finish`, of a run that this worker may have ended already: the answer was lost. None: it has not."""
    row = await _one(pool, FINISHED, (run.run_id, run.owner, run.attempt))
    return None if row is None else (row["next_run_id"],)


async def record_answers(pool: Pool, run: RunRow, interrupt_ids: list[str]) -> bool:
    """Keep which interrupts the run answers. False: it is not this worker's any more."""
    fence = (run.run_id, run.owner, run.attempt)
    return await _one(pool, RECORD_ANSWERS, (Jsonb(interrupt_ids), *fence)) is not None


async def hand_on(pool: Pool, run: RunRow) -> bool:
    """Make the run pending again, for another worker. False: it is not this worker's any more, or shall end here."""
    return await _one(pool, HAND_ON, (run.run_id, run.owner, run.attempt)) is not None


async def under_way(pool: Pool, owner: UUID) -> dict[UUID, bool]:
    """The owner's running runs, and whether each is asked to end."""
    async with pool.connection() as connection:
        cursor = await connection.execute(UNDER_WAY, (owner,))
        return {row["run_id"]: row["cancelled"] for row in await cursor.fetchall()}


def renew_lease(
    connection: Connection[Any], worker_id: UUID, *, hostname: str, pid: int, slots: int, blocked_by: UUID | None,
    seconds: float, stall: Stall | None = None,
) -> None:  # fmt: skip
    """Hold the worker's lease for so many seconds more, by the database's clock, and tell how its loop turns."""
    lag = (0, None, None) if stall is None else (int(stall.seconds * 1000), stall.graph_id, stall.ago())
    connection.execute(RENEW_LEASE, (worker_id, hostname, pid, slots, blocked_by, seconds, *lag))


def release_lease(connection: Connection[Any], worker_id: UUID) -> None:
    """Let the lease expire now, in order: runs left are charged no crash. Leases that own no run any more go."""
    connection.execute(RELEASE_LEASE, (worker_id,))
    connection.execute(DROP_SPENT_LEASES)


def abandon_lease(connection: Connection[Any], worker_id: UUID, *, blocked_by: UUID | None) -> None:
    """Let the lease expire now; the run that stalled the process is charged for it, or all if it is not known."""
    connection.execute(ABANDON_LEASE, (blocked_by, worker_id))


async def _one(pool: Pool, statement: str, arguments: tuple[object, ...]) -> DictRow | None:
    async with pool.connection() as connection:
        cursor = await connection.execute(statement, arguments)
        return await cursor.fetchone()


def _run(row: DictRow) -> RunRow:
    return RunRow(*(cast("Any", row[name]) for name in RUN_FIELDS))
