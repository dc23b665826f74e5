"""What decides under the thread's lock, raced from all sides: writers, cancels, starts and finishes."""

import itertools
import json
import os
import random
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest

from ostinato_shared.queries.sweep import RIPEN
from worker_setting import Database

OWNER = uuid4()
ROUNDS = int(os.environ.get("OSTINATO_RACE_ROUNDS", "300"))
DELAY = 0.005  # seconds, of every seventh run
WRITERS = 16
LIVE = "SELECT status FROM run WHERE thread_id = %s AND status IN ('pending', 'running')"


class Queue:
    """The broker: what may be sent is sent at once, and never twice lost."""

    def __init__(self) -> None:
        self.messages: deque[UUID] = deque()

    def send(self, run_id: UUID | None) -> None:
        if run_id is not None:
            self.messages.append(run_id)


@contextmanager
def opened(database_uri: str) -> Iterator[Database]:
    database = Database(database_uri)
    try:
        yield database
    finally:
        database.connection.close()


def write(db: Database, queue: Queue, thread: UUID, assistant: UUID, *, strategy: str, delay: float) -> None:
    run_id = uuid4()
    verdict = db.one(
        "SELECT * FROM ostinato_enqueue(%s, %s, %s, %s, %s, 'keep', '', %s)",
        run_id, thread, assistant, json.dumps({"input": {}}), strategy, delay,
    )  # fmt: skip
    assert verdict["verdict"] in {"made", "thread_busy"}
    if verdict["ready"]:
        queue.send(run_id)


def cancel_one(db: Database, queue: Queue, thread: UUID) -> None:
    found = db.all("SELECT run_id FROM run WHERE thread_id = %s AND status IN ('pending', 'running')", thread)
    if found:
        action = random.choice(["interrupt", "rollback"])  # noqa: S311 - a test's dice
        run_id = random.choice(found)["run_id"]  # noqa: S311 - likewise
        for row in db.all("SELECT * FROM ostinato_cancel(%s, %s, %s, 'cancelled')", thread, run_id, action):
            queue.send(row["next_run_id"])


def work_one(db: Database, queue: Queue, thread: UUID) -> bool:
    """Take a message, start what may start, check that it is alone, and end it as its owner does."""
    try:
        message = queue.messages.popleft()
    except IndexError:
        return False
    for run in db.all("SELECT * FROM ostinato_start(%s, %s)", message, OWNER):
        end(db, queue, thread, run["run_id"], attempt=run["attempt"])
    return True


def end(db: Database, queue: Queue, thread: UUID, run_id: UUID, *, attempt: int) -> None:
    assert db.one("SELECT count(*) FROM run WHERE thread_id = %s AND status = 'running'", thread)["count"] == 1
    asked = db.one("SELECT cancel_requested FROM run WHERE run_id = %s", run_id)["cancel_requested"]
    finished = db.one(
        "SELECT * FROM ostinato_finish(%s, %s, %s, %s, %s, '{}', '{}', NULL, NULL)",
        *(run_id, OWNER, attempt, "interrupted" if asked else "success", "interrupted" if asked else "idle"),
    )
    queue.send(finished["next_run_id"])


def fire(db: Database, queue: Queue, thread: UUID, cron: UUID, *, ago: float) -> None:
    """A firing of a thread cron, as a worker claims it; one that may run at once is ended here."""
    fired, run_id = db.firing(cron, due_in=-ago), uuid4()
    claim = "SELECT (c.claimed).status FROM ostinato_claim(%s, %s, %s, %s) AS c"
    if db.one(claim, fired, run_id, uuid4(), OWNER)["status"] == "running":
        end(db, queue, thread, run_id, attempt=1)


def ripen(db: Database, queue: Queue) -> None:
    for row in db.connection.execute(RIPEN, {"limit": 5}).fetchall():
        queue.send(row["run_id"])


