"""Execute one run: its graph on a fenced checkpointer, then its ending."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from ostinato_shared.errors import ProjectError
from ostinato_shared.queries import runs
from ostinato_worker import cancelling, finishing, limits, resuming
from ostinato_worker.calls import build_config, build_options
from ostinato_worker.checkpoint_writes import Fence
from ostinato_worker.checkpoints import FencedSaver, LeaseLostError
from ostinato_worker.outages import ride_out
from ostinato_worker.outcomes import ended_early, failed, finished, stopped
from ostinato_worker.runtime import UnderWay
from ostinato_worker.watchdog import enter_run

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.types import StateSnapshot

    from ostinato_shared.graphs import Graph, GraphSource
    from ostinato_shared.queries.runs import Ending, RunRow
    from ostinato_worker.runtime import Runtime

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
INTERRUPT = "__interrupt__"


class UnknownGraphError(ProjectError):
    def __init__(self, graph_id: str) -> None:
        super().__init__(f"There is no graph {graph_id!r} in this worker's langgraph.json.")


async def execute(runtime: Runtime, run: RunRow, *, on_new_thread: bool = False) -> None:
    """Run the graph and end the run, whatever happens in the graph. An attempt already under way here is let alone."""
    earlier = runtime.under_way.get(run.run_id)
    if earlier is not None and earlier.run.attempt >= run.attempt:
        return
    if earlier is not None:  # this process had lost the run, and now got it again
        earlier.lose()
    under_way = runtime.under_way[run.run_id] = UnderWay(run)
    try:
        # Its own task: cancelling the graph must not cancel the statement that ends the run.
        under_way.graph = asyncio.create_task(
            _outcome(runtime, under_way, on_new_thread=on_new_thread), name=f"run {run.run_id}"
        )
        if run.cancel_requested:
            under_way.ask()
        elif run.thread_id in runtime.hinted:  # the hint was faster than the row
            await cancelling.look(runtime)
        await limits.wait(under_way, under_way.graph)
        await finishing.conclude(runtime, under_way, under_way.graph)
    finally:
        if runtime.under_way.get(run.run_id) is under_way:
            del runtime.under_way[run.run_id]


async def _outcome(runtime: Runtime, under_way: UnderWay, *, on_new_thread: bool) -> Ending:
    run = under_way.run
    enter_run(run.run_id)
    fence = Fence(run.run_id, run.owner, run.attempt)
    saver = FencedSaver(runtime.writer, fence, on_lost=under_way.lose, on_new_thread=on_new_thread)
    try:
        source = _source(runtime, run.graph_id)
        goes_on = run.attempt > 1 and await resuming.head_is_of(saver, run)
        config = build_config(run, from_start=not goes_on)
        async with source.open(config, checkpointer=saver, context=run.kwargs.get("context")) as graph:
            beginning = await (
                resuming.go_on(graph, run, config)
                if goes_on
                else resuming.begin(graph, run, config, record=partial(_record_answers, runtime, under_way))
            )
            if beginning.stop is not None:
                return stopped(beginning.stop)
            return await _call(graph, beginning.given, config, under_way)
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - let through, it would leave a row that nobody ends
        return ended_early(under_way, None) if under_way.stopped else failed(error)


async def _call(graph: Graph, given: Any, config: RunnableConfig, under_way: UnderWay) -> Ending:
    run = under_way.run
    values: Any = None
    interrupted = False
    try:
        stream = graph.astream(given, config, stream_mode=["values", "updates"], **build_options(run, graph))
        async for mode, chunk in stream:
            if mode == "values":
                values = chunk
            elif INTERRUPT in chunk:
                interrupted = True
    except asyncio.CancelledError:
        if under_way.lost or not under_way.stopped:
            raise
        return ended_early(under_way, await _state_at_failure(graph, run))
    except GeneratorExit:  # by itself, or because this coroutine is closed: then nothing can be waited for
        raise
    except BaseException as error:  # noqa: BLE001 - likewise
        state = await _state_at_failure(graph, run)
        return ended_early(under_way, state) if under_way.stopped else failed(error, state)
    return stopped(await _state(graph, run)) if interrupted else finished(graph, values)


async def _state(graph: Graph, run: RunRow) -> StateSnapshot:
    return await graph.aget_state({"configurable": {"thread_id": str(run.thread_id)}})


async def _state_at_failure(graph: Graph, run: RunRow) -> StateSnapshot | None:
    try:
        return await _state(graph, run)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what the graph raised is told, this is logged
        log.warning("state_unreadable", run_id=str(run.run_id), error=type(error).__name__)
        return None


async def _record_answers(runtime: Runtime, under_way: UnderWay, interrupt_ids: list[str]) -> None:
    run = under_way.run
    record = partial(runs.record_answers, runtime.pool, run, interrupt_ids)
    if not await ride_out(record, what="answers"):
        under_way.lose()
        raise LeaseLostError(run.run_id)


def _source(runtime: Runtime, graph_id: str) -> GraphSource:
    try:
        return runtime.project.graphs[graph_id]
    except KeyError:
        raise UnknownGraphError(graph_id) from None
