"""Runs that are asked to end, by a person or by the next run, on real servers."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import redis
from langgraph.types import interrupt

from ostinato_beat import runs as beat_runs
from ostinato_shared.queries import runs
from ostinato_shared.task_names import CANCEL_CHANNEL
from ostinato_worker import cancelling, firing
from ostinato_worker.running import execute
from ostinato_worker.runtime import Runtime
from worker_gate import Gate, cancel, chain, checkpoints, first, head_of, standing
from worker_setting import Counted, Database, running

NOW = timedelta(0)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def worker(database_uri: str, redis_uri: str, gate: Gate) -> Iterator[Runtime]:
    with running(database_uri, redis_uri, gated=chain(first=first, gate=gate.node)) as runtime:
        yield runtime


@pytest.mark.parametrize("durability", ["async", "exit", "sync"])
def test_cancelled_run_keeps_what_it_checkpointed(db: Database, worker: Runtime, gate: Gate, durability: str) -> None:
    thread = db.thread()
    run = db.enqueue(thread, db.assistant("gated"), durability=durability)

    async def act() -> None:
        task = await standing(worker, gate, run)
        assert cancel(db, thread, run) == ("asked", None)
        assert db.run_row(run)["status"] == "running"
        await cancelling.tell(worker, thread)
        await task

    worker.run(act())

    row = db.thread_row(thread)
    assert db.run_row(run)["status"] == row["status"] == row["rest_status"] == "interrupted"
    assert row["values"] == {"seen": ["x", "first"]}
    assert row["active_run_id"] is None
    head = head_of(db, thread)
    assert (head["run_id"], head["step"]) == (str(run), 1)
    assert cancel(db, thread, run) is None  # it is over


def test_cancel_whose_hint_was_lost_is_seen_by_the_slow_look(db: Database, worker: Runtime, gate: Gate) -> None:
    thread = db.thread()
    run = db.enqueue(thread, db.assistant("gated"))

    async def act() -> None:
        task = await standing(worker, gate, run)
        cancel(db, thread, run)
        await cancelling.look(worker)
        await task

    worker.run(act())

    assert db.run_row(run)["status"] == "interrupted"


def test_cancel_heard_before_the_run_came_here_is_not_forgotten(db: Database, worker: Runtime) -> None:
    thread = db.thread()
    run = db.enqueue(thread, db.assistant("gated"))
    row = worker.run(runs.start(worker.pool, run, owner=worker.worker_id))
    assert row is not None
    worker.hinted.add(thread)
    assert cancel(db, thread, run) == ("asked", None)

    worker.run(execute(worker, row))  # ends by itself

    assert db.run_row(run)["status"] == db.thread_row(thread)["status"] == "interrupted"


def test_run_handed_on_though_asked_to_end_ends_before_its_graph_begins(
    db: Database, worker: Runtime, gate: Gate
) -> None:
    thread = db.thread()
    run = db.enqueue(thread, db.assistant("gated"))
    db.do("UPDATE run SET cancel_requested = 'interrupt', cancel_asked_at = now() WHERE run_id = %s", run)

    worker.run(firing.start(worker, run))

    assert db.run_row(run)["status"] == db.thread_row(thread)["status"] == "interrupted"
    assert not gate.entered.is_set()
    assert not any(checkpoints(db, thread).values())


def test_noise_on_the_channel_is_ignored(db: Database, worker: Runtime, gate: Gate, redis_uri: str) -> None:
    thread = db.thread()
    run = db.enqueue(thread, db.assistant("gated"))

    async def act() -> None:
        task = await standing(worker, gate, run)
        with redis.Redis.from_url(redis_uri) as client:
            client.publish(CANCEL_CHANNEL, "noise")
            client.publish(CANCEL_CHANNEL, str(thread))  # nobody asked: the row says so
        gate.open.set()
        await task

    worker.run(act())

    assert db.run_row(run)["status"] == "success"


def test_rollback_leaves_the_thread_as_it_was(db: Database, worker: Runtime, gate: Gate) -> None:
    thread, assistant = db.thread(), db.assistant("count")
    worker.run(firing.start(worker, db.enqueue(thread, assistant)))
    before, row = checkpoints(db, thread), db.thread_row(thread)
    run = db.enqueue(thread, db.assistant("gated"))

    async def act() -> None:
        task = await standing(worker, gate, run)
        cancel(db, thread, run)
        cancel(db, thread, run, action="rollback")
        cancel(db, thread, run)  # takes nothing back
        await cancelling.tell(worker, thread)
        await task

    worker.run(act())

    assert db.all("SELECT FROM run WHERE run_id = %s", run) == []
    assert checkpoints(db, thread) == before
    after = db.thread_row(thread)
    assert (after["status"], after["values"]) == ("idle", row["values"])


def test_rolled_back_run_without_an_earlier_one_leaves_nothing(db: Database, worker: Runtime, gate: Gate) -> None:
    thread = db.thread()
    run = db.enqueue(thread, db.assistant("gated"))

    async def act() -> None:
        task = await standing(worker, gate, run)
        cancel(db, thread, run, action="rollback")
        gate.open.set()  # comes to its end: rolled back all the same
        await task

    worker.run(act())

    assert not any(checkpoints(db, thread).values())
    assert db.thread_row(thread)["values"] is None
    assert db.thread_row(thread)["status"] == "idle"


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("asks", [True, False])
def test_rollback_of_a_run_that_went_on_brings_the_stop_back(
    db: Database, database_uri: str, redis_uri: str, *, asks: bool, deep: bool
) -> None:
    gate, said = Gate(), []

    def say(_: Counted) -> Counted:
        said.append(str(interrupt("go on?")) if asks else "said")
        return {"said": said[-1]}

    graph = chain(say=say, first=first, gate=gate.node)
    thread = db.thread()
    with running(database_uri, redis_uri, stops=chain(inner=graph) if deep else graph) as worker:
        assistant = db.assistant("stops")
        stop: dict[str, Any] = {} if asks else {"interrupt_before": ["say", "inner"]}

        def going_on(answer: str) -> UUID:
            payload: dict[str, Any] = {"command": {"resume": answer}} if asks else {"input": None}
            return db.enqueue(thread, assistant, **payload)

        async def act() -> None:
            await firing.start(worker, db.enqueue(thread, assistant, **stop))
            before = checkpoints(db, thread)
            run = going_on("no")
            task = await standing(worker, gate, run)
            cancel(db, thread, run, action="rollback")
            await cancelling.look(worker)
            await task
            assert checkpoints(db, thread) == before
            gate.open.set()
            await firing.start(worker, going_on("yes"))

        worker.run(act())

    assert said == (["no", "yes"] if asks else ["said", "said"])
    assert db.thread_row(thread)["values"]["said"] == said[-1]
    assert db.thread_row(thread)["status"] == "idle"


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
@pytest.mark.parametrize("rest", ["idle", "interrupted", "error"])
def test_pending_run_ends_at_once_and_frees_the_thread(db: Database, action: str, rest: str) -> None:
    thread = db.thread()
    db.do("UPDATE thread SET status = %s, rest_status = %s WHERE thread_id = %s", rest, rest, thread)
    run, after = db.enqueue(thread, db.assistant()), db.enqueue(thread, db.assistant())

    assert cancel(db, thread, run, action=action) == ("ended", after)  # its turn now
    assert db.thread_row(thread)["status"] == "busy"
    assert cancel(db, thread, after, action=action) == ("ended", None)
    assert db.thread_row(thread)["status"] == rest
    rows = [row["status"] for row in db.all("SELECT status FROM run WHERE thread_id = %s", thread)]
    assert rows == (["interrupted", "interrupted"] if action == "interrupt" else [])


def test_pending_run_beside_a_running_one_leaves_the_thread_busy(db: Database, worker: Runtime, gate: Gate) -> None:
    thread, assistant = db.thread(), db.assistant("gated")
    first_run, second_run = db.enqueue(thread, assistant), db.enqueue(thread, assistant)

    async def act() -> None:
        task = await standing(worker, gate, first_run)
        assert cancel(db, thread, second_run) == ("ended", None)
        assert db.thread_row(thread)["status"] == "busy"
        gate.open.set()
        await task

    worker.run(act())

    assert db.thread_row(thread)["status"] == "idle"


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
def test_firing_displaces_the_run_under_way_and_those_that_wait(
    db: Database, worker: Runtime, gate: Gate, strategy: str
) -> None:
    thread, assistant = db.thread(), db.assistant("gated")
    earlier = db.firing(db.cron(assistant, thread_id=thread))
    later = db.firing(db.cron(db.assistant("count"), thread_id=thread, multitask_strategy=strategy))

    async def act() -> UUID:
        task = asyncio.create_task(firing.fire(worker, earlier))
        await gate.entered.wait()
        waiting = db.enqueue(thread, assistant)
        await firing.fire(worker, later)
        queued: UUID = db.firing_row(later)["run_id"]
        await task
        assert str(queued) in await worker.redis.rpop("ostinato")
        assert db.run_row(queued)["status"] == "pending"
        await firing.start(worker, queued)
        return waiting

    waiting = worker.run(act())

    ledger = db.firing_row(earlier)
    assert (ledger["outcome"], ledger["reason"]) == ("interrupted", "displaced")
    assert db.firing_row(later)["outcome"] == "success"
    statuses = [
        row["status"] for row in db.all("SELECT status FROM run WHERE run_id IN (%s, %s)", ledger["run_id"], waiting)
    ]
    assert statuses == (["interrupted", "interrupted"] if strategy == "interrupt" else [])
    seen = ["x", "first", "x"] if strategy == "interrupt" else ["x"]
    assert db.thread_row(thread)["values"]["seen"] == seen
    assert db.thread_row(thread)["status"] == "idle"
    mine = db.all("SELECT FROM checkpoints WHERE metadata ->> 'run_id' = %s", str(ledger["run_id"]))
    assert bool(mine) == (strategy == "interrupt")


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
def test_firing_displaces_a_run_that_has_not_started_and_starts_at_once(
    db: Database, worker: Runtime, strategy: str
) -> None:
    thread, assistant = db.thread(), db.assistant()
    db.enqueue(thread, assistant)
    fired = db.firing(db.cron(assistant, thread_id=thread, multitask_strategy=strategy))

    worker.run(firing.fire(worker, fired))

    assert db.firing_row(fired)["outcome"] == "success"
    assert db.thread_row(thread)["values"]["seen"] == ["x"]


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
def test_run_of_a_silent_worker_is_ended_after_two_heartbeats(
    db: Database, worker: Runtime, gate: Gate, action: str
) -> None:
    thread = db.thread()
    run = db.enqueue(thread, db.assistant("gated"), durability="sync")
    after = db.enqueue(thread, db.assistant())
    gate.stubborn = True

    async def act() -> None:
        task = await standing(worker, gate, run)
        cancel(db, thread, run, action=action)
        await cancelling.look(worker)
        assert unanswered(db, run, patience=beat_runs.patience(30)) == []  # it still has time to answer
        assert unanswered(db, run, patience=NOW) == [after]
        await firing.start(worker, after)
        gate.open.set()
        await task

    worker.run(act())

    assert db.run_row(after)["status"] == "success"
    seen = db.thread_row(thread)["values"]["seen"]
    assert seen == (["x", "first", "x"] if action == "interrupt" else ["x"])
    head = db.one(
        "SELECT metadata FROM checkpoints WHERE thread_id = %s ORDER BY checkpoint_id DESC LIMIT 1", str(thread)
    )
    assert head["metadata"]["run_id"] == str(after)
    assert [r["status"] for r in db.all("SELECT status FROM run WHERE run_id = %s", run)] == (
        ["interrupted"] if action == "interrupt" else []
    )


def unanswered(db: Database, run_id: UUID, *, patience: timedelta) -> list[UUID]:
    return [row["next_run_id"] for row in db.all("SELECT * FROM ostinato_end_unanswered(%s, %s)", run_id, patience)]


def test_deleted_run_stops_at_the_next_look(db: Database, worker: Runtime, gate: Gate) -> None:
    thread = db.thread()
    run = db.enqueue(thread, db.assistant("gated"))

    async def act() -> None:
        task = await standing(worker, gate, run)
        db.one("SELECT * FROM ostinato_delete_run(%s, %s)", thread, run)
        await cancelling.tell(worker, thread)
        await task

    worker.run(act())

    assert worker.under_way == {}
    assert db.thread_row(thread)["status"] == "idle"


def test_cancelled_run_of_a_stopping_worker_ends_instead_of_being_handed_on(
    db: Database, worker: Runtime, gate: Gate
) -> None:
    thread = db.thread()
    run = db.enqueue(thread, db.assistant("gated"))

    async def act() -> None:
        task = await standing(worker, gate, run)
        cancel(db, thread, run)  # the hint is lost
        worker.stopping.set()
        worker.under_way[run].cancel()
        await task

    worker.run(act())

    assert db.run_row(run)["status"] == db.thread_row(thread)["status"] == "interrupted"
    assert worker.put_off == []


def test_delayed_run_waits_beside_the_queue_until_its_time(db: Database, worker: Runtime) -> None:
    thread, assistant = db.thread(), db.assistant()
    delayed = db.enqueue(thread, assistant, delay=3600)
    now = db.enqueue(thread, assistant)

    worker.run(firing.start(worker, delayed))  # a stray message starts what may start

    assert db.run_row(now)["status"] == "success"
    row = db.run_row(delayed)
    assert row["status"] == "pending"
    assert row["created_at"] == row["waits_until"] > db.run_row(now)["created_at"]
    assert db.thread_row(thread)["status"] == "busy"
    worker.run(firing.start(worker, delayed))
    assert db.run_row(delayed)["status"] == "pending"