@pytest.mark.parametrize("strategy", ["enqueue", "interrupt", "rollback", "reject", "mixed"])
def test_writers_and_finishes_never_run_two_nor_forget_one(db: Database, database_uri: str, strategy: str) -> None:
    thread, assistant, queue = db.thread(), db.assistant(), Queue()
    done = threading.Event()
    strategies = ["enqueue", "interrupt", "rollback", "reject"] if strategy == "mixed" else [strategy]
    crons = [db.cron(assistant, thread_id=thread, multitask_strategy=name) for name in strategies]
    seconds = itertools.count(1)

    def repeat(step: Callable[[Database, int], object], rounds: int) -> None:
        with opened(database_uri) as own:
            for number in range(rounds):
                step(own, number)

    def work() -> None:
        with opened(database_uri) as own:
            while work_one(own, queue, thread) or not done.is_set():
                ripen(own, queue)

    def write_next(own: Database, number: int) -> None:
        turn = number % len(strategies)
        delay = DELAY if number % 7 == 0 else 0
        write(own, queue, thread, assistant, strategy=strategies[turn], delay=delay)
        fire(own, queue, thread, crons[turn], ago=next(seconds))

    with ThreadPoolExecutor(WRITERS + 4) as pool:
        workers = [pool.submit(work) for _ in range(2)]
        racers = [pool.submit(repeat, write_next, ROUNDS // WRITERS + 1) for _ in range(WRITERS)]
        racers += [pool.submit(repeat, lambda own, _: cancel_one(own, queue, thread), ROUNDS // 4) for _ in range(2)]
        try:
            for racer in racers:
                racer.result(600)
        finally:
            done.set()
        for worker in workers:
            worker.result(600)
    while db.all("SELECT FROM run WHERE waits_until IS NOT NULL AND status = 'pending'"):
        ripen(db, queue)
    while work_one(db, queue, thread):
        pass

    assert db.all(LIVE, thread) == []  # a forgotten one would lie here for ever
    assert db.thread_row(thread)["status"] in {"idle", "interrupted"}
    assert db.thread_row(thread)["active_run_id"] is None
    outcomes = db.all("SELECT outcome FROM firing WHERE cron_id = ANY(%s)", crons)
    assert {row["outcome"] for row in outcomes} <= {"success", "interrupted", "skipped"}
    assert len(outcomes) == WRITERS * (ROUNDS // WRITERS + 1)


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
def test_cancel_and_finish_at_one_instant_agree(db: Database, database_uri: str, action: str) -> None:
    assistant, outcomes = db.assistant(), set()
    with ThreadPoolExecutor(2) as pool, opened(database_uri) as one, opened(database_uri) as other:
        for _ in range(150):
            thread = db.thread()
            run_id, after = db.enqueue(thread, assistant), db.enqueue(thread, assistant)
            db.one("SELECT run_id FROM ostinato_start(%s, %s)", run_id, OWNER)
            barrier = threading.Barrier(2)
            cancel = pool.submit(_at, barrier, one, CANCEL, thread, run_id, action)
            finish = pool.submit(_at, barrier, other, FINISH, run_id, OWNER)

            (ended,) = finish.result(10)
            was_asked = bool(cancel.result(10))

            left = db.all("SELECT status FROM run WHERE run_id = %s", run_id)
            rolled_back = was_asked and action == "rollback"
            assert [row["status"] for row in left] == ([] if rolled_back else ["success"])
            assert ended["next_run_id"] == after
            assert db.thread_row(thread)["status"] == "busy"
            outcomes.add(was_asked)
    assert outcomes == {True, False}  # both orders were seen


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
def test_cancel_and_start_at_one_instant_agree(db: Database, database_uri: str, action: str) -> None:
    assistant, verdicts = db.assistant(), set()
    with ThreadPoolExecutor(2) as pool, opened(database_uri) as one, opened(database_uri) as other:
        for _ in range(150):
            thread = db.thread()
            run_id = db.enqueue(thread, assistant)
            barrier = threading.Barrier(2)
            cancel = pool.submit(_at, barrier, one, CANCEL, thread, run_id, action)
            start = pool.submit(_at, barrier, other, "SELECT * FROM ostinato_start(%s, %s)", run_id, OWNER)

            started = bool(start.result(10))
            (told,) = cancel.result(10)

            assert told["verdict"] == ("asked" if started else "ended")
            left = db.all("SELECT status, cancel_requested FROM run WHERE run_id = %s", run_id)
            if started:
                assert left == [{"status": "running", "cancel_requested": action}]
            else:
                assert left == ([{"status": "interrupted", "cancel_requested": None}] if action == "interrupt" else [])
                assert db.thread_row(thread)["status"] == "idle"
            verdicts.add(started)
    assert verdicts == {True, False}


CANCEL = "SELECT * FROM ostinato_cancel(%s, %s, %s, 'cancelled')"
FINISH = "SELECT * FROM ostinato_finish(%s, %s, 1, 'success', 'idle', '{}', '{}', NULL, NULL)"


def _at(barrier: threading.Barrier, db: Database, statement: str, *arguments: object) -> list[dict[str, object]]:
    barrier.wait(10)
    return db.all(statement, *arguments)
