"""Every error that a client sees, as `{"detail": "<text>"}`; the one table from the domain's errors to status codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg import errors as psycopg_errors
from pydantic import BaseModel, Field
from sqlalchemy import exc as sqlalchemy_errors
from starlette.exceptions import HTTPException
from starlette.routing import Match

from ostinato_shared.errors import (
    BadRequestError,
    ConflictError,
    InvalidError,
    NotFoundError,
    OstinatoError,
    UnavailableError,
)
from ostinato_shared.graphs import GraphLoadError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import FastAPI, Request
    from starlette.types import Scope

log = structlog.get_logger()

WRONG_METHOD = 405
FAULTS_SHOWN = 3  # of those that a body has; the rest shows when these are mended
BUSY = "The database is busy or does not answer. Try again."


class BodyTooLargeError(OstinatoError):
    """The body is larger than the server takes: HTTP 413."""


class ForbiddenError(OstinatoError):
    """Whoever asks may not do that: HTTP 403."""


class NotYetError(InvalidError):
    """Valid in LangGraph's API, but not built yet: HTTP 422, never ignored."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not supported yet by this version of Ostinato.")


class Problem(BaseModel):
    """What every error says."""

    detail: str = Field(description="What is wrong, in words.")


Problems = dict[int | str, dict[str, Any]]
PROBLEMS: Problems = {
    404: {"model": Problem, "description": "No such object"},
    422: {"model": Problem, "description": "Body, query or path do not fit"},
    503: {"model": Problem, "description": "The database is busy or does not answer"},
}
SENSELESS: Problems = {400: {"model": Problem, "description": "Well-formed, but makes no sense"}}
CONFLICT: Problems = {409: {"model": Problem, "description": "The object exists already, or the thread is busy"}}

STATUS: dict[type[OstinatoError], int] = {
    BadRequestError: 400,
    ForbiddenError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    BodyTooLargeError: 413,
    InvalidError: 422,
    GraphLoadError: 422,  # a factory that refuses the configuration which the client gave
    UnavailableError: 503,
}


def add_error_handlers(app: FastAPI) -> None:
    """Give every failure of a request its status and a text that says what would be right."""
    app.add_exception_handler(OstinatoError, _domain)
    app.add_exception_handler(RequestValidationError, _misfit)
    app.add_exception_handler(HTTPException, _http)
    for data_error in (sqlalchemy_errors.DataError, psycopg_errors.DataError):
        app.add_exception_handler(data_error, _refused_by_database)
    for away in (sqlalchemy_errors.OperationalError, psycopg_errors.OperationalError, sqlalchemy_errors.TimeoutError):
        app.add_exception_handler(away, _database_away)
    for database_error in (sqlalchemy_errors.DBAPIError, psycopg_errors.Error):
        app.add_exception_handler(database_error, _database_failed)


def answer(status: int, detail: str, *, headers: dict[str, str] | None = None) -> JSONResponse:
    """The one form of every error body."""
    return JSONResponse({"detail": detail}, status, headers=headers)


def status_of(error: Exception) -> int:
    """The status code of a domain error."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


async def _domain(_: Request, error: Exception) -> JSONResponse:
    return answer(status_of(error), str(error))


async def _misfit(_: Request, error: Exception) -> JSONResponse:
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    return answer(422, describe(faults))


async def _http(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    headers = dict(error.headers) if error.headers else None
    if error.status_code == WRONG_METHOD:
        headers = {"allow": ", ".join(sorted(_methods(request)))}
    return answer(error.status_code, str(error.detail), headers=headers)


def _methods(request: Request) -> set[str]:
    """Those that the path takes: each route of the framework knows its own only."""
    known = (*request.app.routes, *request.app.state.routes)
    routes = [route for route in known if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in routes for method in getattr(route, "methods", None) or ()}


async def _refused_by_database(_: Request, error: Exception) -> JSONResponse:
    log.warning("request_refused_by_database", error=type(error).__name__)
    return answer(422, "The request holds a value that the database cannot store.")


async def _database_away(_: Request, error: Exception) -> JSONResponse:
    log.warning("database_unavailable", error=type(error).__name__)
    return answer(503, BUSY, headers={"retry-after": "1"})


async def _database_failed(request: Request, error: Exception) -> JSONResponse:
    cause = getattr(error, "orig", error)
    diagnosis = cause.diag if isinstance(cause, psycopg_errors.Error) else None
    # Not the error's whole text, nor its traceback: its detail shows the row, and with it people's input.
    log.error(
        "request_failed_in_database",
        method=request.method,
        path=request.url.path,
        error=type(cause).__name__,
        sqlstate=diagnosis and diagnosis.sqlstate,
        message=diagnosis and diagnosis.message_primary,
    )
    return answer(500, "Internal Server Error")


def unexpected(scope: Scope, error: Exception) -> JSONResponse:
    """The answer to a request that nobody can answer for; the log has the reason."""
    log.error("request_failed", method=scope["method"], path=scope["path"], exc_info=error)
    # Sent from outside the gate, which has left here what a browser needs to read the answer.
    return answer(500, "Internal Server Error", headers=dict(scope.get("ostinato.cors", {})))


def describe(faults: Sequence[Any]) -> str:
    """The faults that pydantic found as one line: each field's name and what would be right."""
    lines = list(dict.fromkeys(_describe(fault) for fault in faults))
    more = f" (and {len(lines) - FAULTS_SHOWN} more)" if len(lines) > FAULTS_SHOWN else ""
    return "; ".join(lines[:FAULTS_SHOWN]) + more


def _describe(fault: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in fault["loc"][1:])
    if fault["type"] == "missing":
        return f"{place or 'body'}: this field is required"
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else f"The request body {message}"
