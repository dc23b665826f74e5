"""Telling open pages that something changed: one cheap look a second for all of them, none while nobody watches."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from ostinato_shared import channels

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from psycopg import AsyncConnection
    from psycopg.rows import DictRow
    from psycopg_pool import AsyncConnectionPool

log = structlog.get_logger()

LOOK_SECONDS: Final = 1.0
REST_SECONDS: Final = 1.0  # longer between two looks while things change all the time: a refresh costs some queries
KEEPALIVE_SECONDS: Final = 15.0  # what finds clients that are gone, and keeps proxies from closing

HELLO: Final = "retry: 2000\n\n"
CHANGED: Final = "event: changed\ndata: -\n\n"
ALIVE: Final = ": alive\n\n"

# Each is read from the end of an index, from a partial index of what is live, or from a sequence. Together they move
# with every change that a page shows: crons, firings that come due, are claimed or skipped, runs that begin or end.
MARKS: Final = """
    SELECT (SELECT max(event_id) FROM cron_event) AS cron_events,
           (SELECT max(fire_time) FROM firing) AS fire_time,
           (SELECT count(*) FROM (SELECT FROM firing WHERE outcome = 'due' LIMIT 1000) AS due) AS due,
           (SELECT last_value FROM run_seq_seq) AS runs,
           (SELECT count(*) FROM (SELECT FROM run WHERE status IN ('pending', 'running') LIMIT 1000) AS live) AS live
"""


class Feed:
    """The pages that listen in this process, and the task that looks for them."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[DictRow]]) -> None:
        self._pool = pool
        self._listeners: set[asyncio.Event] = set()
        self._looking: asyncio.Task[None] | None = None
        self._stopping = False

    async def events(self) -> AsyncIterator[str]:
        """The text of an event stream: `changed` after every change, until the process stops."""
        news = asyncio.Event()
        self._listeners.add(news)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield HELLO
            while not self._stopping:
                with suppress(TimeoutError):
                    async with asyncio.timeout(KEEPALIVE_SECONDS):
                        await news.wait()
                if not self._stopping:
                    yield CHANGED if news.is_set() else ALIVE
                news.clear()
        finally:
            self._listeners.discard(news)

    def stop(self) -> None:
        """End all streams: the process stops."""
        self._stopping = True
        self._tell()

    async def close(self) -> None:
        """Stop, the looking included."""
        self.stop()
        if self._looking is not None:
            await channels.stop(self._looking)

    def _tell(self) -> None:
        for news in self._listeners:
            news.set()

    async def _look(self) -> None:
        """Compare the marks for as long as somebody listens."""
        seen = await self._marks()
        while self._listeners:
            await asyncio.sleep(LOOK_SECONDS)
            marks = await self._marks()
            if marks is not None and marks != seen:
                seen = marks
                self._tell()
                await asyncio.sleep(REST_SECONDS)

    async def _marks(self) -> dict[str, Any] | None:
        try:
            async with self._pool.connection() as connection:
                return await (await connection.execute(MARKS)).fetchone()
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("feed_look_failed", error=type(error).__name__)
            return None
