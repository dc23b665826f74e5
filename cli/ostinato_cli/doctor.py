"""What an operator would look at first, with advice for each fault."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import redis
from pydantic import ValidationError
from redis.backoff import NoBackoff
from redis.retry import Retry

from ostinato_shared import migrate
from ostinato_shared.errors import OstinatoError, UnavailableError
from ostinato_shared.project import load_project
from ostinato_shared.settings import Settings

CONNECT_SECONDS = 5
OLDEST_POSTGRES = 15


@dataclass(frozen=True)
class Finding:
    ok: bool
    text: str


def examine() -> Iterator[Finding]:
    """One finding for each thing looked at, in the order in which they depend on each other."""
    try:
        settings = Settings()
    except ValidationError as error:
        missing = ", ".join(str(fault["loc"][0]).upper() for fault in error.errors() if fault["loc"])
        yield Finding(ok=False, text=f"settings: {missing} missing or wrong. Set it in the environment.")
        return
    yield Finding(ok=True, text="settings")
    for look in (_database, _redis, _project):
        yield _found(look, settings)


def reach_database(settings: Settings) -> int:
    """The server's major version; raises UnavailableError with advice when there is none, or it is too old."""
    try:
        with psycopg.connect(settings.database_dsn, connect_timeout=CONNECT_SECONDS) as connection:
            major = connection.info.server_version // 10_000
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UnavailableError(
            f"The database does not answer: {reason}. Check DATABASE_URI (postgresql://user:password@host:port/name) "
            "and that the server runs."
        ) from error
    if major < OLDEST_POSTGRES:
        raise UnavailableError(f"The database is Postgres {major}; Ostinato needs {OLDEST_POSTGRES} or later.")
    return major


def _found(look: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(ok=True, text=look(settings))
    except OstinatoError as error:
        return Finding(ok=False, text=str(error))


def _database(settings: Settings) -> str:
    major = reach_database(settings)
    found, wanted = migrate.current(settings.database_dsn), migrate.head()
    if found != wanted:
        raise UnavailableError(
            f"database: at revision {found or 'none'}, this version needs {wanted}. {migrate.ADVICE}"
        )
    return f"database: Postgres {major}, revision {found}"


def _redis(settings: Settings) -> str:
    client = redis.Redis.from_url(
        settings.redis_url, socket_timeout=CONNECT_SECONDS, retry=Retry(NoBackoff(), retries=0), decode_responses=True
    )
    try:
        with client:
            info = client.info()  # not CONFIG GET: hosted servers forbid it
    except (redis.RedisError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise UnavailableError(
            f"Redis does not answer: {reason}. "
            "Check REDIS_URI (redis://:password@host:port/0) and that the server runs."
        ) from error
    if info.get("redis_mode") == "cluster":
        raise UnavailableError("redis: a Cluster cannot move several keys in one step. Use a single server.")
    policy = info.get("maxmemory_policy")
    if policy != "noeviction":
        raise UnavailableError(
            f"redis: maxmemory-policy is {policy}: schedules could vanish when memory runs out. Set it to noeviction."
        )
    if client.connection_pool.connection_kwargs.get("db", 0) != 0:
        raise UnavailableError("redis: use database 0: REDIS_URI ends with /0.")
    return f"redis: {info.get('server_name', 'redis')} {info.get('redis_version')}, noeviction"


def _project(settings: Settings) -> str:
    graphs = load_project(settings.config).graphs
    return f"project: {settings.config}, graphs {', '.join(graphs)}"
