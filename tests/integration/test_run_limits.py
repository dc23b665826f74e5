"""Runs that reach the time limit of their cron, on real servers."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from langgraph.graph import END, START, StateGraph

from ostinato_worker import cancelling, firing, limits
from ostinato_worker.runtime import Runtime
from worker_setting import Counted, Database, running

LIMIT = "the run was stopped at its limit of 0.2 s (metadata.ostinato.timeout)"


class Node:
    """Begins, and never ends by itself; it may be slow to heed its cancellation, or deaf."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.told = asyncio.Event()
        self.freed = asyncio.Event()
        self.slow = self.deaf = False

    async def work(self, _: Counted) -> Counted:
        self.begun.set()
        while True:
            try:
                await self.freed.wait()
            except asyncio.CancelledError:
                self.told.set()
                if self.slow:
                    await self.freed.wait()
                if not self.deaf:
                    raise
            else:
                return {"seen": ["late"]}


def first(_: Counted) -> Counted:
    return {"seen": ["first"]}


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def worker(database_uri: str, redis_uri: str, node: Node) -> Iterator[Runtime]:
    builder: StateGraph[Any] = StateGraph(Counted)
    builder.add_node("first", first)
    builder.add_node("endless", node.work)
    graph = builder.add_edge(START, "first").add_edge("first", "endless").add_edge("endless", END).compile()
    with running(database_uri, redis_uri, endless=graph) as runtime:
        yield runtime


def fire(db: Database, *, timeout: str, keep: bool = True) -> UUID:
    cron = db.cron(db.assistant("endless"), keep=keep, durability="sync", metadata={"ostinato": {"timeout": timeout}})
    return db.firing(cron)


def test_a_run_is_stopped_at_its_limit(db: Database, worker: Runtime) -> None:
    fired = fire(db, timeout="PT0.2S")

    worker.run(firing.fire(worker, fired))

    ledger = db.firing_row(fired)
    run, thread = db.run_row(ledger["run_id"]), db.thread_row(ledger["thread_id"])
    assert ledger["outcome"] == run["status"] == "timeout"
    assert ledger["error"] == run["error"] == thread["error"] == {"error": "TimeoutError", "message": LIMIT}
    assert (thread["status"], thread["values"]) == ("error", {"seen": ["x", "first"]})
    assert (run["ended_at"] - run["started_at"]).total_seconds() >= 0.2
    assert db.one("SELECT consecutive_failures FROM cron WHERE cron_id = %s", run["cron_id"]) == {
        "consecutive_failures": 1
    }


def test_a_run_within_its_limit_is_let_alone(db: Database, worker: Runtime, node: Node) -> None:
    node.freed.set()
    fired = fire(db, timeout="PT1H")

    worker.run(firing.fire(worker, fired))

    assert db.firing_row(fired)["outcome"] == "success"


def test_the_limit_counts_from_the_first_start(db: Database, worker: Runtime, node: Node) -> None:
    fired = fire(db, timeout="PT1M")
    db.one("SELECT FROM ostinato_claim(%s, gen_random_uuid(), gen_random_uuid(), gen_random_uuid())", fired)
    run_id = db.firing_row(fired)["run_id"]
    db.do(
        "UPDATE run SET status = 'pending', owner = NULL, started_at = now() - interval '61 s' WHERE run_id = %s",
        run_id,
    )

    worker.run(firing.start(worker, run_id))

    assert (db.run_row(run_id)["status"], db.run_row(run_id)["attempt"]) == ("timeout", 2)
    assert not node.begun.is_set()


def test_time_in_the_threads_queue_does_not_count(db: Database, worker: Runtime, node: Node) -> None:
    node.freed.set()
    thread, assistant = db.thread(), db.assistant("endless")
    earlier = db.enqueue(thread, assistant)
    fired = db.firing(db.cron(assistant, thread_id=thread, metadata={"ostinato": {"timeout": "PT30S"}}))
    worker.run(firing.fire(worker, fired))  # queued
    run_id = db.firing_row(fired)["run_id"]
    db.do("UPDATE run SET created_at = now() - interval '1 hour' WHERE run_id = %s", run_id)

    worker.run(firing.start(worker, earlier))
    worker.run(firing.start(worker, run_id))

    assert db.firing_row(fired)["outcome"] == "success"


def test_who_was_cancelled_before_the_limit_is_interrupted(db: Database, worker: Runtime, node: Node) -> None:
    fired = fire(db, timeout="PT1H")
    node.slow = True

    async def act() -> None:
        task = asyncio.create_task(firing.fire(worker, fired))
        await node.begun.wait()
        _cancel(db, fired)
        await cancelling.look(worker)
        await node.told.wait()
        [under_way] = worker.under_way.values()
        under_way.expire()  # the limit comes while the graph still lets go
        node.freed.set()
        await task

    worker.run(act())

    ledger = db.firing_row(fired)
    assert (ledger["outcome"], ledger["reason"], ledger["error"]) == ("interrupted", "cancelled", None)


def test_who_is_cancelled_after_the_limit_has_timed_out(db: Database, worker: Runtime, node: Node) -> None:
    fired = fire(db, timeout="PT0.2S")
    node.slow = True

    async def act() -> None:
        task = asyncio.create_task(firing.fire(worker, fired))
        await node.begun.wait()
        await node.told.wait()
        _cancel(db, fired)
        await cancelling.look(worker)
        node.freed.set()
        await task

    worker.run(act())

    ledger = db.firing_row(fired)
    assert (ledger["outcome"], ledger["reason"]) == ("timeout", None)
    assert ledger["error"] == {"error": "TimeoutError", "message": LIMIT}


def test_a_graph_that_comes_to_its_end_while_it_is_told_to_has_succeeded(
    db: Database, worker: Runtime, node: Node
) -> None:
    fired = fire(db, timeout="PT0.2S")
    node.slow = node.deaf = True

    async def act() -> None:
        task = asyncio.create_task(firing.fire(worker, fired))
        await node.told.wait()
        node.freed.set()
        await task

    worker.run(act())

    assert db.firing_row(fired)["outcome"] == "success"


def test_a_graph_that_does_not_heed_its_limit_is_left_behind(
    db: Database, worker: Runtime, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GRACE_SECONDS", 0.1)
    node.deaf = True
    fired = fire(db, timeout="PT0.2S")

    async def act() -> None:
        task = asyncio.create_task(firing.fire(worker, fired))
        await node.begun.wait()
        [under_way] = worker.under_way.values()
        await task
        assert db.firing_row(fired)["outcome"] == "timeout"
        before = _left(db, fired)
        node.freed.set()
        assert under_way.graph is not None
        await asyncio.wait({under_way.graph})
        assert _left(db, fired) == before

    worker.run(act())
    assert worker.under_way == {}


def _cancel(db: Database, fired: UUID) -> None:
    ledger = db.firing_row(fired)
    db.one("SELECT * FROM ostinato_cancel(%s, %s, 'interrupt', 'cancelled')", ledger["thread_id"], ledger["run_id"])


def _left(db: Database, fired: UUID) -> list[object]:
    ledger = db.firing_row(fired)
    thread = str(ledger["thread_id"])
    return [
        ledger, db.run_row(ledger["run_id"]), db.thread_row(ledger["thread_id"]),
        db.all("SELECT checkpoint_id FROM checkpoints WHERE thread_id = %s", thread),
    ]  # fmt: skip
