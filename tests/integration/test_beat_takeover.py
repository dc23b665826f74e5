"""What the leader's sweep makes of runs whose workers are gone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from beat_setting import TOKEN, Ground, held_ground, wait_for
from ostinato_beat.sweeping import Sweeper
from ostinato_beat.takeover import take_over
from ostinato_shared.ids import new_id
from ostinato_shared.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from worker_setting import Database


@pytest.fixture
def ground(database_uri: str, redis_uri: str) -> Iterator[Ground]:
    with held_ground(database_uri, redis_uri) as ground:
        yield ground


def make_worker(db: Database, *, lease: float = -1.0, released: bool = False, blocked_by: UUID | None = None) -> UUID:
    worker_id = new_id()
    db.do(
        "INSERT INTO worker (worker_id, hostname, pid, slots, expires_at, released_at, blocked_by) VALUES"
        " (%s, 'here', 1, 1, clock_timestamp() + make_interval(secs => %s), CASE WHEN %s THEN now() END, %s)",
        worker_id, lease, released, blocked_by,
    )  # fmt: skip
    return worker_id


def make_run(db: Database, worker: UUID, *, thread: UUID | None = None, crashes: int = 0, **options: Any) -> UUID:
    """A run that this worker executes."""
    run_id = db.enqueue(thread or db.thread(), db.assistant(), **options)
    assert db.one("SELECT run_id FROM ostinato_start(%s, %s)", run_id, worker)["run_id"] == run_id
    db.do("UPDATE run SET crash_count = %s, updated_at = now() - interval '1 h' WHERE run_id = %s", crashes, run_id)
    return run_id


def take(ground: Ground) -> int:
    return take_over(ground.connection, ground.redis, ground.store, TOKEN, lease_seconds=30)  # type: ignore[arg-type]  # dict rows


def sent(ground: Ground) -> list[str]:
    return [json.loads(json.loads(message)["body"])[0][0]["run_id"] for message in ground.messages()]


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize(("age", "taken"), [("29 s", 0), ("31 s", 1)])
def test_worker_that_has_just_woken_up_gets_a_lease_to_renew_its_own(
    ground: Ground, db: Database, *, gone: bool, age: str, taken: int
) -> None:
    worker = make_worker(db, lease=-60)
    run_id = make_run(db, worker)
    db.do("UPDATE run SET updated_at = now() - %s::interval WHERE run_id = %s", age, run_id)
    if gone:
        db.do("DELETE FROM worker WHERE worker_id = %s", worker)

    assert take(ground) == taken


@pytest.mark.parametrize("gone", [False, True])
def test_run_of_a_dead_worker_is_pending_again_and_sent(ground: Ground, db: Database, *, gone: bool) -> None:
    worker = make_worker(db)
    run_id = make_run(db, worker)
    if gone:
        db.do("DELETE FROM worker WHERE worker_id = %s", worker)

    assert take(ground) == 1

    run = db.run_row(run_id)
    assert (run["status"], run["owner"], run["attempt"], run["crash_count"]) == ("pending", None, 1, 1)
    assert sent(ground) == [str(run_id)]
    assert db.thread_row(run["thread_id"])["status"] == "busy"
    assert take(ground) == 0


def test_run_of_a_worker_that_holds_its_lease_is_let_alone(ground: Ground, db: Database) -> None:
    run_id = make_run(db, make_worker(db, lease=10))
    before = db.run_row(run_id)

    assert take(ground) == 0
    assert db.all("SELECT * FROM ostinato_take_over(%s, 3)", run_id) == []
    assert db.run_row(run_id) == before


def test_run_of_a_worker_that_ended_in_order_is_charged_no_crash(ground: Ground, db: Database) -> None:
    run_id = make_run(db, make_worker(db, released=True), crashes=2)

    take(ground)

    assert (db.run_row(run_id)["status"], db.run_row(run_id)["crash_count"]) == ("pending", 2)


def test_only_the_run_that_blocked_a_worker_is_charged_its_crash(ground: Ground, db: Database) -> None:
    worker = make_worker(db)
    blocker, neighbour = make_run(db, worker), make_run(db, worker, crashes=2)
    db.do("UPDATE worker SET blocked_by = %s WHERE worker_id = %s", blocker, worker)

    assert take(ground) == 2

    assert (db.run_row(blocker)["status"], db.run_row(blocker)["crash_count"]) == ("pending", 1)
    assert (db.run_row(neighbour)["status"], db.run_row(neighbour)["crash_count"]) == ("pending", 2)


def test_third_crash_ends_the_run_and_sends_the_next(ground: Ground, db: Database) -> None:
    thread = db.thread()
    run_id = make_run(db, make_worker(db), thread=thread, crashes=2)
    waiting = db.enqueue(thread, db.assistant())

    assert take(ground) == 1

    run, row = db.run_row(run_id), db.thread_row(thread)
    assert (run["status"], run["crash_count"], run["owner"]) == ("error", 3, None)
    assert run["error"] == row["error"]
    assert run["error"]["error"] == "WorkerLostError"
    assert "worker_lost" in run["error"]["message"]
    assert run["ended_at"] is not None
    assert (row["status"], row["rest_status"]) == ("busy", "error")
    assert sent(ground) == [str(waiting)]


def test_third_crash_of_a_firing_is_in_the_ledger(ground: Ground, db: Database) -> None:
    cron = db.cron(db.assistant(), keep=False)
    fired = db.firing(cron)
    db.one("SELECT * FROM ostinato_claim(%s, %s, %s, %s)", fired, new_id(), new_id(), make_worker(db))
    db.do("UPDATE run SET crash_count = 2, updated_at = now() - interval '1 h' WHERE cron_id = %s", cron)

    assert take(ground) == 1

    ledger = db.firing_row(fired)
    thread = db.thread_row(ledger["thread_id"])
    assert (ledger["outcome"], ledger["reason"]) == ("error", "worker_lost")
    assert ledger["error"]["error"] == "WorkerLostError"
    assert ledger["ended_at"] is not None
    assert thread["deleted_at"] is not None
    assert db.one("SELECT consecutive_failures FROM cron WHERE cron_id = %s", cron)["consecutive_failures"] == 1
    assert sent(ground) == []


def test_waiters_are_told_of_the_last_crash(ground: Ground, db: Database) -> None:
    run_id = make_run(db, make_worker(db), crashes=2)
    with Redis.from_url(ground.redis_uri, decode_responses=True) as client, client.pubsub() as pubsub:
        pubsub.subscribe("ostinato:done")
        pubsub.get_message(timeout=5)

        take(ground)

        assert pubsub.get_message(timeout=5)["data"] == str(run_id)


def test_worker_that_wakes_can_neither_finish_nor_hand_on(ground: Ground, db: Database) -> None:
    worker = make_worker(db)
    run_id = make_run(db, worker)
    take(ground)
    before = db.run_row(run_id)

    ended = db.all(
        "SELECT * FROM ostinato_finish(%s, %s, 1, 'success', 'idle', NULL, '{}', NULL, NULL)", run_id, worker
    )

    assert ended == []
    assert db.run_row(run_id) == before


def test_sweeper_takes_over_once_it_has_been_in_contact_for_a_lease(ground: Ground, db: Database) -> None:
    settings = Settings(database_uri=ground.database_uri, redis_uri=ground.redis_uri, lease_seconds=0.6)
    run_id = make_run(db, make_worker(db))
    sweeper = Sweeper(settings, token=lambda: TOKEN)
    begun = db.one("SELECT clock_timestamp() AS now")["now"]
    sweeper.start()
    try:
        wait_for(lambda: db.run_row(run_id)["status"] == "pending")
    finally:
        sweeper.close()

    assert (db.run_row(run_id)["updated_at"] - begun).total_seconds() >= 0.6
