from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import psycopg
import redis
from pydantic import ValidationError

from ostinato_cli.doctor import drift, processes, servers
from ostinato_cli.doctor.findings import FaultError, Finding, Level
from ostinato_cli.settings_advice import settings_advice
from ostinato_shared.errors import OstinatoError
from ostinato_shared.project import load_project
from ostinato_shared.settings import Settings


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
        connection, client = None, None

        def database() -> Finding:
            nonlocal connection
            found = opened.enter_context(closing(servers.connect_database(settings)))
            finding = servers.examine_database(settings, found)
            connection = found
            return finding

        def broker() -> Finding:
            nonlocal client
            found = opened.enter_context(closing(servers.connect_redis(settings)))
            finding = servers.examine_redis(found)
            client = found
            return finding

        yield _found("database", database)
        yield _found("redis", broker)
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


def _found(check: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except FaultError as error:
        return Finding(check, Level.FAIL, error.text, error.advice)
    except OstinatoError as error:
        return Finding(check, Level.FAIL, str(error))
    except (psycopg.Error, redis.RedisError) as error:
        return Finding(check, Level.FAIL, f"{type(error).__name__}: {error}", "Run `ostinato doctor` again.")
