"""Who leads, as the leading beat stamps it: ages are by Redis' clock, which has made the stamp."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from redis import RedisError

from ostinato_shared.task_names import LEADER_KEY, LEADER_STAMP

if TYPE_CHECKING:
    from redis.asyncio import Redis

SECONDS: Final = 2.0  # a page waits no longer for a Redis that hangs
AWAY: Final = (RedisError, OSError, TimeoutError)


@dataclass(frozen=True)
class Leader:
    state: str  # `leads`, `missing`, or `unknown` when Redis does not answer
    who: str | None = None  # host:pid of the one that leads, or led last
    since: datetime | None = None
    age: timedelta | None = None  # of its last tick


async def look(redis: Redis) -> Leader:
    """The leader; never raises."""
    try:
        async with asyncio.timeout(SECONDS):
            pipeline = redis.pipeline(transaction=False)
            pipeline.exists(LEADER_KEY)
            pipeline.hgetall(LEADER_STAMP)
            pipeline.time()
            leads, stamp, (seconds, microseconds) = await pipeline.execute()
    except AWAY:
        return Leader("unknown")
    return read(stamp, now=float(seconds) + float(microseconds) / 1e6, leads=bool(leads))


def read(stamp: dict[Any, Any], *, now: float, leads: bool) -> Leader:
    """What a stamp says at this time of its clock."""
    told = {_text(name): _text(value) for name, value in stamp.items()}
    state = "leads" if leads else "missing"
    try:
        at, since = float(told["at"]), float(told["since"])
    except (KeyError, ValueError):
        return Leader(state)
    return Leader(state, told.get("who"), datetime.fromtimestamp(since, UTC), timedelta(seconds=max(0.0, now - at)))


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
