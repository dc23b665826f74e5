"""Celery messages made without Celery, and clients of the one Redis that is broker and schedule.

A message has just what a stock worker needs (kombu 5.7, protocol 2); a test has one consume and run ours. Malformed
messages kill a stock worker: nobody else writes to these queues.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC
from typing import TYPE_CHECKING

import structlog
from redis import Redis, RedisError
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from ostinato_shared.task_names import EXECUTE_RUN, FIRE_CRON, HINT_VERSION, QUEUE, SEND_WEBHOOK

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime
    from uuid import UUID

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
NAME_LIMIT = 80  # characters of a cron's name that travel
KEEPALIVE_SECONDS = 15
HINT_SECONDS = 5.0  # then Redis hangs, not the loop


def fire_message(
    *, cron_id: UUID, fire_time: datetime, firing_id: UUID, name: str | None = None, queue: str = QUEUE
) -> str:
    """The message for one due firing: a hint with ids; name and time are shown in Flower."""
    at = fire_time.isoformat()
    hint = {"v": HINT_VERSION, "cron_id": str(cron_id), "fire_time": at, "firing_id": str(firing_id)}
    shown = f"({shown_name(name, cron_id)!r}, '{fire_time.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z')"
    return _message(FIRE_CRON, hint, shown=shown, queue=queue)


def run_message(run_id: UUID, *, name: str | None = None, queue: str = QUEUE) -> str:
    """The message for one pending run."""
    return _message(
        EXECUTE_RUN,
        {"v": HINT_VERSION, "run_id": str(run_id)},
        shown=f"({name or 'run'!r}, {str(run_id)!r})",
        queue=queue,
    )


def webhook_message(run_id: UUID, *, queue: str = QUEUE) -> str:
    """The message for the webhook that this ended run owes."""
    hint = {"v": HINT_VERSION, "run_id": str(run_id)}
    return _message(SEND_WEBHOOK, hint, shown=f"('webhook', {str(run_id)!r})", queue=queue)


def _message(task: str, hint: dict[str, object], *, shown: str, queue: str) -> str:
    task_id = str(uuid.uuid4())
    return json.dumps(
        {
            "body": json.dumps([[hint], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py", "task": task, "id": task_id, "root_id": task_id, "parent_id": None, "group": None,
                "retries": 0, "eta": None, "expires": None, "timelimit": [None, None], "ignore_result": True,
                "argsrepr": shown, "kwargsrepr": "{}", "origin": "ostinato",
            },
            "properties": {
                "correlation_id": task_id, "reply_to": "", "delivery_mode": 2, "priority": 0, "body_encoding": None,
                "delivery_info": {"exchange": "", "routing_key": queue}, "delivery_tag": str(uuid.uuid4()),
            },
        }
    )  # fmt: skip


def shown_name(name: str | None, cron_id: UUID | str) -> str:
    """What people read in Flower: the cron's name, else the end of its id."""
    return name or f"cron {str(cron_id)[-12:]}"


def display_name(name: object) -> str | None:
    """A cron's name as it may travel: printable, on one line, at most 80 characters; None for what is no text."""
    if not isinstance(name, str):
        return None
    shown = "".join(c if c.isprintable() else " " for c in name)
    return " ".join(shown.split())[:NAME_LIMIT] or None


def connect(url: str) -> Redis:
    """A client that reads and writes text and rides out short cuts, and waits for no server that hangs."""
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=HINT_SECONDS,
        socket_connect_timeout=HINT_SECONDS,
        socket_keepalive=True,
        health_check_interval=KEEPALIVE_SECONDS,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), 3),
    )


def connect_async(url: str) -> AsyncRedis:
    """The same for an event loop, where whoever waits says for how long: who listens does for ever."""
    return AsyncRedis.from_url(
        url,
        decode_responses=True,
        socket_keepalive=True,
        health_check_interval=KEEPALIVE_SECONDS,
        retry=AsyncRetry(ExponentialBackoff(cap=1.0, base=0.05), 3),
    )


async def hint(command: Awaitable[object], *, seconds: float = HINT_SECONDS) -> None:
    """Send another process a hint. One that is lost only costs time: a sweep, or its own look, finds the row."""
    try:
        async with asyncio.timeout(seconds):
            await command
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("hint_not_sent", reason=type(error).__name__)
