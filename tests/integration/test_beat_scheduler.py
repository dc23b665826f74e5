import time
from collections.abc import Iterator
from itertools import pairwise
from threading import Event

import psycopg
import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker

from beat_setting import Ground, firing_id, held_ground, running_beat, wait_for
from ostinato_beat.entries import LOCK_KEY, SCHEDULE_KEY
from ostinato_shared.task_names import FIRE_CRON, LATE_QUEUE, QUEUE, WAKE_CHANNEL

EVERY_SECOND = "* * * * * *"


@pytest.fixture
def ground(database_uri: str, redis_uri: str) -> Iterator[Ground]:
    with held_ground(database_uri, redis_uri) as ground:
        ground.redis.delete(LOCK_KEY)
        yield ground


def test_two_racing_beats_fire_every_second_once(ground: Ground) -> None:
    first = int(time.time()) + 2
    cron_id = ground.make_cron(schedule=EVERY_SECOND, at=first)
    with running_beat(ground) as one, running_beat(ground) as two:
        wait_for(lambda: len(ground.firings()) >= 2)
        leader = one if one.leads else two
        leader._lease.close()  # it goes without a word to its scheduler
        wait_for(lambda: len(ground.firings()) >= 5)

        assert one.leads != two.leads
    times = [firing["fire_time"] for firing in ground.firings()]
    assert times == list(range(first, first + len(times)))
    assert {firing["trigger"] for firing in ground.firings()} == {"schedule"}
    assert {firing_id(m) for m in ground.messages()} >= {firing["firing_id"] for firing in ground.firings(cron_id)}


def test_an_idle_beat_fires_on_time(ground: Ground) -> None:
    ground.make_cron(schedule=EVERY_SECOND, at=int(time.time()) + 1)
    with running_beat(ground):
        wait_for(lambda: len(ground.firings()) >= 5)

    rows = ground.connection.execute("SELECT extract(epoch FROM due_at - fire_time)::float8 AS lag FROM firing")
    lags = sorted(row["lag"] for row in rows)
    assert lags[0] > -0.005
    assert lags[len(lags) // 2] < 0.05  # 2 ms on an idle machine


def test_a_beat_that_is_behind_catches_up_at_once(ground: Ground) -> None:
    ground.make_cron(schedule=EVERY_SECOND, at=int(time.time()) - 5)
    with running_beat(ground):
        wait_for(lambda: len(ground.firings()) >= 10)

    rows = ground.connection.execute(
        "SELECT extract(epoch FROM due_at - fire_time)::float8 AS lag FROM firing ORDER BY fire_time"
    )
    assert rows.fetchall()[-1]["lag"] < 0.5


def test_a_change_in_postgres_is_live_at_once(ground: Ground) -> None:
    delays = []
    with running_beat(ground) as beat:
        wait_for(lambda: beat._term)
        for _ in range(20):
            cron_id = ground.make_cron(at=int(time.time()) + 3600)
            changed = time.monotonic()
            ground.redis.publish(WAKE_CHANNEL, "")
            wait_for(lambda: ground.score(cron_id))  # noqa: B023 - called at once
            delays.append(time.monotonic() - changed)

    assert sorted(delays)[10] < 0.1


def test_a_lost_hint_costs_a_second(ground: Ground) -> None:
    with running_beat(ground) as beat:
        wait_for(lambda: beat._term)

        cron_id = ground.make_cron(at=int(time.time()) + 3600)

        wait_for(lambda: ground.score(cron_id), seconds=5)


def test_an_emptied_redis_is_noticed_and_rebuilt(ground: Ground) -> None:
    first = int(time.time()) + 1
    ground.make_cron(schedule=EVERY_SECOND, at=first)
    others = [ground.make_cron(at=first + 3600) for _ in range(20)]
    with running_beat(ground):
        wait_for(lambda: ground.redis.zcard(SCHEDULE_KEY) == 21 and ground.firings())

        ground.redis.flushall()

        wait_for(lambda: ground.redis.zcard(SCHEDULE_KEY) == 21)
        seen = len(ground.firings())
        wait_for(lambda: len(ground.firings()) >= seen + 2)
        sent = {firing_id(message) for queue in (QUEUE, LATE_QUEUE) for message in ground.messages(queue)}
    assert all(ground.score(cron_id) == first + 3600 for cron_id in others)
    times = [firing["fire_time"] for firing in ground.firings()]
    assert all(later == earlier + 1 for earlier, later in pairwise(times))
    assert sent >= {firing["firing_id"] for firing in ground.firings()[:-1]}


def test_connections_that_are_cut_cost_no_firing(ground: Ground) -> None:
    first = int(time.time()) + 1
    ground.make_cron(schedule=EVERY_SECOND, at=first)
    with running_beat(ground):
        wait_for(ground.firings)

        ground.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ostinato-beat'"
        )
        ground.redis.client_kill_filter(_type="normal", skipme=True)

        wait_for(lambda: len(ground.firings()) >= 4)
    times = [firing["fire_time"] for firing in ground.firings()]
    assert times == list(range(first, first + len(times)))
    assert {firing_id(message) for message in ground.messages()} >= {f["firing_id"] for f in ground.firings()[:-1]}


