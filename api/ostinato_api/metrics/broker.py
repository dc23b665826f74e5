"""What Redis tells: the queues, and the beat that leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ostinato_api.metrics.catalogue import family, single
from ostinato_shared.task_names import LATE_QUEUE, LEADER_KEY, LEADER_STAMP, QUEUE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric
    from redis.asyncio import Redis


async def gather(redis: Redis) -> list[Metric]:
    """All metrics that Redis knows, in one round trip. Raises RedisError."""
    asked: Any = redis.pipeline(transaction=False)  # redis types the commands of both its clients at once
    async with asked:
        asked.llen(QUEUE).llen(LATE_QUEUE).exists(LEADER_KEY).hget(LEADER_STAMP, "at").time()
        answers = await asked.execute()
    return list(_shaped(*answers))


def _shaped(on_time: int, late: int, leads: int, tick: str | None, now: tuple[int, int]) -> Iterator[Metric]:
    yield family("ostinato_queue_messages", ((QUEUE,), on_time), ((LATE_QUEUE,), late))
    yield single("ostinato_beat_leads", leads)
    if tick is not None:  # else none has led yet
        seconds, micros = now  # Redis' clock, which the tick was read from too
        yield single("ostinato_beat_last_tick_seconds", max(0.0, seconds + micros / 1e6 - float(tick)))
