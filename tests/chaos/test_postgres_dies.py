"""Postgres is away for longer than a worker's lease: everything waits, and goes on."""

import time
from urllib.request import urlopen

import pytest
import structlog

from beat_setting import wait_for
from server_faults import BAR_SECONDS, LEASE_SECONDS, SECONDS, Installation

pytestmark = pytest.mark.xdist_group("stack")  # one installation serves them all

log = structlog.get_logger()  # the figures, seen with `pytest -s`

AWAY_SECONDS = 2 * LEASE_SECONDS


def test_all_goes_on_after_postgres_was_away(stack: Installation) -> None:
    going_on = stack.folder / "step"
    going_on.touch()
    (api,) = stack.start("api")
    cron = stack.make_cron()
    at = int(time.time()) + 2
    long_ones = [
        stack.make_cron(graph="stepping", schedule="0 0 1 1 *", at=at, durability=durability)
        for durability in ("sync", "async")
    ]
    stack.go_on(cron)
    wait_for(lambda: stack.started(long_ones[0]) and stack.started(long_ones[1]), seconds=SECONDS)

    began = time.monotonic()
    with stack.postgres_away():
        time.sleep(AWAY_SECONDS)
    away = time.monotonic() - began
    stack.go_on(cron)
    time.sleep(LEASE_SECONDS + 2)  # by now the sweep would have taken over whatever it thinks orphaned
    going_on.unlink()
    stack.end(cron, *long_ones)

    assert stack.account_with_gaps(cron) <= away + BAR_SECONDS
    (gap,) = stack.gaps(cron)  # beyond ten seconds one firing catches up, and one row stands for the rest
    assert gap <= away + BAR_SECONDS
    rows = [row for one in long_ones for row in stack.ledger(one)]
    runs = [stack.db.run_row(row["run_id"]) for row in rows]
    assert [(run["status"], run["attempt"]) for run in runs] == [("success", 1)] * 2
    with urlopen(f"http://127.0.0.1:{stack.port}/ok") as answer:
        assert answer.status == 200
    stack.assert_all_alive()
    stack.stop(api)
    log.info("postgres_was_away", seconds=away, late=stack.account_with_gaps(cron), gap=gap)
