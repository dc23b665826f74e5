"""The thread's lock: two that decide on one thread at one instant, and the damage as soon as it is taken away."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import UUID

import psycopg
import pytest

from beat_setting import wait_for
from ostinato_shared.ids import new_id
from taking_away import functions_without
from worker_setting import Database

THREAD_LOCK = r"(?<=\S) FOR UPDATE(?=;)"
LOCKING = ("ostinato_claim", "ostinato_enqueue", "ostinato_start", "ostinato_end_run")
ENQUEUE = "SELECT * FROM ostinato_enqueue(%s, %s, %s, '{}', 'enqueue', 'keep', '')"
START = "SELECT * FROM ostinato_start(%s, %s)"
FINISH = "SELECT * FROM ostinato_finish(%s, %s, 1, 'success', 'idle', '{}', '{}', NULL, NULL)"
CLAIM = "SELECT outcome, (claimed).status FROM ostinato_claim(%s, %s, %s, %s)"

Statement = tuple[str, list[object]]
Meeting = Callable[[Statement, Statement], tuple[Any, Any]]


@pytest.fixture
def without_lock(db: Database) -> Iterator[None]:
    with functions_without(db, dict.fromkeys(LOCKING, THREAD_LOCK)):
        yield


@pytest.fixture
def meet(db: Database, database_uri: str) -> Iterator[Meeting]:
    """What comes of two statements when the second has run into the first, which commits only then."""
    first, second = Database(database_uri), Database(database_uri)

    def waits() -> bool:
        pid = second.connection.info.backend_pid
        return bool(db.one("SELECT cardinality(pg_blocking_pids(%s)) AS number", pid)["number"])

    def run(one: Statement, other: Statement) -> tuple[Any, Any]:
        with ThreadPoolExecutor(1) as pool:
            with first.connection.transaction():
                told = first.all(one[0], *one[1])
                late = pool.submit(second.all, other[0], *other[1])
                wait_for(lambda: waits() or late.done())
            return told, late.result(30)

    with closing(first.connection), closing(second.connection):
        yield run


def running_run(db: Database, thread: UUID, owner: UUID) -> UUID:
    run_id = db.enqueue(thread, db.assistant())
    assert db.one(START, run_id, owner)["run_id"] == run_id
    return run_id


def who_sends_the_next_run(db: Database, meet: Meeting) -> tuple[bool, bool]:
    """Whether finish, and whether enqueue, takes it upon itself to send a run that came while the last one ended."""
    thread, owner, after = db.thread(), new_id(), new_id()
    run_id = running_run(db, thread, owner)
    finished, enqueued = meet((FINISH, [run_id, owner]), (ENQUEUE, [after, thread, db.assistant()]))
    return finished[0]["next_run_id"] is not None, enqueued[0]["ready"]


def attempts_that_started(db: Database, meet: Meeting) -> list[int]:
    """The attempts of one run that two workers hold, who took the messages of a thread's two pending runs."""
    thread, assistant = db.thread(), db.assistant()
    one, other = db.enqueue(thread, assistant), db.enqueue(thread, assistant)
    started, also = meet((START, [one, new_id()]), (START, [other, new_id()]))
    assert {row["run_id"] for row in started + also} == {one}
    return [row["attempt"] for row in started + also]


def runs_of_two_firings(db: Database, meet: Meeting) -> list[str]:
    """How the runs of two firings stand that were claimed for one idle thread."""
    assistant, thread = db.assistant(), db.thread()
    fired = [db.firing(db.cron(assistant, thread_id=thread)) for _ in range(2)]
    claimed = meet(*((CLAIM, [firing, new_id(), new_id(), new_id()]) for firing in fired))
    return [rows[0]["status"] for rows in claimed]


def test_thread_lock_lets_no_pending_run_be_forgotten(db: Database, meet: Meeting) -> None:
    assert who_sends_the_next_run(db, meet) == (False, True)


@pytest.mark.usefixtures("without_lock")
def test_without_the_thread_lock_a_pending_run_is_forgotten(db: Database, meet: Meeting) -> None:
    assert who_sends_the_next_run(db, meet) == (False, False)


def test_thread_lock_lets_one_worker_start_a_run(db: Database, meet: Meeting) -> None:
    assert attempts_that_started(db, meet) == [1]


@pytest.mark.usefixtures("without_lock")
def test_without_the_thread_lock_two_workers_execute_one_run(db: Database, meet: Meeting) -> None:
    assert attempts_that_started(db, meet) == [1, 2]


def test_thread_lock_queues_the_second_of_two_firings(db: Database, meet: Meeting) -> None:
    assert runs_of_two_firings(db, meet) == ["running", "pending"]


@pytest.mark.usefixtures("without_lock")
def test_without_the_thread_lock_only_the_unique_index_stops_a_second_live_run(db: Database, meet: Meeting) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation, match="uq_run_running"):
        runs_of_two_firings(db, meet)
