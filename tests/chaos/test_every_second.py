"""An every-second cron while a beat is killed, each process restarted in turn, Redis emptied: each second once.

`OSTINATO_LONG=1 python -m pytest -s tests/chaos/test_every_second.py` goes on for five minutes and prints its figures.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_sync_client
from redis import Redis

from beat_setting import wait_for
from operator_processes import SECONDS, Processes, operated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from worker_setting import Database

LONG_SECONDS = 300 if os.environ.get("OSTINATO_LONG") else 0
INPUT = {"messages": [{"role": "user", "content": "What time is it?"}]}
NAMES = ("api-1", "api-2", "beat-1", "beat-2", "worker-1", "worker-2")
LEDGER = """
SELECT firing_id, extract(epoch FROM fire_time)::bigint AS first, extract(epoch FROM missed_until)::bigint AS until,
       outcome, reason, missed_count, lag_ms
FROM firing WHERE cron_id = %s ORDER BY fire_time
"""
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def processes(tmp_path: Path, database_uri: str, redis_uri: str) -> Iterator[Processes]:
    with operated(tmp_path, database_uri, redis_uri) as processes:
        processes.start(*NAMES)
        yield processes


class Caller(threading.Thread):
    """A client that makes threads all the time, of whichever api answers."""

    def __init__(self, urls: list[str]) -> None:
        super().__init__()
        self.urls, self.over = urls, threading.Event()
        self.answered: set[str] = set()
        self.failed: list[str] = []

    def run(self) -> None:
        while not self.over.wait(0.02):
            self.call(str(uuid4()))

    def call(self, thread_id: str) -> None:
        said = []
        for url in self.urls:
            try:
                answer = httpx.post(
                    f"{url}/threads", json={"thread_id": thread_id, "if_exists": "do_nothing"}, timeout=SECONDS
                )
            except httpx.TransportError as error:
                said.append(repr(error))
                continue
            if answer.status_code == 200:
                self.answered.add(thread_id)
                return
            said.append(answer.text)
        self.failed.append(f"{thread_id}: {said}")


def take_over(processes: Processes) -> None:
    """kill -9 of the leading beat; its supervisor starts it anew."""
    killed = wait_for(processes.leader)
    processes.kill(killed)
    wait_for(processes.leader, seconds=SECONDS)
    processes.start(killed)


def empty_redis(db: Database, redis_uri: str, cron_id: str) -> None:
    """FLUSHALL; returns when the cron fires again."""
    with Redis.from_url(redis_uri) as client:
        client.flushall()
    until = time.time() + 1
    wait_for(
        lambda: db.all("SELECT FROM firing WHERE cron_id = %s AND fire_time > to_timestamp(%s)", cron_id, until),
        seconds=SECONDS,
    )


def fires(db: Database, cron_id: str) -> bool:
    """Whether it has had a run lately, so that what comes next meets it in full swing."""
    return bool(db.all("SELECT FROM firing WHERE cron_id = %s AND outcome = 'success'"
                       " AND fire_time > clock_timestamp() - interval '3 s'", cron_id))  # fmt: skip


def disturb(db: Database, processes: Processes, redis_uri: str, cron_id: str) -> None:
    """Everything once."""
    for what in (
        partial(take_over, processes),
        *(partial(processes.restart, name) for name in NAMES),
        partial(empty_redis, db, redis_uri, cron_id),
    ):
        wait_for(lambda: fires(db, cron_id), seconds=SECONDS)
        what()


def end(db: Database, processes: Processes, cron_id: str) -> int:
    """Let the cron end in a while; its last fire time, once all its firings are settled."""
    last = int(time.time()) + 5
    with get_sync_client(url=processes.url()) as client:
        client.crons.update(cron_id, end_time=datetime.fromtimestamp(last, UTC))
    wait_for(
        lambda: (
            db.all("SELECT FROM cron WHERE cron_id = %s AND next_run_date IS NULL", cron_id)
            and not db.all("SELECT FROM firing WHERE cron_id = %s AND outcome IN ('due', 'started')", cron_id)
        ),
        seconds=SECONDS,
    )
    return last


def seconds_of(ledger: list[Any]) -> Counter[int]:
    """How often each second is accounted for."""
    return Counter(at for row in ledger for at in range(row["first"], (row["until"] or row["first"]) + 1))


def tell(ledger: list[Any], caller: Caller, cycles: int) -> None:
    gaps = [row for row in ledger if row["reason"] == "missed"]
    seconds = seconds_of(ledger)
    print(  # noqa: T201 - the figures of the long form
        f"\ncycles {cycles}, seconds {len(seconds)}, rows {len(ledger)}, gap rows {len(gaps)},"
        f" accounted for twice {sum(times > 1 for times in seconds.values())},"
        f" latest start {max(row['lag_ms'] or 0 for row in ledger)} ms,"
        f" more than 1 s late {sum((row['lag_ms'] or 0) > 1000 for row in ledger)},"
        f" requests {len(caller.answered)}, failed {len(caller.failed)}"
    )


def test_every_second_is_accounted_for_once(db: Database, processes: Processes, redis_uri: str) -> None:
    caller = Caller([processes.url("api-1"), processes.url("api-2")])
    caller.start()
    begun, cycles = time.monotonic(), 0
    try:
        with get_sync_client(url=processes.url()) as client:
            made = client.crons.create("trace", schedule="* * * * * *", input=INPUT, on_run_completed="keep")
            cron: dict[str, Any] = dict(made)
        cron_id = str(cron["cron_id"])
        while not cycles or time.monotonic() - begun < LONG_SECONDS:
            disturb(db, processes, redis_uri, cron_id)
            cycles += 1
        last = end(db, processes, cron_id)
    finally:
        caller.over.set()
        caller.join()

    ledger = db.all(LEDGER, cron_id)
    tell(ledger, caller, cycles)
    first = int(datetime.fromisoformat(cron["next_run_date"]).timestamp())
    assert seconds_of(ledger) == Counter(range(first, last + 1))

    started = [row for row in ledger if row["reason"] != "missed"]
    runs = db.all("SELECT firing_id, run_id::text, status, attempt FROM run WHERE cron_id = %s", cron_id)
    assert {row["outcome"] for row in started} == {run["status"] for run in runs} == {"success"}
    assert sorted(row["firing_id"] for row in started) == sorted(run["firing_id"] for run in runs)
    assert Counter(processes.trace()) == Counter((run["run_id"], run["attempt"]) for run in runs)

    assert caller.failed == []
    assert caller.answered <= {row["thread_id"] for row in db.all("SELECT thread_id::text FROM thread")}
