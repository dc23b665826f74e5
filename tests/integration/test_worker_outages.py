"""What a worker does when answers are lost, its lease runs, or a graph stalls its loop."""

import asyncio
import os
import signal
import threading
import time
from concurrent.futures import wait
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from structlog.testing import capture_logs

from ostinato_cli.embedded import EmbeddedValkey
from ostinato_shared import broker
from ostinato_shared.queries import runs
from ostinato_worker import firing, loop_lag
from ostinato_worker.lease import Lease
from ostinato_worker.runtime import Runtime
from ostinato_worker.watchdog import Watchdog
from worker_setting import Counted, Database, execute_and_listen, one_node, running


def lose_the_first_answer(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The statement is committed, and the connection cut before its answer comes."""
    ask, lost = getattr(runs, name), []

    async def cut(*arguments: Any, **options: Any) -> Any:
        answer = await ask(*arguments, **options)
        if not lost:
            lost.append(answer)
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return answer

    monkeypatch.setattr(runs, name, cut)


def test_run_of_a_claim_whose_answer_was_lost_is_executed(
    db: Database, worker: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    cron = db.cron(db.assistant())
    fired = db.firing(cron)
    lose_the_first_answer(monkeypatch, "claim")

    worker.run(firing.fire(worker, fired))

    assert db.firing_row(fired)["outcome"] == "success"
    assert len(db.all("SELECT FROM run WHERE cron_id = %s", cron)) == 1


def test_next_run_is_sent_though_the_answer_of_finish_was_lost(
    db: Database, worker: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = db.thread()
    first, second = (db.enqueue(thread, db.assistant()) for _ in range(2))
    lose_the_first_answer(monkeypatch, "finish")

    assert worker.run(execute_and_listen(worker, first)) == str(first)
    assert str(second) in str(worker.run(worker.redis.rpop("ostinato")))


def test_run_of_a_start_whose_answer_was_lost_is_executed(
    db: Database, worker: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = db.enqueue(db.thread(), db.assistant())
    lose_the_first_answer(monkeypatch, "start")

    worker.run(firing.start(worker, run_id))

    assert (db.run_row(run_id)["status"], db.run_row(run_id)["attempt"]) == ("success", 1)


def test_finish_whose_answer_was_lost_has_happened_once(
    db: Database, worker: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread_id = db.thread()
    run_id = db.enqueue(thread_id, db.assistant())
    lose_the_first_answer(monkeypatch, "finish")

    worker.run(firing.start(worker, run_id))

    assert db.run_row(run_id)["status"] == "success"
    assert db.thread_row(thread_id)["status"] == "idle"


def test_connections_that_the_server_cut_are_replaced(db: Database, worker: Runtime) -> None:
    async def many() -> None:
        await asyncio.gather(*(firing.start(worker, run_id) for run_id in run_ids))

    run_ids = [db.enqueue(db.thread(), db.assistant()) for _ in range(20)]
    worker.run(many())
    cut = db.all(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    run_ids = [db.enqueue(db.thread(), db.assistant()) for _ in range(20)]
    worker.run(many())

    assert len(cut) > 1
    assert {db.run_row(run_id)["status"] for run_id in run_ids} == {"success"}


def test_lease_is_renewed_and_released(db: Database, database_uri: str, redis_uri: str) -> None:
    with running(database_uri, redis_uri) as worker:
        lease = Lease(worker)
        lease.seconds = 0.6
        lease.hold()
        first = db.one("SELECT expires_at FROM worker WHERE worker_id = %s", worker.worker_id)["expires_at"]
        until = time.monotonic() + 10
        while db.one("SELECT expires_at FROM worker WHERE worker_id = %s", worker.worker_id)["expires_at"] <= first:
            assert time.monotonic() < until
        lease.release()

        assert db.all("SELECT FROM worker WHERE worker_id = %s", worker.worker_id) == []


def test_lease_that_still_owns_a_run_stays_expired(db: Database, database_uri: str, redis_uri: str) -> None:
    with running(database_uri, redis_uri) as worker:
        run_id = db.enqueue(db.thread(), db.assistant())
        db.do("UPDATE run SET status = 'running', owner = %s, attempt = 1 WHERE run_id = %s", worker.worker_id, run_id)

    row = db.one("SELECT expires_at < clock_timestamp() AS over FROM worker WHERE worker_id = %s", worker.worker_id)
    assert row["over"]


def test_graph_that_stalls_the_loop_is_named(db: Database, database_uri: str, redis_uri: str) -> None:
    async def compute(_: Counted) -> Counted:
        time.sleep(1.6)  # noqa: ASYNC251 - this is the fault
        return {}

    with capture_logs() as logs, running(database_uri, redis_uri, stubborn=one_node(compute)) as worker:
        run_id = db.enqueue(db.thread(), db.assistant("stubborn"))

        async def watched() -> None:
            watcher = asyncio.create_task(loop_lag.watch(worker))
            await firing.start(worker, run_id)
            await asyncio.sleep(loop_lag.LOOK_SECONDS)
            watcher.cancel()

        worker.run(watched())

    blocked = [entry for entry in logs if entry["event"] == "loop_blocked"]
    assert [entry["graphs"] for entry in blocked] == [["stubborn"]]


def test_run_that_stalls_the_loop_is_told_from_its_neighbours(db: Database, database_uri: str, redis_uri: str) -> None:
    begun = asyncio.Event()

    async def stall(_: Counted) -> Counted:
        await begun.wait()
        time.sleep(2.5)  # noqa: ASYNC251 - this is the fault
        return {}

    async def wait(_: Counted) -> Counted:
        begun.set()
        await asyncio.sleep(0.5)
        return {}

    graphs = {"stubborn": one_node(stall), "patient": one_node(wait)}
    with capture_logs() as logs, running(database_uri, redis_uri, **graphs) as worker:
        lease = Lease(worker)
        lease.seconds = 0.6
        lease.hold()
        watchdog = Watchdog(worker, lease)
        watchdog.start()
        stubborn, patient = (db.enqueue(db.thread(), db.assistant(graph)) for graph in graphs)
        seen: list[Any] = []

        async def watched() -> None:
            watcher = asyncio.create_task(loop_lag.watch(worker))
            await asyncio.gather(firing.start(worker, stubborn), firing.start(worker, patient))
            await asyncio.sleep(loop_lag.LOOK_SECONDS)
            watcher.cancel()

        looking = asyncio.run_coroutine_threadsafe(watched(), worker.loop)
        while not looking.done():
            seen.append(db.one("SELECT blocked_by FROM worker WHERE worker_id = %s", worker.worker_id)["blocked_by"])
            time.sleep(0.02)
        looking.result()
        watchdog.stop()
        lease.release()

    assert set(seen) == {None, stubborn}
    assert [entry["graphs"] for entry in logs if entry["event"] == "loop_blocked"] == [["stubborn"]]


def test_lease_is_given_up_though_the_database_hangs(database_uri: str, redis_uri: str) -> None:
    with running(database_uri, redis_uri) as worker:
        lease = Lease(worker)
        lease.seconds = 0.6
        lease.hold()
        assert lease._connection is not None
        backend = lease._connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        giving_up = threading.Thread(target=lease.release, daemon=True)
        try:
            time.sleep(lease.seconds)  # a renewal hangs
            giving_up.start()
            giving_up.join(15)
            hangs = giving_up.is_alive()
        finally:
            os.kill(backend, signal.SIGCONT)
        giving_up.join()
        lease._thread.join()

    assert not hangs


def test_run_ends_though_redis_hangs(db: Database, worker: Runtime, valkey_server: EmbeddedValkey) -> None:
    thread = db.thread()
    run_id, _ = (db.enqueue(thread, db.assistant()) for _ in range(2))
    assert valkey_server.pid is not None
    os.kill(valkey_server.pid, signal.SIGSTOP)
    try:
        ended = asyncio.run_coroutine_threadsafe(firing.start(worker, run_id), worker.loop)
        _, hang = wait([ended], timeout=20)
    finally:
        os.kill(valkey_server.pid, signal.SIGCONT)

    assert not hang
    assert db.run_row(run_id)["status"] == "success"


def test_stop_leaves_its_messages_to_the_sweep_while_redis_hangs(
    worker: Runtime, valkey_server: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "HINT_SECONDS", 0.2)
    worker.put_off.append(broker.run_message(uuid4()))
    sending = threading.Thread(target=worker.send_put_off, daemon=True)
    assert valkey_server.pid is not None
    os.kill(valkey_server.pid, signal.SIGSTOP)
    try:
        sending.start()
        sending.join(15)
        hangs = sending.is_alive()
    finally:
        os.kill(valkey_server.pid, signal.SIGCONT)
    sending.join()

    assert not hangs
