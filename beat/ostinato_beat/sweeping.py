"""Finds what a dead process or an emptied Redis left behind, and hands it on. The leader alone sweeps."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, LiteralString

import structlog
from psycopg.rows import args_row, scalar_row
from redis import RedisError

from ostinato_beat import runs
from ostinato_beat.connections import LOCKED, OUTAGES, Outage, Postgres, RedisLink
from ostinato_beat.steps import LATE_SECONDS
from ostinato_beat.store import EntryStore, LeaseLostError
from ostinato_beat.takeover import Contact, ask_time, take_over
from ostinato_shared.broker import fire_message, run_message, webhook_message
from ostinato_shared.queries import sweep as queries
from ostinato_shared.queries.sweep import DueFiring, PendingRun
from ostinato_shared.task_names import LATE_QUEUE, QUEUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from psycopg import Connection
    from redis import Redis

    from ostinato_shared.settings import Settings

log = structlog.get_logger()
INTERVAL_SECONDS: Final = 2.0
QUIET: Final = 100  # messages in both queues: beyond it the rows found are likely just waiting their turn
LOOKS: Final = 6  # sweeps in one lease of a worker, at least
LIMIT: Final = 1000  # rows of each kind in one sweep: what the late queue takes
OVERDUE_AGE: Final = "5s"
HIDDEN_AGE: Final = "1min"  # waiters still read a hidden thread's values
FORGOTTEN_AGE: Final = "1h"
SETTLED_AGE: Final = "7d"  # how long one can look up what became of a webhook
FIRST_ID: Final = "00000000-0000-0000-0000-000000000000"


class Sweeper:
    """A thread with its own connections; sweeps while this process leads."""

    def __init__(self, settings: Settings, *, token: Callable[[], str | None]) -> None:
        self._token = token
        self._patience = runs.patience(settings.lease_seconds)
        self._sweep_at = 0.0
        self._postgres = Postgres(settings.database_dsn)
        self._redis = RedisLink(settings.redis_url).redis
        self._store = EntryStore(self._redis)
        self._outage = Outage("postgres or redis", role="sweep")
        self._lease_seconds = settings.lease_seconds
        self._contact = Contact(self._lease_seconds)
        self._interval = min(INTERVAL_SECONDS, self._lease_seconds / LOOKS)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat-sweep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=INTERVAL_SECONDS)

    def _run(self) -> None:
        pause = self._interval
        while not self._stop.wait(pause):
            pause = self._interval
            try:
                pause = self._work()
            except LeaseLostError:
                continue
            except (*OUTAGES, RedisError) as error:
                if not isinstance(error, RedisError):
                    self._contact.lost()
                self._stop.wait(self._outage.failed(error))
            except Exception:
                log.exception("sweep_failed")
            else:
                self._outage.over()
        self._postgres.close()

    def _work(self) -> float:
        """Look for runs whose time has come, and sweep now and then; the seconds until the next look.

        A standby keeps in contact only: when it leads it knows whether leases ran out for want of Postgres.
        """
        connection = self._postgres.connection()
        in_contact = self._contact.holds(ask_time(connection))
        token = self._token()
        if token is None:
            return self._interval
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + self._interval
            if in_contact:
                take_over(connection, self._redis, self._store, token, lease_seconds=self._lease_seconds)
            sweep(connection, self._redis, self._store, token)
            runs.end_unanswered(connection, self._redis, self._store, token, patience=self._patience)
        return min(self._interval, runs.send_ripe(connection, self._store, token))


def sweep(connection: Connection, redis: Redis, store: EntryStore, token: str) -> None:
    """Send again what was lost, purge what was hidden, forget workers long dead."""
    if queued(redis) < QUIET:
        _send_overdue(connection, store, token)
        _send_stranded(connection, store, token)
        _send_webhooks(connection, store, token)
    _purge_threads(connection)
    connection.execute(queries.FORGET_WORKERS, {"age": FORGOTTEN_AGE})
    connection.execute(queries.FORGET_WEBHOOKS, {"age": SETTLED_AGE, "limit": LIMIT})


def send_due(connection: Connection, store: EntryStore, token: str) -> int:
    """Send every `due` firing again, as a new leader does; the number sent."""
    after, last_id, sent = "-infinity", FIRST_ID, 0
    while True:
        values = {"after": after, "firing_id": last_id, "limit": LIMIT, "late": f"{LATE_SECONDS}s"}
        firings = _send(connection, store, token, statement=queries.ALL_DUE, values=values)
        sent += len(firings)
        if len(firings) < LIMIT:
            return sent
        after, last_id = firings[-1].fire_time.isoformat(), str(firings[-1].firing_id)


def send_due_of(connection: Connection, store: EntryStore, token: str, cron_ids: Iterable[str]) -> None:
    """Send the `due` firings of crons that were changed: the change has recorded what had come, and sent nothing."""
    values = {"cron_ids": list(cron_ids), "limit": LIMIT, "late": f"{LATE_SECONDS}s"}
    _send(connection, store, token, statement=queries.DUE_OF, values=values)


def queued(redis: Redis) -> int:
    """Messages that wait in both queues."""
    pipe = redis.pipeline(transaction=False)
    pipe.llen(QUEUE)
    pipe.llen(LATE_QUEUE)
    return sum(pipe.execute())


def _send_overdue(connection: Connection, store: EntryStore, token: str) -> None:
    values = {"age": OVERDUE_AGE, "limit": LIMIT}
    firings = _send(connection, store, token, statement=queries.OVERDUE, values=values)
    if firings:
        log.info("firings_sent_again", count=len(firings))


def _send(
    connection: Connection, store: EntryStore, token: str, *, statement: LiteralString, values: dict[str, Any]
) -> list[DueFiring]:
    """Send the firings that a statement finds."""
    with connection.cursor(row_factory=args_row(DueFiring)) as cursor:
        firings = cursor.execute(statement, values).fetchall()
    if not firings:
        return firings
    on_time: list[str] = []
    late: list[str] = []
    for firing in firings:
        queue, target = (QUEUE, on_time) if firing.fresh else (LATE_QUEUE, late)
        target.append(
            fire_message(
                cron_id=firing.cron_id,
                fire_time=firing.fire_time,
                firing_id=firing.firing_id,
                name=firing.name,
                queue=queue,
            )
        )
    store.commit(token, messages=on_time, late=late)
    return firings


def _send_stranded(connection: Connection, store: EntryStore, token: str) -> None:
    with connection.cursor(row_factory=args_row(PendingRun)) as cursor:
        stranded = cursor.execute(queries.STRANDED, {"age": OVERDUE_AGE, "limit": LIMIT}).fetchall()
    if stranded:
        store.commit(token, late=[run_message(run.run_id, name=run.name, queue=LATE_QUEUE) for run in stranded])
        log.info("runs_sent_again", count=len(stranded))


def _send_webhooks(connection: Connection, store: EntryStore, token: str) -> None:
    with connection.cursor(row_factory=scalar_row) as cursor:
        owed = cursor.execute(queries.OWED_WEBHOOKS, {"age": OVERDUE_AGE, "limit": LIMIT}).fetchall()
    if owed:
        store.commit(token, late=[webhook_message(run_id, queue=LATE_QUEUE) for run_id in owed])
        log.info("webhooks_sent_again", count=len(owed))


def _purge_threads(connection: Connection) -> None:
    with connection.cursor(row_factory=scalar_row) as cursor:
        hidden = cursor.execute(queries.HIDDEN_THREADS, {"age": HIDDEN_AGE, "limit": LIMIT}).fetchall()
    for thread_id in hidden:
        _purge(connection, thread_id)


def _purge(connection: Connection, thread_id: UUID) -> None:
    try:
        connection.execute(queries.PURGE_THREAD, {"thread_id": thread_id})
    except LOCKED:
        log.warning("thread_not_purged", thread_id=str(thread_id), reason="locked")
