"""What a route may ask for: coroutines, because FastAPI sends plain functions to a thread."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ostinato_api.dashboard.feed import Feed
from ostinato_api.keys import CALLER
from ostinato_api.metrics.ledger import Tally
from ostinato_api.waiting import Waiting
from ostinato_shared.broker import connect_async, hint
from ostinato_shared.database import make_engine, make_pool
from ostinato_shared.project import Project
from ostinato_shared.settings import Settings
from ostinato_shared.task_names import CANCEL_CHANNEL, DONE_CHANNEL, QUEUE, WAKE_CHANNEL

SEND_SECONDS = 0.5  # nobody who asks waits long for a Redis that hangs


@dataclass(frozen=True)
class Sender:
    """Hints to the other processes, sent after the commit. One that is lost only costs time: a sweep finds the row."""

    redis: Redis

    async def wake_beat(self) -> None:
        """Tell the leading beat that crons have changed."""
        await hint(self.redis.publish(WAKE_CHANNEL, ""), seconds=SEND_SECONDS)

    async def send(self, *messages: str, queue: str = QUEUE) -> None:
        """Put ready-made Celery messages on a queue."""
        await hint(self.redis.lpush(queue, *messages), seconds=SEND_SECONDS)

    async def tell_done(self, run_id: UUID) -> None:
        """Tell whoever waits for a run that it is over, or gone."""
        await hint(self.redis.publish(DONE_CHANNEL, str(run_id)), seconds=SEND_SECONDS)

    async def tell_cancel(self, thread_id: UUID) -> None:
        """Tell the worker that has this thread's run to look whether it shall end."""
        await hint(self.redis.publish(CANCEL_CHANNEL, str(thread_id)), seconds=SEND_SECONDS)


@dataclass(frozen=True)
class Services:
    """What lives as long as the process.

    `pool` has autocommit connections with dict rows, for the ostinato_* functions and LangGraph's checkpointer.
    """

    settings: Settings
    project: Project
    sessions: async_sessionmaker[AsyncSession]
    pool: AsyncConnectionPool[AsyncConnection[DictRow]]
    redis: Redis
    sender: Sender
    waiting: Waiting
    feed: Feed
    tally: Tally

    def stop_waiting(self) -> None:
        """End the answers that may last for hours: the process stops, and clients ask again."""
        self.waiting.stop()
        self.feed.stop()


@asynccontextmanager
async def open_services(settings: Settings, project: Project) -> AsyncIterator[Services]:
    """The process's connections, closed in the end."""
    engine = make_engine(settings.database_dsn)
    pool = make_pool(settings.database_dsn)
    redis = connect_async(settings.redis_url)
    try:
        await pool.open(wait=False)
        sessions = async_sessionmaker(engine, expire_on_commit=False)
        async with Waiting(pool, redis).listening() as waiting:
            feed = Feed(pool)
            try:
                yield Services(settings, project, sessions, pool, redis, Sender(redis), waiting, feed, Tally())
            finally:
                await feed.close()
    finally:
        await pool.close()
        await redis.aclose()
        await engine.dispose()


async def services(request: Request) -> Services:
    """The services of the app that this request came to."""
    found: Services = request.app.state.services
    return found


ServicesDep = Annotated[Services, Depends(services)]


async def session(services: ServicesDep) -> AsyncIterator[AsyncSession]:
    """One transaction for one request, committed before the reply; an error rolls it back."""
    async with services.sessions() as opened, opened.begin():
        yield opened


async def sender(services: ServicesDep) -> Sender:
    return services.sender


async def project(services: ServicesDep) -> Project:
    return services.project


async def pool(services: ServicesDep) -> AsyncConnectionPool[AsyncConnection[DictRow]]:
    return services.pool


async def caller(request: Request) -> str:
    """The name of the key that was shown, `user_id` of what is made with it; empty while there are no keys."""
    return str(request.scope.get(CALLER, ""))


SessionDep = Annotated[AsyncSession, Depends(session, scope="function")]
SenderDep = Annotated[Sender, Depends(sender)]
ProjectDep = Annotated[Project, Depends(project)]
PoolDep = Annotated[AsyncConnectionPool[AsyncConnection[DictRow]], Depends(pool)]
CallerDep = Annotated[str, Depends(caller)]
