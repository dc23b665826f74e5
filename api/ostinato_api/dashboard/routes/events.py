"""The stream that keeps open pages true."""

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from ostinato_api.dashboard.page_route import PageRoute
from ostinato_api.dependencies import ServicesDep

router = APIRouter(route_class=PageRoute)


@router.get("/ui/events", name="ui_events")
async def events(services: ServicesDep) -> StreamingResponse:
    """Server-sent events: `changed` whenever a page may show something else."""
    headers = {"x-accel-buffering": "no"}  # nginx would hold them back
    return StreamingResponse(services.feed.events(), media_type="text/event-stream", headers=headers)
