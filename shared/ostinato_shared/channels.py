"""Hints from other processes, by Redis' channels: each names a run or a thread, and may be lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from redis import RedisError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis.asyncio import Redis

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
RESUBSCRIBE_SECONDS = 0.5
REPEAT_SECONDS = 0.1


async def listen(redis: Redis, channel: str, hear: Callable[[UUID], Awaitable[None]]) -> None:
    """Hear every id on the channel, for ever. A Redis that is away is waited for."""
    heard = True
    while True:
        try:
            async with redis.pubsub() as pubsub:
                await pubsub.subscribe(channel)
                heard = True
                async for message in pubsub.listen():
                    if message["type"] == "message" and (found := _id_of(message["data"], channel)):
                        await hear(found)
        except (RedisError, OSError) as error:
            if heard:  # once an outage
                log.warning("channel_lost", channel=channel, reason=type(error).__name__)
            heard = False
        await asyncio.sleep(RESUBSCRIBE_SECONDS)


async def stop(*tasks: asyncio.Task[None]) -> None:
    """Cancel the tasks until they are over.

    Once is not enough: the Redis client sends by asyncio.wait_for, which in Python 3.11 loses a cancel that comes when
    all is sent.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=REPEAT_SECONDS)


def _id_of(text: str, channel: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        log.warning("channel_noise", channel=channel)
        return None
