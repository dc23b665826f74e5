"""Reading and editing the state of a thread, through its graph."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import structlog
from langgraph.types import StateUpdate as Update

from ostinato_api import snapshots
from ostinato_shared.checkpoints import PlainSaver
from ostinato_shared.commands import build_command
from ostinato_shared.errors import BadRequestError, ConflictError, NotFoundError, OstinatoError, message_of
from ostinato_shared.queries import threads as queries
from ostinato_shared.serialization import to_plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
    from uuid import UUID

    from langchain_core.runnables import RunnableConfig
    from langgraph_sdk.runtime import AccessContext

    from ostinato_api.dependencies import Services
    from ostinato_api.schemas.state import CheckpointRef, HistoryQuery, StateEdit
    from ostinato_api.schemas.threads import StateUpdate, Superstep
    from ostinato_shared.graphs import Graph
    from ostinato_shared.models import Thread
    from ostinato_shared.project import Project

Json = dict[str, Any]

log = structlog.get_logger()
REFRESHED = 100  # threads before one search; the next one takes the rest
REASON_LIMIT = 4096  # characters of a graph's error that are passed on


class GraphlessError(BadRequestError):
    def __init__(self) -> None:
        super().__init__("The thread has no graph yet: run an assistant on it, or give it metadata.graph_id.")


class GraphGoneError(NotFoundError):
    def __init__(self, graph_id: str) -> None:
        super().__init__(f"Graph '{graph_id[:200]}' of this thread is not in langgraph.json")


class GraphRefusedError(BadRequestError):
    def __init__(self, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {message_of(error)}"[:REASON_LIMIT])


class ThreadBusyError(ConflictError):
    def __init__(self) -> None:
        super().__init__(
            "Thread is already running a task. Wait for it to finish or choose a different multitask strategy."
        )


async def read(services: Services, thread: Thread, place: CheckpointRef, *, subgraphs: bool) -> Json:
    """The thread's state at this place: the empty one where there is no checkpoint, `{}` in an unknown subgraph."""
    if _is_fresh(services, thread):
        return snapshots.empty_state()
    async with _graph(services, thread, "threads.read") as graph:
        snapshot = await graph.aget_state(_config(thread.thread_id, place.configurable), subgraphs=subgraphs)
        if snapshot.metadata is None and place.checkpoint_ns and not _knows(graph, place.checkpoint_ns):
            return {}
    return snapshots.state(snapshot)


async def history(services: Services, thread: Thread, query: HistoryQuery) -> list[Json]:
    """The thread's states, newest first."""
    if _is_fresh(services, thread):
        return []
    config = _config(thread.thread_id, query.checkpoint.configurable if query.checkpoint else {})
    before: RunnableConfig | None = {"configurable": {"checkpoint_id": query.before_id}} if query.before_id else None
    async with _graph(services, thread, "threads.read") as graph:
        found = graph.aget_state_history(config, filter=query.metadata or None, before=before, limit=query.limit)
        return [snapshots.state(snapshot) async for snapshot in found]


async def edit(services: Services, thread: Thread, body: StateEdit) -> Json:
    """The checkpoint that an edit of the state made. Raises ThreadBusyError while a run is pending or running."""
    async with services.sessions() as session:
        if await session.scalar(queries.is_busy(thread.thread_id)):
            raise ThreadBusyError
    config = _config(thread.thread_id, body.place.configurable)
    made = await _edit(services, thread, lambda graph: graph.aupdate_state(config, body.values, as_node=body.as_node))
    checkpoint = snapshots.place(made) or {}
    return {"checkpoint": checkpoint, "configurable": checkpoint, "checkpoint_id": checkpoint.get("checkpoint_id")}


async def apply_supersteps(services: Services, thread: Thread, supersteps: Sequence[Superstep]) -> None:
    """Give a new thread the state that these updates lead to."""
    steps = [[_update(update) for update in superstep.updates] for superstep in supersteps]
    await _edit(services, thread, lambda graph: graph.abulk_update_state(_config(thread.thread_id, {}), steps))


