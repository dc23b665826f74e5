"""Workers killed between the steps of a guard: after the claim that used the last run up, before a failure's pause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from beat_setting import wait_for
from ostinato_shared import broker
from worker_processes import ROUNDS, SECONDS, Striking, fire, send, wait_for_end

if TYPE_CHECKING:
    from uuid import UUID

    from worker_setting import Database

pytestmark = pytest.mark.usefixtures("sweeper")


def fire_again(db: Database, redis_uri: str, earlier: UUID) -> UUID:
    """Another fire time of the same cron, sent."""
    cron = db.firing_row(earlier)["cron_id"]
    fired = db.firing(cron)
    message = broker.fire_message(cron_id=cron, fire_time=db.firing_row(fired)["fire_time"], firing_id=fired)
    send(redis_uri, message)
    return fired


def cron_of(db: Database, fired: UUID) -> dict[str, Any]:
    row: dict[str, Any] = db.one("SELECT cron.* FROM cron JOIN firing USING (cron_id) WHERE firing_id = %s", fired)
    return row


def pauses(db: Database, fired: UUID) -> int:
    return len(
        db.all("SELECT FROM cron_event JOIN firing USING (cron_id) WHERE firing_id = %s AND kind = 'paused'", fired)
    )


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize("point", ["claim", "second", "finish"])
def test_last_run_of_a_killed_worker_ends_elsewhere_and_none_follows(
    db: Database, database_uri: str, redis_uri: str, striking: Striking, *, point: str, round_: int
) -> None:
    striking.lay(point, "SIGKILL")
    with striking.workers(database_uri, redis_uri):
        last = fire(db, redis_uri, "steps", metadata={"ostinato": {"max_runs": 1}})
        run = wait_for_end(db, last)
        after = fire_again(db, redis_uri, last)
        wait_for(lambda: db.firing_row(after)["outcome"] != "due", seconds=SECONDS)

    cron = cron_of(db, last)
    assert (run["status"], run["attempt"]) == ("success", 2), round_
    assert (cron["enabled"], cron["paused_by"], cron["run_count"], cron["revision"]) == (False, "max_runs", 1, 2)
    assert (db.firing_row(after)["outcome"], db.firing_row(after)["reason"]) == ("skipped", "max_runs")
    assert pauses(db, last) == 1


@pytest.mark.parametrize("round_", ROUNDS)
def test_failure_whose_worker_died_before_its_end_pauses_the_cron_once(
    db: Database, database_uri: str, redis_uri: str, striking: Striking, round_: int
) -> None:
    striking.lay("finish", "SIGKILL")
    policy = {"ostinato": {"pause_after_failures": 1}}
    with striking.workers(database_uri, redis_uri):
        fired = fire(db, redis_uri, "failing", metadata=policy)
        run = wait_for_end(db, fired)

    cron = cron_of(db, fired)
    assert (run["status"], run["attempt"]) == ("error", 2), round_
    assert (cron["enabled"], cron["paused_by"], cron["consecutive_failures"]) == (False, "pause_after_failures", 1)
    assert cron["note"] == "paused after 1 failure in a row; last: ValueError: no luck"
    assert pauses(db, fired) == 1


def test_run_that_kills_its_workers_pauses_its_cron(
    db: Database, database_uri: str, redis_uri: str, striking: Striking
) -> None:
    striking.lay("second", "SIGKILL", times=3)
    with striking.workers(database_uri, redis_uri, count=3):
        fired = fire(db, redis_uri, "steps", metadata={"ostinato": {"pause_after_failures": 1}})
        run = wait_for_end(db, fired)

    cron = cron_of(db, fired)
    assert (run["status"], run["error"]["error"]) == ("error", "WorkerLostError")
    assert (cron["enabled"], cron["paused_by"], pauses(db, fired)) == (False, "pause_after_failures", 1)
    assert cron["note"].endswith("worker_lost: the worker process that ran it died, or lost its lease, 3 times.")


@pytest.mark.parametrize("round_", ROUNDS)
def test_orphaned_run_is_still_an_overlap(
    db: Database, database_uri: str, redis_uri: str, striking: Striking, round_: int
) -> None:
    (striking.folder / "wait").touch()
    with striking.workers(database_uri, redis_uri) as workers:
        fired = fire(db, redis_uri, "waiting", metadata={"ostinato": {"overlap": "skip"}})
        wait_for(lambda: db.firing_row(fired)["outcome"] == "started", seconds=SECONDS)
        owner = db.one(
            "SELECT pid FROM worker JOIN run ON run.owner = worker_id WHERE run_id = %s", db.firing_row(fired)["run_id"]
        )
        next(worker for worker in workers if worker.process.pid == owner["pid"]).process.kill()
        skipped = fire_again(db, redis_uri, fired)
        wait_for(lambda: db.firing_row(skipped)["outcome"] != "due", seconds=SECONDS)
        assert db.firing_row(skipped)["reason"] == "overlap", round_
        (striking.folder / "wait").unlink()
        assert wait_for_end(db, fired)["status"] == "success"
        assert wait_for_end(db, fire_again(db, redis_uri, fired))["status"] == "success"


def test_limit_counts_on_in_the_worker_that_takes_over(
    db: Database, database_uri: str, redis_uri: str, striking: Striking
) -> None:
    (striking.folder / "wait").touch()
    with striking.workers(database_uri, redis_uri, count=1) as [first]:
        fired = fire(db, redis_uri, "waiting", metadata={"ostinato": {"timeout": "PT4S"}})
        wait_for(lambda: db.firing_row(fired)["outcome"] == "started", seconds=SECONDS)
        started = db.run_row(db.firing_row(fired)["run_id"])["started_at"]
        first.process.kill()
        with striking.workers(database_uri, redis_uri, count=1):
            run = wait_for_end(db, fired)

    assert (run["status"], run["attempt"], run["crash_count"], run["started_at"]) == ("timeout", 2, 1, started)
    assert (run["ended_at"] - started).total_seconds() >= 4
    assert db.firing_row(fired)["error"]["message"].startswith("the run was stopped at its limit of 4 s")
