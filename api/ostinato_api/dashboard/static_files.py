"""The dashboard's own scripts and styles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.responses import Response
    from starlette.types import Scope

YEAR_SECONDS = 365 * 24 * 3600


class VersionedFiles(StaticFiles):
    """Files whose address carries their version are kept by browsers; others are asked for again."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        versioned = scope["query_string"].startswith(b"v=")
        response.headers["cache-control"] = f"public, max-age={YEAR_SECONDS}, immutable" if versioned else "no-cache"
        response.headers["x-content-type-options"] = "nosniff"
        return response


def mount(app: FastAPI) -> None:
    """Serve the package's `static` folder."""
    app.mount("/ui/static", VersionedFiles(packages=[("ostinato_api.dashboard", "static")]))
