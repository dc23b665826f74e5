"""Tell which graphs stalled the loop: an async node that computes makes all others wait."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from ostinato_worker.runtime import Runtime

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
LOOK_SECONDS = 0.5
BLOCKED_SECONDS = 1.0


async def watch(runtime: Runtime) -> None:
    """Log each time that the loop stood still for more than a second; ends by being cancelled."""
    while True:
        before = time.monotonic()
        graphs = _graphs(runtime)
        await asyncio.sleep(LOOK_SECONDS)
        lag = time.monotonic() - before - LOOK_SECONDS
        if lag > BLOCKED_SECONDS:
            graphs = _culprit(runtime) or graphs | _graphs(runtime)
            log.warning("loop_blocked", seconds=round(lag, 1), graphs=sorted(graphs))


def _graphs(runtime: Runtime) -> set[str]:
    return {under_way.run.graph_id for under_way in runtime.under_way.values()}


def _culprit(runtime: Runtime) -> set[str]:
    """The graph that the watchdog caught, if it did."""
    culprit = runtime.blocked_by
    under_way = None if culprit is None else runtime.under_way.get(culprit)
    return set() if under_way is None else {under_way.run.graph_id}
