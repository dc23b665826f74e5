"""What the beat's tests stand on: a database and a Redis with crons in them, and a lease that is held."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Thread
from time import monotonic, sleep
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row
from redis import Redis

from ostinato_beat import dispatch, sweeping, sync
from ostinato_beat.connections import RedisLink
from ostinato_beat.dispatch import Batch
from ostinato_beat.entries import LOCK_KEY, SCHEDULE_KEY, key_of
from ostinato_beat.main import make_service
from ostinato_beat.store import EntryStore
from ostinato_shared.settings import Settings
from ostinato_shared.task_names import LATE_QUEUE, SEND_WEBHOOK

TOKEN = "mine"
NOON = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp())  # of the tests that bring their own time
TABLES = ("firing", "cron_event", "outbox", "cron", "run", "thread", "worker", "webhook_delivery")
PATIENCE = 20.0

Connection = psycopg.Connection[dict[str, Any]]


@dataclass(frozen=True)
class Ground:
    """One database and one Redis; the lease is held by TOKEN."""

    database_uri: str
    redis_uri: str
    connection: Connection
    redis: Redis
    store: EntryStore

    def make_cron(self, *, at: int | None = NOON, schedule: str = "* * * * *", end: int | None = None,
                  timezone: str | None = None, enabled: bool = True, note: bool = True) -> str:  # fmt: skip
        """A cron whose next fire time is `at`, noted in the outbox."""
        cron_id = str(uuid4())
        with self.connection.transaction():
            self.connection.execute(
                "INSERT INTO cron (cron_id, assistant_id, schedule, timezone, end_time, next_run_date, enabled,"
                " metadata, payload, name) VALUES (%s, %s, %s, %s, to_timestamp(%s), to_timestamp(%s), %s,"
                " '{}', '{}', 'news')",
                (cron_id, uuid4(), schedule, timezone, end, at, enabled),
            )
            if note:
                self.note(cron_id)
        return cron_id

    def edit(self, cron_id: str, *, at: int | None, **columns: object) -> None:
        """Change a cron as the api does."""
        names = "".join(f", {name} = %({name})s" for name in columns)
        with self.connection.transaction():
            self.connection.execute(
                f"UPDATE cron SET revision = revision + 1, next_run_date = to_timestamp(%(at)s){names}"  # noqa: S608 - our own names
                " WHERE cron_id = %(cron_id)s",
                {"at": at, "cron_id": cron_id, **columns},
            )
            self.note(cron_id)

    def delete(self, cron_id: str) -> None:
        with self.connection.transaction():
            self.connection.execute("DELETE FROM cron WHERE cron_id = %s", (cron_id,))
            self.note(cron_id)

    def note(self, cron_id: str) -> None:
        self.connection.execute("INSERT INTO outbox (cron_id) VALUES (%s)", (cron_id,))

    def drain(self) -> int:
        return sync.drain(self.connection, self.store, TOKEN)

    def reconcile(self) -> None:
        for _ in sync.reconcile(self.connection, self.store, TOKEN):
            pass

    def record(self, *, now: float) -> Batch:
        """The first half of a dispatch: what a beat that is killed before its commit has done."""
        return dispatch.record(self.connection, self.store.claim(TOKEN, now=now).entries, now=now)

    def fire(self, *, now: float) -> Batch:
        entries = self.store.claim(TOKEN, now=now).entries
        return dispatch.dispatch(self.connection, self.store, TOKEN, entries=entries, now=now)

    def firings(self, cron_id: str | None = None) -> list[dict[str, Any]]:
        """The ledger's rows in the order of their times; times in seconds since the epoch."""
        return self.connection.execute(
            "SELECT firing_id, cron_id::text, extract(epoch FROM fire_time)::bigint AS fire_time, outcome, reason,"
            " trigger, extract(epoch FROM missed_until)::bigint AS missed_until, missed_count, error"
            " FROM firing WHERE %(id)s::uuid IS NULL OR cron_id = %(id)s ORDER BY fire_time, trigger",
            {"id": cron_id},
        ).fetchall()

    def cron(self, cron_id: str) -> dict[str, Any]:
        row = self.connection.execute(
            "SELECT *, extract(epoch FROM next_run_date)::bigint AS next FROM cron WHERE cron_id = %s", (cron_id,)
        ).fetchone()
        assert row is not None
        return row

    def score(self, cron_id: str) -> float | None:
        return self.redis.zscore(SCHEDULE_KEY, key_of(cron_id))  # type: ignore[return-value]  # the client is not async

    def messages(self, queue: str = "ostinato") -> list[str]:
        return self.redis.lrange(queue, 0, -1)  # type: ignore[return-value]  # likewise


@contextmanager
def held_ground(database_uri: str, redis_uri: str) -> Iterator[Ground]:
    """Empty tables, an empty Redis, the lease in the test's own hands."""
    with psycopg.connect(database_uri, autocommit=True, row_factory=dict_row) as connection:
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        with RedisLink(redis_uri).redis as redis:
            redis.set(LOCK_KEY, TOKEN)
            yield Ground(database_uri, redis_uri, connection, redis, EntryStore(redis))


@contextmanager
def running_beat(ground: Ground, **settings: Any) -> Iterator[Any]:
    """A beat in a thread; stopped at the end."""
    service = make_service(Settings(database_uri=ground.database_uri, redis_uri=ground.redis_uri, **settings))
    thread = Thread(target=service.start)
    thread.start()
    try:
        yield service.scheduler
    finally:
        service.stop()
        service.scheduler.wake()
        thread.join()


def wait_for(look: Callable[[], Any], *, seconds: float = PATIENCE) -> Any:
    """What `look` gives, once it is true of something."""
    until = monotonic() + seconds
    while not (found := look()):
        assert monotonic() < until, "it did not happen in time"
        sleep(0.005)
    return found


def owed_webhooks(settings: Settings) -> list[dict[str, Any]]:
    """The hints that the leader's sweep sends."""
    with (
        psycopg.connect(settings.database_dsn, autocommit=True) as connection,
        Redis.from_url(settings.redis_url, decode_responses=True) as client,
    ):
        client.set(LOCK_KEY, TOKEN)
        sweeping.sweep(connection, client, EntryStore(client), TOKEN)
        messages: Any = client.lrange(LATE_QUEUE, 0, -1)
        client.delete(LATE_QUEUE)
    sent = [json.loads(message) for message in messages]
    return [json.loads(one["body"])[0][0] for one in sent if one["headers"]["task"] == SEND_WEBHOOK]


def firing_id(message: str) -> UUID:
    return UUID(json.loads(json.loads(message)["body"])[0][0]["firing_id"])
