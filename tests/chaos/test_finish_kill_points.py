"""Workers killed and frozen after a run's end is on record: its thread is purged and its webhook comes all the same.

`OSTINATO_ROUNDS=20 python -m pytest tests/chaos` repeats each kill so many times.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from accounts import NODES, everything, has_lost_its_lease
from beat_setting import wait_for
from far_end import FarEnd, far_end
from ostinato_shared import broker
from worker_processes import ROUNDS, SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from redis import Redis

    from crew import Crew
    from worker_setting import Database


CREW = {"beats": 1}
THREAD_TABLES = ("thread", "run", "checkpoints", "checkpoint_blobs", "checkpoint_writes")
# Calls that the far end gets: a worker that dies between answer and record leaves nobody the wiser.
CALLS = {"ended": 1, "called": 2}


@pytest.fixture
def end() -> Iterator[FarEnd]:
    with far_end() as end:
        yield end


def fire(db: Database, redis: Redis, url: str) -> UUID:
    """A due firing of a cron that deletes its thread and owes a webhook, sent to the workers."""
    cron = db.cron(db.assistant("steps"), keep=False, webhook=url)
    fired = db.firing(cron)
    at = db.firing_row(fired)["fire_time"]
    redis.lpush("ostinato", broker.fire_message(cron_id=cron, fire_time=at, firing_id=fired))
    return fired


def let_time_pass(db: Database, run: Any) -> None:
    """The minute that waiters may still read a hidden thread, and the lease on a call that was begun."""
    db.do("UPDATE thread SET deleted_at = deleted_at - interval '1 min' WHERE thread_id = %s", run["thread_id"])
    db.do("UPDATE webhook_delivery SET next_attempt_at = next_attempt_at - interval '50 s' WHERE run_id = %s"
          " AND status = 'pending'", run["run_id"])  # fmt: skip


def left_of(db: Database, run: Any) -> dict[str, int]:
    return {
        table: db.one(f"SELECT count(*) FROM {table} WHERE thread_id::text = %s", str(run["thread_id"]))["count"]  # noqa: S608 - constants
        for table in THREAD_TABLES
    }


@pytest.mark.parametrize("what", ["SIGKILL", "SIGSTOP"])
@pytest.mark.parametrize("point", CALLS)
@pytest.mark.parametrize("round_", ROUNDS)
def test_what_an_ended_run_owes_is_done_though_its_worker_is_struck(
    db: Database, redis: Redis, crew: Crew, end: FarEnd, *, what: str, point: str, round_: int
) -> None:
    crew.striking.lay(point, what)
    fired = fire(db, redis, end.url())
    pid = crew.striking.wait_for_strike()
    [run] = db.all("SELECT * FROM run WHERE firing_id = %s", fired)
    assert (run["status"], run["attempt"]) == ("success", 1), round_
    assert len(end.calls) == CALLS[point] - 1

    let_time_pass(db, run)
    wait_for(lambda: not any(left_of(db, run).values()), seconds=SECONDS)
    wait_for(lambda: delivery(db, run)["status"] == "done", seconds=SECONDS)

    if what == "SIGSTOP":
        wait_for(lambda: has_lost_its_lease(db, pid), seconds=SECONDS)
        before = everything(db, redis)
        crew.find(pid).process.send_signal(signal.SIGCONT)
        crew.striking.wait_for_mark("woken", point, pid)
        crew.striking.wait_for_mark("done", "owed", pid)
        assert everything(db, redis) == before

    assert [call.body["run_id"] for call in end.calls] == [str(run["run_id"])] * CALLS[point]
    assert {call.body["status"] for call in end.calls} == {"success"}
    assert {tuple(call.body["values"]["seen"]) for call in end.calls} == {("x", *NODES)}
    assert db.firing_row(fired)["outcome"] == "success"
    assert crew.striking.traces()[str(run["run_id"])] == [(1, name) for name in NODES]


def delivery(db: Database, run: Any) -> Any:
    return db.one("SELECT * FROM webhook_delivery WHERE run_id = %s", run["run_id"])
