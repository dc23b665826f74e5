"""Write checkpoints of many runs together: what comes while the connections are busy goes in one statement.

Each run's rows pass its own fence, in the statement that writes them. A lone run is written at once and alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import structlog

from ostinato_worker.outages import ride_out

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from ostinato_shared.queries.runs import Pool

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
AT_ONCE = 2  # statements in flight; with more of them fewer runs share one
MOST = 100  # requests in one statement

# FOR SHARE: whoever takes a run over waits for a write under way, and no later write gets past the fence.
FENCE = """
WITH fence AS MATERIALIZED (
    SELECT run.run_id FROM run
    JOIN unnest(%s::uuid[], %s::uuid[], %s::int[]) AS f(run_id, owner, attempt)
    ON run.run_id = f.run_id AND run.owner = f.owner AND run.attempt = f.attempt AND run.status = 'running'
    FOR SHARE OF run {wait})"""
BLOBS = """, blobs AS (
    INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT b.thread_id, b.ns, b.channel, b.version, b.type, b.blob FROM fence
    JOIN unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[])
    AS b(run_id, thread_id, ns, channel, version, type, blob) USING (run_id)
    ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO NOTHING)"""
WRITES = """, {name} AS (
    INSERT INTO checkpoint_writes
    (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT w.thread_id, w.ns, w.checkpoint_id, w.task_id, w.task_path, w.idx, w.channel, w.type, w.blob FROM fence
    JOIN unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[],
                %s::text[], %s::bytea[])
    AS w(run_id, thread_id, ns, checkpoint_id, task_id, task_path, idx, channel, type, blob) USING (run_id)
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO {conflict})"""
ADDED = WRITES.format(name="added", conflict="NOTHING")
REPLACED = WRITES.format(
    name="replaced", conflict="UPDATE SET channel = EXCLUDED.channel, type = EXCLUDED.type, blob = EXCLUDED.blob"
)
CHECKPOINTS = """, checkpoint AS (
    INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    SELECT c.thread_id, c.ns, c.checkpoint_id, c.parent, c.checkpoint::jsonb, c.metadata::jsonb FROM fence
    JOIN unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
    AS c(run_id, thread_id, ns, checkpoint_id, parent, checkpoint, metadata) USING (run_id)
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id)
    DO UPDATE SET checkpoint = EXCLUDED.checkpoint, metadata = EXCLUDED.metadata)"""
PASSED = " SELECT run_id FROM fence"
TOGETHER = FENCE.format(wait="SKIP LOCKED")  # a run whose row is locked waits for that alone, not its neighbours
ALONE = FENCE.format(wait="")


class Fence(NamedTuple):
    """What a run's row must say for its worker to write."""

    run_id: UUID
    owner: UUID | None
    attempt: int


@dataclass
class Rows:
    """The rows of one write, each as the statement has its columns after `run_id`; keys of dicts are primary keys."""

    fence: Fence
    blobs: list[tuple[Any, ...]] = field(default_factory=list)
    added: list[tuple[Any, ...]] = field(default_factory=list)
    replaced: dict[tuple[Any, ...], tuple[Any, ...]] = field(default_factory=dict)
    checkpoints: dict[tuple[Any, ...], tuple[Any, ...]] = field(default_factory=dict)


class CheckpointWriter:
    """One for all runs of a process."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._in_flight = 0
        self._waiting: list[tuple[Rows, asyncio.Future[bool]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def write(self, rows: Rows) -> bool:
        """Whether the rows were written; False: the fence is closed."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, written))
        if self._in_flight < AT_ONCE:
            self._in_flight += 1
            await self._write_together()
        return await written or await self._write_alone(rows)

    async def _write_alone(self, rows: Rows) -> bool:
        """Try for as long as the outage lasts: whether the run is still this worker's, the fence says afterwards."""
        return bool(await ride_out(lambda: self._execute(ALONE, [rows]), what="checkpoint"))

    async def _write_together(self) -> None:
        """Tell each who waits whether its rows were written; if not it tries alone, and learns why."""
        batch: list[tuple[Rows, asyncio.Future[bool]]] = []
        written: set[UUID] = set()
        try:
            await asyncio.sleep(0)  # what comes in this turn of the loop comes along
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            if not batch:  # another flight has taken all
                return
            written = await self._execute(TOGETHER, [rows for rows, _ in batch])
        except (psycopg.Error, ValueError, TypeError) as error:  # one bad row fails all
            log.warning("checkpoints_parted", requests=len(batch), error=type(error).__name__)
        finally:
            for rows, waits in batch:
                if not waits.done():
                    waits.set_result(rows.fence.run_id in written)
            self._landed()

    def _landed(self) -> None:
        """Let those that gathered meanwhile take off."""
        self._in_flight -= 1
        if self._waiting:
            self._in_flight += 1
            task = asyncio.create_task(self._write_together())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _execute(self, fence: str, requests: Sequence[Rows]) -> set[UUID]:
        statement, arguments = _compose(fence, requests)
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement, arguments, binary=True)
            return {row["run_id"] for row in await cursor.fetchall()}


def _compose(fence: str, requests: Sequence[Rows]) -> tuple[str, list[list[Any]]]:
    """One statement for the rows of all requests, and its arguments: a list for each column."""
    fences = {rows.fence.run_id: rows.fence for rows in requests}
    blobs = [(rows.fence.run_id, *row) for rows in requests for row in rows.blobs]
    added = [(rows.fence.run_id, *row) for rows in requests for row in rows.added]
    # One statement may not touch a row twice: the last one wins, as it does one by one.
    replaced = {key: (rows.fence.run_id, *row) for rows in requests for key, row in rows.replaced.items()}
    checkpoints = {key: (rows.fence.run_id, *row) for rows in requests for key, row in rows.checkpoints.items()}
    statement, arguments = fence, _columns(fences.values())
    for part, table in (
        (BLOBS, blobs),
        (ADDED, added),
        (REPLACED, replaced.values()),
        (CHECKPOINTS, checkpoints.values()),
    ):
        if table:
            statement += part
            arguments += _columns(table)
    return statement + PASSED, arguments


def _columns(rows: Collection[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
