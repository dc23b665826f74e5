"""Ride out a database that is away for a while."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, TypeVar

import psycopg
import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0
LIMIT_EXCEEDED = "54"  # the SQLSTATE class of statements that are too big: trying again does not help


def is_outage(error: BaseException) -> bool:
    """Whether the statement may well succeed later: connection lost, server away or starting, lock not got."""
    if isinstance(error, psycopg.InterfaceError):
        return True
    return isinstance(error, psycopg.OperationalError) and not (error.sqlstate or "").startswith(LIMIT_EXCEEDED)


async def ride_out(attempt: Callable[[], Awaitable[T]], *, what: str, seconds: float | None = None) -> T:
    """The result of the first attempt that reaches the database; attempts must bear being repeated.

    Raises the last error when `seconds` are over; None: never gives up.
    """
    until = None if seconds is None else time.monotonic() + seconds
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            return await attempt()
        except psycopg.Error as error:
            if not is_outage(error) or (until is not None and time.monotonic() + pause > until):
                raise
            log.warning("database_awaited", what=what, error=type(error).__name__)
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads the herd, keeps no secret
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
