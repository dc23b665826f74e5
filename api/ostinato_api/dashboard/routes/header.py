"""What the header of every page tells: does a beat lead, so that anything fires at all."""

from fastapi import APIRouter, Request, Response
from redis import RedisError

from ostinato_api.dashboard import rendering
from ostinato_api.dashboard.page_route import PageRoute
from ostinato_api.dependencies import ServicesDep
from ostinato_shared.task_names import LEADER_KEY

router = APIRouter(route_class=PageRoute)


@router.get("/ui/leader", name="ui_leader")
async def leader(request: Request, services: ServicesDep) -> Response:
    """The dot of the leading beat."""
    try:
        state = "leads" if await services.redis.exists(LEADER_KEY) else "missing"
    except (RedisError, OSError):
        state = "unknown"
    return rendering.part(request, "parts/leader.html", state=state)
