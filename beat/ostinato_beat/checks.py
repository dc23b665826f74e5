"""What beat asks of Redis before it starts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from redis import RedisError

from ostinato_shared.broker import connect
from ostinato_shared.errors import UnavailableError

if TYPE_CHECKING:
    from redis import Redis

log = structlog.get_logger()
PATIENCE_SECONDS: Final = 30.0
NO_CLUSTER: Final = "Redis is a Cluster: broker and schedule need one server. Set REDIS_URI to a single one."
NO_ROOM: Final = (
    "Redis may evict keys (maxmemory-policy {policy}): queued runs and schedules would vanish. "
    "Set `maxmemory-policy noeviction`."
)


def check_redis(url: str) -> None:
    """Wait for Redis; raises UnavailableError for one that cannot carry queues and schedule."""
    with connect(url) as redis:
        _wait(redis)
        server: Any = redis.info("server")
        if server.get("redis_mode", server.get("server_mode")) == "cluster":
            raise UnavailableError(NO_CLUSTER)
        policy = _policy(redis)
        if policy not in {None, "noeviction"}:
            raise UnavailableError(NO_ROOM.format(policy=policy))


def _wait(redis: Redis) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            redis.ping()
        except RedisError as error:
            if time.monotonic() > until:
                raise UnavailableError(f"Redis does not answer ({error}). Check REDIS_URI.") from None
            time.sleep(0.25)
        else:
            return


def _policy(redis: Redis) -> str | None:
    memory: Any = redis.info("memory")
    policy = memory.get("maxmemory_policy")
    return None if policy is None else str(policy)
