"""Celery beat's scheduler: RedBeat's zset, hashes and lock, driven in batches, ledger first, under a lease."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from celery.signals import beat_init
from redbeat import RedBeatScheduler
from redbeat.schedulers import acquire_distributed_beat_lock
from redis import RedisError

from ostinato_beat import dispatch, sweeping, sync
from ostinato_beat.clock import Clock
from ostinato_beat.connections import OUTAGES, Outage, Postgres, RedisLink
from ostinato_beat.lease import Lease
from ostinato_beat.store import EntryStore, LeaseLostError
from ostinato_beat.wakeups import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celery import Celery

    from ostinato_shared.settings import Settings

log = structlog.get_logger()
SYNC_SECONDS: Final = 1.0  # a lost hint costs at most so long
RECONCILE_SECONDS: Final = 180.0
RECONCILE_SHARE: Final = 100  # with very many crons: at most a hundredth of the time goes into comparing
RETRY_SECONDS: Final = 0.02  # until a locked cron is tried again
FAILURE_SECONDS: Final = 1.0  # after what nobody foresaw

# It waits for the lock before the first tick, and for ever; our lease stands by instead.
beat_init.disconnect(acquire_distributed_beat_lock)


class OstinatoScheduler(RedBeatScheduler):  # type: ignore[misc]  # redbeat ships no types
    """Fires crons while it holds the lease, stands by while another does. Never gives up."""

    def __init__(self, app: Celery, *, settings: Settings, **options: Any) -> None:
        self._woken = threading.Event()
        self._link = RedisLink(settings.redis_url)
        self._postgres = Postgres(settings.database_dsn)
        self._store = EntryStore(self._link.redis)
        self._clock = Clock()
        self._term: str | None = None  # the lease's token that this process has taken over with
        self._connects = 0
        self._sync_at = 0.0
        self._reconcile_at = 0.0
        self._reconciling: Iterator[None] | None = None
        self._reconciling_since = 0.0
        self._passed = 0  # due entries that were left behind in this pass
        self._redis_outage, self._postgres_outage = Outage("redis", role="beat"), Outage("postgres", role="beat")
        self._lease = Lease(
            RedisLink(settings.redis_url).redis, seconds=settings.beat_lease_seconds, on_change=self._woken.set
        )
        self._listener = Listener(settings.redis_url, on_hint=self._on_hint)
        self._sweeper = sweeping.Sweeper(settings, token=lambda: self._lease.token)
        super().__init__(app, **options)

    def setup_schedule(self) -> None:
        """Start the threads; crons come from Postgres, never from Celery's configuration."""
        self._lease.start()
        self._listener.start()
        self._sweeper.start()

    @property
    def leads(self) -> bool:
        return self._lease.token is not None

    @property
    def info(self) -> str:
        return ""

    def should_sync(self) -> bool:
        return False

    def tick(self, *_args: Any, **_options: Any) -> float:
        """Do what is due, then sleep until something is. Returns 0: there is nothing left to wait."""
        self._woken.clear()
        pause = self._turn()
        if pause > 0:
            self._woken.wait(pause)
        return 0.0

    def wake(self) -> None:
        """End the sleep of the tick under way."""
        self._woken.set()

    def close(self) -> None:
        """Stop, and hand the lease over at once."""
        self._lease.close()
        self._listener.close()
        self._sweeper.close()
        self._postgres.close()

    def _on_hint(self) -> None:
        self._sync_at = 0.0
        self._woken.set()

    def _turn(self) -> float:
        """One look at everything; the seconds until the next."""
        token = self._lease.token
        if token is None:
            return SYNC_SECONDS
        try:
            pause = self._lead(token)
        except LeaseLostError:
            self._lease.lost(token)
            return 0.0
        except RedisError as error:
            self._term = None  # what it held may be gone: take over anew
            return self._redis_outage.failed(error)
        except OUTAGES as error:
            self._reconcile_at, self._reconciling = 0.0, None
            return self._postgres_outage.failed(error)
        except Exception:
            log.exception("tick_failed")
            self._term = None
            return FAILURE_SECONDS
        self._redis_outage.over()
        self._postgres_outage.over()
        return pause

    def _lead(self, token: str) -> float:
        if token != self._term or self._link.connects != self._connects:
            self._take_over(token)
        if time.monotonic() >= self._sync_at:
            self._sync(token)
        pause = self._fire(token)
        return 0.0 if self._reconcile(token) else min(pause, self._sync_at - time.monotonic())

    def _take_over(self, token: str) -> None:
        """Send every `due` firing again, and have all entries compared with their crons."""
        self._link.redis.ping()
        connects = self._link.connects
        sent = sweeping.send_due(self._postgres.connection(), self._store, token)
        self._passed, self._sync_at, self._reconcile_at, self._reconciling = 0, 0.0, 0.0, None
        self._term, self._connects = token, connects
        log.info("beat_leads", sent_again=sent)

    def _sync(self, token: str) -> None:
        """Measure the clock and bring some changed crons up to date."""
        self._sync_at = time.monotonic() + SYNC_SECONDS
        connection = self._postgres.connection()
        changed = False

        def ask() -> float:
            nonlocal changed
            now, changed = sync.probe(connection)
            return now

        self._clock.ask(ask)
        if changed and sync.drain(connection, self._store, token) >= sync.DRAIN_LIMIT:
            self._sync_at = 0.0

    def _fire(self, token: str) -> float:
        """Fire one page of what is due; the seconds until there is more."""
        now = self._clock.now()
        page = self._store.claim(token, now=now, offset=self._passed, limit=dispatch.BATCH)
        if page.entries:
            batch = dispatch.dispatch(self._postgres.connection(), self._store, token, entries=page.entries, now=now)
            self._passed += batch.left
        if len(page.entries) == dispatch.BATCH:
            return 0.0
        # The pass is over: what was left behind gets its next try.
        left, self._passed = self._passed, 0
        if left:
            return RETRY_SECONDS
        if page.entries:
            return 0.0  # what they moved on to was not in the page's look ahead, and may be due already
        return SYNC_SECONDS if page.next_score is None else max(0.0, page.next_score - self._clock.now())

    def _reconcile(self, token: str) -> bool:
        """Compare some crons with their entries, if it is time; true while there are more."""
        if self._reconciling is None:
            if time.monotonic() < self._reconcile_at:
                return False
            self._reconciling = sync.reconcile(self._postgres.connection(), self._store, token)
            self._reconciling_since = time.monotonic()
        for _ in self._reconciling:
            return True
        self._reconciling = None
        took = time.monotonic() - self._reconciling_since
        self._reconcile_at = time.monotonic() + max(RECONCILE_SECONDS, RECONCILE_SHARE * took)
        return True
