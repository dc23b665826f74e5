"""What is no page."""

from fastapi import APIRouter, Response

from ostinato_api.dashboard.page_route import PageNotFoundError, PageRoute

router = APIRouter(route_class=PageRoute)


@router.get("/ui")
@router.get("/ui/{path:path}")
async def unknown() -> Response:
    """Say that there is no such page."""
    raise PageNotFoundError
