from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest

from beat_setting import NOON, TOKEN, Ground, firing_id, held_ground
from ostinato_beat import sweeping
from ostinato_beat.entries import GONE, LOCK_KEY, SCHEDULE_KEY, key_of
from ostinato_beat.store import LeaseLostError
from ostinato_shared.task_names import LATE_QUEUE, QUEUE


@pytest.fixture
def ground(database_uri: str, redis_uri: str) -> Iterator[Ground]:
    with held_ground(database_uri, redis_uri) as ground:
        yield ground


def test_what_the_outbox_notes_is_written_once(ground: Ground) -> None:
    cron_id = ground.make_cron(schedule="*/5 * * * *", timezone="Asia/Tokyo", end=NOON + 3600)

    assert ground.drain() == 1
    assert ground.drain() == 0

    entry = ground.redis.hgetall(key_of(cron_id))
    assert (entry["schedule"], entry["timezone"], entry["rev"]) == ("*/5 * * * *", "Asia/Tokyo", "1")
    assert (entry["nominal"], entry["end"]) == (str(NOON), str(NOON + 3600))
    assert ground.score(cron_id) == NOON


def test_a_disabled_and_a_deleted_cron_lose_their_entries(ground: Ground) -> None:
    disabled, deleted = ground.make_cron(), ground.make_cron()
    ground.drain()
    ground.edit(disabled, at=NOON, enabled=False)
    ground.delete(deleted)

    ground.drain()

    assert ground.redis.zcard(SCHEDULE_KEY) == 0
    assert ground.redis.hgetall(key_of(disabled)) == {"rev": "2"}
    assert ground.redis.hgetall(key_of(deleted)) == {"rev": str(GONE)}
    assert ground.redis.ttl(key_of(deleted)) > 0


def test_a_cron_enabled_again_has_an_entry_that_stays(ground: Ground) -> None:
    cron_id = ground.make_cron(enabled=False)
    ground.drain()
    ground.edit(cron_id, at=NOON + 60, enabled=True)

    ground.drain()

    assert ground.score(cron_id) == NOON + 60
    assert ground.redis.ttl(key_of(cron_id)) == -1


def test_who_has_lost_the_lease_leaves_entries_and_outbox_alone(ground: Ground) -> None:
    cron_id = ground.make_cron()
    ground.redis.set(LOCK_KEY, "another's")

    with pytest.raises(LeaseLostError):
        ground.drain()

    assert ground.score(cron_id) is None
    ground.redis.set(LOCK_KEY, TOKEN)
    assert ground.drain() == 1


