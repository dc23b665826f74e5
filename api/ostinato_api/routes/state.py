"""The state of a thread, now and as it was, and edits of it."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from ostinato_api import states, threads
from ostinato_api.dependencies import Services, ServicesDep
from ostinato_api.errors import CONFLICT, SENSELESS
from ostinato_api.json_bodies import JsonRoute
from ostinato_api.schemas.base import Limit, ThreadId
from ostinato_api.schemas.state import CheckpointRef, HistoryQuery, PlaceText, StateAtCheckpoint, StateEdit
from ostinato_shared.models import Thread
from ostinato_shared.serialization import to_json

router = APIRouter(route_class=JsonRoute, prefix="/threads/{thread_id}", tags=["Thread state"])

Subgraphs = Annotated[bool, Query(description="Whether to show what goes on inside of subgraphs.")]
CheckpointId = Annotated[PlaceText, Path(description="The checkpoint's id.")]
Before = Annotated[PlaceText | None, Query(description="The id of a checkpoint: older ones only.")]


@router.get("/state", responses=SENSELESS)
async def get(thread_id: ThreadId, services: ServicesDep, *, subgraphs: Subgraphs = False) -> Response:
    """Read a thread's state."""
    thread = await _thread(services, thread_id)
    return _json(await states.read(services, thread, CheckpointRef(), subgraphs=subgraphs))


@router.get("/state/{checkpoint_id}", responses=SENSELESS)
async def get_at(
    thread_id: ThreadId, checkpoint_id: CheckpointId, services: ServicesDep, *, subgraphs: Subgraphs = False
) -> Response:
    """Read a thread's state as of a checkpoint."""
    thread = await _thread(services, thread_id)
    place = CheckpointRef(checkpoint_id=checkpoint_id)
    return _json(await states.read(services, thread, place, subgraphs=subgraphs))


@router.post("/state/checkpoint", responses=SENSELESS)
async def get_at_checkpoint(thread_id: ThreadId, body: StateAtCheckpoint, services: ServicesDep) -> Response:
    """Read a thread's state as of a checkpoint, which may be a subgraph's."""
    thread = await _thread(services, thread_id)
    return _json(await states.read(services, thread, body.checkpoint, subgraphs=body.subgraphs))


@router.post("/state", responses=SENSELESS | CONFLICT)
async def edit(thread_id: ThreadId, body: StateEdit, services: ServicesDep) -> dict[str, Any]:
    """Edit a thread's state, as if a node had written the values."""
    return await states.edit(services, await _thread(services, thread_id), body)


@router.post("/history", responses=SENSELESS)
async def search_history(thread_id: ThreadId, body: HistoryQuery, services: ServicesDep) -> Response:
    """Read a thread's past states, newest first."""
    return _json(await states.history(services, await _thread(services, thread_id), body))


@router.get("/history", responses=SENSELESS)
async def get_history(
    thread_id: ThreadId, services: ServicesDep, *, limit: Limit = 1, before: Before = None
) -> Response:
    """Read a thread's past states, newest first, from before a checkpoint."""
    query = HistoryQuery(limit=limit, before=before)
    return _json(await states.history(services, await _thread(services, thread_id), query))


async def _thread(services: Services, thread_id: ThreadId) -> Thread:
    """The thread; its transaction is over before the graph is asked."""
    async with services.sessions() as session:
        return await threads.get(session, thread_id)


def _json(value: Any) -> Response:
    return Response(to_json(value), media_type="application/json")
