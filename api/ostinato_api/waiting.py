"""Waiting for the end of runs: one subscription and one slow look at Postgres for all who wait in this process."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import structlog

from ostinato_shared import channels
from ostinato_shared.queries import thread_runs as queries
from ostinato_shared.task_names import DONE_CHANNEL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from uuid import UUID

    from psycopg import AsyncConnection
    from psycopg.rows import DictRow
    from psycopg_pool import AsyncConnectionPool
    from redis.asyncio import Redis

log = structlog.get_logger()

LOOK_SECONDS = 1.5  # the sure path: how late a waiter is when Redis has lost the word that its run ended


class ServerStoppingError(Exception):
    """The process ends before the run does: the answer stays without an end, so that clients ask again."""


@dataclass
class Waiting:
    """Who waits for which run. No connection is held meanwhile; a hint only makes its waiters look."""

    pool: AsyncConnectionPool[AsyncConnection[DictRow]]
    redis: Redis
    _hints: dict[UUID, set[asyncio.Event]] = field(default_factory=dict)
    _someone: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False

    async def end(self, run_id: UUID) -> queries.RunOutcome | None:
        """How the run ended; None when it was deleted. Returns when it is over."""
        with self._hint(run_id) as hint:
            while True:
                hint.clear()
                try:
                    found = await queries.outcome(self.pool, run_id)
                except psycopg.OperationalError as error:  # the status line is out: wait until the database is back
                    log.warning("waiter_look_failed", run_id=str(run_id), error=type(error).__name__)
                else:
                    if found is None or found.over:
                        return found
                if self._stopping:
                    raise ServerStoppingError
                await hint.wait()

    def stop(self) -> None:
        """Send everybody home: the process ends."""
        self._stopping = True
        self._wake(self._hints)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Waiting]:
        """Hear of ended runs while the block runs."""
        listening = channels.listen(self.redis, DONE_CHANNEL, self._hear)
        tasks = [asyncio.create_task(listening), asyncio.create_task(self._look())]
        try:
            yield self
        finally:
            self.stop()
            await channels.stop(*tasks)

    @contextmanager
    def _hint(self, run_id: UUID) -> Iterator[asyncio.Event]:
        hint = asyncio.Event()
        self._hints.setdefault(run_id, set()).add(hint)
        self._someone.set()
        try:
            yield hint
        finally:
            self._hints[run_id].discard(hint)
            if not self._hints[run_id]:
                del self._hints[run_id]

    def _wake(self, run_ids: Any) -> None:
        for run_id in list(run_ids):
            for hint in self._hints.get(run_id, ()):
                hint.set()

    async def _hear(self, run_id: UUID) -> None:
        self._wake((run_id,))

    async def _look(self) -> None:
        while True:
            await self._someone.wait()
            await asyncio.sleep(LOOK_SECONDS)
            if not self._hints:
                self._someone.clear()
                continue
            try:
                self._wake(await queries.over(self.pool, list(self._hints)))
            except psycopg.Error as error:
                log.warning("waiters_look_failed", error=type(error).__name__)


def answer(found: queries.RunOutcome | None) -> dict[str, Any]:
    """The body of a wait or a join: the thread's values, or the error."""
    if found is None:
        return _failure("RunDeletedError", "The run was deleted, or rolled back.")
    if found.status in {"error", "timeout"}:
        error = found.error if isinstance(found.error, dict) else {}
        return _failure(str(error.get("error", "Error")), str(error.get("message", "The run failed.")))
    values = found.values if isinstance(found.values, dict) else {}
    asked = [question for questions in found.interrupts.values() for question in questions]
    if asked and found.status == "success":
        return {**values, "__interrupt__": asked}
    return values if found.values is None else found.values


def _failure(error: str, message: str) -> dict[str, Any]:
    return {"__error__": {"error": error, "message": message}}
