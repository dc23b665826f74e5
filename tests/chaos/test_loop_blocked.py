"""A node that blocks its worker's loop: neighbours are late, and it is told which graph it was."""

import os
import time

import pytest
import structlog

from beat_setting import wait_for
from server_faults import BAR_SECONDS, SECONDS, Installation

pytestmark = pytest.mark.xdist_group("stack")  # one installation serves them all

log = structlog.get_logger()  # the figures, seen with `pytest -s`

BLOCK_SECONDS = 30.0 if os.environ.get("OSTINATO_LONG") else 6.0


def test_neighbours_of_a_graph_that_blocks_are_late_and_not_lost(stack: Installation) -> None:
    (stack.folder / "block").write_text(str(BLOCK_SECONDS))
    cron = stack.make_cron()
    stack.go_on(cron)
    blocker = stack.make_cron(graph="stubborn", schedule="0 0 1 1 *", keep=True)

    def blocked() -> list[dict[str, object]]:
        return stack.db.all("SELECT * FROM worker WHERE loop_lag_ms > 0")

    (worker,) = wait_for(blocked, seconds=SECONDS)
    longest = 0.0
    while rows := blocked():
        longest = max(longest, rows[0]["loop_lag_ms"] / 1000)
        time.sleep(0.2)
    stack.go_on(cron)
    stack.end(cron, blocker)

    assert worker["blocked_graph"] == "stubborn"
    assert BLOCK_SECONDS / 2 < longest <= BLOCK_SECONDS + 1
    assert stack.account(cron) <= BLOCK_SECONDS + BAR_SECONDS
    (row,) = stack.ledger(blocker)
    assert (row["outcome"], stack.db.run_row(row["run_id"])["attempt"]) == ("success", 1)
    stack.assert_all_alive()
    log.info("loop_was_blocked", seconds=BLOCK_SECONDS, gauge=longest, late=stack.account(cron))
