"""From a hint to a run: claim a firing, or start a pending run, and execute it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog
from psycopg import DataError
from psycopg.errors import CheckViolation, NotNullViolation

from ostinato_shared.ids import new_id
from ostinato_shared.models.states import MultitaskStrategy, Outcome, RunStatus, SkipReason
from ostinato_shared.queries import runs
from ostinato_worker import cancelling
from ostinato_worker.outages import ride_out
from ostinato_worker.running import execute

if TYPE_CHECKING:
    from uuid import UUID

    from ostinato_shared.queries.runs import Claim, RunRow
    from ostinato_worker.runtime import Runtime

REFUSALS = (DataError, CheckViolation, NotNullViolation)  # what the cron's row says makes no run, however often tried
log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


async def fire(runtime: Runtime, firing_id: UUID) -> None:
    """Claim the firing and execute its run. Nothing happens when another worker was first."""
    claim = await _claim(runtime, firing_id)
    if claim is None:
        return
    if claim.run is None:
        log.info("firing_skipped", firing_id=str(firing_id), reason=claim.reason)
        return
    ids = {"firing_id": str(firing_id), "run_id": str(claim.run.run_id), "cron_id": str(claim.run.cron_id)}
    if claim.run.status == RunStatus.PENDING:
        log.info("run_queued", **ids)  # the end of the thread's earlier run sends it
        if claim.run.multitask_strategy in {MultitaskStrategy.INTERRUPT, MultitaskStrategy.ROLLBACK}:
            await cancelling.tell(runtime, claim.run.thread_id)
        return
    log.debug("run_started", **ids)
    await execute(runtime, claim.run, on_new_thread=claim.on_new_thread)


async def start(runtime: Runtime, run_id: UUID) -> None:
    """Start the oldest pending run of this run's thread and execute it. Nothing happens when it is not its turn."""
    run = await _start(runtime, run_id)
    if run is None:
        return
    log.debug("run_started", run_id=str(run.run_id), attempt=run.attempt)
    await execute(runtime, run)


async def _claim(runtime: Runtime, firing_id: UUID) -> Claim | None:
    """The claim once its fire time has come; None when there is nothing to do here."""
    run_id, thread_id = new_id(), new_id()
    while not runtime.stopping.is_set():
        claim = await _claim_once(runtime, firing_id, run_id=run_id, thread_id=thread_id)
        if claim is None or claim.outcome != Outcome.DUE:
            return claim
        await asyncio.sleep(claim.wait_seconds)
    return None


async def _claim_once(runtime: Runtime, firing_id: UUID, *, run_id: UUID, thread_id: UUID) -> Claim | None:
    tries = 0

    async def attempt() -> Claim | None:
        nonlocal tries
        tries += 1
        claim = await runs.claim(runtime.pool, firing_id, run_id=run_id, thread_id=thread_id, owner=runtime.worker_id)
        if claim is None and tries > 1:  # an earlier attempt may have been committed, and its answer lost
            run = await runs.stray(runtime.pool, run_id, owner=runtime.worker_id)
            return None if run is None else runs.Claim(Outcome.STARTED, None, 0.0, run, on_new_thread=False)
        return claim

    try:
        return await ride_out(attempt, what="claim")  # giving up would leave a run behind that nobody executes
    except REFUSALS as error:
        log.warning("firing_refused", firing_id=str(firing_id), error=type(error).__name__)
        refuse = partial(runs.refuse, runtime.pool, firing_id, error=error)
        await ride_out(refuse, what="refusal")
        return runs.Claim(Outcome.SKIPPED, SkipReason.INVALID, 0.0, None, on_new_thread=False)


async def _start(runtime: Runtime, run_id: UUID) -> RunRow | None:
    tries = 0

    async def attempt() -> RunRow | None:
        nonlocal tries
        tries += 1
        run = await runs.start(runtime.pool, run_id, owner=runtime.worker_id)
        if run is None and tries > 1:
            return await runs.stray_on_thread(runtime.pool, run_id, owner=runtime.worker_id)
        return run

    if runtime.stopping.is_set():
        return None
    return await ride_out(attempt, what="start")
