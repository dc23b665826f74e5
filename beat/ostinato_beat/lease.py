"""Who leads: RedBeat's lock with a short life, renewed by its own thread, never the end of the process."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog
from redis import RedisError

from ostinato_beat.entries import LOCK_KEY
from ostinato_beat.store import lua
from ostinato_shared.task_names import LEADER_STAMP

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

log = structlog.get_logger()
POLL_SECONDS: Final = 0.1  # a standby's look at the lock
RENEWALS: Final = 4  # in a lease's life: three may fail


class Lease:
    """The lock, as this process holds it: `token` names one term of leading, None while another leads."""

    def __init__(
        self, redis: Redis, *, seconds: float, on_change: Callable[[], None], lock_key: str = LOCK_KEY
    ) -> None:
        self.token: str | None = None
        self._redis = redis
        self._seconds = seconds
        self._on_change = on_change
        self._lock_key = lock_key
        self._who = f"{socket.gethostname()}:{os.getpid()}"
        self._renew, self._release = (redis.register_script(lua(name)) for name in ("renew", "release"))
        self._valid_until = 0.0
        self._reachable = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="beat-lease", daemon=True)

    def start(self) -> None:
        """Try once, then keep trying or renewing in the background."""
        self._turn()
        self._thread.start()

    def close(self) -> None:
        """Stop, and hand the lock over at once."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=self._seconds)
        token, self.token = self.token, None
        if token is None:
            return
        try:
            self._release(keys=[self._lock_key], args=[token])
        except RedisError:
            log.warning("lease_not_released", reason="redis_unreachable", expires_in=self._seconds)

    def lost(self, token: str) -> None:
        """A script has found another token in the lock: this term is over."""
        if self.token == token:
            self._end("taken_over")

    def _keep(self) -> None:
        while not self._stop.wait(POLL_SECONDS if self.token is None else self._seconds / RENEWALS):
            self._turn()

    def _turn(self) -> None:
        asked_at = time.monotonic()
        try:
            held = self._try_renew(self.token) if self.token else self._try_acquire(asked_at)
        except RedisError as error:
            self._on_error(error)
            return
        if not self._reachable:
            self._reachable = True
            log.info("lease_reachable")
        if held:
            self._valid_until = asked_at + self._seconds
        elif self.token:
            self._end("expired")

    def _try_renew(self, token: str) -> bool:
        until = int(self._seconds * 1000)
        return bool(self._renew(keys=[self._lock_key, LEADER_STAMP], args=[token, until, self._who]))

    def _try_acquire(self, asked_at: float) -> bool:
        token = uuid4().hex
        if not self._redis.set(self._lock_key, token, nx=True, px=int(self._seconds * 1000)):
            return False
        self._valid_until, self.token = asked_at + self._seconds, token
        self._on_change()
        return self._try_renew(token)  # stamps the beginning of the term

    def _on_error(self, error: RedisError) -> None:
        if self._reachable:
            self._reachable = False
            log.warning("lease_unreachable", reason=str(error))
        if self.token and time.monotonic() > self._valid_until:
            self._end("redis_unreachable")

    def _end(self, reason: str) -> None:
        self.token = None
        log.warning("lease_lost", reason=reason)
        self._on_change()
