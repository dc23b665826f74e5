"""Beats killed and frozen between ledger and queue, and between queue and claim; every second has its one run.

`OSTINATO_ROUNDS=20 python -m pytest tests/chaos` repeats each kill so many times.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from accounts import COUNT_ENDS, TABLES, EverySecond, everything, has_lost_its_lease
from beat_setting import wait_for
from worker_processes import SECONDS, Striking, Worker
from worker_setting import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUNDS = range(int(os.environ.get("OSTINATO_ROUNDS", "1")))
WORKER_LEASE_SECONDS = 5.0  # of workers that nobody strikes: they keep their runs on a busy machine, too
STRUCK_LEASE_SECONDS = 3.0


@pytest.fixture(scope="module")
def counting(database_uri: str) -> None:
    database = Database(database_uri)
    database.connection.execute(COUNT_ENDS)
    database.connection.close()


@pytest.fixture
def db(database_uri: str, counting: None) -> Iterator[Database]:  # noqa: ARG001 - its table is emptied here
    database = Database(database_uri)
    for table in (*TABLES, "ended", "worker"):
        database.do(f"DELETE FROM {table}")  # noqa: S608 - constants
    yield database
    database.connection.close()


@pytest.fixture
def redis(redis_uri: str) -> Iterator[Redis]:
    with Redis.from_url(redis_uri) as client:
        yield client


@pytest.fixture
def striking(tmp_path: Path) -> Striking:
    return Striking(tmp_path)


def find(pid: int, processes: list[Worker]) -> Worker:
    return next(one for one in processes if one.process.pid == pid)


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize("point", ["ledger", "sent"])
@pytest.mark.parametrize("what", ["SIGKILL", "SIGSTOP"])
def test_every_second_has_its_run_though_the_leading_beat_is_struck(
    db: Database, redis: Redis, database_uri: str, redis_uri: str, striking: Striking,
    *, what: str, point: str, round_: int,
) -> None:  # fmt: skip
    striking.lay(point, what)
    hold = striking.folder / "hold-popped"
    hold.touch()  # no worker claims before the beat has been struck
    lease = {"lease_seconds": WORKER_LEASE_SECONDS}
    with (
        striking.beats(database_uri, redis_uri, **lease) as beats,
        striking.workers(database_uri, redis_uri, count=1, **lease),
    ):
        seconds = EverySecond(db)
        pid = striking.wait_for_strike()
        assert {row["outcome"] for row in db.all("SELECT outcome FROM firing")} == {"due"}, round_
        hold.unlink()
        seconds.wait_for_the_end()

        leader = find(pid, beats)
        [standby] = [beat for beat in beats if beat is not leader]
        if what == "SIGSTOP":
            check_that_it_wakes_as_a_standby(db, redis, leader, standby)

    seconds.check(striking)


def check_that_it_wakes_as_a_standby(db: Database, redis: Redis, leader: Worker, standby: Worker) -> None:
    """It finds that another leads, changes nothing, and leads again once that one has gone."""
    before = everything(db, redis)
    leader.process.send_signal(signal.SIGCONT)
    leader.wait_for("lease_lost")
    assert everything(db, redis) == before
    assert standby.stop() == 0
    leader.wait_for("beat_leads", times=2)
    assert everything(db, redis) | {"lock": before["lock"]} == before
    assert leader.process.poll() is None


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize("what", ["SIGKILL", "SIGSTOP"])
def test_message_that_a_struck_worker_had_taken_is_sent_again(
    db: Database, redis: Redis, database_uri: str, redis_uri: str, striking: Striking, *, what: str, round_: int
) -> None:
    striking.lay("popped", what)
    lease = {"lease_seconds": STRUCK_LEASE_SECONDS}
    with (
        striking.beats(database_uri, redis_uri, count=1, **lease) as [beat],
        striking.workers(database_uri, redis_uri, **lease) as workers,
    ):
        seconds = EverySecond(db)
        pid = striking.wait_for_strike()
        seconds.wait_for_the_end()

        beat.wait_for("firings_sent_again")
        if what == "SIGSTOP":
            wait_for(lambda: has_lost_its_lease(db, pid), seconds=SECONDS)
            before = everything(db, redis)
            find(pid, workers).process.send_signal(signal.SIGCONT)
            striking.wait_for_mark("woken", "popped", pid)
            assert everything(db, redis) == before, round_

    seconds.check(striking)
