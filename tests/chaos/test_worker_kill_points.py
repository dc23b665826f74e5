"""Workers killed and frozen at chosen points; counted in Postgres and in a file that the nodes write.

`OSTINATO_ROUNDS=20 python -m pytest tests/chaos` repeats each kill so many times.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from beat_setting import TOKEN, wait_for
from ostinato_beat.entries import LOCK_KEY
from ostinato_beat.sweeping import Sweeper
from ostinato_shared import broker
from ostinato_shared.settings import Settings
from worker_processes import SECONDS, Striking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from uuid import UUID

    from worker_setting import Database

LEASE_SECONDS = 1.0
ROUNDS = range(int(os.environ.get("OSTINATO_ROUNDS", "1")))
EXIT_STALLED = 70
# What each attempt begins, when its worker is struck between claim and graph, between first and last checkpoint,
# between graph and finish.
BEGUN = {
    "claim": [(2, "first"), (2, "second"), (2, "third")],
    "second": [(1, "first"), (1, "second"), (2, "second"), (2, "third")],
    "finish": [(1, "first"), (1, "second"), (1, "third")],
}


@pytest.fixture
def striking(tmp_path: Path) -> Striking:
    return Striking(tmp_path)


@pytest.fixture(autouse=True)
def sweeper(database_uri: str, redis_uri: str) -> Iterator[None]:
    """The leader's sweep, for short leases."""
    with Redis.from_url(redis_uri) as client:
        client.set(LOCK_KEY, TOKEN)
    settings = Settings(database_uri=database_uri, redis_uri=redis_uri, lease_seconds=LEASE_SECONDS)
    sweeper = Sweeper(settings, token=lambda: TOKEN)
    sweeper.start()
    yield
    sweeper.close()


def fire(db: Database, redis_uri: str, graph: str, **payload: Any) -> UUID:
    cron = db.cron(db.assistant(graph), **payload)
    fired = db.firing(cron)
    message = broker.fire_message(cron_id=cron, fire_time=db.firing_row(fired)["fire_time"], firing_id=fired)
    send(redis_uri, message)
    return fired


def send(redis_uri: str, *messages: str) -> None:
    with Redis.from_url(redis_uri) as client:
        client.lpush("ostinato", *messages)


def wait_for_end(db: Database, fired: UUID) -> Any:
    """The run of a firing, once it has ended."""
    wait_for(lambda: db.firing_row(fired)["outcome"] not in ("due", "started"), seconds=SECONDS)
    [run] = db.all("SELECT * FROM run WHERE firing_id = %s", fired)
    return run


