"""A few connections for one event loop: the common pool makes a task for each caller that waits, and herds wait."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row

from ostinato_shared.database import connect_kwargs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONNECT_SECONDS = 5


class Connections:
    """Autocommit connections with dict rows, made when needed, the last used first; at most `size` at a time."""

    def __init__(self, dsn: str, *, size: int) -> None:
        self._dsn = dsn
        self._free = asyncio.Semaphore(size)
        self._idle: list[AsyncConnection[DictRow]] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[DictRow]]:
        """One of them, for a statement; waits while all are in use."""
        async with self._free:
            connection = self._idle.pop() if self._idle else await self._connect()
            try:
                yield connection
            finally:
                await self._take_back(connection)

    async def close(self) -> None:
        """Close those that nobody uses."""
        while self._idle:
            await self._idle.pop().close()

    async def _connect(self) -> AsyncConnection[DictRow]:
        return await AsyncConnection.connect(
            self._dsn,
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=CONNECT_SECONDS,
            **connect_kwargs(),
        )

    async def _take_back(self, connection: AsyncConnection[DictRow]) -> None:
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            self._idle.append(connection)
            return
        if connection.broken:  # the server went away: the others, made before, are no better
            await self.close()
        await connection.close()
