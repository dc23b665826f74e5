"""Hints by Redis' channels: heard while they are listened to, and given up at any moment."""

import asyncio
from uuid import UUID, uuid4

from ostinato_shared import broker, channels

STEPS = 60  # of the event loop: more than connecting and subscribing take


async def test_ids_are_heard_and_noise_is_not(redis_uri: str) -> None:
    sent, heard = uuid4(), asyncio.Queue[UUID]()

    async with broker.connect_async(redis_uri) as redis:
        listening = asyncio.create_task(channels.listen(redis, "channel", heard.put))
        while not await redis.publish("channel", "noise"):  # noqa: ASYNC110 - of the server, which tells nobody
            await asyncio.sleep(0)
        await redis.publish("channel", str(sent))

        assert await heard.get() == sent
        await channels.stop(listening)

    assert heard.empty()


async def test_listening_is_given_up_whenever_it_is_told_to(redis_uri: str) -> None:
    for steps in range(STEPS):
        async with broker.connect_async(redis_uri) as redis:
            listening = asyncio.create_task(channels.listen(redis, "channel", asyncio.Queue[UUID]().put))
            for _ in range(steps):
                await asyncio.sleep(0)

            await channels.stop(listening)

        assert listening.cancelled()
