"""Workers that are lost more than once, stand still, end in order, or are merely busy."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from beat_setting import wait_for
from worker_processes import SECONDS, Striking, fire, wait_for_end

if TYPE_CHECKING:
    from worker_setting import Database

pytestmark = pytest.mark.usefixtures("sweeper")
EXIT_STALLED = 70


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
