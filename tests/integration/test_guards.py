"""Guards at the claim and at the end of runs: alone, and raced, on a real Postgres."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Barrier
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from ostinato_api.schemas.crons import CronOut
from ostinato_shared.ids import new_id
from ostinato_worker import firing
from ostinato_worker.runtime import Runtime
from worker_setting import Database, running, yesterday

ROUNDS = 40
CLAIM = "SELECT outcome, reason FROM ostinato_claim(%s, %s, %s, %s)"


@pytest.fixture
def racers(database_uri: str) -> Iterator[list[psycopg.Connection[Any]]]:
    """Connections of as many workers."""
    opened = [psycopg.connect(database_uri, autocommit=True, row_factory=dict_row) for _ in range(5)]
    yield opened
    for connection in opened:
        connection.close()


def guarded(db: Database, graph: str = "count", **policy: object) -> UUID:
    return db.cron(db.assistant(graph), metadata={"ostinato": policy})


def cron_row(db: Database, cron: UUID) -> dict[str, Any]:
    return db.one("SELECT * FROM cron WHERE cron_id = %s", cron)


def events(db: Database, cron: UUID) -> list[dict[str, Any]]:
    return db.all("SELECT * FROM cron_event WHERE cron_id = %s ORDER BY event_id", cron)


def claim(db: Database, fired: UUID) -> tuple[str, str | None]:
    row = db.one(CLAIM, fired, new_id(), new_id(), new_id())
    return row["outcome"], row["reason"]


def fire_times(db: Database, cron: UUID, count: int) -> list[UUID]:
    return [db.firing(cron, due_in=-1 - number) for number in range(count)]


def race(racers: list[psycopg.Connection[Any]], fired: list[UUID]) -> list[tuple[str, str | None]]:
    """What becomes of these firings when they are claimed at one moment."""
    barrier = Barrier(len(fired))

    def claim_one(connection: psycopg.Connection[Any], firing_id: UUID) -> tuple[str, str | None]:
        barrier.wait()
        row = connection.execute(CLAIM, (firing_id, new_id(), new_id(), new_id())).fetchone()
        assert row is not None
        return row["outcome"], row["reason"]

    with ThreadPoolExecutor(len(fired)) as threads:
        return list(threads.map(claim_one, racers, fired))


def end(db: Database, fired: UUID, *, status: str = "success", error: object = None) -> None:
    run = db.one("SELECT * FROM run WHERE firing_id = %s", fired)
    db.one(
        "SELECT * FROM ostinato_finish(%s, %s, %s, %s, 'idle', '{}', '{}', %s, null)",
        run["run_id"], run["owner"], run["attempt"], status, error and json.dumps(error),
    )  # fmt: skip


def test_a_fire_time_skips_while_the_crons_run_lives(db: Database) -> None:
    cron = guarded(db, overlap="skip")
    first, second, third = fire_times(db, cron, 3)

    assert claim(db, first) == ("started", None)
    assert claim(db, second) == ("skipped", "overlap")
    end(db, first)
    assert claim(db, third) == ("started", None)

    skipped = db.firing_row(second)
    assert (skipped["outcome"], skipped["reason"], skipped["run_id"]) == ("skipped", "overlap", None)
    assert skipped["ended_at"] is not None


def test_a_run_that_waits_on_its_thread_is_an_overlap_too(db: Database) -> None:
    thread, assistant = db.thread(), db.assistant()
    db.enqueue(thread, assistant)
    cron = db.cron(assistant, thread_id=thread, metadata={"ostinato": {"overlap": "skip"}})
    first, second = fire_times(db, cron, 2)

    assert claim(db, first) == ("started", "queued")
    assert claim(db, second) == ("skipped", "overlap")


def test_runs_of_other_crons_are_no_overlap(db: Database) -> None:
    assistant = db.assistant()
    crons = [db.cron(assistant, metadata={"ostinato": {"overlap": "skip"}}) for _ in range(2)]

    assert [claim(db, db.firing(cron)) for cron in crons] == [("started", None)] * 2


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_racing_workers_start_one_run_of_a_cron_that_skips(
    db: Database, racers: list[psycopg.Connection[Any]], round_: int
) -> None:
    cron = guarded(db, overlap="skip")

    became = race(racers, fire_times(db, cron, len(racers)))

    assert sorted(became, key=str) == [("skipped", "overlap")] * 4 + [("started", None)], round_


def test_two_workers_run_one_of_many_fire_times(db: Database, database_uri: str, redis_uri: str) -> None:
    with running(database_uri, redis_uri) as one, running(database_uri, redis_uri) as other:
        for _ in range(10):
            fired = fire_times(db, guarded(db, overlap="skip"), 4)
            with ThreadPoolExecutor(len(fired)) as threads:
                list(
                    threads.map(lambda pair: pair[0].run(firing.fire(*pair)), zip([one, other] * 2, fired, strict=True))
                )

            spans = [db.firing_row(each) for each in fired]
            ran = sorted((row for row in spans if row["outcome"] == "success"), key=lambda row: row["started_at"])
            assert ran
            assert {row["reason"] for row in spans if row["outcome"] != "success"} <= {"overlap"}
            for earlier, later in pairwise(ran):
                assert earlier["ended_at"] <= later["started_at"]


def test_the_last_of_max_runs_pauses_the_cron(db: Database) -> None:
    cron = guarded(db, max_runs=2)
    first, second, third = fire_times(db, cron, 3)

    assert claim(db, first) == ("started", None)
    assert cron_row(db, cron)["enabled"]
    assert claim(db, second) == ("started", None)

    row = cron_row(db, cron)
    assert (row["enabled"], row["paused_by"], row["run_count"], row["revision"]) == (False, "max_runs", 2, 2)
    assert row["note"] == "paused after the last of its 2 runs (max_runs)"
    [event] = events(db, cron)
    assert (event["kind"], event["revision"], event["note"]) == ("paused", 2, row["note"])
    assert len(db.all("SELECT FROM outbox WHERE cron_id = %s", cron)) == 1
    assert claim(db, third) == ("skipped", "max_runs")
    assert len(events(db, cron)) == 1


def test_the_event_of_a_pause_shows_the_cron_as_the_api_does(db: Database) -> None:
    cron = guarded(db, max_runs=1)
    db.do("UPDATE cron SET next_run_date = '2030-01-31 12:00:00+02', timezone = 'UTC' WHERE cron_id = %s", cron)

    claim(db, db.firing(cron))

    shown = CronOut.model_validate({**cron_row(db, cron)}).model_dump(mode="json")
    [event] = events(db, cron)
    assert CronOut.model_validate(event["snapshot"]).model_dump(mode="json") == shown
    assert event["snapshot"].keys() == shown.keys()
    assert event["snapshot"]["next_run_date"] == shown["next_run_date"] == "2030-01-31T10:00:00+00:00"
    assert shown["payload"]["enabled"] is False


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_racing_workers_start_no_more_than_max_runs(
    db: Database, racers: list[psycopg.Connection[Any]], round_: int
) -> None:
    cron = guarded(db, max_runs=2)

    became = race(racers, fire_times(db, cron, len(racers)))

    assert sorted(became, key=str) == [("skipped", "max_runs")] * 3 + [("started", None)] * 2, round_
    assert [event["kind"] for event in events(db, cron)] == ["paused"]
    assert cron_row(db, cron)["run_count"] == 2


def test_skips_use_up_no_run(db: Database) -> None:
    cron = guarded(db, max_runs=2, overlap="skip")
    first, second, third = fire_times(db, cron, 3)

    assert [claim(db, one) for one in (first, second)] == [("started", None), ("skipped", "overlap")]
    end(db, first)
    assert claim(db, third) == ("started", None)


def test_a_limit_lowered_below_the_count_pauses_at_the_next_fire_time(db: Database) -> None:
    cron = guarded(db, max_runs=1)
    db.do("UPDATE cron SET run_count = 3 WHERE cron_id = %s", cron)

    assert claim(db, db.firing(cron)) == ("skipped", "max_runs")

    row = cron_row(db, cron)
    assert (row["enabled"], row["paused_by"], row["run_count"]) == (False, "max_runs", 3)


def test_a_fire_time_that_had_come_when_a_guard_paused_the_cron_is_on_record(db: Database) -> None:
    cron = guarded(db, max_runs=1)
    db.do("UPDATE cron SET next_run_date = date_trunc('second', now()) WHERE cron_id = %s", cron)

    claim(db, db.firing(cron, due_in=-60))

    row = cron_row(db, cron)
    owed = db.one("SELECT * FROM firing WHERE cron_id = %s AND fire_time = %s", cron, row["next_run_date"])
    assert (owed["outcome"], owed["reason"], owed["cron_revision"]) == ("skipped", "max_runs", 1)


def test_manual_firings_pass_all_guards_but_overlap(db: Database) -> None:
    cron = guarded(db, max_runs=1, overlap="skip")
    db.do("UPDATE cron SET enabled = false, run_count = 1, end_time = %s WHERE cron_id = %s", yesterday(), cron)
    first, second = (db.firing(cron, due_in=-number, trigger="manual") for number in (1, 2))
    db.do("UPDATE firing SET input = %s WHERE cron_id = %s", json.dumps({"seen": ["mine"]}), cron)

    assert claim(db, first) == ("started", None)
    assert claim(db, second) == ("skipped", "overlap")

    run = db.one("SELECT * FROM run WHERE firing_id = %s", first)
    assert run["kwargs"]["input"] == {"seen": ["mine"]}
    assert db.firing_row(first)["input"] is db.firing_row(second)["input"] is None
    assert cron_row(db, cron)["run_count"] == 1


def test_a_cron_without_guards_is_claimed_while_its_row_is_locked(
    db: Database, racers: list[psycopg.Connection[Any]]
) -> None:
    cron = guarded(db, timeout="PT1H", pause_after_failures=3)
    fired = db.firing(cron)
    racers[0].execute("SET lock_timeout = '10s'")
    with db.connection.transaction():
        db.one("SELECT FROM cron WHERE cron_id = %s FOR UPDATE", cron)
        row = racers[0].execute(CLAIM, (fired, new_id(), new_id(), new_id())).fetchone()

    assert row == {"outcome": "started", "reason": None}


def test_failures_in_a_row_pause_the_cron(db: Database, worker: Runtime) -> None:
    cron = guarded(db, "error", pause_after_failures=3)

    for number in range(3):
        assert cron_row(db, cron)["enabled"]
        worker.run(firing.fire(worker, db.firing(cron, due_in=-1 - number)))

    row = cron_row(db, cron)
    assert (row["enabled"], row["paused_by"], row["consecutive_failures"], row["revision"]) == (
        False, "pause_after_failures", 3, 2
    )  # fmt: skip
    assert row["note"] == "paused after 3 failures in a row; last: ValueError: boom \ufffd of the node"
    [event] = events(db, cron)
    assert (event["kind"], event["note"]) == ("paused", row["note"])
    assert len(db.all("SELECT FROM outbox WHERE cron_id = %s", cron)) == 1
    assert claim(db, db.firing(cron, due_in=-10)) == ("skipped", "disabled")


def test_a_success_between_two_failures_starts_the_count_again(db: Database) -> None:
    cron = guarded(db, pause_after_failures=2)
    fired = fire_times(db, cron, 4)
    for one, status in zip(fired, ["error", "success", "timeout", "interrupted"], strict=True):
        claim(db, one)
        end(db, one, status=status, error={"error": "E", "message": "m"} if status in {"error", "timeout"} else None)

    assert (cron_row(db, cron)["enabled"], cron_row(db, cron)["consecutive_failures"]) == (True, 1)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_runs_that_fail_at_once_pause_the_cron_once(
    db: Database, racers: list[psycopg.Connection[Any]], round_: int
) -> None:
    cron = guarded(db, pause_after_failures=2)
    fired = fire_times(db, cron, len(racers))
    for one in fired:
        claim(db, one)
    barrier = Barrier(len(fired))

    def fail(connection: psycopg.Connection[Any], firing_id: UUID) -> None:
        own = object.__new__(Database)
        own.connection = connection
        barrier.wait()
        end(own, firing_id, status="error", error={"error": "Boom", "message": "\nfirst\nsecond"})

    with ThreadPoolExecutor(len(fired)) as threads:
        list(threads.map(fail, racers, fired))

    row = cron_row(db, cron)
    assert (row["enabled"], row["consecutive_failures"], row["revision"]) == (False, len(racers), 2), round_
    assert row["note"] == "paused after 2 failures in a row; last: Boom: first"
    assert [event["kind"] for event in events(db, cron)] == ["paused"]
    assert {db.firing_row(one)["error"]["message"] for one in fired} == {"first"}


def test_a_run_whose_workers_were_lost_counts_as_a_failure(db: Database) -> None:
    cron = guarded(db, pause_after_failures=1)
    fired = db.firing(cron)
    claim(db, fired)
    run = db.one("SELECT * FROM run WHERE firing_id = %s", fired)

    taken = db.one("SELECT verdict FROM ostinato_take_over(%s, 1)", run["run_id"])

    row = cron_row(db, cron)
    assert (taken["verdict"], row["enabled"], row["paused_by"]) == ("ended", False, "pause_after_failures")
    assert row["note"] == (
        "paused after 1 failure in a row; last: WorkerLostError: "
        "worker_lost: the worker process that ran it died, or lost its lease, 1 times."
    )


def test_output_outlives_the_thread(db: Database, worker: Runtime) -> None:
    fired = db.firing(db.cron(db.assistant("answer"), keep=False, input={"messages": []}))

    worker.run(firing.fire(worker, fired))
    db.one("SELECT ostinato_delete_thread(%s, true)", db.firing_row(fired)["thread_id"])

    ledger = db.firing_row(fired)
    assert (ledger["outcome"], ledger["output"]) == ("success", "It is noon.")
