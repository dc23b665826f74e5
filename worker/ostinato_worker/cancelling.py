"""End runs that somebody asked to end: a hint makes the worker look at once, a slow look finds the rest."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import psycopg
import structlog

from ostinato_shared import broker, channels
from ostinato_shared.queries import runs
from ostinato_shared.task_names import CANCEL_CHANNEL

if TYPE_CHECKING:
    from uuid import UUID

    from ostinato_worker.runtime import Runtime

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
LOOKS = 6  # in one lease, as its heartbeats
HINT_SECONDS = 1.0  # how long a hint waits for a run whose start is still on its way here


def watch(runtime: Runtime) -> list[asyncio.Task[None]]:
    """Look whenever somebody asks, and now and then, until these tasks are stopped."""
    listening = channels.listen(runtime.redis, CANCEL_CHANNEL, partial(_hear, runtime))
    return [asyncio.create_task(listening), asyncio.create_task(_look_now_and_then(runtime))]


async def look(runtime: Runtime) -> None:
    """Cancel the runs of this process that are asked to end, and those that are not its own any more."""
    known = {run_id: under_way for run_id, under_way in runtime.under_way.items() if not under_way.lost}
    if not known:
        return
    try:
        rows = await runs.under_way(runtime.pool, runtime.worker_id)
    except psycopg.Error as error:
        log.warning("cancels_not_seen", error=type(error).__name__)
        return
    for run_id, under_way in known.items():
        if run_id not in rows:
            under_way.lose()
        elif rows[run_id]:
            under_way.ask()


async def tell(runtime: Runtime, thread_id: UUID) -> None:
    """Tell the worker that has this thread's run to look."""
    await broker.hint(runtime.redis.publish(CANCEL_CHANNEL, str(thread_id)))


async def _look_now_and_then(runtime: Runtime) -> None:
    while True:
        await asyncio.sleep(runtime.settings.lease_seconds / LOOKS)
        await look(runtime)


async def _hear(runtime: Runtime, thread_id: UUID) -> None:
    if any(under_way.run.thread_id == thread_id for under_way in runtime.under_way.values()):
        await look(runtime)
    else:
        runtime.hinted.add(thread_id)
        runtime.loop.call_later(HINT_SECONDS, runtime.hinted.discard, thread_id)
