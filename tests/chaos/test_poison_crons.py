"""Crons that cannot be claimed, run or evaluated: a healthy one fires on time, and each poison is on record."""

import time
from uuid import UUID

import pytest
import structlog

from beat_setting import wait_for
from ostinato_beat.entries import SCHEDULE_KEY, key_of
from server_faults import BAR_SECONDS, SECONDS, Installation

pytestmark = pytest.mark.xdist_group("stack")  # one installation serves them all

log = structlog.get_logger()  # the figures, seen with `pytest -s`
ONCE = "0 0 1 1 *"
# Of a cron's row, what the api never writes: how the firing ends, its reason, its error.
PAYLOADS = [
    ("7", "skipped", "invalid", "InvalidParameterValue"),
    ("null", "skipped", "invalid", "InvalidParameterValue"),
    ("[]", "error", None, "AttributeError"),
    ('{"input": 7}', "error", None, "InvalidUpdateError"),
    ('{"config": {"recursion_limit": "x"}}', "error", None, "TypeError"),
]


@pytest.fixture
def healthy(stack: Installation) -> UUID:
    cron = stack.make_cron()
    stack.go_on(cron, firings=1)
    return cron


def end_healthy(stack: Installation, cron: UUID) -> None:
    """It was on time all the while."""
    stack.go_on(cron)
    stack.end(cron)
    assert stack.account(cron) <= BAR_SECONDS
    stack.assert_all_alive()
    log.info("healthy_cron_beside_poison", late=stack.account(cron))


def test_firings_that_make_no_run_or_a_bad_one_say_why(stack: Installation, healthy: UUID) -> None:
    at = int(time.time()) + 2
    poisons = [(stack.make_cron(schedule=ONCE, at=at), *poison) for poison in PAYLOADS]
    for cron, payload, *_ in poisons:
        stack.db.do("UPDATE cron SET payload = %s::jsonb WHERE cron_id = %s", payload, cron)
    no_graph = stack.make_cron(schedule=ONCE, at=at, graph="gone")

    wait_for(lambda: all(row["ended_at"] for cron, *_ in poisons for row in stack.ledger(cron)), seconds=SECONDS)
    end_healthy(stack, healthy)

    for cron, *expected in [*poisons, (no_graph, "", "error", None, "UnknownGraphError")]:
        (row,) = stack.ledger(cron)
        assert [row["outcome"], row["reason"], row["error"]["error"]] == expected[1:], expected


def test_entry_that_was_broken_by_hand_is_mended(stack: Installation, healthy: UUID) -> None:
    at = int(time.time()) + 4
    broken = {
        field: stack.make_cron(schedule=ONCE, at=at) for field in ("rev", "nominal", "schedule", "timezone", "end")
    }
    gone = stack.make_cron(schedule=ONCE, at=at)
    wait_for(lambda: stack.entries(gone, *broken.values()) == len(broken) + 1, seconds=SECONDS)

    with stack.redis as redis:
        for field, cron in broken.items():
            redis.hset(key_of(str(cron)), field, "banana")
        redis.delete(key_of(str(gone)))
        redis.zadd(SCHEDULE_KEY, {"redbeat:banana": at - 1})
        redis.zadd(SCHEDULE_KEY, {key_of("00000000-0000-0000-0000-000000000000"): at - 1})
    wait_for(lambda: all(stack.started(cron) for cron in (gone, *broken.values())), seconds=SECONDS)
    end_healthy(stack, healthy)

    for cron in (gone, *broken.values()):
        (row,) = stack.ledger(cron)
        assert (row["outcome"], row["late"] <= BAR_SECONDS) == ("success", True)
    assert any(beat.says("entry_unreadable") for beat in stack.of("beat"))


def test_cron_whose_schedule_cannot_be_evaluated_is_parked_with_its_reason(stack: Installation, healthy: UUID) -> None:
    poison = stack.make_cron(schedule="banana", at=int(time.time()) + 1)

    wait_for(lambda: stack.db.one("SELECT fault FROM cron WHERE cron_id = %s", poison)["fault"], seconds=SECONDS)
    end_healthy(stack, healthy)

    fault = stack.db.one("SELECT fault FROM cron WHERE cron_id = %s", poison)["fault"]
    assert "banana" in fault
    (event,) = stack.db.all("SELECT * FROM cron_event WHERE cron_id = %s AND kind = 'parked'", poison)
    assert event["snapshot"]["fault"] == fault
    assert stack.ledger(poison) == []
