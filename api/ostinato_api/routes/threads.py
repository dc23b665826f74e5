"""Threads: what assistants run on."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ostinato_api import states, threads
from ostinato_api.dependencies import CallerDep, PoolDep, SenderDep, ServicesDep, SessionDep
from ostinato_api.errors import CONFLICT, SENSELESS
from ostinato_api.extraction import parse_paths
from ostinato_api.json_bodies import JsonRoute
from ostinato_api.pages import check_select, count, page
from ostinato_api.schemas.base import ThreadId
from ostinato_api.schemas.threads import ThreadCreate, ThreadFilter, ThreadOut, ThreadPatch, ThreadPrune, ThreadSearch

router = APIRouter(route_class=JsonRoute, prefix="/threads", tags=["Threads"])


@router.post("", response_model=ThreadOut, responses=SENSELESS | CONFLICT)
async def create(body: ThreadCreate, services: ServicesDep, caller: CallerDep) -> Any:
    """Create a thread; with `supersteps`, one that has a state already."""
    return await threads.create(services, body, user_id=caller)


@router.post("/search", response_model=list[ThreadOut])
async def search(body: ThreadSearch, services: ServicesDep) -> Response:
    """List threads, newest first unless told otherwise."""
    fields = check_select(body.select, ThreadOut.model_fields)
    paths = parse_paths(body.extract)
    await states.refresh_all(services)
    async with services.sessions() as session:
        rows, total = await page(session, threads.searched(body), limit=body.limit, offset=body.offset)
    items = [ThreadOut.model_validate(row).model_dump(mode="json", include=fields) for row in rows]
    if paths:
        items = [item | {"extracted": threads.extracted(row, paths)} for item, row in zip(items, rows, strict=True)]
    headers = {"x-pagination-total": str(total)}
    if body.offset + body.limit < total:
        headers["x-pagination-next"] = str(body.offset + body.limit)
    return JSONResponse(items, headers=headers)


@router.post("/count")
async def count_matching(body: ThreadFilter, services: ServicesDep, session: SessionDep) -> int:
    """Count the threads that a filter means."""
    if body.values:
        await states.refresh_all(services)
    return await count(session, threads.matching(body))


@router.post("/prune", responses=SENSELESS)
async def prune(body: ThreadPrune, services: ServicesDep) -> dict[str, int]:
    """Delete threads, or all of their history but its end."""
    pruned = await threads.prune(services, body)
    await services.sender.wake_beat()
    return {"pruned_count": pruned}


@router.post("/{thread_id}/copy", response_model=ThreadOut)
async def copy(thread_id: ThreadId, services: ServicesDep, caller: CallerDep) -> Any:
    """Make a thread with the same state and history, and a life of its own."""
    return await threads.copy(services, thread_id, user_id=caller)


@router.get("/{thread_id}", response_model=ThreadOut)
async def get(thread_id: ThreadId, services: ServicesDep) -> Any:
    """Read one thread."""
    return await threads.show(services, thread_id)


@router.patch("/{thread_id}", response_model=ThreadOut)
async def change(thread_id: ThreadId, body: ThreadPatch, request: Request, session: SessionDep) -> Any:
    """Merge metadata into a thread's; with `Prefer: return=minimal` the answer is empty."""
    changed = await threads.change(session, thread_id, body)
    if "return=minimal" in request.headers.get("prefer", "").replace(" ", ""):
        return Response(status_code=204)
    return changed


@router.delete("/{thread_id}", status_code=204)
async def remove(thread_id: ThreadId, pool: PoolDep, sender: SenderDep) -> None:
    """Delete a thread with its runs, checkpoints and crons."""
    await threads.remove(pool, thread_id)
    await sender.tell_cancel(thread_id)
    await sender.wake_beat()  # crons may have gone with it
