from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import TypeVar

import psycopg
import redis
from pydantic import ValidationError

from ostinato_cli.doctor import drift, processes, servers
from ostinato_cli.settings_advice import settings_advice
from ostinato_shared.checks import Finding, Level
from ostinato_shared.errors import OstinatoError
from ostinato_shared.project import load_project
from ostinato_shared.settings import Settings

FAULTS = (OstinatoError, psycopg.Error, redis.RedisError)

Server = TypeVar("Server", servers.Connection, redis.Redis)


def examine() -> Iterator[Finding]:
    """One finding for each check. What builds on a check that failed is left out."""
    try:
        settings = Settings()
    except ValidationError as error:
        yield Finding("settings", Level.FAIL, settings_advice(error))
        return
    yield Finding("settings", Level.OK, "complete")
    yield from _installation(settings)
    yield _found("project", lambda: _project(settings))


def _installation(settings: Settings) -> Iterator[Finding]:
    with ExitStack() as opened:
        connect = partial(servers.connect_database, settings)
        connection, finding = _reached(opened, "database", connect, partial(servers.examine_database, settings))
        yield finding
        client, finding = _reached(opened, "redis", partial(servers.connect_redis, settings), servers.examine_redis)
        yield finding
        yield from _parts(connection, client)


def _parts(connection: servers.Connection | None, client: redis.Redis | None) -> Iterator[Finding]:
    if connection and client:
        yield _found("clocks", lambda: servers.examine_clocks(connection, client))
    if client:
        yield _found("beat", lambda: processes.examine_beat(client))
    if connection:
        yield _found("workers", lambda: processes.examine_workers(connection))
        yield _found("firings", lambda: processes.examine_firings(connection))
    if connection and client:
        yield _found("schedule", lambda: drift.examine_entries(connection, client))


def _project(settings: Settings) -> Finding:
    graphs = load_project(settings.config).graphs
    return Finding("project", Level.OK, f"{settings.config}, graphs {', '.join(graphs)}")


def _reached(
    opened: ExitStack, check: str, connect: Callable[[], Server], look: Callable[[Server], Finding]
) -> tuple[Server | None, Finding]:
    """The server, if all that builds on it may be looked at."""
    try:
        server = opened.enter_context(closing(connect()))
        finding = look(server)
    except FAULTS as error:
        return None, _fault(check, error)
    return None if finding.level is Level.FAIL else server, finding


def _found(check: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except FAULTS as error:
        return _fault(check, error)


def _fault(check: str, error: Exception) -> Finding:
    match error:
        case servers.FaultError():
            return Finding(check, Level.FAIL, error.text, error.advice)
        case OstinatoError():
            return Finding(check, Level.FAIL, str(error))
        case _:
            return Finding(check, Level.FAIL, f"{type(error).__name__}: {error}", "Run `ostinato doctor` again.")