def everything(db: Database, run: Any) -> list[Any]:
    """All that a late worker might spoil."""
    thread = str(run["thread_id"])
    return [
        db.run_row(run["run_id"]), db.thread_row(run["thread_id"]), db.firing_row(run["firing_id"]),
        *(db.all(f"SELECT * FROM {table} WHERE thread_id = %s ORDER BY 1, 2, 3, 4", thread)  # noqa: S608 - constants
          for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes")),
    ]  # fmt: skip


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize("point", BEGUN)
@pytest.mark.parametrize("what", ["SIGKILL", "SIGSTOP"])
def test_run_of_a_struck_worker_ends_once_elsewhere(
    db: Database, database_uri: str, redis_uri: str, striking: Striking, *, what: str, point: str, round_: int
) -> None:
    striking.lay(point, what)
    with striking.workers(database_uri, redis_uri) as workers:
        fired = fire(db, redis_uri, "steps", durability="sync")
        run = wait_for_end(db, fired)

        [pid] = striking.struck()
        victim = next(worker for worker in workers if worker.process.pid == pid)
        before = everything(db, run)
        if what == "SIGSTOP":
            victim.process.send_signal(signal.SIGCONT)
            victim.wait_for("run_lost")
        assert everything(db, run) == before

    assert (run["status"], run["attempt"], run["crash_count"]) == ("success", 2, 1), round_
    assert db.firing_row(fired)["outcome"] == "success"
    assert db.thread_row(run["thread_id"])["values"] == {"seen": ["x", "first", "second", "third"]}
    woken = [(1, "first"), (1, "second"), (1, "third")] if what == "SIGSTOP" else []
    assert [began for began in striking.trace() if began not in woken or began in BEGUN[point]] == BEGUN[point]


def test_worker_that_wakes_while_another_runs_its_run_changes_nothing(
    db: Database, database_uri: str, redis_uri: str, striking: Striking
) -> None:
    striking.lay("second", "SIGSTOP", times=2)
    with striking.workers(database_uri, redis_uri) as workers:
        fired = fire(db, redis_uri, "steps", durability="async")
        wait_for(lambda: len(striking.struck()) == 2, seconds=SECONDS)
        run_id = db.firing_row(fired)["run_id"]
        wait_for(lambda: db.run_row(run_id)["status"] == "pending", seconds=SECONDS)
        for worker in workers:
            worker.process.send_signal(signal.SIGCONT)
        run = wait_for_end(db, fired)

    # Whoever woke first may have got it again: its own earlier attempt is as good as a stranger's.
    assert (run["status"], run["attempt"], run["crash_count"]) == ("success", 3, 2)
    assert db.thread_row(run["thread_id"])["values"] == {"seen": ["x", "first", "second", "third"]}
    head = db.one("SELECT metadata FROM checkpoints WHERE thread_id = %s ORDER BY checkpoint_id DESC LIMIT 1",
                  str(run["thread_id"]))  # fmt: skip
    assert head["metadata"]["attempt"] == 3


def test_run_that_kills_three_workers_ends_as_an_error(
    db: Database, database_uri: str, redis_uri: str, striking: Striking
) -> None:
    striking.lay("second", "SIGKILL", times=3)
    with striking.workers(database_uri, redis_uri, count=4):
        poison = fire(db, redis_uri, "steps")
        run = wait_for_end(db, poison)
        healthy = fire(db, redis_uri, "steps")
        assert wait_for_end(db, healthy)["status"] == "success"

    assert (run["status"], run["attempt"], run["crash_count"]) == ("error", 3, 3)
    assert run["error"]["error"] == "WorkerLostError"
    assert db.firing_row(poison)["reason"] == "worker_lost"
    assert len(striking.struck()) == 3


def test_process_whose_loop_stands_still_ends_itself_and_its_neighbours_are_not_charged(
    db: Database, database_uri: str, redis_uri: str, striking: Striking
) -> None:
    (striking.folder / "wait").touch()
    with striking.workers(database_uri, redis_uri, count=1, stall_seconds=2, lease_seconds=30) as [victim]:
        neighbour = fire(db, redis_uri, "waiting")
        wait_for(lambda: db.firing_row(neighbour)["outcome"] == "started", seconds=SECONDS)
        striking.lay("second", "BLOCK")
        blocker = fire(db, redis_uri, "steps")

        assert victim.process.wait(SECONDS) == EXIT_STALLED
        (striking.folder / "wait").unlink()
        with striking.workers(database_uri, redis_uri, count=1):
            blocked, spared = wait_for_end(db, blocker), wait_for_end(db, neighbour)

    assert (blocked["status"], blocked["attempt"], blocked["crash_count"]) == ("success", 2, 1)
    assert (spared["status"], spared["attempt"], spared["crash_count"]) == ("success", 2, 0)
    assert any("loop_stood_still" in line and str(blocked["run_id"]) in line for line in victim.lines)


def test_worker_with_a_short_lease_keeps_its_runs_under_load(
    db: Database, database_uri: str, redis_uri: str, striking: Striking
) -> None:
    with striking.workers(database_uri, redis_uri, count=1, slots=100):
        fired = [fire(db, redis_uri, "busy") for _ in range(100)]
        runs = [wait_for_end(db, one) for one in fired]

    assert {(run["status"], run["attempt"], run["crash_count"]) for run in runs} == {("success", 1, 0)}


def test_worker_that_is_told_to_end_hands_its_run_on_without_a_charge(
    db: Database, database_uri: str, redis_uri: str, striking: Striking
) -> None:
    (striking.folder / "wait").touch()
    with striking.workers(database_uri, redis_uri, count=1) as [first]:
        fired = fire(db, redis_uri, "waiting")
        wait_for(lambda: db.firing_row(fired)["outcome"] == "started", seconds=SECONDS)
        assert first.stop() == 0
        (striking.folder / "wait").unlink()
        with striking.workers(database_uri, redis_uri, count=1):
            run = wait_for_end(db, fired)

    assert (run["status"], run["attempt"], run["crash_count"]) == ("success", 2, 0)
