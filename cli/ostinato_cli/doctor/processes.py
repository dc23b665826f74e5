"""Beat and workers: whether anybody fires, and whether anybody runs what was fired."""

import time
from typing import Any, LiteralString

import redis

from ostinato_beat.entries import LOCK_KEY
from ostinato_cli.doctor.findings import Finding, Level
from ostinato_cli.doctor.servers import Connection

TAKEOVER_SECONDS = 4.0  # between two leaders there may be none
POLL_SECONDS = 0.1

DUE_WARN_SECONDS = 30
DUE_FAIL_SECONDS = 300
LATE_SECONDS = 15
BLOCKED_ADVICE = (
    "Move the node's blocking calls to a thread (asyncio.to_thread), or make it a plain `def`: those run in threads."
)

# A worker that has ended lets its lease expire: only those that hold one are alive.
_WORKERS = """
SELECT count(*), count(DISTINCT hostname), coalesce(sum(slots), 0) FROM worker WHERE expires_at > clock_timestamp()
"""
# What a worker's last heartbeat said.
_BLOCKED = """
SELECT blocked_graph, hostname, pid, loop_lag_ms / 1000 FROM worker
WHERE expires_at > clock_timestamp() AND loop_lag_ms > 0 ORDER BY loop_lag_ms DESC LIMIT 1
"""
# By due_at: a catch-up firing stands for a time long ago.
_DUE = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0)::float8 FROM firing
WHERE outcome = 'due' AND due_at < clock_timestamp() - make_interval(secs => %s)
"""
_LATE = """
SELECT count(*) FROM cron
WHERE enabled AND fault IS NULL AND next_run_date < clock_timestamp() - make_interval(secs => %s)
    AND (end_time IS NULL OR next_run_date <= end_time)
"""
_PARKED = "SELECT count(*) FROM cron WHERE enabled AND fault IS NOT NULL"


def examine_beat(client: redis.Redis) -> Finding:
    """Whether a beat holds the lease."""
    until = time.monotonic() + TAKEOVER_SECONDS
    while not client.exists(LOCK_KEY):
        if time.monotonic() > until:
            return Finding("beat", Level.FAIL, "none leads, so nothing fires", "Start `ostinato beat`, better two.")
        time.sleep(POLL_SECONDS)
    return Finding("beat", Level.OK, "one leads")


def examine_workers(connection: Connection) -> Finding:
    """How many workers are alive, and whether a graph keeps one of them from working."""
    alive, hosts, slots = _row(connection, _WORKERS)
    if not alive:
        return Finding("workers", Level.FAIL, "none is alive, so nothing runs", "Start `ostinato worker`.")
    blocked = connection.execute(_BLOCKED).fetchone()
    if blocked:
        graph, host, pid, seconds = blocked
        who = f"graph {graph}" if graph else "something"
        text = f"{who} has blocked the worker with pid {pid} on {host} for {seconds} s: all its runs wait"
        return Finding("workers", Level.WARN, text, BLOCKED_ADVICE)
    return Finding("workers", Level.OK, f"{alive} alive on {hosts} host{'s' * (hosts > 1)}, {slots} runs at a time")


def examine_firings(connection: Connection) -> Finding:
    """Whether crons fire at their times, and whether firings are started."""
    (late,) = _row(connection, _LATE, LATE_SECONDS)
    if late:
        text = f"the time of {_crons(late)} came more than {LATE_SECONDS} s ago and is not in the ledger"
        return Finding("firings", Level.FAIL, text, "Look at the leading beat: its log says what holds it up.")
    due, seconds = _row(connection, _DUE, DUE_WARN_SECONDS)
    if due:
        level = Level.FAIL if seconds > DUE_FAIL_SECONDS else Level.WARN
        text = f"{due} wait{'s' * (due == 1)} for a worker, the oldest for {seconds:.0f} s"
        return Finding("firings", level, text, "Start more workers, or look why the present ones are busy.")
    (parked,) = _row(connection, _PARKED)
    if parked:
        text = f"{_crons(parked)} cannot be evaluated and will not fire"
        return Finding("firings", Level.WARN, text, "The table cron says why (column fault): update or delete them.")
    return Finding("firings", Level.OK, "none is late")


def _row(connection: Connection, statement: LiteralString, *values: object) -> tuple[Any, ...]:
    row = connection.execute(statement, values).fetchone()
    if row is None:
        raise AssertionError("an aggregate always gives a row")
    return row


def _crons(number: int) -> str:
    return f"{number} cron{'s' * (number > 1)}"
