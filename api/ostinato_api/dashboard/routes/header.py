"""What the header of every page tells: does a beat lead, so that anything fires at all."""

from fastapi import APIRouter, Request, Response

from ostinato_api.dashboard import leading, rendering
from ostinato_api.dashboard.page_route import PageRoute
from ostinato_api.dependencies import ServicesDep

router = APIRouter(route_class=PageRoute)


@router.get("/ui/leader", name="ui_leader")
async def leader(request: Request, services: ServicesDep) -> Response:
    """The dot of the leading beat, its name and how long ago it ticked."""
    return rendering.part(request, "parts/leader.html", leader=await leading.look(services.redis))
