"""The leading beat is killed while a standby waits."""

import time

import pytest
import structlog

from server_faults import BAR_SECONDS, Installation

pytestmark = pytest.mark.xdist_group("stack")  # one installation serves them all

log = structlog.get_logger()  # the figures, seen with `pytest -s`


def test_standby_fires_on_when_the_leader_is_killed(stack: Installation) -> None:
    cron = stack.make_cron()
    stack.go_on(cron)
    leader, standby = stack.leader()

    leader.kill()
    stack.parts.remove(leader)
    killed = time.time()
    standby.wait_for("beat_leads")
    led_after = time.time() - killed
    stack.go_on(cron)
    stack.end(cron)
    stack.start("beat")

    assert stack.account(cron) <= BAR_SECONDS
    assert led_after <= BAR_SECONDS
    log.info("leader_killed", late=stack.account(cron), led_after=led_after)
