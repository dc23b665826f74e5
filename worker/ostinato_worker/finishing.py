"""End a run: its row, its thread and its firing, then a word to whoever waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg
import structlog

from ostinato_shared import broker
from ostinato_shared.queries import runs
from ostinato_shared.task_names import DONE_CHANNEL, QUEUE
from ostinato_worker import webhooks
from ostinato_worker.outages import ride_out
from ostinato_worker.outcomes import cut_off, ended_early, failed

if TYPE_CHECKING:
    from uuid import UUID

    from ostinato_shared.queries.runs import Ending, RunRow
    from ostinato_worker.runtime import Runtime, UnderWay

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
TAKEN_OVER = "OS001"


async def conclude(runtime: Runtime, under_way: UnderWay, graph: asyncio.Task[Ending]) -> None:
    """Record how the run ended; one that was cancelled to stop the process is handed on."""
    run = under_way.run
    if under_way.lost:
        log.warning("run_lost", run_id=str(run.run_id), attempt=run.attempt)
    elif graph.done() and not graph.cancelled():
        await _finish(runtime, run, graph.result())
    elif under_way.stopped:
        await _finish(runtime, run, ended_early(under_way, None))
    elif runtime.stopping.is_set():
        await _hand_on(runtime, run)
    else:
        await _finish(runtime, run, failed(asyncio.CancelledError("the graph cancelled itself")))


async def _finish(runtime: Runtime, run: RunRow, ending: Ending) -> None:
    finished = await _record(runtime, run, ending)
    if finished is None:
        log.warning("run_lost", run_id=str(run.run_id), attempt=run.attempt)
        return
    log.info("run_finished", run_id=str(run.run_id), graph=run.graph_id, status=ending.status, **_cron(run))
    await _tell(runtime, run.run_id, next_run_id=finished[0])
    if run.kwargs.get("webhook") is not None:
        webhooks.begin(runtime, run.run_id)


async def _record(runtime: Runtime, run: RunRow, ending: Ending) -> tuple[UUID | None] | None:
    """As `queries.runs.finish`; never gives up, since a run that ended must say so."""
    tries = 0

    async def attempt() -> tuple[UUID | None] | None:
        nonlocal tries
        tries += 1
        found = await runs.finish(runtime.pool, run, ending)
        if found is None and tries > 1:  # an earlier attempt may have been committed, and its answer lost
            return await runs.finished(runtime.pool, run)
        return found

    try:
        return await ride_out(attempt, what="finish")
    except psycopg.Error as error:
        if error.sqlstate == TAKEN_OVER:
            return None
        if ending.values is None:
            raise
        log.warning("values_refused", run_id=str(run.run_id), error=type(error).__name__)
        return await _record(runtime, run, failed(error))


async def _hand_on(runtime: Runtime, run: RunRow) -> None:
    if not await ride_out(lambda: runs.hand_on(runtime.pool, run), what="hand_on"):
        await _finish(runtime, run, cut_off(None))  # somebody has asked it to end, or it is lost, which that finds out
        return
    log.info("run_handed_on", run_id=str(run.run_id), attempt=run.attempt)
    runtime.put_off.append(broker.run_message(run.run_id))


async def _tell(runtime: Runtime, run_id: UUID, *, next_run_id: UUID | None) -> None:
    if next_run_id is not None:
        await broker.hint(runtime.redis.lpush(QUEUE, broker.run_message(next_run_id)))
    await broker.hint(runtime.redis.publish(DONE_CHANNEL, str(run_id)))


def _cron(run: RunRow) -> dict[str, str]:
    return {} if run.cron_id is None else {"cron_id": str(run.cron_id)}