async def refresh(services: Services, thread: Thread) -> None:
    """Show what the thread's head holds, after a run that was ended in its graph's absence."""
    if thread.state_stale_at is None:
        return
    shown: Json = {}
    try:
        async with _graph(services, thread, "threads.read") as graph:
            head = await graph.aget_state(_config(thread.thread_id, {}))
        if head.metadata is not None:
            questions = to_plain(snapshots.pending_questions(head))
            shown = {"values": to_plain(head.values), "interrupts": questions}
    except OstinatoError as error:  # the graph is gone, or cannot read it: what is shown is all there is
        log.warning("state_not_refreshed", thread_id=str(thread.thread_id), error=type(error).__name__)
    async with services.sessions.begin() as session:
        await session.execute(queries.show_head(thread.thread_id, stale_at=thread.state_stale_at, shown=shown))


async def refresh_all(services: Services) -> None:
    """Refresh every thread that needs it, so that a search finds them by what they hold."""
    async with services.sessions() as session:
        found = (await session.scalars(queries.stale(REFRESHED))).all()
    for thread in found:
        await refresh(services, thread)


def graph_of(thread: Thread) -> str | None:
    """The graph that the thread's metadata names."""
    return _graph_id(thread.metadata_)


def graph_id_for(project: Project, metadata: Mapping[str, Any]) -> str:
    """The graph that metadata names. Raises GraphlessError or GraphGoneError when there is none."""
    graph_id = _graph_id(metadata)
    if graph_id is None:
        raise GraphlessError
    if graph_id not in project.graphs:
        raise GraphGoneError(graph_id)
    return graph_id


async def _edit(
    services: Services, thread: Thread, change: Callable[[Graph], Coroutine[Any, Any, RunnableConfig]]
) -> RunnableConfig:
    async with _graph(services, thread, "threads.update") as graph:
        made = await change(graph)
        # Always the root's newest: a subgraph's state is not the thread's.
        head = await graph.aget_state(_config(thread.thread_id, {}))
    shown = queries.follow_state(
        thread.thread_id,
        values=to_plain(head.values),
        interrupts=to_plain(snapshots.pending_questions(head)),
        waits=bool(head.next),
    )
    async with services.sessions.begin() as session:
        await session.execute(shown)
    return made


@asynccontextmanager
async def _graph(services: Services, thread: Thread, access: AccessContext) -> AsyncIterator[Graph]:
    source = services.project.graphs[graph_id_for(services.project, thread.metadata_)]
    saver = PlainSaver(services.pool)
    async with services.sessions() as session:  # what its last run was given, a factory may ask for
        given = await session.scalar(queries.last_configurable(thread.thread_id))
    config = _config(thread.thread_id, given or {})
    try:
        async with source.open(config, checkpointer=saver, access_context=access) as graph:
            yield graph
    except (OstinatoError, psycopg.Error):
        raise
    except (Exception, SystemExit) as error:  # the graph's own code: its reducers and writers judge what a client sent
        raise GraphRefusedError(error) from error


def _config(thread_id: UUID, configurable: Mapping[str, Any]) -> RunnableConfig:
    return {"configurable": {**configurable, "thread_id": str(thread_id)}}


def _is_fresh(services: Services, thread: Thread) -> bool:
    """Whether there is nothing to read: no graph is named, or one that is not there and has left nothing."""
    graph_id = graph_of(thread)
    return graph_id is None or (graph_id not in services.project.graphs and thread.values is None)


def _graph_id(metadata: Mapping[str, Any]) -> str | None:
    graph_id = metadata.get("graph_id")
    return graph_id if isinstance(graph_id, str) else None


def _knows(graph: Graph, namespace: str) -> bool:
    """Whether the graph has the subgraph of this namespace, whose parts carry the ids of tasks."""
    path = "|".join(part.split(":", 1)[0] for part in namespace.split("|"))
    return any(True for _ in graph.get_subgraphs(namespace=path, recurse=True))


def _update(given: StateUpdate) -> Update:
    values: Any = build_command(given.command) if given.command else given.values
    return Update(values, given.as_node)
