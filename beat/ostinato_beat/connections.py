"""Beat's servers: connections that come back, and outages that are logged once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg
import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ostinato_shared.database import GUARDS, connect_kwargs

if TYPE_CHECKING:
    from psycopg import Connection

log = structlog.get_logger()
OUTAGES: Final = (psycopg.OperationalError, psycopg.InterfaceError)  # the server's trouble, not a statement's
LOCKED: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)  # outages by class, but of one row
TIMEOUT_SECONDS: Final = 5
# Beat finds its rows by keys, a few hundred at a time. A plan made while a table was empty, or one that reads all of a
# small table, is a bad one an hour later.
PLANS: Final = " ".join(
    f"-c {setting}"
    for setting in (
        "plan_cache_mode=force_custom_plan",
        "enable_seqscan=off",
        "enable_hashjoin=off",
        "enable_mergejoin=off",
        "jit=off",
    )
)
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0  # seconds between attempts while a server is away


class Postgres:
    """One autocommit connection, opened again when it has broken. For one thread."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Connection | None = None

    def connection(self) -> Connection:
        """The open connection. Raises psycopg.OperationalError while the server is away."""
        if self._connection is None or self._connection.closed:
            arguments = {**connect_kwargs(), "options": f"{GUARDS} {PLANS}", "application_name": "ostinato-beat"}
            self._connection = psycopg.connect(self._dsn, autocommit=True, connect_timeout=TIMEOUT_SECONDS, **arguments)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class RedisLink:
    """A client that hides no cut: `connects` counts, because an emptied Redis looks like any other. For one thread."""

    def __init__(self, url: str) -> None:
        self.connects = 0
        self.redis = Redis.from_url(
            url,
            decode_responses=True,
            encoding_errors="surrogateescape",  # a foreign key must not stop its neighbours
            retry=Retry(NoBackoff(), 0),
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_keepalive=True,
            redis_connect_func=self._connected,
        )

    def _connected(self, connection: Any) -> None:
        connection.on_connect()
        self.connects += 1


class Outage:
    """How one server has failed lately: one log line when it goes, one when it is back."""

    def __init__(self, server: str, *, role: str) -> None:
        self._log = log.bind(server=server, role=role)
        self._pause = 0.0

    def failed(self, error: Exception) -> float:
        """The seconds to wait before the next attempt."""
        if not self._pause:
            self._log.warning("server_away", reason=str(error).strip().partition("\n")[0])
        self._pause = min(max(self._pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
        return self._pause

    def over(self) -> None:
        if self._pause:
            self._pause = 0.0
            self._log.info("server_back")