def test_a_redis_that_is_full_delays_and_loses_nothing(ground: Ground) -> None:
    first = int(time.time()) + 1
    ground.make_cron(schedule=EVERY_SECOND, at=first)
    with running_beat(ground):
        wait_for(ground.messages)
        ground.redis.config_set("maxmemory", 1)
        try:
            stuck = len(ground.messages())
            wait_for(lambda: len(ground.firings()) > stuck)
        finally:
            ground.redis.config_set("maxmemory", 0)

        wait_for(
            lambda: {firing_id(message) for message in ground.messages()} >= {f["firing_id"] for f in ground.firings()}
        )


def test_a_stock_celery_worker_runs_what_beat_sends(ground: Ground) -> None:
    app = Celery("stock", broker=ground.redis_uri, set_as_current=False)
    app.conf.update(task_default_queue=QUEUE, broker_connection_retry_on_startup=True)
    seen: list[dict[str, object]] = []
    came = Event()

    @app.task(name=FIRE_CRON)
    def fire(hint: dict[str, object]) -> None:
        seen.append(hint)
        came.set()

    cron_id = ground.make_cron(at=int(time.time()) + 1, schedule="0 0 1 1 *")
    with running_beat(ground), start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=30):
        assert came.wait(30)

    [firing] = ground.firings()
    assert [hint["cron_id"] for hint in seen] == [cron_id]
    assert seen[0]["firing_id"] == str(firing["firing_id"])


def test_a_leader_that_was_frozen_steps_down_and_doubles_nothing(ground: Ground) -> None:
    first = int(time.time()) + 1
    ground.make_cron(schedule=EVERY_SECOND, at=first)
    with running_beat(ground) as frozen:
        wait_for(ground.firings)
        frozen._lease._renew = lambda **_: True  # it believes in a lease that is another's
        ground.redis.set(LOCK_KEY, "another's", px=1500)

        wait_for(lambda: frozen._term != frozen._lease.token)
        wait_for(lambda: len(ground.firings()) >= 4)
    times = [firing["fire_time"] for firing in ground.firings()]
    assert times == list(range(first, first + len(times)))


def test_a_page_of_locked_crons_does_not_hold_up_the_rest(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ostinato_beat.dispatch.BATCH", 5)
    at = int(time.time()) + 2
    crons = [ground.make_cron(at=at, schedule="0 0 1 1 *") for _ in range(12)]
    ordered = sorted(crons)
    with psycopg.connect(ground.database_uri) as other, running_beat(ground):
        other.execute("SELECT FROM cron WHERE cron_id = ANY(%s::uuid[]) FOR UPDATE", (ordered[:10],))

        wait_for(lambda: {firing["cron_id"] for firing in ground.firings()} == set(ordered[10:]))
        other.rollback()
        wait_for(lambda: {firing["cron_id"] for firing in ground.firings()} == set(crons))
    assert len(ground.messages()) == 12
