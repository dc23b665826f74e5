"""What happens to assistants: functions over the request's session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from ostinato_api.clock import read_clock
from ostinato_api.schemas.base import as_uuid, check_metadata_size
from ostinato_shared.errors import BadRequestError, ConflictError, NotFoundError
from ostinato_shared.ids import new_id
from ostinato_shared.models import Assistant, AssistantVersion, Thread
from ostinato_shared.queries import crons as cron_queries

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from psycopg import AsyncConnection
    from psycopg.rows import DictRow
    from psycopg_pool import AsyncConnectionPool
    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncSession

    from ostinato_api.schemas.assistants import AssistantCreate, AssistantFilter, AssistantPatch, AssistantSearch
    from ostinato_shared.project import Project

NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")  # LangGraph's: a graph's assistant has the same id everywhere
VERSIONED = ("graph_id", "name", "description", "config", "context", "metadata_")


class AssistantNotFoundError(NotFoundError):
    def __init__(self, assistant_id: UUID | str) -> None:
        super().__init__(f"Assistant '{str(assistant_id)[:200]}' not found")


class GraphNotFoundError(NotFoundError):
    def __init__(self, graph_id: str, known: Collection[str]) -> None:
        super().__init__(f"Graph '{graph_id[:200]}' not found. Known graphs: {', '.join(known)}")


class AssistantExistsError(ConflictError):
    def __init__(self, assistant_id: UUID) -> None:
        super().__init__(f"Assistant '{assistant_id}' already exists")


def system_id(graph_id: str) -> UUID:
    """The id of the assistant that the system makes for a graph."""
    return uuid5(NAMESPACE, graph_id)


def reference(assistant: Assistant) -> str:
    """What a request calls an assistant: its graph's name if the system made it, else its id."""
    return (
        assistant.graph_id if assistant.assistant_id == system_id(assistant.graph_id) else str(assistant.assistant_id)
    )


def id_of(assistant: str) -> UUID:
    """The id that a request means by a UUID or by a graph's name."""
    return as_uuid(assistant) or system_id(assistant)


async def resolve(session: AsyncSession, assistant: str) -> Assistant:
    """The assistant of this id, or the one made for the graph of this name. Raises AssistantNotFoundError."""
    found = await session.get(Assistant, id_of(assistant))
    if found is None:
        raise AssistantNotFoundError(assistant)
    return found


async def hold(session: AsyncSession, assistant: str) -> Assistant:
    """The same, kept from being deleted until the transaction is over."""
    held = await session.get(Assistant, id_of(assistant), with_for_update={"read": True, "key_share": True})
    if held is None:
        raise AssistantNotFoundError(assistant)
    return held


async def get(session: AsyncSession, assistant_id: UUID) -> Assistant:
    """The assistant of this id. Raises AssistantNotFoundError."""
    found = await session.get(Assistant, assistant_id)
    if found is None:
        raise AssistantNotFoundError(assistant_id)
    return found


async def upsert_system_assistants(session: AsyncSession, project: Project) -> None:
    """Make one assistant for every graph; one that nobody has changed follows the project's settings."""
    for graph_id, source in project.graphs.items():
        config, context = mirrored(project.assistant_configs.get(graph_id, {}), {})
        values = {
            "assistant_id": system_id(graph_id), "version": 1, "graph_id": graph_id, "name": graph_id,
            "description": source.description, "config": config, "context": context,
            "metadata_": {"created_by": "system"}, "created_at": func.statement_timestamp(),
        }  # fmt: skip
        following = {key: values[key] for key in ("description", "config", "context")}
        for table, key in ((Assistant, ["assistant_id"]), (AssistantVersion, ["assistant_id", "version"])):
            changed = or_(*(getattr(table, name).is_distinct_from(value) for name, value in following.items()))
            touched = {"updated_at": func.statement_timestamp()} if table is Assistant else {}
            await session.execute(
                insert(table)
                .values(values | touched)
                .on_conflict_do_update(
                    index_elements=key, set_=following | touched, where=(table.version == 1) & changed
                )
            )


async def create(session: AsyncSession, body: AssistantCreate, *, project: Project, user_id: str) -> Assistant:
    """The new assistant, or the one that is there when the body says `do_nothing`."""
    _check_graph(body.graph_id, project)
    config, context = mirrored(body.given.get("config", {}), body.context or {})
    assistant_id = body.assistant_id or new_id()
    values = {
        "assistant_id": assistant_id, "version": 1, "graph_id": body.graph_id, "name": body.name,
        "description": body.description, "config": config, "context": context, "metadata_": body.metadata,
    }  # fmt: skip
    now = func.statement_timestamp()
    row = values | {"user_id": user_id, "created_at": now, "updated_at": now}
    inserted = insert(Assistant).values(row).on_conflict_do_nothing().returning(Assistant)
    made = (await session.scalars(inserted)).one_or_none()
    if made is None:
        if body.if_exists == "raise":
            raise AssistantExistsError(assistant_id)
        return await get(session, assistant_id)
    session.add(AssistantVersion(**values, created_at=made.created_at))
    return made


