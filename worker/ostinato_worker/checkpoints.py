"""The fenced checkpointer: a worker that has lost a run can write nothing of it any more."""

from __future__ import annotations

import json
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import langgraph.checkpoint.base.id as id_clock
from langgraph.checkpoint.base import WRITES_IDX_MAP, get_serializable_checkpoint_metadata
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from psycopg.rows import dict_row

from ostinato_shared.serialization import UNSTORABLE
from ostinato_worker.checkpoint_writes import Rows
from ostinato_worker.outages import ride_out

if TYPE_CHECKING:
    import uuid
    from collections.abc import AsyncIterator, Callable, Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
    from psycopg import AsyncCursor
    from psycopg.rows import DictRow

    from ostinato_worker.checkpoint_writes import CheckpointWriter, Fence

SERDE = JsonPlusSerializer()
CLOCK = "_last_v6_timestamp"  # LangGraph's own: the time in the last id that it made


class LeaseLostError(RuntimeError):
    """The run is not this worker's any more. Never a GraphBubbleUp: LangGraph would swallow it."""

    def __init__(self, run_id: uuid.UUID) -> None:
        super().__init__(f"run {run_id} is not this worker's any more")
        self.run_id = run_id


class FencedSaver(AsyncPostgresSaver):
    """One run's checkpointer: the stock one's rows, each write one statement that first looks at the run's row.

    `on_lost` is called at once when the fence is closed: LangGraph itself tells only after the last node.
    """

    def __init__(
        self, writer: CheckpointWriter, fence: Fence, *, on_lost: Callable[[], object], on_new_thread: bool = False
    ) -> None:
        super().__init__(writer.pool, serde=SERDE)  # type: ignore[arg-type]  # only kept there: `_cursor` is ours
        self.writer = writer
        self.fence = fence
        self.on_lost = on_lost
        self._unwritten = on_new_thread  # there is nothing to read yet

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        """A connection of the pool for each read; the stock saver queues all of them behind one lock."""
        if pipeline:
            raise NotImplementedError("a worker writes through the fence only")
        async with (
            self.writer.pool.connection() as connection,
            connection.cursor(binary=True, row_factory=dict_row) as cursor,
        ):
            yield cursor

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        if self._unwritten:
            return None
        found = await ride_out(lambda: super(FencedSaver, self).aget_tuple(config), what="read")
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
        thread_id, ns, checkpoint_id = place["thread_id"], place["checkpoint_ns"], checkpoint["id"]
        inline, blobs = _split(checkpoint["channel_values"])
        changed = {name: version for name, version in new_versions.items() if name in blobs}
        row = (
            *(thread_id, ns, checkpoint_id, place.get("checkpoint_id")),
            json.dumps({**checkpoint, "channel_values": inline}),
            json.dumps(get_serializable_checkpoint_metadata(config, metadata)),
        )
        dumped = self._dump_blobs(thread_id, ns, blobs, changed)
        await self._write(Rows(self.fence, blobs=dumped, checkpoints={row[:3]: row}))
        return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}}

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        place = config["configurable"]
        key = (place["thread_id"], place["checkpoint_ns"], place["checkpoint_id"], task_id, task_path)
        dumped = self._dump_writes(*key, writes)
        if all(channel in WRITES_IDX_MAP for channel, _ in writes):
            await self._write(Rows(self.fence, replaced={row[:6]: row for row in dumped}))
        else:
            await self._write(Rows(self.fence, added=dumped))

    async def _write(self, rows: Rows) -> None:
        self._unwritten = False
        if not await self.writer.write(rows):
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
        return UNSTORABLE.search(value) is None  # the stock saver fails here
    if isinstance(value, float):
        return math.isfinite(value)  # nor NaN
    return value is None or isinstance(value, int)


def _lift_id_clock(checkpoint_id: str) -> None:
    """Make the next ids newer than this one: it may come from a host whose clock is ahead."""
    read = id_clock.UUID(checkpoint_id).time
    latest: int | None = getattr(id_clock, CLOCK)
    setattr(id_clock, CLOCK, max(read, latest or 0))
