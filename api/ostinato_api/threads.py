"""What happens to threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ostinato_api import states
from ostinato_api.errors import NotYetError
from ostinato_api.extraction import extract
from ostinato_shared.checkpoints import PlainSaver
from ostinato_shared.errors import BadRequestError, ConflictError, NotFoundError, OstinatoError
from ostinato_shared.ids import new_id
from ostinato_shared.queries import threads as queries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from psycopg import AsyncConnection
    from psycopg.rows import DictRow
    from psycopg_pool import AsyncConnectionPool
    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncSession

    from ostinato_api.dependencies import Services
    from ostinato_api.extraction import Path
    from ostinato_api.schemas.threads import ThreadCreate, ThreadFilter, ThreadPatch, ThreadPrune, ThreadSearch
    from ostinato_shared.models import Thread

DELETE = "SELECT ostinato_delete_thread(%s, %s) AS deleted"


class ThreadNotFoundError(NotFoundError):
    def __init__(self, thread_id: UUID) -> None:
        super().__init__(f"Thread with ID {thread_id} not found")


class ThreadExistsError(ConflictError):
    def __init__(self, thread_id: UUID) -> None:
        super().__init__(f"Thread with ID {thread_id} already exists")


async def create(services: Services, body: ThreadCreate, *, user_id: str) -> Thread:
    """The new thread, or the one that is there when the body says `do_nothing`."""
    if body.ttl is not None:
        raise NotYetError("ttl")
    graph_id = states.graph_id_for(services.project, body.metadata) if body.supersteps else None
    thread_id = body.thread_id or new_id()
    thread = await _insert(services, thread_id, metadata=body.metadata, user_id=user_id)
    if thread is None:
        if body.if_exists == "raise":
            raise ThreadExistsError(thread_id)
        async with services.sessions() as session:
            return await get(session, thread_id)
    if graph_id is None:
        return thread
    try:
        await states.apply_supersteps(services, thread, body.supersteps)
    except OstinatoError:  # clients try again: nothing half made may stand in their way
        await _delete(services.pool, thread_id, hidden=False)
        raise
    async with services.sessions() as session:
        return await get(session, thread_id)


async def get(session: AsyncSession, thread_id: UUID) -> Thread:
    """The thread. Raises ThreadNotFoundError, also for a hidden one."""
    found = await session.scalar(queries.by_id(thread_id))
    if found is None:
        raise ThreadNotFoundError(thread_id)
    return found


async def show(services: Services, thread_id: UUID) -> Thread:
    """As `get`, with values and interrupts of its head."""
    async with services.sessions() as session:
        found = await get(session, thread_id)
    if found.state_stale_at is None:
        return found
    await states.refresh(services, found)
    async with services.sessions() as session:
        return await get(session, thread_id)


async def change(session: AsyncSession, thread_id: UUID, body: ThreadPatch) -> Thread:
    """The thread with the given metadata over its own."""
    if body.ttl is not None:
        raise NotYetError("ttl")
    changed = (await session.scalars(queries.merge(thread_id, metadata=body.metadata))).one_or_none()
    if changed is None:
        raise ThreadNotFoundError(thread_id)
    return changed


async def remove(pool: AsyncConnectionPool[AsyncConnection[DictRow]], thread_id: UUID) -> None:
    """Delete the thread with its runs, checkpoints and crons."""
    if not await _delete(pool, thread_id, hidden=False):
        raise ThreadNotFoundError(thread_id)


async def clear(pool: AsyncConnectionPool[AsyncConnection[DictRow]], thread_id: UUID) -> bool:
    """Free the id of a hidden thread, which nobody sees any more; the sweep would do it a minute later."""
    return await _delete(pool, thread_id, hidden=True)


async def copy(services: Services, thread_id: UUID, *, user_id: str) -> Thread:
    """A thread of its own with the same metadata, state and history."""
    copy_id = new_id()
    values = {"original": thread_id, "copy": copy_id, "user_id": user_id}
    async with services.pool.connection() as connection:
        if await (await connection.execute(queries.COPY, values)).fetchone() is None:
            raise ThreadNotFoundError(thread_id)
    async with services.sessions() as session:
        return await get(session, copy_id)


async def prune(services: Services, body: ThreadPrune) -> int:
    """How many of the threads are gone, or have lost all of their history but its end; busy ones keep theirs."""
    wanted = sorted(set(body.thread_ids))  # in one order, so that two who prune do not wait for one another
    if body.strategy == "delete":
        return sum([await _delete(services.pool, thread_id, hidden=False) for thread_id in wanted])
    async with services.sessions() as session:
        found = (await session.scalars(queries.at_rest(wanted))).all()
    try:
        await PlainSaver(services.pool).aprune([str(thread_id) for thread_id in found])
    except NotImplementedError as error:  # LangGraph cannot tell which checkpoints a DeltaChannel needs
        raise BadRequestError(str(error)) from error
    return len(found)


def matching(body: ThreadFilter) -> Select[Thread]:
    """The threads that a filter means."""
    return queries.matching(metadata=body.metadata, values=body.values, status=body.status)


def searched(body: ThreadSearch) -> Select[Thread]:
    """The threads that a search means, in its order."""
    found = queries.matching(metadata=body.metadata, values=body.values, status=body.status, ids=body.ids)
    return queries.in_order(found, by=body.sort_by, descending=body.sort_order == "desc")


def extracted(thread: Thread, paths: Mapping[str, Path]) -> dict[str, Any]:
    """What lies in the thread at each path, by alias."""
    source = {
        "values": thread.values,
        "metadata": thread.metadata_,
        "config": thread.config,
        "interrupts": thread.interrupts,
    }
    return {alias: extract(source, path) for alias, path in paths.items()}


async def _insert(services: Services, thread_id: UUID, *, metadata: dict[str, Any], user_id: str) -> Thread | None:
    statement = queries.insert_new(thread_id, metadata=metadata, user_id=user_id)
    async with services.sessions.begin() as session:
        made = (await session.scalars(statement)).one_or_none()
    if made is not None or not await clear(services.pool, thread_id):
        return made
    async with services.sessions.begin() as session:
        return (await session.scalars(statement)).one_or_none()


async def _delete(pool: AsyncConnectionPool[AsyncConnection[DictRow]], thread_id: UUID, *, hidden: bool) -> bool:
    async with pool.connection() as connection:
        row = await (await connection.execute(DELETE, (thread_id, hidden))).fetchone()
    return bool(row and row["deleted"])
