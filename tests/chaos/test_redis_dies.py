"""Redis is emptied, restarted, and cut off: Postgres holds all that matters."""

import time
from collections import Counter

import pytest
import structlog

from beat_setting import wait_for
from server_faults import BAR_SECONDS, SECONDS, Installation

pytestmark = pytest.mark.xdist_group("stack")  # one installation serves them all

log = structlog.get_logger()  # the figures, seen with `pytest -s`

SCHEDULES = 200
QUEUED = 100
CUTS = 20
AWAY_SECONDS = 21.0  # stock Celery tries again 2, 6, 12, 20 and 30 s after it lost Redis


def test_emptied_redis_has_all_schedules_back(stack: Installation) -> None:
    later = int(time.time()) + 3600
    assistant = stack.db.assistant("quick")
    crons = [stack.make_cron(schedule="0 * * * *", at=later, assistant=assistant) for _ in range(SCHEDULES)]
    cron = stack.make_cron()
    wait_for(lambda: stack.entries(*crons) == SCHEDULES, seconds=SECONDS)
    stack.go_on(cron)

    stack.empty_redis()
    emptied = time.monotonic()
    wait_for(lambda: stack.entries(*crons, cron) == SCHEDULES + 1, seconds=SECONDS)
    back_after = time.monotonic() - emptied
    stack.go_on(cron)
    stack.end(cron)

    assert back_after <= BAR_SECONDS
    assert stack.account(cron) <= BAR_SECONDS
    stack.assert_all_alive()
    log.info("redis_was_emptied", schedules_back_after=back_after, late=stack.account(cron))


def test_firings_in_the_queue_of_an_emptied_redis_run_once(stack: Installation) -> None:
    stack.stop(*stack.of("worker"))
    assistant = stack.db.assistant("quick")
    once, yearly = int(time.time()) + 2, "0 0 1 1 *"
    crons = [stack.make_cron(schedule=yearly, at=once, assistant=assistant) for _ in range(QUEUED)]
    with stack.redis as redis:
        wait_for(lambda: redis.llen("ostinato") == QUEUED, seconds=SECONDS)

    stack.empty_redis()
    stack.start("worker", count=2)
    wait_for(lambda: all(row["outcome"] == "success" for cron in crons for row in stack.ledger(cron)), seconds=SECONDS)

    ran = Counter(stack.trace())
    rows = [row for cron in crons for row in stack.ledger(cron)]
    assert len(rows) == QUEUED
    assert {ran[str(row["run_id"])] for row in rows} == {1}


@pytest.mark.parametrize("keep_data", [True, False], ids=["with its data", "without"])
def test_all_goes_on_when_redis_is_restarted(stack: Installation, *, keep_data: bool) -> None:
    cron = stack.make_cron()
    stack.go_on(cron)

    away = stack.restart_redis(keep_data=keep_data)
    stack.go_on(cron)
    stack.end(cron)

    assert stack.account(cron) <= away + BAR_SECONDS
    stack.assert_all_alive()
    log.info("redis_was_away", seconds=away, with_data=keep_data, late=stack.account(cron))


def test_firings_start_soon_after_a_long_outage_of_redis(stack: Installation) -> None:
    cron = stack.make_cron()
    stack.go_on(cron)

    stack.restart_redis(keep_data=True, away=AWAY_SECONDS)
    back = time.time()
    stack.go_on(cron)
    stack.end(cron)

    first = min(row["at"] + row["late"] for row in stack.ledger(cron) if row["late"] and row["at"] + row["late"] > back)
    assert first - back <= BAR_SECONDS
    stack.assert_all_alive()
    log.info("redis_was_away_for_long", seconds=AWAY_SECONDS, first_firing_after=first - back)


def test_nothing_runs_twice_when_connections_are_cut(stack: Installation) -> None:
    crons = [stack.make_cron() for _ in range(5)]
    stack.go_on(*crons)

    cut = 0
    for _ in range(CUTS):
        cut += stack.cut_clients()
        time.sleep(0.2)  # the fault's own rhythm
    stack.go_on(*crons)
    stack.end(*crons)

    late = max(stack.account(cron) for cron in crons)
    assert late <= CUTS * 0.2 + BAR_SECONDS
    assert cut > CUTS
    stack.assert_all_alive()
    log.info("connections_were_cut", count=cut, late=late)
