"""Assistants: a graph with a configuration."""

from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Path, Query, Response

from ostinato_api import assistants, shapes
from ostinato_api.dependencies import CallerDep, PoolDep, ProjectDep, SenderDep, ServicesDep, SessionDep
from ostinato_api.errors import CONFLICT, SENSELESS
from ostinato_api.json_bodies import JsonRoute
from ostinato_api.pages import answer_page, count, page
from ostinato_api.schemas.assistants import (
    AssistantCreate,
    AssistantFilter,
    AssistantOut,
    AssistantPatch,
    AssistantSearch,
    VersionChoice,
    VersionOut,
    VersionSearch,
)
from ostinato_api.schemas.base import AssistantId
from ostinato_shared.models import Assistant

AssistantName = Annotated[str, Path(description="An assistant's id, or a graph's name.")]
DeleteThreads = Annotated[bool, Query(description="Whether its threads go with it.")]
Xray = Annotated[str, Query(description="How many levels of subgraphs to open: a number, `true` for all, or `false`.")]
Recurse = Annotated[bool, Query(description="Whether to give the subgraphs of subgraphs, too.")]
Namespace = Annotated[str, Path(description="The names of the nodes that lead to it: `outer` or `outer|inner`.")]

router = APIRouter(route_class=JsonRoute, prefix="/assistants", tags=["Assistants"])


@router.post("", response_model=AssistantOut, responses=SENSELESS | CONFLICT)
async def create(body: AssistantCreate, session: SessionDep, project: ProjectDep, caller: CallerDep) -> Any:
    """Create an assistant of one of the project's graphs."""
    return await assistants.create(session, body, project=project, user_id=caller)


@router.post("/search", response_model=list[AssistantOut])
async def search(body: AssistantSearch, session: SessionDep) -> Response:
    """List assistants, newest first unless told otherwise."""
    found = assistants.sorted_by(assistants.matching(body), body)
    rows, total = await page(session, found, limit=body.limit, offset=body.offset)
    items = [AssistantOut.model_validate(row) for row in rows]
    return answer_page(items, total=total, limit=body.limit, offset=body.offset, fields=set(body.select) or None)


@router.post("/count")
async def count_matching(body: AssistantFilter, session: SessionDep) -> int:
    """Count the assistants that a filter means."""
    return await count(session, assistants.matching(body))


@router.get("/{assistant_id}", response_model=AssistantOut)
async def get(assistant_id: AssistantId, session: SessionDep) -> Any:
    """Read one assistant."""
    return await assistants.get(session, assistant_id)


@router.patch("/{assistant_id}", response_model=AssistantOut, responses=SENSELESS)
async def change(assistant_id: AssistantId, body: AssistantPatch, session: SessionDep, project: ProjectDep) -> Any:
    """Make a new version of an assistant; metadata is merged, config and context are replaced."""
    return await assistants.change(session, assistant_id, body, project=project)


@router.delete("/{assistant_id}", status_code=204)
async def delete(  # noqa: PLR0917 - FastAPI passes them by name
    assistant_id: AssistantId,
    session: SessionDep,
    pool: PoolDep,
    sender: SenderDep,
    caller: CallerDep,
    background: BackgroundTasks,
    *,
    delete_threads: DeleteThreads = False,
) -> None:
    """Delete an assistant with its crons and, when asked, its threads."""
    hidden = await assistants.remove(session, assistant_id, threads=delete_threads, user_id=caller)
    background.add_task(sender.wake_beat)
    background.add_task(assistants.purge_threads, pool, hidden)


@router.post("/{assistant_id}/versions", response_model=list[VersionOut])
async def versions(assistant_id: AssistantId, body: VersionSearch, session: SessionDep) -> Response:
    """List an assistant's versions, newest first."""
    await assistants.get(session, assistant_id)
    found = assistants.versions_of(assistant_id, body.metadata)
    rows, total = await page(session, found, limit=body.limit, offset=body.offset)
    items = [VersionOut.model_validate(row) for row in rows]
    return answer_page(items, total=total, limit=body.limit, offset=body.offset, fields=None)


@router.post("/{assistant_id}/latest", response_model=AssistantOut)
async def choose_version(assistant_id: AssistantId, body: VersionChoice, session: SessionDep) -> Any:
    """Make one of an assistant's versions the latest."""
    return await assistants.choose_version(session, assistant_id, body.version)


async def named(assistant_id: AssistantName, services: ServicesDep) -> Assistant:
    """The assistant of this id or graph, read before its graph is opened: that may take the user's code a while."""
    async with services.sessions() as session:
        return await assistants.resolve(session, assistant_id)


async def known(assistant_id: AssistantId, services: ServicesDep) -> Assistant:
    """The same by its id only."""
    async with services.sessions() as session:
        return await assistants.get(session, assistant_id)


@router.get("/{assistant_id}/graph")
async def graph(
    assistant: Annotated[Assistant, Depends(named)], project: ProjectDep, *, xray: Xray = "false"
) -> dict[str, Any]:
    """Draw an assistant's graph; `xray` opens its subgraphs, so many levels or all."""
    depth = shapes.parse_xray(xray)
    async with shapes.open_graph(assistant, project) as opened:
        return await shapes.draw(opened, xray=depth)


@router.get("/{assistant_id}/schemas")
async def schemas(assistant: Annotated[Assistant, Depends(known)], project: ProjectDep) -> dict[str, Any]:
    """Give the JSON Schemas of an assistant's graph."""
    async with shapes.open_graph(assistant, project) as opened:
        return {"graph_id": assistant.graph_id, **shapes.schemas(opened)}


@router.get("/{assistant_id}/subgraphs")
async def subgraphs(
    assistant: Annotated[Assistant, Depends(known)], project: ProjectDep, *, recurse: Recurse = False
) -> dict[str, Any]:
    """Give the JSON Schemas of the subgraphs of an assistant's graph."""
    async with shapes.open_graph(assistant, project) as opened:
        return await shapes.subgraphs(opened, namespace=None, recurse=recurse)


@router.get("/{assistant_id}/subgraphs/{namespace}")
async def subgraph(
    assistant: Annotated[Assistant, Depends(known)],
    namespace: Namespace,
    project: ProjectDep,
    *,
    recurse: Recurse = False,
) -> dict[str, Any]:
    """Give the JSON Schemas of one subgraph, such as `outer` or `outer|inner`."""
    async with shapes.open_graph(assistant, project) as opened:
        return await shapes.subgraphs(opened, namespace=namespace, recurse=recurse or "|" in namespace)
