"""The application: its connections, routes and rules, put together."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI

from ostinato_api import assistants
from ostinato_api.dashboard.routes import add_dashboard
from ostinato_api.dependencies import open_services
from ostinato_api.errors import PROBLEMS, add_error_handlers
from ostinato_api.keys import KeyCheck
from ostinato_api.middleware import Gate, Patience, RequestLog
from ostinato_api.routes import ROUTERS
from ostinato_shared.project import load_project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ostinato_shared.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The application for these settings, its user's graphs loaded. Raises ProjectError when they cannot be."""
    project = load_project(settings.config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings, project) as services:
            app.state.services = services
            async with services.sessions.begin() as session:
                await assistants.upsert_system_assistants(session, project)
            yield

    app = FastAPI(
        title="Ostinato",
        version=version("ostinato"),
        description="A self-hosted cron server for LangGraph assistants.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=PROBLEMS,
    )
    add_error_handlers(app)
    app.add_middleware(Patience)
    app.add_middleware(KeyCheck, keys=settings.api_keys)
    app.add_middleware(Gate, origins=settings.allow_origin, keyed=bool(settings.api_keys))
    app.add_middleware(RequestLog)
    for router in ROUTERS:
        app.include_router(router)
    add_dashboard(app)
    app.state.routes = [route for router in ROUTERS for route in router.routes]
    return app
