"""Each guard of ledger, lease and thread: what it holds off, and the damage that is seen once it is taken away."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from beat_setting import NOON, TOKEN, Ground, held_ground, wait_for
from ostinato_beat import dispatch, store
from ostinato_beat.entries import LOCK_KEY
from ostinato_beat.store import EntryStore, LeaseLostError
from ostinato_shared.queries import ledger
from worker_setting import Database

UNIQUE = "uq_firing_fire_time"
CONFLICT_TARGET = "(cron_id, fire_time) WHERE trigger IN ('schedule', 'catchup') "
TOKEN_CHECK = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end"
THREAD_LOCK = "SELECT * INTO t FROM thread WHERE thread.thread_id = p_thread_id AND deleted_at IS NULL FOR UPDATE;"


@pytest.fixture
def ground(database_uri: str, redis_uri: str) -> Iterator[Ground]:
    with held_ground(database_uri, redis_uri) as ground:
        yield ground


@pytest.fixture
def db(database_uri: str) -> Iterator[Database]:
    database = Database(database_uri)
    yield database
    database.connection.close()


@pytest.fixture
def without_uniqueness(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    assert CONFLICT_TARGET in ledger.RECORD
    monkeypatch.setattr(ledger, "RECORD", ledger.RECORD.replace(CONFLICT_TARGET, ""))
    [(definition,)] = [tuple(row.values()) for row in ground.connection.execute(
        "SELECT pg_get_indexdef(%s::regclass)", (UNIQUE,)).fetchall()]  # fmt: skip
    ground.connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(UNIQUE)))
    yield
    ground.connection.execute("DELETE FROM firing")
    ground.connection.execute(definition)


@pytest.fixture
def without_token_check(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Ground:
    whole = store.lua

    def bare(name: str) -> str:
        assert name == "look" or TOKEN_CHECK in whole(name)  # which writes nothing
        return whole(name).replace(TOKEN_CHECK, "")

    monkeypatch.setattr(store, "lua", bare)
    return Ground(ground.database_uri, ground.redis_uri, ground.connection, ground.redis, EntryStore(ground.redis))


@pytest.fixture
def without_thread_lock(db: Database) -> Iterator[None]:
    whole = db.one("SELECT pg_get_functiondef('ostinato_enqueue'::regproc) AS text")["text"]
    assert THREAD_LOCK in whole
    db.connection.execute(sql.SQL(whole.replace(THREAD_LOCK, THREAD_LOCK.replace(" FOR UPDATE", ""))))
    yield
    db.connection.execute(sql.SQL(whole))


def rows_of_a_time_that_came_back(ground: Ground) -> int:
    """How often the ledger holds a fire time that an edit, a few ms behind beat's clock, made the next one again."""
    cron_id = ground.make_cron()
    ground.drain()
    ground.fire(now=NOON + 0.001)
    ground.edit(cron_id, at=NOON)
    ground.drain()
    ground.fire(now=NOON + 0.005)
    return sum(firing["fire_time"] == NOON for firing in ground.firings(cron_id))


def messages_of_a_stale_leader(ground: Ground) -> int:
    """How many messages a leader sends that was frozen in front of its commit while another took over."""
    ground.make_cron()
    ground.drain()
    batch = ground.record(now=NOON)
    ground.redis.set(LOCK_KEY, "another's")
    try:
        dispatch.commit(ground.connection, ground.store, TOKEN, batch)
    except LeaseLostError:
        return 0
    return len(ground.messages())


def forgotten(db: Database, database_uri: str) -> bool:
    """Whether a run that is put on a thread while the run before it ends is started by nobody."""
    thread, assistant, owner = db.thread(), db.assistant(), uuid4()
    first = db.enqueue(thread, assistant)
    db.one("SELECT run_id FROM ostinato_start(%s, %s)", first, owner)
    second = uuid4()
    with psycopg.connect(database_uri) as ending, ThreadPoolExecutor(1) as pool:
        ended = ending.execute(
            "SELECT * FROM ostinato_finish(%s, %s, 1, 'success', 'idle', '{}', '{}', NULL, NULL)", (first, owner)
        ).fetchone()
        writer = pool.submit(db.one, "SELECT * FROM ostinato_enqueue(%s, %s, %s, '{}', 'enqueue', 'keep', '')",
                             second, thread, assistant)  # fmt: skip
        wait_for(lambda: ending.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() != (0,))
        ending.commit()
        ready = writer.result(30)["ready"]
    assert ended is not None
    assert db.run_row(second)["status"] == "pending"
    return not ready and ended[0] != second


def test_unique_ledger_accounts_once_for_a_time_that_came_back(ground: Ground) -> None:
    assert rows_of_a_time_that_came_back(ground) == 1


@pytest.mark.usefixtures("without_uniqueness")
def test_without_the_unique_ledger_a_time_that_came_back_fires_twice(ground: Ground) -> None:
    assert rows_of_a_time_that_came_back(ground) == 2


def test_lease_token_keeps_a_stale_leader_from_sending(ground: Ground) -> None:
    assert messages_of_a_stale_leader(ground) == 0


def test_without_the_lease_token_a_stale_leader_sends(without_token_check: Ground) -> None:
    assert messages_of_a_stale_leader(without_token_check) == 1


def test_thread_lock_keeps_a_pending_run_from_being_forgotten(db: Database, database_uri: str) -> None:
    assert not forgotten(db, database_uri)


@pytest.mark.usefixtures("without_thread_lock")
def test_without_the_thread_lock_a_pending_run_is_forgotten(db: Database, database_uri: str) -> None:
    assert forgotten(db, database_uri)
