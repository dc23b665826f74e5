"""The page that is scraped: whatever answers in time, never an error."""

from __future__ import annotations

import asyncio
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import psycopg
import structlog
from prometheus_client.exposition import generate_latest
from redis import RedisError

from ostinato_api.metrics import broker, database
from ostinato_api.metrics.catalogue import family, single

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from prometheus_client.core import Metric

    from ostinato_api.dependencies import Services

log = structlog.get_logger()

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
POSTGRES_SECONDS: Final = 8.0  # Prometheus gives up after 10 by default; a first count takes its time
REDIS_SECONDS: Final = 2.0


class _Gathered:
    """What generate_latest takes: metrics that are there already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


async def page(services: Services) -> bytes:
    """All metrics in Prometheus' text form; those of a server that does not answer are missing."""
    started = time.perf_counter()
    of_postgres, of_redis = await asyncio.gather(
        _asked("ostinato_postgres_up", _of_postgres(services)), _asked("ostinato_redis_up", _of_redis(services))
    )
    own = [
        family("ostinato_info", ((version("ostinato"),), 1.0)),
        single("ostinato_scrape_seconds", time.perf_counter() - started),
    ]
    return generate_latest(_Gathered([*own, *of_postgres, *of_redis]))


async def _asked(up: str, asking: Awaitable[list[Metric]]) -> list[Metric]:
    try:
        found = await asking
    except (psycopg.OperationalError, RedisError, OSError) as error:  # TimeoutError is an OSError
        log.warning("metrics_incomplete", missing=up, reason=type(error).__name__)
        return [single(up, 0)]
    return [single(up, 1), *found]


async def _of_postgres(services: Services) -> list[Metric]:
    async with asyncio.timeout(POSTGRES_SECONDS), services.pool.connection(POSTGRES_SECONDS / 2) as connection:
        return await database.gather(connection, services.tally)


async def _of_redis(services: Services) -> list[Metric]:
    async with asyncio.timeout(REDIS_SECONDS):
        return await broker.gather(services.redis)
