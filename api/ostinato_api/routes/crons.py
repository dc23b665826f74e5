"""Crons: an assistant, a schedule, and what it is to be given."""

from typing import Any

from fastapi import APIRouter, BackgroundTasks, Response

from ostinato_api import crons, webhooks
from ostinato_api.dependencies import CallerDep, ProjectDep, SenderDep, SessionDep
from ostinato_api.errors import SENSELESS
from ostinato_api.json_bodies import JsonRoute
from ostinato_api.pages import answer_page, count, page
from ostinato_api.schemas.base import CronId, ThreadId
from ostinato_api.schemas.crons import CronCreate, CronFilter, CronOut, CronPatch, CronSearch

router = APIRouter(route_class=JsonRoute, tags=["Crons"])


@router.post("/runs/crons", response_model=CronOut, responses=SENSELESS)
async def create(  # noqa: PLR0917 - FastAPI passes them by name
    body: CronCreate,
    session: SessionDep,
    project: ProjectDep,
    caller: CallerDep,
    sender: SenderDep,
    background: BackgroundTasks,
) -> Any:
    """Create a cron that makes a new thread at each fire time."""
    background.add_task(sender.wake_beat)
    await webhooks.check(project, body.webhook)
    return await crons.create(session, body, user_id=caller)


@router.post("/threads/{thread_id}/runs/crons", response_model=CronOut, responses=SENSELESS)
async def create_for_thread(  # noqa: PLR0917 - FastAPI passes them by name
    thread_id: ThreadId,
    body: CronCreate,
    session: SessionDep,
    project: ProjectDep,
    caller: CallerDep,
    sender: SenderDep,
    background: BackgroundTasks,
) -> Any:
    """Create a cron that fires on one thread, whose state carries over from firing to firing."""
    background.add_task(sender.wake_beat)
    await webhooks.check(project, body.webhook)
    return await crons.create(session, body, thread_id=thread_id, user_id=caller)


@router.post("/runs/crons/search", response_model=list[CronOut])
async def search(body: CronSearch, session: SessionDep) -> Response:
    """List crons, newest first unless told otherwise."""
    found = crons.sorted_by(crons.matching(body), body)
    rows, total = await page(session, found, limit=body.limit, offset=body.offset)
    items = [CronOut.model_validate(row) for row in rows]
    return answer_page(items, total=total, limit=body.limit, offset=body.offset, fields=set(body.select) or None)


@router.post("/runs/crons/count")
async def count_matching(body: CronFilter, session: SessionDep) -> int:
    """Count the crons that a filter means."""
    return await count(session, crons.matching(body))


@router.get("/runs/crons/{cron_id}", response_model=CronOut)
async def get(cron_id: CronId, session: SessionDep) -> Any:
    """Read one cron."""
    return await crons.get(session, cron_id)


@router.patch("/runs/crons/{cron_id}", response_model=CronOut, responses=SENSELESS)
async def change(  # noqa: PLR0917 - FastAPI passes them by name
    cron_id: CronId,
    body: CronPatch,
    session: SessionDep,
    project: ProjectDep,
    caller: CallerDep,
    sender: SenderDep,
    background: BackgroundTasks,
) -> Any:
    """Change a cron: metadata is merged, everything else is replaced."""
    background.add_task(sender.wake_beat)
    await webhooks.check(project, body.webhook)
    return await crons.change(session, cron_id, body, user_id=caller)


@router.delete("/runs/crons/{cron_id}", status_code=204)
async def delete(
    cron_id: CronId, session: SessionDep, caller: CallerDep, sender: SenderDep, background: BackgroundTasks
) -> None:
    """Delete a cron; its threads and runs stay."""
    background.add_task(sender.wake_beat)
    await crons.remove(session, cron_id, user_id=caller)
