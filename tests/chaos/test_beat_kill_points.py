"""Beats killed and frozen between ledger and queue, and between queue and claim; every second has its one run.

`OSTINATO_ROUNDS=20 python -m pytest tests/chaos` repeats each kill so many times.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from accounts import COUNT_ENDS, EverySecond, everything, has_lost_its_lease
from beat_setting import wait_for
from worker_processes import ROUNDS, SECONDS
from worker_setting import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from crew import Crew
    from worker_processes import Worker

CREW = {"beats": 2}


@pytest.fixture(scope="module")
def db(database_uri: str) -> Iterator[Database]:
    database = Database(database_uri)
    database.connection.execute(COUNT_ENDS)
    yield database
    database.connection.close()


@pytest.mark.parametrize("what", ["SIGKILL", "SIGSTOP"])
@pytest.mark.parametrize("point", ["ledger", "sent"])
@pytest.mark.parametrize("round_", ROUNDS)
def test_every_second_has_its_run_though_the_leading_beat_is_struck(
    db: Database, redis: Redis, crew: Crew, *, what: str, point: str, round_: int
) -> None:
    hold = crew.striking.folder / "hold-popped"
    hold.touch()  # no worker claims before the beat has been struck
    crew.striking.lay(point, what)
    seconds = EverySecond(db)
    leader = crew.find(crew.striking.wait_for_strike())
    assert seconds.outcomes() == {"due"}, round_
    hold.unlink()
    seconds.wait_for_the_end()

    if what == "SIGSTOP":
        [standby] = [beat for beat in crew.beats if beat is not leader]
        check_that_it_wakes_as_a_standby(db, redis, leader, standby)
    seconds.check(crew.striking)


def check_that_it_wakes_as_a_standby(db: Database, redis: Redis, leader: Worker, standby: Worker) -> None:
    """It finds that another leads, changes nothing, and leads again once that one has gone."""
    before = everything(db, redis)
    leader.forget()
    leader.process.send_signal(signal.SIGCONT)
    leader.wait_for("lease_lost")
    assert everything(db, redis) == before
    assert standby.stop() == 0
    leader.wait_for("beat_leads")
    assert everything(db, redis) | {"lock": before["lock"]} == before
    assert leader.process.poll() is None


@pytest.mark.parametrize("what", ["SIGKILL", "SIGSTOP"])
@pytest.mark.parametrize("round_", ROUNDS)
def test_message_that_a_struck_worker_had_taken_is_sent_again(
    db: Database, redis: Redis, crew: Crew, *, what: str, round_: int
) -> None:
    for beat in crew.beats:
        beat.forget()
    crew.striking.lay("popped", what)
    seconds = EverySecond(db)
    pid = crew.striking.wait_for_strike()
    seconds.wait_for_the_end()

    assert any("firings_sent_again" in line for beat in crew.beats for line in beat.lines), round_
    if what == "SIGSTOP":
        wait_for(lambda: has_lost_its_lease(db, pid), seconds=SECONDS)
        before = everything(db, redis)
        crew.find(pid).process.send_signal(signal.SIGCONT)
        crew.striking.wait_for_mark("woken", "popped", pid)
        assert everything(db, redis) == before
    seconds.check(crew.striking)
