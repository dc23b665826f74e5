"""What is kept of a run that ended: the thread's values, its open interrupts, the error, an excerpt for the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.channels.untracked_value import UntrackedValue

from ostinato_shared.errors import message_of
from ostinato_shared.models.states import RunStatus, ThreadStatus
from ostinato_shared.queries.runs import Ending
from ostinato_shared.serialization import to_json
from ostinato_worker.excerpts import cap, excerpt

if TYPE_CHECKING:
    from langgraph.types import StateSnapshot

    from ostinato_shared.graphs import Graph
    from ostinato_worker.runtime import UnderWay


def finished(graph: Graph, values: Any) -> Ending:
    """The ending of a graph that came to its end with these values."""
    if isinstance(values, dict):  # what LangGraph never checkpoints stays out of the thread too
        values = {key: value for key, value in values.items() if not isinstance(_channel(graph, key), UntrackedValue)}
    return _success(values, rest_status=ThreadStatus.IDLE, interrupts={})


def stopped(state: StateSnapshot) -> Ending:
    """The ending of a graph that stopped at an interrupt or a breakpoint."""
    interrupts = _questions(state)
    waits = bool(state.next or interrupts)
    return _success(
        state.values, rest_status=ThreadStatus.INTERRUPTED if waits else ThreadStatus.IDLE, interrupts=interrupts
    )


def cut_off(state: StateSnapshot | None) -> Ending:
    """The ending of a graph that was cancelled; `state` is where it got to."""
    if state is None or state.created_at is None:
        return Ending(status=RunStatus.INTERRUPTED, rest_status=ThreadStatus.INTERRUPTED)
    return Ending(
        status=RunStatus.INTERRUPTED,
        rest_status=ThreadStatus.INTERRUPTED,
        values=to_json(state.values),
        interrupts=to_json(_questions(state)),
    )


def ended_early(under_way: UnderWay, state: StateSnapshot | None) -> Ending:
    """The ending of a graph that somebody asked to end, or that reached its run's time limit."""
    if not under_way.expired:
        return cut_off(state)
    limit = f"the run was stopped at its limit of {under_way.run.timeout_seconds:g} s (metadata.ostinato.timeout)"
    return failed(TimeoutError(limit), state, status=RunStatus.TIMEOUT)


def failed(error: BaseException, state: StateSnapshot | None = None, *, status: RunStatus = RunStatus.ERROR) -> Ending:
    """The ending of a graph that raised; `state` is where it got to."""
    got_somewhere = state is not None and state.created_at is not None
    return Ending(
        status=status,
        rest_status=ThreadStatus.ERROR,
        values=to_json(state.values) if state is not None and got_somewhere else None,
        error=to_json({"error": type(error).__name__, "message": cap(message_of(error))}),
    )


def _questions(state: StateSnapshot) -> dict[str, Any]:
    return {
        task.id: [{"id": interrupt.id, "value": interrupt.value} for interrupt in task.interrupts]
        for task in state.tasks
        if task.interrupts
    }


def _success(values: Any, *, rest_status: ThreadStatus, interrupts: dict[str, Any]) -> Ending:
    text = to_json(values)
    return Ending(
        status=RunStatus.SUCCESS,
        rest_status=rest_status,
        values=text,
        interrupts=to_json(interrupts),
        output=excerpt(values, text),
    )


def _channel(graph: Graph, key: str) -> object:
    return graph.channels.get(key)
