"""What the leader does for runs: those that wait for their time, those whose worker does not answer a cancel."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from redis import Redis

from beat_setting import TOKEN, Ground, held_ground
from ostinato_beat import runs, sweeping
from ostinato_shared.settings import Settings
from ostinato_shared.task_names import DONE_CHANNEL, QUEUE

PATIENCE = timedelta(seconds=10)


@pytest.fixture
def ground(database_uri: str, redis_uri: str) -> Iterator[Ground]:
    with held_ground(database_uri, redis_uri) as ground:
        yield ground


def test_patience_is_two_heartbeats_of_six_in_a_lease() -> None:
    assert runs.patience(30) == PATIENCE


def test_ripe_runs_join_the_end_of_the_queue_in_the_order_of_their_times(ground: Ground) -> None:
    thread_id = make_thread(ground)
    later = make_run(ground, thread_id, waits="-1 second")
    sooner = make_run(ground, thread_id, waits="-2 seconds")
    ahead = make_run(ground, thread_id, waits="0.4 seconds")
    waiting = make_run(ground, thread_id)

    pause = runs.send_ripe(ground.connection, ground.store, TOKEN)

    assert set(sent(ground.redis)) == {later, sooner}
    assert 0 <= pause <= 0.4
    queue = "SELECT run_id FROM run WHERE thread_id = %s AND waits_until IS NULL ORDER BY seq"
    ids = [row["run_id"] for row in ground.connection.execute(queue, (thread_id,))]
    assert ids == [waiting, sooner, later]
    assert row_of(ground, ahead)["waits_until"] is not None


def test_nothing_to_wait_for_is_looked_at_again_in_a_second(ground: Ground) -> None:
    make_run(ground, make_thread(ground))

    assert runs.send_ripe(ground.connection, ground.store, TOKEN) == runs.LOOK_SECONDS
    assert sent(ground.redis) == []


def test_delayed_run_is_not_taken_for_a_stranded_one(ground: Ground) -> None:
    thread_id = make_thread(ground)
    make_run(ground, thread_id, waits="1 hour", age="6 seconds")
    stranded = make_run(ground, thread_id, age="6 seconds")

    sweeping.sweep(ground.connection, ground.redis, ground.store, TOKEN)

    assert sent(ground.redis, queue="ostinato.late") == [stranded]


def test_sweeper_sends_a_delayed_run_when_its_time_comes(ground: Ground) -> None:
    run_id = make_run(ground, make_thread(ground), waits="2.5 seconds")
    due = row_of(ground, run_id)["waits_until"].timestamp()
    settings = Settings(database_uri=ground.database_uri, redis_uri=ground.redis_uri)
    sweeper = sweeping.Sweeper(settings, token=lambda: TOKEN)

    sweeper.start()
    message: Any = ground.redis.brpop([QUEUE], timeout=10)
    late = time.time() - due
    sweeper.close()

    assert str(run_id) in str(message)
    assert 0 <= late < 1


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
def test_run_whose_worker_is_silent_is_ended_and_the_next_one_sent(ground: Ground, action: str) -> None:
    thread_id = make_thread(ground)
    run_id = make_run(ground, thread_id, status="running", asked="11 seconds", action=action)
    following = make_run(ground, thread_id)
    with ground.redis.pubsub() as channel:
        channel.subscribe(DONE_CHANNEL)
        channel.get_message(timeout=5)

        end(ground)

        told: Any = channel.get_message(timeout=5)

    assert told["data"] == str(run_id)
    assert sent(ground.redis) == [following]
    left = ground.connection.execute("SELECT status FROM run WHERE run_id = %s", (run_id,)).fetchall()
    assert [row["status"] for row in left] == (["interrupted"] if action == "interrupt" else [])
    thread = ground.connection.execute("SELECT * FROM thread WHERE thread_id = %s", (thread_id,)).fetchone()
    assert thread is not None
    assert (thread["status"], thread["rest_status"]) == ("busy", "interrupted" if action == "interrupt" else "idle")


def test_worker_has_two_heartbeats_to_answer(ground: Ground) -> None:
    thread_id = make_thread(ground)
    run_id = make_run(ground, thread_id, status="running", asked="9 seconds")

    end(ground)

    assert row_of(ground, run_id)["status"] == "running"
    assert sent(ground.redis) == []


def test_run_that_was_handed_on_though_asked_to_end_is_ended(ground: Ground) -> None:
    thread_id = make_thread(ground)
    run_id = make_run(ground, thread_id, asked="11 seconds")

    end(ground)

    assert row_of(ground, run_id)["status"] == "interrupted"


def end(ground: Ground) -> None:
    runs.end_unanswered(ground.connection, ground.redis, ground.store, TOKEN, patience=PATIENCE)


def make_thread(ground: Ground) -> UUID:
    thread_id = uuid4()
    ground.connection.execute("INSERT INTO thread (thread_id, status) VALUES (%s, 'busy')", (thread_id,))
    return thread_id


def make_run(
    ground: Ground, thread_id: UUID, *, status: str = "pending", waits: str | None = None, asked: str | None = None,
    action: str = "interrupt", age: str = "0 seconds",
) -> UUID:  # fmt: skip
    run_id = uuid4()
    ground.connection.execute(
        "INSERT INTO run (run_id, thread_id, assistant_id, graph_id, status, metadata, kwargs, multitask_strategy,"
        " on_completion, attempt, owner, waits_until, cancel_requested, cancel_reason, cancel_asked_at, updated_at)"
        " VALUES (%s, %s, %s, 'g', %s, '{}', '{}', 'enqueue', 'keep', 1, %s, now() + %s::interval,"
        " CASE WHEN %s::text IS NOT NULL THEN %s END, 'cancelled', now() - %s::interval, now() - %s::interval)",
        (run_id, thread_id, uuid4(), status, uuid4(), waits, asked, action, asked, age),
    )
    return run_id


def row_of(ground: Ground, run_id: UUID) -> dict[str, Any]:
    row = ground.connection.execute("SELECT * FROM run WHERE run_id = %s", (run_id,)).fetchone()
    assert row is not None
    return row


def sent(redis: Redis, *, queue: str = QUEUE) -> list[UUID]:
    """The runs whose messages lie in the queue."""
    messages: Any = redis.lrange(queue, 0, -1)
    return [UUID(json.loads(json.loads(message)["body"])[0][0]["run_id"]) for message in messages]
