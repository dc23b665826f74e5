"""The plain checkpointer over a process's pool, for whoever reads and edits threads outside of runs."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import langgraph.checkpoint.base.id as id_clock
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg.rows import dict_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import CheckpointTuple
    from psycopg import AsyncConnection, AsyncCursor
    from psycopg.rows import DictRow
    from psycopg_pool import AsyncConnectionPool

SERDE = JsonPlusSerializer()


class PlainSaver(AsyncPostgresSaver):
    """The stock saver, but each read and write takes a connection of its own: the stock one has one lock for all."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[DictRow]]) -> None:
        super().__init__(pool, serde=SERDE)
        self.pool = pool

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        async with self.pool.connection() as connection:
            if not pipeline:
                async with connection.cursor(binary=True, row_factory=dict_row) as cursor:
                    yield cursor
                return
            async with (
                connection.transaction(),
                connection.pipeline(),
                connection.cursor(binary=True, row_factory=dict_row) as cursor,
            ):
                yield cursor

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = await super().aget_tuple(config)
        if found is not None:
            lift_id_clock(found.checkpoint["id"])
        return found


def lift_id_clock(checkpoint_id: str) -> None:
    """Make the ids of the next checkpoints newer than this one: it may come from a host whose clock is ahead."""
    newest = max(id_clock.UUID(checkpoint_id).time, id_clock._last_v6_timestamp or 0)  # noqa: SLF001 - likewise
    id_clock._last_v6_timestamp = newest  # type: ignore[assignment]  # noqa: SLF001 - it begins as None