def test_an_emptied_redis_is_rebuilt_from_postgres(ground: Ground) -> None:
    crons = [ground.make_cron(at=NOON + n // 600, note=False) for n in range(1201)]
    ground.make_cron(enabled=False, note=False)
    ground.make_cron(at=None, note=False)

    ground.reconcile()

    assert ground.redis.zcard(SCHEDULE_KEY) == len(crons)
    assert [ground.score(crons[n]) for n in (0, 500, 1200)] == [NOON, NOON, NOON + 2]


def test_the_comparison_writes_only_what_differs(ground: Ground) -> None:
    same, edited, moved = (ground.make_cron() for _ in range(3))
    ground.drain()
    marks = dict.fromkeys((same, edited, moved), "untouched")
    for cron_id in marks:
        ground.redis.hset(key_of(cron_id), "definition", "untouched")
    ground.connection.execute("UPDATE cron SET revision = 2 WHERE cron_id = %s", (edited,))
    ground.connection.execute("UPDATE cron SET next_run_date = next_run_date + '1 min' WHERE cron_id = %s", (moved,))

    ground.reconcile()

    definitions = {cron_id: ground.redis.hget(key_of(cron_id), "definition") for cron_id in marks}
    assert [cron_id for cron_id, text in definitions.items() if text == "untouched"] == [same]


def test_overdue_rows_are_sent_again_while_the_queues_are_short(ground: Ground) -> None:
    ground.make_cron()
    ground.drain()
    ground.record(now=NOON)
    ground.connection.execute("UPDATE firing SET fire_time = now() - '6 s'::interval, due_at = now() - '6 s'::interval")

    ground.redis.rpush(QUEUE, *["x"] * sweeping.QUIET)
    sweep(ground)
    assert ground.messages(LATE_QUEUE) == []

    ground.redis.ltrim(QUEUE, 1, -1)
    sweep(ground)
    assert [firing_id(message) for message in ground.messages(LATE_QUEUE)] == [ground.firings()[0]["firing_id"]]


@pytest.mark.parametrize(("seconds", "queue"), [(1, QUEUE), (60, LATE_QUEUE)])
def test_what_had_come_before_a_change_is_sent_with_it(ground: Ground, *, seconds: int, queue: str) -> None:
    cron_id, other = ground.make_cron(), ground.make_cron()
    ground.drain()
    ground.record(now=NOON)
    ground.connection.execute("UPDATE firing SET fire_time = now() - make_interval(secs => %s)", (seconds,))
    ground.edit(cron_id, at=NOON + 60)

    ground.drain()

    ids = {str(row["cron_id"]): row["firing_id"] for row in ground.firings()}
    assert ids.keys() == {cron_id, other}
    assert [firing_id(message) for message in ground.messages(queue)] == [ids[cron_id]]


def test_rows_that_are_young_are_left_to_their_message(ground: Ground) -> None:
    ground.make_cron()
    ground.drain()
    ground.record(now=NOON)

    sweep(ground)

    assert ground.messages(LATE_QUEUE) == []


def test_pending_runs_are_sent_again_one_of_each_idle_thread(ground: Ground) -> None:
    idle, busy, hidden = (make_thread(ground, hidden=hide) for hide in (False, False, True))
    first = make_run(ground, idle)
    make_run(ground, idle)
    make_run(ground, busy, status="running")
    make_run(ground, busy)
    make_run(ground, hidden)
    make_run(ground, make_thread(ground), age=timedelta(seconds=1))

    sweep(ground)

    [message] = ground.messages(LATE_QUEUE)
    assert first in message
    assert "ostinato.run" in message


def test_threads_hidden_for_a_minute_are_purged(ground: Ground) -> None:
    old, young, open_ = make_thread(ground, hidden=True), make_thread(ground, hidden=True), make_thread(ground)
    ground.connection.execute("UPDATE thread SET deleted_at = now() - '61 s'::interval WHERE thread_id = %s", (old,))

    sweep(ground)

    left = {str(row["thread_id"]) for row in ground.connection.execute("SELECT thread_id FROM thread")}
    assert left == {young, open_}


def test_workers_long_dead_are_forgotten_unless_a_run_still_names_them(ground: Ground) -> None:
    dead, named, alive = (uuid4() for _ in range(3))
    for worker_id, hours in ((dead, -2), (named, -2), (alive, 1)):
        ground.connection.execute(
            "INSERT INTO worker (worker_id, hostname, pid, slots, expires_at)"
            " VALUES (%s, 'here', 1, 1, now() + make_interval(hours => %s))",
            (worker_id, hours),
        )
    run_id = make_run(ground, make_thread(ground), status="running")
    ground.connection.execute("UPDATE run SET owner = %s WHERE run_id = %s", (named, run_id))

    sweep(ground)

    assert {row["worker_id"] for row in ground.connection.execute("SELECT worker_id FROM worker")} == {named, alive}


def sweep(ground: Ground) -> None:
    sweeping.sweep(ground.connection, ground.redis, ground.store, TOKEN)


def make_thread(ground: Ground, *, hidden: bool = False) -> str:
    thread_id = str(uuid4())
    ground.connection.execute(
        "INSERT INTO thread (thread_id, deleted_at) VALUES (%s, CASE WHEN %s THEN now() END)", (thread_id, hidden)
    )
    return thread_id


def make_run(ground: Ground, thread_id: str, *, status: str = "pending", age: timedelta = timedelta(seconds=6)) -> str:
    run_id = str(uuid4())
    ground.connection.execute(
        "INSERT INTO run (run_id, thread_id, assistant_id, graph_id, status, metadata, kwargs, multitask_strategy,"
        " on_completion, updated_at) VALUES (%s, %s, %s, 'g', %s, '{}', '{}', 'enqueue', 'keep', now() - %s)",
        (run_id, thread_id, uuid4(), status, age),
    )
    return run_id
