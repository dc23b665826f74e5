"""The time limit of a run: its graph is stopped there, and left behind if it does not heed that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from ostinato_worker.runtime import UnderWay

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
GRACE_SECONDS: Final = 10.0  # what a stopped graph gets to let go


async def wait(under_way: UnderWay, graph: asyncio.Task[Any]) -> None:
    """Return when the graph has ended, or has been given up: its run ends without it, and its fence closes."""
    left = under_way.run.seconds_left
    if left is not None:
        await _hold_to(left, under_way, graph)
        if under_way.expired and not graph.done():
            log.warning("limit_unheeded", run_id=str(under_way.run.run_id), graph=under_way.run.graph_id)
            return
    await asyncio.wait({graph})


async def _hold_to(left: float, under_way: UnderWay, graph: asyncio.Task[Any]) -> None:
    if left > 0:  # else it was over before this attempt, whose graph shall not begin
        await asyncio.wait({graph}, timeout=left)
    if not graph.done():
        under_way.expire()
        await asyncio.wait({graph}, timeout=GRACE_SECONDS)
