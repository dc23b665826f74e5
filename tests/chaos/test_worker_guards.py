"""Each guard against a stale worker: what it holds off, and the damage that is seen as soon as it is taken away."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from langchain_core.runnables import RunnableConfig

from ostinato_shared.queries import runs
from ostinato_shared.queries.runs import Ending
from ostinato_worker import checkpoint_writes, firing
from ostinato_worker.runtime import Runtime
from taking_away import functions_without
from worker_setting import Counted, Database, one_node, running

LOOK_OF_THE_FENCE = "AND run.owner = f.owner AND run.attempt = f.attempt AND run.status = 'running'"
ATTEMPT_CHECKS = {"ostinato_finish": "AND attempt = p_attempt", "ostinato_end_run": "AND attempt = r.attempt"}


class Held:
    """The node of a run's first attempt, which does not come on until it is let."""

    def __init__(self) -> None:
        self.begun, self.let = threading.Event(), threading.Event()

    def graph(self) -> Any:
        async def node(_: Counted, config: RunnableConfig) -> Counted:
            attempt = config["metadata"]["attempt"]
            if attempt == 1:
                self.begun.set()
                await asyncio.to_thread(self.let.wait, 30)
            return {"said": f"attempt {attempt}"}

        return one_node(node)


@pytest.fixture
def without_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOGETHER", "ALONE"):
        statement = getattr(checkpoint_writes, name)
        assert LOOK_OF_THE_FENCE in statement
        monkeypatch.setattr(checkpoint_writes, name, statement.replace(LOOK_OF_THE_FENCE, ""))


@pytest.fixture
def without_attempt_check(db: Database) -> Iterator[None]:
    with functions_without(db, ATTEMPT_CHECKS):
        yield


def take_over(db: Database, worker: Runtime, run_id: UUID) -> None:
    """Take the run from the worker, as the sweep does once its lease is over."""
    db.do("UPDATE worker SET expires_at = now() - interval '1 s' WHERE worker_id = %s", worker.worker_id)
    assert db.one("SELECT verdict FROM ostinato_take_over(%s, 3)", run_id)["verdict"] == "pending"


def head_after_a_late_checkpoint(db: Database, database_uri: str, redis_uri: str) -> str:
    """Which attempt wrote the thread's head, after the first one woke up when the second had ended."""
    held = Held()
    with (
        running(database_uri, redis_uri, held=held.graph()) as frozen,
        running(database_uri, redis_uri, held=held.graph()) as healthy,
    ):
        thread = db.thread()
        run_id = db.enqueue(thread, db.assistant("held"), durability="sync")
        late = asyncio.run_coroutine_threadsafe(firing.start(frozen, run_id), frozen.loop)
        assert held.begun.wait(30)
        take_over(db, frozen, run_id)
        healthy.run(firing.start(healthy, run_id))
        assert db.run_row(run_id)["status"] == "success"
        held.let.set()
        late.result(30)
    return str(db.one(
        "SELECT checkpoint -> 'channel_values' ->> 'said' AS said FROM checkpoints WHERE thread_id = %s"
        " ORDER BY checkpoint_id DESC LIMIT 1",
        str(thread),
    )["said"])  # fmt: skip


def status_after_a_late_finish(db: Database, database_uri: str, redis_uri: str) -> str:
    """How the second attempt of a run stands after the first one, of the same worker, tried to finish it."""
    with running(database_uri, redis_uri) as worker:
        run_id = db.enqueue(db.thread(), db.assistant())
        first = worker.run(runs.start(worker.pool, run_id, owner=worker.worker_id))
        assert first is not None
        take_over(db, worker, run_id)
        second = worker.run(runs.start(worker.pool, run_id, owner=worker.worker_id))
        assert second is not None
        assert (first.attempt, second.attempt) == (1, 2)
        worker.run(runs.finish(worker.pool, first, Ending("error", "error")))
        status = str(db.run_row(run_id)["status"])
        worker.run(runs.finish(worker.pool, second, Ending("success", "idle")))
    return status


def test_checkpoint_fence_keeps_a_stale_worker_off_the_head(db: Database, database_uri: str, redis_uri: str) -> None:
    assert head_after_a_late_checkpoint(db, database_uri, redis_uri) == "attempt 2"


@pytest.mark.usefixtures("without_fence")
def test_without_the_checkpoint_fence_a_stale_worker_becomes_the_head(
    db: Database, database_uri: str, redis_uri: str
) -> None:
    assert head_after_a_late_checkpoint(db, database_uri, redis_uri) == "attempt 1"


def test_attempt_check_keeps_a_stale_finish_off_the_run(db: Database, database_uri: str, redis_uri: str) -> None:
    assert status_after_a_late_finish(db, database_uri, redis_uri) == "running"


@pytest.mark.usefixtures("without_attempt_check")
def test_without_the_attempt_check_a_stale_finish_ends_the_next_attempt(
    db: Database, database_uri: str, redis_uri: str
) -> None:
    assert status_after_a_late_finish(db, database_uri, redis_uri) == "error"