async def change(session: AsyncSession, assistant_id: UUID, body: AssistantPatch, *, project: Project) -> Assistant:
    """The assistant's new version, which is now the latest."""
    assistant = await _locked(session, assistant_id)
    if body.graph_id is not None:
        _check_graph(body.graph_id, project)
        assistant.graph_id = body.graph_id
    if body.name is not None:
        assistant.name = body.name
    if body.has("description"):
        assistant.description = body.description
    if body.metadata is not None:
        assistant.metadata_ = {**assistant.metadata_, **body.metadata}
        check_metadata_size(assistant.metadata_)
    if body.config is not None or body.context is not None:
        config = body.given.get("config", _without_configurable(assistant.config))
        assistant.config, assistant.context = mirrored(config, body.context or {})
    highest = select(func.max(AssistantVersion.version)).where(AssistantVersion.assistant_id == assistant_id)
    assistant.version = (await session.scalar(highest) or 0) + 1
    assistant.updated_at = await read_clock(session)
    copied = {name: getattr(assistant, name) for name in VERSIONED}
    session.add(
        AssistantVersion(
            assistant_id=assistant_id, version=assistant.version, created_at=assistant.updated_at, **copied
        )
    )
    return assistant


async def choose_version(session: AsyncSession, assistant_id: UUID, version: int) -> Assistant:
    """The assistant as of one of its versions, which is now the latest."""
    assistant = await _locked(session, assistant_id)
    chosen = await session.get(AssistantVersion, (assistant_id, version))
    if chosen is None:
        raise NotFoundError(f"Assistant '{assistant_id}' has no version {version}")
    for name in VERSIONED:
        setattr(assistant, name, getattr(chosen, name))
    assistant.version = version
    assistant.updated_at = await read_clock(session)
    return assistant


async def remove(session: AsyncSession, assistant_id: UUID, *, threads: bool, user_id: str) -> Sequence[UUID]:
    """Delete the assistant with its crons; the ids of its threads, now hidden, that are left to be purged."""
    await _locked(session, assistant_id, exclusive=True)  # no cron can be made for it any more
    await session.execute(cron_queries.remove_of_assistant(assistant_id, user_id=user_id))
    await session.execute(delete(Assistant).where(Assistant.assistant_id == assistant_id))
    await session.execute(delete(AssistantVersion).where(AssistantVersion.assistant_id == assistant_id))
    if not threads:
        return []
    its_own = (
        select(Thread.thread_id)
        .where(Thread.metadata_.contains({"assistant_id": str(assistant_id)}), Thread.deleted_at.is_(None))
        .order_by(Thread.thread_id)
        .with_for_update()
    )
    ids = (await session.scalars(its_own)).all()
    await session.execute(update(Thread).where(Thread.thread_id.in_(ids)).values(deleted_at=func.clock_timestamp()))
    return ids


async def purge_threads(pool: AsyncConnectionPool[AsyncConnection[DictRow]], hidden: Sequence[UUID]) -> None:
    """Delete hidden threads at once: the sweep would do it a minute later."""
    for thread_id in hidden:
        async with pool.connection() as connection:
            await connection.execute("SELECT ostinato_delete_thread(%s, true)", (thread_id,))


def matching(body: AssistantFilter) -> Select[Assistant]:
    """The assistants that a filter means."""
    conditions: list[ColumnElement[bool]] = []
    if body.metadata:
        conditions.append(Assistant.metadata_.contains(body.metadata))
    if body.graph_id is not None:
        conditions.append(Assistant.graph_id == body.graph_id)
    if body.name is not None:
        conditions.append(Assistant.name.icontains(body.name, autoescape=True))
    return select(Assistant).where(*conditions)


def sorted_by(found: Select[Assistant], body: AssistantSearch) -> Select[Assistant]:
    """The same in the order that the body asks for."""
    columns = (getattr(Assistant, body.sort_by), Assistant.assistant_id)
    return found.order_by(*(column.asc() if body.sort_order == "asc" else column.desc() for column in columns))


def versions_of(assistant_id: UUID, metadata: dict[str, Any] | None) -> Select[AssistantVersion]:
    """An assistant's versions, newest first."""
    found = select(AssistantVersion).where(AssistantVersion.assistant_id == assistant_id)
    if metadata:
        found = found.where(AssistantVersion.metadata_.contains(metadata))
    return found.order_by(AssistantVersion.version.desc())


def mirrored(config: dict[str, Any], context: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Config and context, each showing the values that only one of them was given."""
    configurable = config.get("configurable") or {}
    if configurable and context:
        raise BadRequestError("config.configurable and context mirror each other: give one of them")
    if context:
        return {**config, "configurable": context}, context
    return config, configurable


def _without_configurable(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "configurable"}


def _check_graph(graph_id: str, project: Project) -> None:
    if graph_id not in project.graphs:
        raise GraphNotFoundError(graph_id, project.graphs)


async def _locked(session: AsyncSession, assistant_id: UUID, *, exclusive: bool = False) -> Assistant:
    """The assistant, locked against other changes; `exclusive`: also against crons that want to refer to it."""
    found = await session.get(Assistant, assistant_id, with_for_update={"key_share": not exclusive})
    if found is None:
        raise AssistantNotFoundError(assistant_id)
    return found
