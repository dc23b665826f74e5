"""From a due firing to a run and its end, on real servers."""

import asyncio
import threading
from typing import Any

import pytest

from ostinato_shared.queries import runs
from ostinato_shared.queries.runs import RunRow
from ostinato_worker import firing, stopping
from ostinato_worker.lease import Lease
from ostinato_worker.runtime import Runtime
from ostinato_worker.tasks import RunTask
from worker_setting import Database, execute_and_listen, running, yesterday


def test_due_firing_runs_its_assistant_on_a_new_thread(db: Database, worker: Runtime) -> None:
    assistant = db.assistant()
    cron = db.cron(assistant, metadata={"team": "growth", "graph_id": "of somebody's"})
    fired = db.firing(cron)

    worker.run(firing.fire(worker, fired))

    ledger = db.firing_row(fired)
    run = db.run_row(ledger["run_id"])
    thread = db.thread_row(ledger["thread_id"])
    assert ledger["outcome"] == run["status"] == "success"
    assert ledger["output"] == '{"seen":["x"],"said":"seen 1"}'
    assert thread["values"] == {"seen": ["x"], "said": "seen 1"}
    assert thread["status"] == "idle"
    assert thread["metadata"] == {
        "graph_id": "count", "assistant_id": str(assistant), "cron_id": str(cron), "team": "growth"
    }  # fmt: skip
    assert run["metadata"]["cron_id"] == str(cron)
    assert run["attempt"] == 1
    assert 0 <= ledger["lag_ms"] < 5000
    assert worker.under_way == {}


def test_many_racers_for_one_firing_make_one_run(db: Database, database_uri: str, redis_uri: str) -> None:
    fired = db.firing(db.cron(db.assistant()))
    with running(database_uri, redis_uri) as first, running(database_uri, redis_uri) as second:

        async def race(runtime: Runtime) -> None:
            await asyncio.gather(*(firing.fire(runtime, fired) for _ in range(10)))

        racers = [asyncio.run_coroutine_threadsafe(race(runtime), runtime.loop) for runtime in (first, second)]
        for racer in racers:
            racer.result(30)

    assert db.one("SELECT count(*) FROM run WHERE firing_id = %s", fired)["count"] == 1
    assert db.firing_row(fired)["outcome"] == "success"


def test_claim_before_the_fire_time_waits_for_it(db: Database, worker: Runtime) -> None:
    fired = db.firing(db.cron(db.assistant()), due_in=0.4)

    worker.run(firing.fire(worker, fired))

    ledger = db.firing_row(fired)
    assert ledger["outcome"] == "success"
    assert ledger["started_at"] >= ledger["fire_time"]
    assert ledger["lag_ms"] < 300


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("deleted", "DELETE FROM cron WHERE cron_id = %(cron)s"),
        ("disabled", "UPDATE cron SET enabled = false WHERE cron_id = %(cron)s"),
        ("ended", "UPDATE cron SET end_time = now() - interval '1 day' WHERE cron_id = %(cron)s"),
        ("assistant_gone", "DELETE FROM assistant WHERE assistant_id = %(assistant)s"),
        ("thread_gone", "UPDATE thread SET deleted_at = now() WHERE thread_id = %(thread)s"),
    ],
)
def test_firing_that_cannot_be_made_says_why(db: Database, worker: Runtime, reason: str, change: str) -> None:
    assistant, thread = db.assistant(), db.thread()
    cron = db.cron(assistant, thread_id=thread)
    fired = db.firing(cron)
    db.connection.execute(change, {"cron": cron, "assistant": assistant, "thread": thread})

    worker.run(firing.fire(worker, fired))

    ledger = db.firing_row(fired)
    assert (ledger["outcome"], ledger["reason"]) == ("skipped", reason)
    assert ledger["run_id"] is None
    assert db.all("SELECT FROM run WHERE cron_id = %s", cron) == []
    assert db.all("SELECT FROM thread WHERE metadata ->> 'cron_id' = %s", str(cron)) == []


def test_firing_of_a_rejecting_cron_is_skipped_on_a_busy_thread(db: Database, worker: Runtime) -> None:
    assistant, thread = db.assistant(), db.thread()
    db.enqueue(thread, assistant)
    fired = db.firing(db.cron(assistant, thread_id=thread, multitask_strategy="reject"))

    worker.run(firing.fire(worker, fired))

    assert db.firing_row(fired)["reason"] == "thread_busy"


