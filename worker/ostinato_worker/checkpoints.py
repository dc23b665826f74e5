"""The fenced checkpointer: a worker that has lost a run can write nothing of it any more."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import langgraph.checkpoint.base.id as id_clock
from langgraph.checkpoint.base import WRITES_IDX_MAP, get_serializable_checkpoint_metadata
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from ostinato_worker.outages import ride_out

if TYPE_CHECKING:
    import uuid
    from collections.abc import AsyncIterator, Callable, Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
    from psycopg import AsyncCursor
    from psycopg.rows import DictRow

    from ostinato_shared.queries.runs import Pool

# FOR SHARE: whoever takes the run over waits for a write under way, and no later write gets past it.
FENCE = """
WITH fence AS MATERIALIZED (
    SELECT FROM run WHERE run_id = %s AND owner = %s AND attempt = %s AND status = 'running' FOR SHARE)"""
CHECKPOINT = """
INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
SELECT %s, %s, %s, %s, %s, %s FROM fence
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id)
DO UPDATE SET checkpoint = EXCLUDED.checkpoint, metadata = EXCLUDED.metadata"""
BLOBS = """, blobs AS (
INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
SELECT %s, %s, b.channel, b.version, b.type, b.blob
FROM fence, unnest(%s::text[], %s::text[], %s::text[], %s::bytea[]) AS b(channel, version, type, blob)
ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO NOTHING)"""
WRITES = """, writes AS (
INSERT INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
SELECT %s, %s, %s, %s, %s, w.idx, w.channel, w.type, w.blob
FROM fence, unnest(%s::int[], %s::text[], %s::text[], %s::bytea[]) AS w(idx, channel, type, blob)
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO """
REPLACE = "UPDATE SET channel = EXCLUDED.channel, type = EXCLUDED.type, blob = EXCLUDED.blob"
PUT = FENCE + CHECKPOINT
PUT_WITH_BLOBS = FENCE + BLOBS + CHECKPOINT
ADD_WRITES = FENCE + WRITES + "NOTHING) SELECT FROM fence"
REPLACE_WRITES = FENCE + WRITES + REPLACE + ") SELECT FROM fence"

SERDE = JsonPlusSerializer()
CLOCK = "_last_v6_timestamp"  # LangGraph's own: the time in the last id that it made
RETRY_SECONDS = 10.0  # every statement bears repeating; longer outages fail the run


class LeaseLostError(RuntimeError):
    """The run is not this worker's any more. Never a GraphBubbleUp: LangGraph would swallow it."""

    def __init__(self, run_id: uuid.UUID) -> None:
        super().__init__(f"run {run_id} is not this worker's any more")
        self.run_id = run_id


class Fence(NamedTuple):
    run_id: uuid.UUID
    owner: uuid.UUID | None
    attempt: int


class FencedSaver(AsyncPostgresSaver):
    """One run's checkpointer: the stock one's rows, each write one statement that first looks at the run's row.

    `on_lost` is called at once when the fence is closed: LangGraph itself tells only after the last node.
    """

    def __init__(self, pool: Pool, fence: Fence, *, on_lost: Callable[[], object], on_new_thread: bool = False) -> None:
        super().__init__(pool, serde=SERDE)  # type: ignore[arg-type]  # only kept there: `_cursor` is ours
        self.pool = pool
        self.fence = fence
        self.on_lost = on_lost
        self._unwritten = on_new_thread  # there is nothing to read yet

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        """A connection of the pool for each read; the stock saver queues all of them behind one lock."""
        if pipeline:
            raise NotImplementedError("a worker writes through the fence only")
        async with self.pool.connection() as connection, connection.cursor(binary=True, row_factory=dict_row) as cursor:
            yield cursor

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        if self._unwritten:
            return None
        found = await ride_out(lambda: super(FencedSaver, self).aget_tuple(config), what="read", seconds=RETRY_SECONDS)
        if found is not None:
            _lift_id_clock(found.checkpoint["id"])
        return found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        place = config["configurable"]
        key = (place["thread_id"], place["checkpoint_ns"])
        inline, blobs = _split(checkpoint["channel_values"])
        row = (
            *key,
            checkpoint["id"],
            place.get("checkpoint_id"),
            Jsonb({**checkpoint, "channel_values": inline}),
            Jsonb(get_serializable_checkpoint_metadata(config, metadata)),
        )
        changed = {name: version for name, version in new_versions.items() if name in blobs}
        if changed:
            dumped = self._dump_blobs(*key, blobs, changed)
            columns = [[blob[i] for blob in dumped] for i in range(2, 6)]
            await self._write(PUT_WITH_BLOBS, (*key, *columns, *row))
        else:
            await self._write(PUT, row)
        return {"configurable": {"thread_id": key[0], "checkpoint_ns": key[1], "checkpoint_id": checkpoint["id"]}}

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        place = config["configurable"]
        key = (place["thread_id"], place["checkpoint_ns"], place["checkpoint_id"], task_id, task_path)
        replace = all(channel in WRITES_IDX_MAP for channel, _ in writes)
        dumped = self._dump_writes(*key, writes)
        if replace:  # one statement may not touch a row twice: the last write wins, as it does one by one
            dumped = list({write[5]: write for write in dumped}.values())
        columns = [[write[i] for write in dumped] for i in range(5, 9)]
        await self._write(REPLACE_WRITES if replace else ADD_WRITES, (*key, *columns))

    async def _write(self, statement: str, arguments: tuple[Any, ...]) -> None:
        async def attempt() -> int:
            self._unwritten = False
            async with self.pool.connection() as connection:
                cursor = await connection.execute(statement, (*self.fence, *arguments), binary=True)
                return cursor.rowcount

        if await ride_out(attempt, what="checkpoint", seconds=RETRY_SECONDS) == 0:
            self.on_lost()
            raise LeaseLostError(self.fence.run_id)


def _split(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What stands in the checkpoint itself, and what in blobs; a delta's snapshot leaves its mark in the first."""
    inline = {name: value for name, value in values.items() if _fits_inline(value)}
    blobs = {name: value for name, value in values.items() if name not in inline}
    inline |= {name: True for name, value in blobs.items() if isinstance(value, _DeltaSnapshot)}
    return inline, blobs


def _fits_inline(value: object) -> bool:
    if isinstance(value, str):
        return "\0" not in value  # jsonb has no NUL; the stock saver fails here
    if isinstance(value, float):
        return math.isfinite(value)  # nor NaN
    return value is None or isinstance(value, int)


def _lift_id_clock(checkpoint_id: str) -> None:
    """Make the next ids newer than this one: it may come from a host whose clock is ahead."""
    read = id_clock.UUID(checkpoint_id).time
    latest: int | None = getattr(id_clock, CLOCK)
    setattr(id_clock, CLOCK, max(read, latest or 0))
