"""What every route of the dashboard is: guarded against foreign pages, its failures told as a page or to htmx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy import exc as sqlalchemy_errors
from starlette.exceptions import HTTPException

from ostinato_api import errors
from ostinato_api.askers import OWN_PAGES_ONLY, READING, Asker, asker_of
from ostinato_api.dashboard import rendering
from ostinato_shared.errors import NotFoundError, OstinatoError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import Request

AWAY = (sqlalchemy_errors.OperationalError, sqlalchemy_errors.TimeoutError)
TOLD = (OstinatoError, RequestValidationError, HTTPException, *AWAY)


class PageNotFoundError(NotFoundError):
    def __init__(self) -> None:
        super().__init__("There is no such page.")


class PageRoute(APIRoute):
    """A route for people. htmx gets failures as the API's JSON (app.js shows them), a browser gets a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                check_same_origin(request)
                response = await handler(request)
            except TOLD as error:
                if _is_gone(request, error):
                    response = Response(status_code=204, headers={"hx-refresh": "true"})
                elif rendering.is_part(request):
                    raise
                else:
                    response = _page_of(request, error)
            response.headers.update(rendering.GUARDS)
            return response

        return handle


def check_same_origin(request: Request) -> None:
    """Only our own pages may change things. Raises ForbiddenError; programs, which are no pages, may."""
    if request.method not in READING and asker_of(request.headers) is Asker.OTHER_PAGE:
        raise errors.ForbiddenError(OWN_PAGES_ONLY)


def _is_gone(request: Request, error: Exception) -> bool:
    """Whether an open page looks again at what was deleted meanwhile: the page is asked for anew, and says so."""
    return rendering.is_part(request) and request.method == "GET" and isinstance(error, NotFoundError)


def _page_of(request: Request, error: Exception) -> Response:
    status, text = _told(error)
    return rendering.page(request, "error.html", status=status, code=status, text=text)


def _told(error: Exception) -> tuple[int, str]:
    if isinstance(error, OstinatoError):
        return errors.status_of(error), str(error)
    if isinstance(error, RequestValidationError):
        return 422, errors.describe(error.errors())
    if isinstance(error, HTTPException):
        return error.status_code, str(error.detail)
    return 503, errors.BUSY
