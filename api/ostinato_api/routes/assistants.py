"""Assistants: a graph with a configuration."""

from typing import Any

from fastapi import APIRouter, BackgroundTasks, Response

from ostinato_api import assistants
from ostinato_api.dependencies import CallerDep, PoolDep, ProjectDep, SenderDep, SessionDep
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

router = APIRouter(route_class=JsonRoute, prefix="/assistants", tags=["Assistants"])


@router.post("", response_model=AssistantOut)
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


@router.patch("/{assistant_id}", response_model=AssistantOut)
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
    delete_threads: bool = False,
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
