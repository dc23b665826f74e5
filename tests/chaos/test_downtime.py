"""An hour in which nothing ran: all stored times are shifted back while all is stopped, then all starts again.

The rule: the times from the earliest unsettled one up to now, or up to the cron's end if that has passed, are one
catch-up firing for the first of them and one gap row for the rest. A cron that was disabled has none of them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from langgraph_sdk import get_sync_client
from psycopg import sql
from redis import Redis

from beat_setting import wait_for
from operator_processes import SECONDS, Processes, operated
from ostinato_beat.entries import SCHEDULE_KEY, key_of
from worker_setting import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langgraph_sdk.client import SyncLangGraphClient

    from ostinato_cli.embedded import EmbeddedValkey

HOUR = 3600
NAMES = ("api-1", "beat-1", "worker-1")
INPUT: dict[str, Any] = {"messages": [{"role": "user", "content": "What time is it?"}]}
FIRINGS = """
SELECT extract(epoch FROM fire_time)::bigint AS at, trigger, outcome, reason, run_id,
       extract(epoch FROM missed_until)::bigint AS until, missed_count AS count,
       extract(epoch FROM ended_at)::float8 AS ended
FROM firing WHERE cron_id = %s ORDER BY fire_time
"""
TIMES = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND data_type = 'timestamp with time zone'
"""
CRON = """
SELECT extract(epoch FROM next_run_date)::bigint AS next, extract(epoch FROM end_time)::bigint AS end
FROM cron WHERE cron_id = %s
"""
pytestmark = pytest.mark.timeout(300)


class Downtime:
    """What the crons, by names, were to fire first, and what came of it."""

    def __init__(self, db: Database, redis: Redis, processes: Processes) -> None:
        self.db, self.redis, self.processes = db, redis, processes
        self.crons: dict[str, str] = {}
        self.first: dict[str, int] = {}

    def client(self) -> SyncLangGraphClient:
        return get_sync_client(url=self.processes.url())

    def make_crons(self) -> None:
        now = datetime.now(UTC)
        wanted: dict[str, dict[str, Any]] = {
            "minutely": {"schedule": "* * * * *"},
            "ten seconds": {"schedule": "* * * * * */10"},
            "hourly": {"schedule": f"{(now + timedelta(minutes=30)).minute} * * * *"},
            "ended": {"schedule": "* * * * *", "end_time": now + timedelta(minutes=20)},
            "disabled": {"schedule": f"{(now + timedelta(minutes=5)).minute} * * * *"},  # due after the hour only
        }
        with self.client() as client:
            for name, fields in wanted.items():
                made = client.crons.create("trace", input=INPUT, on_run_completed="keep", **fields)
                self.crons[name] = str(dict(made)["cron_id"])
            thread = client.threads.create()["thread_id"]
            made = client.crons.create_for_thread(thread, "trace", schedule="* * * * *", input=INPUT)
            self.crons["thread"] = str(dict(made)["cron_id"])
        keys = [key_of(cron_id) for cron_id in self.crons.values()]
        wait_for(lambda: None not in self.redis.zmscore(SCHEDULE_KEY, keys), seconds=SECONDS)

    def go_down(self) -> None:
        """Stop all, beat before the one cron is disabled: its entry is still there."""
        self.processes.stop("beat-1")
        with self.client() as client:
            client.crons.update(self.crons["disabled"], enabled=False)
        self.processes.stop("api-1")
        wait_for(lambda: not self.db.all("SELECT FROM firing WHERE outcome = 'started'"), seconds=SECONDS)
        self.processes.stop("worker-1")

    def pass_an_hour(self) -> None:
        """As if it had passed: every time in Postgres and in Redis' schedule lies an hour further back."""
        for column in self.db.all(TIMES):
            table, name = sql.Identifier(column["table_name"]), sql.Identifier(column["column_name"])
            shift = sql.SQL("UPDATE {} SET {} = {} - interval '1 hour'").format(table, name, name)
            self.db.connection.execute(shift)
        for cron_id in self.crons.values():
            self.redis.zincrby(SCHEDULE_KEY, -HOUR, key_of(cron_id))
            for field in ("nominal", "end"):
                if self.redis.hget(key_of(cron_id), field):
                    self.redis.hincrby(key_of(cron_id), field, -HOUR)
        self.first = {name: self.cron(name)["next"] for name in self.crons}

    def come_up(self) -> None:
        self.processes.start(*NAMES)
        wait_for(self.has_caught_up, seconds=SECONDS)

    def has_caught_up(self) -> bool:
        """All is settled, and the quickest cron has gone on."""
        open_rows = self.db.all("SELECT FROM firing WHERE outcome IN ('due', 'started')")
        caught_up = self.db.all("SELECT FROM firing WHERE trigger = 'catchup'")
        gone_on = [row for row in self.firings("ten seconds") if row["outcome"] == "success"]
        return not open_rows and len(caught_up) == len(self.crons) - 1 and len(gone_on) > 1

    def cron(self, name: str) -> Any:
        return self.db.one(CRON, self.crons[name])

    def firings(self, name: str) -> list[Any]:
        """The ledger since the downtime began."""
        rows = self.db.all(FIRINGS, self.crons[name])
        return [row for row in rows if row["at"] >= self.first[name]] if self.first[name] else rows

    def runs(self, name: str) -> list[Any]:
        return self.db.all("SELECT run_id, thread_id, status, attempt FROM run WHERE cron_id = %s"
                           " AND extract(epoch FROM fire_time) >= %s", self.crons[name], self.first[name])  # fmt: skip