def test_firing_on_a_busy_thread_is_sent_when_the_earlier_run_ends(db: Database, worker: Runtime) -> None:
    assistant, thread = db.assistant(), db.thread()
    earlier = db.enqueue(thread, assistant)
    fired = db.firing(db.cron(assistant, thread_id=thread))
    worker.run(firing.fire(worker, fired))
    queued = db.firing_row(fired)["run_id"]
    assert db.run_row(queued)["status"] == "pending"

    worker.run(firing.start(worker, queued))  # a message of the queued run starts the oldest one

    assert db.run_row(earlier)["status"] == "success"
    assert db.run_row(queued)["status"] == "pending"
    assert db.thread_row(thread)["status"] == "busy"
    message = worker.run(worker.redis.rpop("ostinato"))
    assert str(queued) in message

    worker.run(firing.start(worker, queued))

    assert db.firing_row(fired)["outcome"] == "success"
    assert db.thread_row(thread)["values"]["seen"] == ["x", "x"]
    assert db.thread_row(thread)["status"] == "idle"


def test_thread_cron_goes_on_where_the_last_firing_ended(db: Database, worker: Runtime) -> None:
    thread = db.thread(owner="me")
    cron = db.cron(db.assistant(), thread_id=thread)
    for _ in range(3):
        worker.run(firing.fire(worker, db.firing(cron, due_in=-60 * _)))

    row = db.thread_row(thread)
    assert row["values"] == {"seen": ["x", "x", "x"], "said": "seen 3"}
    assert row["deleted_at"] is None
    assert set(row["metadata"]) == {"owner", "graph_id", "assistant_id"}


def test_thread_of_a_cron_that_deletes_is_hidden_with_its_values(db: Database, worker: Runtime) -> None:
    fired = db.firing(db.cron(db.assistant(), keep=False))

    worker.run(firing.fire(worker, fired))

    row = db.thread_row(db.firing_row(fired)["thread_id"])
    assert row["deleted_at"] is not None
    assert row["values"]["said"] == "seen 1"


def test_second_message_of_a_firing_does_nothing(db: Database, worker: Runtime) -> None:
    cron = db.cron(db.assistant())
    fired = db.firing(cron)

    worker.run(firing.fire(worker, fired))
    before = db.firing_row(fired)
    worker.run(firing.fire(worker, fired))

    assert db.firing_row(fired) == before
    assert len(db.all("SELECT FROM run WHERE cron_id = %s", cron)) == 1


def test_second_message_of_a_run_does_nothing(db: Database, worker: Runtime) -> None:
    run = db.enqueue(db.thread(), db.assistant())

    worker.run(firing.start(worker, run))
    before = db.run_row(run)
    worker.run(firing.start(worker, run))

    assert db.run_row(run) == before
    assert before["status"] == "success"


def test_end_of_a_run_is_told_to_waiters(db: Database, worker: Runtime) -> None:
    run = db.enqueue(db.thread(), db.assistant())

    assert worker.run(execute_and_listen(worker, run)) == str(run)


def test_stopping_worker_claims_nothing(db: Database, worker: Runtime) -> None:
    fired, run = db.firing(db.cron(db.assistant())), db.enqueue(db.thread(), db.assistant())
    worker.stopping.set()

    worker.run(firing.fire(worker, fired))
    worker.run(firing.start(worker, run))

    assert db.firing_row(fired)["outcome"] == "due"
    assert db.run_row(run)["status"] == "pending"


def test_manual_firing_of_a_disabled_cron_runs(db: Database, worker: Runtime) -> None:
    fired = db.firing(db.cron(db.assistant(), enabled=False), trigger="manual")

    worker.run(firing.fire(worker, fired))

    assert db.firing_row(fired)["outcome"] == "success"


def test_fire_time_of_yesterday_fires_after_an_end_that_was_today(db: Database, worker: Runtime) -> None:
    fired = db.firing(db.cron(db.assistant(), end_time=yesterday()), due_in=-2 * 86400)

    worker.run(firing.fire(worker, fired))

    assert db.firing_row(fired)["outcome"] == "success"


def test_run_that_starts_as_the_stop_begins_gets_its_time(
    db: Database, worker: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "HANG_SECONDS", 0.2)
    worker.settings.drain_seconds = 20
    run_id = db.enqueue(db.thread(), db.assistant())
    ended, left = threading.Event(), threading.Event()
    in_time: list[bool] = []

    def leave(_: int) -> None:
        in_time.append(ended.is_set())
        left.set()

    lease = Lease(worker)
    lease.hold()
    stop, start = stopping.Stop(worker, lease, leave=leave), runs.start

    async def start_slowly(*arguments: Any, **options: Any) -> RunRow | None:
        stop.begin()
        await asyncio.sleep(1)
        return await start(*arguments, **options)

    monkeypatch.setattr(runs, "start", start_slowly)
    RunTask(worker).run({"v": 1, "run_id": str(run_id)})
    ended.set()

    assert left.wait(10)
    assert in_time == [True]
    assert db.run_row(run_id)["status"] == "success"
