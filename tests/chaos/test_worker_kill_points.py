"""Workers killed and frozen while they run a graph; counted in Postgres and in a file that the nodes write.

`OSTINATO_ROUNDS=20 python -m pytest tests/chaos` repeats each kill so many times.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from worker_processes import ROUNDS, fire, wait_for_end

if TYPE_CHECKING:
    from crew import Crew
    from worker_setting import Database

pytestmark = pytest.mark.usefixtures("sweeper")
CREW = {"lease_seconds": 1.0}
# What each attempt begins, when its worker is struck between claim and graph, between first and last checkpoint,
# between graph and finish.
BEGUN = {
    "claim": [(2, "first"), (2, "second"), (2, "third")],
    "second": [(1, "first"), (1, "second"), (2, "second"), (2, "third")],
    "finish": [(1, "first"), (1, "second"), (1, "third")],
}


def everything(db: Database, run: Any) -> list[Any]:
    """All that a late worker might spoil."""
    thread = str(run["thread_id"])
    return [
        db.run_row(run["run_id"]), db.thread_row(run["thread_id"]), db.firing_row(run["firing_id"]),
        *(db.all(f"SELECT * FROM {table} WHERE thread_id = %s ORDER BY 1, 2, 3, 4", thread)  # noqa: S608 - constants
          for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes")),
    ]  # fmt: skip


@pytest.mark.parametrize("what", ["SIGKILL", "SIGSTOP"])
@pytest.mark.parametrize("point", BEGUN)
@pytest.mark.parametrize("round_", ROUNDS)
def test_run_of_a_struck_worker_ends_once_elsewhere(
    db: Database, redis_uri: str, crew: Crew, *, what: str, point: str, round_: int
) -> None:
    crew.striking.lay(point, what)
    fired = fire(db, redis_uri, "steps", durability="sync")
    run = wait_for_end(db, fired)

    [pid] = crew.striking.struck()
    victim = crew.find(pid)
    before = everything(db, run)
    if what == "SIGSTOP":
        victim.forget()
        victim.process.send_signal(signal.SIGCONT)
        victim.wait_for("run_lost")
    assert everything(db, run) == before

    assert (run["status"], run["attempt"], run["crash_count"]) == ("success", 2, 1), round_
    assert db.firing_row(fired)["outcome"] == "success"
    assert db.thread_row(run["thread_id"])["values"] == {"seen": ["x", "first", "second", "third"]}
    woken = [(1, "first"), (1, "second"), (1, "third")] if what == "SIGSTOP" else []
    trace = crew.striking.traces()[str(run["run_id"])]
    assert [began for began in trace if began not in woken or began in BEGUN[point]] == BEGUN[point]
