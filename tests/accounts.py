"""Crons of every second, and the account of their fire times: in Postgres, and in the file that the nodes write."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from beat_setting import wait_for
from worker_processes import SECONDS

if TYPE_CHECKING:
    from uuid import UUID

    from redis import Redis

    from worker_processes import Striking
    from worker_setting import Database

NODES: Final = ("first", "second", "third")
# How often a run ended, counted by the database itself.
COUNT_ENDS: Final = """
CREATE TABLE ended (run_id uuid NOT NULL);
CREATE FUNCTION count_end() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO ended VALUES (new.run_id); RETURN NULL; END';
CREATE TRIGGER count_end AFTER UPDATE OF status ON run FOR EACH ROW
    WHEN (old.status IN ('pending', 'running') AND new.status NOT IN ('pending', 'running'))
    EXECUTE FUNCTION count_end();
"""
TABLES: Final = (
    "assistant", "cron", "cron_event", "firing", "run", "thread", "outbox", "webhook_delivery", "checkpoints",
    "checkpoint_blobs", "checkpoint_writes",
)  # fmt: skip


class EverySecond:
    """Crons with a fire time in each second from `first` to `last`."""

    def __init__(self, db: Database, *, count: int = 2, seconds: int = 4, **options: Any) -> None:
        self.db = db
        self.first = int(time.time()) + 2
        self.last = self.first + seconds - 1
        self.times = list(range(self.first, self.last + 1))
        self.crons = [self._make(**options) for _ in range(count)]

    def _make(self, **options: Any) -> UUID:
        cron_id = self.db.cron(self.db.assistant("steps"), **options)
        self.db.do(
            "WITH told AS (INSERT INTO outbox (cron_id) VALUES (%s))"
            " UPDATE cron SET schedule = '* * * * * *', next_run_date = to_timestamp(%s), end_time = to_timestamp(%s)"
            " WHERE cron_id = %s",
            cron_id, self.first, self.last, cron_id,
        )  # fmt: skip
        return cron_id

    def wait_for_the_end(self) -> None:
        """Wait until each of the times has a row, and none of the rows waits for anything."""
        wait_for(lambda: self._left() == 0, seconds=SECONDS)

    def outcomes(self) -> set[str]:
        """Those of the rows so far."""
        rows = self.db.all("SELECT outcome FROM firing WHERE cron_id = ANY(%s)", self.crons)
        return {row["outcome"] for row in rows}

    def _left(self) -> int:
        ended = self.db.one(
            "SELECT count(*) FROM firing WHERE cron_id = ANY(%s) AND outcome NOT IN ('due', 'started')", self.crons
        )
        return len(self.crons) * len(self.times) - int(ended["count"])

    def check(self, striking: Striking, *, attempts: int = 1) -> None:
        """Each time has one firing with one run, which ended once, in success; the nodes say the same."""
        firings = self.db.all(
            "SELECT cron_id, extract(epoch FROM fire_time)::bigint AS at, outcome FROM firing WHERE cron_id = ANY(%s)"
            " ORDER BY cron_id, at",
            self.crons,
        )
        assert [(row["cron_id"], row["at"], row["outcome"]) for row in firings] == [
            (cron_id, at, "success") for cron_id in sorted(self.crons) for at in self.times
        ]
        runs = self.db.all(
            "SELECT run.run_id, f.run_id AS of_firing, status, attempt, (SELECT count(*) FROM ended"
            " WHERE ended.run_id = run.run_id) AS ends, (SELECT metadata FROM checkpoints WHERE"
            " checkpoints.thread_id = run.thread_id::text ORDER BY checkpoint_id DESC LIMIT 1) AS head"
            " FROM run LEFT JOIN firing f USING (firing_id) WHERE run.cron_id = ANY(%s)",
            self.crons,
        )
        assert len(runs) == len(firings)
        assert all(run["of_firing"] == run["run_id"] for run in runs)
        assert {(run["status"], run["attempt"], run["ends"]) for run in runs} == {("success", attempts, 1)}
        assert {run["head"]["attempt"] for run in runs} == {attempts}
        ids = {str(run["run_id"]) for run in runs}
        traces = striking.traces()
        whole = [(attempts, name) for name in NODES]
        assert all(traces[run_id] == whole for run_id in ids), {run_id: traces.get(run_id) for run_id in ids}
        strangers = self.db.all("SELECT run_id FROM run WHERE NOT cron_id = ANY(%s)", self.crons)
        assert set(traces) <= ids | {str(run["run_id"]) for run in strangers}


def everything(db: Database, redis: Redis) -> dict[str, Any]:
    """All that a late process might spoil: every row, every entry, every message."""
    rows = {table: db.all(f"SELECT t.* FROM {table} t ORDER BY t::text") for table in TABLES}  # noqa: S608 - constants
    keys = sorted(key for key in redis.scan_iter("redbeat:*") if redis.type(key) == b"hash")
    return rows | {
        "entries": {key: redis.hgetall(key) for key in keys},
        "schedule": redis.zrange("redbeat::schedule", 0, -1, withscores=True),
        "lock": redis.get("redbeat::lock"),
        "messages": [redis.lrange(queue, 0, -1) for queue in ("ostinato", "ostinato.late")],
    }


def has_lost_its_lease(db: Database, pid: int) -> bool:
    """Whether the worker with this process id has been frozen for longer than its lease."""
    return bool(db.all("SELECT FROM worker WHERE pid = %s AND expires_at < clock_timestamp()", pid))
