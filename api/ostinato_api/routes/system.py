"""Is the server well, what is it, and how is it spoken to."""

import asyncio
from importlib.metadata import version
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from ostinato_api.dependencies import ServicesDep
from ostinato_api.errors import answer
from ostinato_api.json_bodies import JsonRoute

router = APIRouter(route_class=JsonRoute, tags=["System"])

DATABASE_SECONDS = 3.0  # a server that hangs keeps its connections open: it would be waited for for ever

CheckDb = Annotated[bool, Query(description="Whether to ask the database, too.")]


@router.get("/ok", response_model=dict[str, bool])
async def ok(services: ServicesDep, *, check_db: CheckDb = False) -> Any:
    """Tell that the server answers; with `check_db=1` that its database does too."""
    if check_db:
        try:
            async with asyncio.timeout(DATABASE_SECONDS), services.sessions() as session:
                await session.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError):
            return answer(500, "The database does not answer.")
    return {"ok": True}


@router.get("/info")
async def info() -> dict[str, Any]:
    """Tell which versions run here and what they can do."""
    return {
        "version": version("ostinato"),
        "langgraph_py_version": version("langgraph"),
        "flags": {"assistants": True, "crons": True, "langsmith": False},
        "host": {"kind": "self-hosted", "product": "ostinato"},
    }


@router.get("/docs", include_in_schema=False)
async def docs() -> HTMLResponse:
    """The API's documentation as a page that needs nothing from elsewhere."""
    return HTMLResponse(files("ostinato_api").joinpath("docs.html").read_text(encoding="utf-8"))