@pytest.fixture(scope="module")
def downtime(
    database_uri: str, valkey_server: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Downtime]:
    db = Database(database_uri)
    with (
        db.connection,
        Redis.from_url(valkey_server.uri, decode_responses=True) as redis,
        operated(tmp_path_factory.mktemp("downtime"), database_uri, valkey_server.uri) as processes,
    ):
        redis.flushall()
        downtime = Downtime(db, redis, processes)
        processes.start(*NAMES)
        downtime.make_crons()
        downtime.go_down()
        downtime.pass_an_hour()
        downtime.come_up()
        yield downtime


def check_catch_up(row: Any, downtime: Downtime, name: str) -> None:
    assert (row["at"], row["trigger"], row["outcome"]) == (downtime.first[name], "catchup", "success")
    [run] = [run for run in downtime.runs(name) if run["run_id"] == row["run_id"]]
    assert (run["status"], run["attempt"]) == ("success", 1)
    assert downtime.processes.trace().count((str(run["run_id"]), 1)) == 1


def check_gap(row: Any, *, first: int, until: int, step: int) -> None:
    assert (row["trigger"], row["outcome"], row["reason"], row["run_id"]) == ("schedule", "skipped", "missed", None)
    assert (row["at"], row["until"], row["count"]) == (first, until, (until - first) // step + 1)


@pytest.mark.parametrize(("name", "step"), [("minutely", 60), ("ten seconds", 10), ("thread", 60)])
def test_one_firing_and_one_gap_row_then_the_schedule_goes_on(downtime: Downtime, name: str, step: int) -> None:
    caught_up, gap, *later = downtime.firings(name)
    following = downtime.cron(name)["next"]

    check_catch_up(caught_up, downtime, name)
    check_gap(gap, first=downtime.first[name] + step, until=gap["until"], step=step)
    assert gap["until"] + step > gap["ended"] - 2 > gap["until"] - 4  # the last time before beat came to it
    assert [row["at"] for row in later] == list(range(gap["until"] + step, following, step))
    assert {row["trigger"] for row in later} <= {"schedule"}
    assert len(downtime.runs(name)) == 1 + len(later)


def test_a_cron_that_missed_one_time_has_no_gap(downtime: Downtime) -> None:
    [caught_up] = downtime.firings("hourly")

    check_catch_up(caught_up, downtime, "hourly")
    assert downtime.cron("hourly")["next"] == downtime.first["hourly"] + HOUR


def test_a_cron_that_ended_meanwhile_catches_up_for_the_times_before_its_end_and_no_others(downtime: Downtime) -> None:
    caught_up, gap = downtime.firings("ended")
    ended = downtime.cron("ended")

    check_catch_up(caught_up, downtime, "ended")
    check_gap(gap, first=downtime.first["ended"] + 60, until=ended["end"] // 60 * 60, step=60)
    assert ended["next"] is None
    assert downtime.redis.zscore(SCHEDULE_KEY, key_of(downtime.crons["ended"])) is None


def test_a_disabled_cron_owes_nothing_even_when_it_is_enabled_again(downtime: Downtime) -> None:
    disabled = downtime.crons["disabled"]
    assert downtime.firings("disabled") == []
    assert downtime.redis.zscore(SCHEDULE_KEY, key_of(disabled)) is None

    with downtime.client() as client:
        enabled = dict(client.crons.update(disabled, enabled=True))

    assert datetime.fromisoformat(str(enabled["next_run_date"])) > datetime.now(UTC) - timedelta(seconds=SECONDS)
    wait_for(lambda: downtime.redis.zscore(SCHEDULE_KEY, key_of(disabled)), seconds=SECONDS)
    assert [row for row in downtime.firings("disabled") if row["trigger"] == "catchup" or row["reason"]] == []
