"""Figures for monitoring."""

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from ostinato_api.dependencies import ServicesDep
from ostinato_api.metrics.page import MEDIA_TYPE, page

router = APIRouter(tags=["System"])


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(services: ServicesDep) -> Response:
    """Figures in Prometheus' text form, read from Postgres and Redis now; those of one that is away are missing."""
    return Response(await page(services), headers={"content-type": MEDIA_TYPE, "cache-control": "no-store"})
