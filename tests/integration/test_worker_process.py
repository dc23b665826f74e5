"""A real worker process on a stock Celery, fed with messages as beat and the api make them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import redis

from ostinato_shared import broker
from ostinato_shared.ids import new_id
from worker_processes import PROGRAM, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from worker_setting import Database

GRAPH = """
import time
from langgraph.graph import StateGraph, START
def count(state: dict): return {"said": "done"}
async def count_async(state: dict): return {"said": "done"}
def hang(state: dict):
    print("the node has begun", flush=True)
    time.sleep(60)
    return {}
def one(node): return StateGraph(dict).add_node("node", node).add_edge(START, "node").compile()
graph, sync, hanging = one(count_async), one(count), one(hang)
"""
PROJECT = '{"graphs": {"async": "./g.py:graph", "sync": "./g.py:sync", "hanging": "./g.py:hanging"}}'


@contextmanager
def worker_process(folder: Path, database_uri: str, redis_uri: str) -> Iterator[Worker]:
    """A ready worker, started in a folder whose modules must never be imported."""
    hostile = folder / "hostile"
    for name in ("shared", "api", "worker", "celery", "kombu", "celeryconfig", "structlog"):
        (hostile / name).mkdir(parents=True)
        (hostile / name / "__init__.py").write_text("raise SystemExit('imported from the working directory')")
    (folder / "g.py").write_text(GRAPH)
    (folder / "langgraph.json").write_text(PROJECT)
    environment = os.environ | {
        "DATABASE_URI": database_uri, "REDIS_URI": redis_uri, "OSTINATO_CONFIG": str(folder / "langgraph.json"),
        "OSTINATO_SLOTS": "4", "OSTINATO_DRAIN_SECONDS": "0.5",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", PROGRAM], cwd=hostile, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    worker = Worker(process)
    try:
        worker.wait_for("worker_ready")
        yield worker
    finally:
        worker.kill()


def send(redis_uri: str, *messages: str) -> None:
    with redis.Redis.from_url(redis_uri) as client:
        client.lpush("ostinato", *messages)


def fire(db: Database, redis_uri: str, cron: UUID) -> UUID:
    fired = db.firing(cron)
    ledger = db.firing_row(fired)
    send(redis_uri, broker.fire_message(cron_id=cron, fire_time=ledger["fire_time"], firing_id=fired, name="daily"))
    return fired


def test_worker_fires_what_it_is_sent_and_ends_on_a_signal(
    db: Database, database_uri: str, redis_uri: str, tmp_path: Path
) -> None:
    with worker_process(tmp_path, database_uri, redis_uri) as worker:
        lease = db.one("SELECT *, expires_at - clock_timestamp() AS left FROM worker")
        assert (lease["pid"], lease["slots"]) == (worker.process.pid, 4)
        assert 24 < lease["left"].total_seconds() <= 30
        fired = [fire(db, redis_uri, db.cron(db.assistant(graph))) for graph in ("async", "sync")]
        newer = broker.run_message(uuid4()).replace('\\"v\\": 1', '\\"v\\": 99')
        malformed = broker.run_message(uuid4()).replace('\\"run_id\\"', '\\"walk_id\\"')
        waiting = db.enqueue(db.thread(), db.assistant("async"))
        send(redis_uri, newer, malformed, broker.run_message(waiting))
        for words in ("hint_too_new", "hint_malformed", f"run_id={waiting}"):
            worker.wait_for(words)
        for firing_id in fired:
            worker.wait_for(f"run_id={db.firing_row(firing_id)['run_id']}")

        assert worker.stop() == 0

    assert [db.firing_row(firing_id)["outcome"] for firing_id in fired] == ["success", "success"]
    assert db.run_row(waiting)["status"] == "success"
    assert db.all("SELECT FROM worker") == []
    assert not any("Traceback" in line or "imported from" in line for line in worker.lines)


def test_worker_whose_graph_hangs_hands_its_run_on_and_ends_in_time(
    db: Database, database_uri: str, redis_uri: str, tmp_path: Path
) -> None:
    with worker_process(tmp_path, database_uri, redis_uri) as worker:
        fired = db.firing(db.cron(db.assistant("hanging")))
        message = broker.fire_message(cron_id=new_id(), fire_time=db.firing_row(fired)["fire_time"], firing_id=fired)
        send(redis_uri, message)
        worker.wait_for("the node has begun")
        begun = time.monotonic()

        code = worker.stop(signal.SIGINT)

    assert code == 0
    assert time.monotonic() - begun < 15
    run = db.run_row(db.firing_row(fired)["run_id"])
    assert (run["status"], run["owner"]) == ("pending", None)
    assert db.firing_row(fired)["outcome"] == "started"
    assert db.all("SELECT FROM worker") == []
    with redis.Redis.from_url(redis_uri) as client:
        assert str(run["run_id"]) in str(client.lindex("ostinato", 0))
