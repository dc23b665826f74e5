"""Postgres and Redis: whether they answer, and whether they are set up as Ostinato needs them."""

from collections.abc import Mapping
from typing import Any

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ostinato_beat.clock import Clock
from ostinato_cli.doctor.findings import FaultError, Finding, Level
from ostinato_shared import migrate
from ostinato_shared.database import connect_kwargs
from ostinato_shared.settings import Settings

CONNECT_SECONDS = 5
OLDEST_POSTGRES = 15
CLOCK_SECONDS = 1.0  # apart

Connection = psycopg.Connection[tuple[Any, ...]]


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
    major = _major_version(connection)
    found, wanted = migrate.current(settings.database_dsn), migrate.head()
    if found != wanted:
        raise FaultError(f"at revision {found or 'none'}, this version needs {wanted}", migrate.ADVICE)
    return Finding("database", Level.OK, f"Postgres {major}, revision {found}")


def examine_redis(client: redis.Redis) -> Finding:
    """Whether schedule and queues are safe there. Raises FaultError."""
    info: Any = client.info()  # not CONFIG GET: hosted servers forbid it
    if "cluster" in {info.get("redis_mode"), info.get("server_mode")}:
        raise FaultError("is a Cluster, which cannot move several keys in one step", "Use a single server.")
    policy = info.get("maxmemory_policy")
    if policy != "noeviction":
        raise FaultError(
            f"maxmemory-policy is {policy}: schedules and queued runs could vanish when memory runs out",
            "Set it to noeviction.",
        )
    if client.connection_pool.connection_kwargs.get("db", 0) != 0:
        raise FaultError("schedule and queues lie in database 0 only", "Use a REDIS_URI that ends with /0.")
    if "err" in {info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status")}:
        raise FaultError("cannot write to its disk, and so refuses writes", "Look at its log and its disk.")
    named = f"{info.get('server_name', 'redis')} {info.get('redis_version')}, noeviction"
    return _persistence(client, info, named)


def examine_clocks(connection: Connection, client: redis.Redis) -> Finding:
    """How far this host's clock and the servers' are apart, as far as one question to each can tell."""
    offsets = {"Postgres": Clock(), "Redis": Clock()}
    offsets["Postgres"].ask(lambda: _postgres_time(connection))
    offsets["Redis"].ask(lambda: _redis_time(client))
    far = {name: clock.offset for name, clock in offsets.items() if abs(clock.offset) > CLOCK_SECONDS}
    if not far:
        return Finding("clocks", Level.OK, f"this host's, Postgres' and Redis' agree within {CLOCK_SECONDS:g} s")
    advice = "Let NTP (chrony, systemd-timesyncd) set the clocks of all hosts."
    apart = " and ".join(f"{name} is {_distance(offset)}" for name, offset in far.items())
    return Finding("clocks", Level.WARN, f"{apart} of this host", advice)


def _major_version(connection: Connection) -> int:
    major = connection.info.server_version // 10_000
    if major < OLDEST_POSTGRES:
        raise FaultError(
            f"The database is Postgres {major}", f"Ostinato needs {OLDEST_POSTGRES} or later: upgrade the server."
        )
    return major


def _persistence(client: redis.Redis, info: Mapping[str, Any], named: str) -> Finding:
    if info.get("aof_enabled"):
        return Finding("redis", Level.OK, f"{named}, append-only file")
    if _snapshots(client):
        return Finding("redis", Level.OK, f"{named}, snapshots")
    return Finding(
        "redis",
        Level.WARN,
        f"{named}, but its data do not survive a restart: firings would be late until all is rebuilt from Postgres",
        "Set `appendonly yes`.",
    )


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


def _distance(offset: float) -> str:
    return f"{abs(offset):.1f} s {'ahead' if offset > 0 else 'behind'}"
