"""Postgres and Redis: whether they answer, and whether they are set up as Ostinato needs them."""

from typing import Any

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ostinato_beat.clock import Clock
from ostinato_shared import checks, migrate
from ostinato_shared.checks import Finding
from ostinato_shared.database import connect_kwargs
from ostinato_shared.errors import UnavailableError
from ostinato_shared.settings import Settings

CONNECT_SECONDS = 5
OLDEST_POSTGRES = 15

Connection = psycopg.Connection[tuple[Any, ...]]


class FaultError(UnavailableError):
    """What a check has found stands in the way of those that build on it."""

    def __init__(self, text: str, advice: str) -> None:
        super().__init__(f"{text}. {advice}")
        self.text = text
        self.advice = advice


def reach_database(settings: Settings) -> int:
    """The server's major version; raises UnavailableError with advice when there is none, or it is too old."""
    with connect_database(settings) as connection:
        return _major_version(connection)


def connect_database(settings: Settings) -> Connection:
    """An autocommit connection. Raises FaultError."""
    try:
        return psycopg.connect(
            settings.database_dsn, connect_timeout=CONNECT_SECONDS, autocommit=True, **connect_kwargs()
        )
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise FaultError(
            f"The database does not answer: {reason}",
            "Check DATABASE_URI (postgresql://user:password@host:port/name) and that the server runs.",
        ) from error


def connect_redis(settings: Settings) -> redis.Redis:
    """A client that answers at once, or not at all. Raises FaultError."""
    try:
        client = redis.Redis.from_url(
            settings.redis_url,
            socket_timeout=CONNECT_SECONDS,
            socket_connect_timeout=CONNECT_SECONDS,
            retry=Retry(NoBackoff(), retries=0),
            decode_responses=True,
        )
        client.ping()
    except (redis.RedisError, ValueError) as error:
        raise FaultError(
            f"Redis does not answer: {str(error).rstrip('.')}",
            "Check REDIS_URI (redis://:password@host:port/0) and that the server runs.",
        ) from error
    return client


def examine_database(settings: Settings, connection: Connection) -> Finding:
    """The server's version and the schema's revision. Raises FaultError."""
    _major_version(connection)
    version = connection.info.parameter_status("server_version") or ""
    return checks.database(version, migrate.current(settings.database_dsn))


def examine_redis(client: redis.Redis) -> Finding:
    """Whether schedule and queues are safe there."""
    info: Any = client.info()  # not CONFIG GET: hosted servers forbid it
    number = client.connection_pool.connection_kwargs.get("db", 0)
    return checks.redis(info, number=number, snapshots=_snapshots(client))


def examine_clocks(connection: Connection, client: redis.Redis) -> Finding:
    """How far this host's clock and the servers' are apart, as far as one question to each can tell."""
    offsets = {"Postgres": Clock(), "Redis": Clock()}
    offsets["Postgres"].ask(lambda: _postgres_time(connection))
    offsets["Redis"].ask(lambda: _redis_time(client))
    return checks.clocks({name: clock.offset for name, clock in offsets.items()})


def _major_version(connection: Connection) -> int:
    major = connection.info.server_version // 10_000
    if major < OLDEST_POSTGRES:
        raise FaultError(
            f"The database is Postgres {major}", f"Ostinato needs {OLDEST_POSTGRES} or later: upgrade the server."
        )
    return major


def _snapshots(client: redis.Redis) -> bool:
    try:
        rules: Any = client.config_get("save")
    except redis.ResponseError:  # hosted servers forbid it, and keep snapshots of their own
        return True
    return bool(rules.get("save"))


def _postgres_time(connection: Connection) -> float:
    row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    return float(row[0]) if row else 0.0


def _redis_time(client: redis.Redis) -> float:
    seconds, micros = client.time()
    return float(seconds) + float(micros) / 1e6
