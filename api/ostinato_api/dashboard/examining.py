"""What the system page looks at: Postgres and Redis, each for itself, so that one that is away hides not the other."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from redis import RedisError
from sqlalchemy import text

from ostinato_api.dashboard import leading, system_queries
from ostinato_api.dashboard.page_route import AWAY
from ostinato_shared.queries.standing import FIGURES
from ostinato_shared.task_names import ENTRIES_KEY, LATE_QUEUE, LEADER_KEY, LEADER_STAMP, QUEUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker


@dataclass(frozen=True)
class Database:
    server: Any
    figures: Any
    workers: Sequence[Any]
    lags: Sequence[Any]
    offset: float  # seconds, of its clock from this host's


@dataclass(frozen=True)
class Broker:
    """Redis, as it stands."""

    info: dict[str, Any]
    number: int  # of the database
    on_time: int  # messages
    late: int
    entries: int
    leader: leading.Leader
    offset: float
    snapshots: bool = field(default=True)  # where the server does not tell, it keeps its own


async def database(sessions: async_sessionmaker[AsyncSession]) -> Database | None:
    """None when it does not answer."""
    try:
        async with sessions() as session:
            asked = time.time()
            server = (await session.execute(system_queries.server())).one()
            offset = server.clock - (asked + time.time()) / 2
            figures = (await session.execute(text(FIGURES))).one()
            workers = (await session.execute(system_queries.workers())).all()
            since = datetime.now(UTC) - system_queries.HOUR
            lags = (await session.execute(system_queries.lags(since=since))).all()
    except AWAY:
        return None
    return Database(server, figures, workers, lags, offset)


async def broker(redis: Redis) -> Broker | None:
    """None when it does not answer."""
    pipeline = redis.pipeline(transaction=False)
    pipeline.info()
    pipeline.llen(QUEUE)
    pipeline.llen(LATE_QUEUE)
    pipeline.zcount(ENTRIES_KEY, 0, "+inf")
    pipeline.exists(LEADER_KEY)
    pipeline.hgetall(LEADER_STAMP)
    pipeline.time()
    pipeline.config_get("save")  # hosted servers forbid it
    asked = time.time()
    try:
        async with asyncio.timeout(leading.SECONDS):
            *found, save = await pipeline.execute(raise_on_error=False)
    except leading.AWAY:
        return None
    if any(isinstance(each, RedisError) for each in found):
        return None
    info, on_time, late, entries, leads, stamp, (seconds, microseconds) = found
    now = float(seconds) + float(microseconds) / 1e6
    leader = leading.read(stamp, now=now, leads=bool(leads))
    snapshots = isinstance(save, RedisError) or any(save.values())
    number = redis.connection_pool.connection_kwargs.get("db", 0)
    return Broker(info, number, on_time, late, entries, leader, now - (asked + time.time()) / 2, snapshots)
