"""Hints from the api: it wrote to the outbox. They may be lost; the look every second finds what they meant."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import structlog
from redis import RedisError

from ostinato_shared.broker import connect
from ostinato_shared.task_names import WAKE_CHANNEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

log = structlog.get_logger()
PATIENCE_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 0.5


class Listener:
    """A thread that calls back for each hint."""

    def __init__(self, url: str, *, on_hint: Callable[[], None]) -> None:
        self._redis: Redis = connect(url)
        self._on_hint = on_hint
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="beat-wakeups", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                self._subscribe()
            except (RedisError, OSError):  # the scheduler tells of the outage; here it only costs quickness
                self._stop.wait(RETRY_SECONDS)

    def _subscribe(self) -> None:
        with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]  # redis-py's
            pubsub.subscribe(WAKE_CHANNEL)
            self._on_hint()  # hints may have been lost before
            while not self._stop.is_set():
                if pubsub.get_message(timeout=PATIENCE_SECONDS) is not None:
                    self._on_hint()
