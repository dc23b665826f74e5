"""What Postgres tells. Each statement reads an index, or a table that is small.

now() is the statement's begin, as each is a transaction; clock_timestamp() changes by the row and would use no index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, LiteralString

from ostinato_api.metrics.catalogue import family, single

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

    from ostinato_api.metrics.ledger import Tally

# By due_at, as doctor does: a catch-up firing stands for a time long ago.
_DUE: Final = """
SELECT count(*) AS many, coalesce(extract(epoch FROM now() - min(due_at)), 0)::float8 AS oldest
FROM firing WHERE outcome = 'due'
"""
_LAG: Final = """
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY lag_ms) AS p50,
       percentile_disc(0.99) WITHIN GROUP (ORDER BY lag_ms) AS p99
FROM firing WHERE fire_time > now() - interval '5 minutes' AND trigger = 'schedule' AND lag_ms IS NOT NULL
"""
_CRONS: Final = """
SELECT count(*) FILTER (WHERE NOT enabled) AS paused,
       count(*) FILTER (WHERE enabled AND fault IS NOT NULL) AS parked,
       count(*) FILTER (WHERE enabled AND fault IS NULL AND coalesce(next_run_date > end_time, false)
                        OR enabled AND fault IS NULL AND next_run_date IS NULL) AS ended,
       count(*) AS every
FROM cron
"""
_OVERDUE: Final = """
SELECT greatest(extract(epoch FROM now() - min(next_run_date)), 0)::float8 AS behind FROM cron
WHERE enabled AND fault IS NULL AND next_run_date < now()
    AND (end_time IS NULL OR next_run_date <= end_time)
"""
_RUNS: Final = """
SELECT count(*) FILTER (WHERE status = 'pending') AS pending, count(*) FILTER (WHERE status = 'running') AS running
FROM run WHERE status IN ('pending', 'running')
"""
_OWED: Final = "SELECT count(*) AS many FROM webhook_delivery WHERE status = 'pending'"
_WORKERS: Final = """
SELECT hostname, pid, slots, loop_lag_ms, blocked_graph FROM worker WHERE expires_at > now()
"""

Rows = list[dict[str, Any]]


async def gather(connection: AsyncConnection[DictRow], tally: Tally) -> list[Metric]:
    """All metrics that Postgres knows. Raises psycopg.Error."""
    counts = await tally.read(connection)
    found = [family("ostinato_firings_total", *((labels, float(many)) for labels, many in sorted(counts.items())))]
    for statement, shape in ((_DUE, _due), (_LAG, _lag), (_CRONS, _crons), (_OVERDUE, _overdue), (_RUNS, _runs),
                             (_OWED, _owed), (_WORKERS, _workers)):  # fmt: skip
        found.extend(shape(await _rows(connection, statement)))
    return found


async def _rows(connection: AsyncConnection[DictRow], statement: LiteralString) -> Rows:
    return await (await connection.execute(statement)).fetchall()


def _due(rows: Rows) -> Iterator[Metric]:
    yield single("ostinato_firings_due", rows[0]["many"])
    yield single("ostinato_firings_due_oldest_seconds", max(0.0, rows[0]["oldest"]))


def _lag(rows: Rows) -> Iterator[Metric]:
    lags = (("0.5", rows[0]["p50"]), ("0.99", rows[0]["p99"]))
    yield family("ostinato_firing_lag_seconds", *(((name,), ms / 1000) for name, ms in lags if ms is not None))


def _crons(rows: Rows) -> Iterator[Metric]:
    resting = {state: rows[0][state] for state in ("paused", "ended", "parked")}
    states = {"active": rows[0]["every"] - sum(resting.values()), **resting}
    yield family("ostinato_crons", *(((state,), many) for state, many in states.items()))


def _overdue(rows: Rows) -> Iterator[Metric]:
    yield single("ostinato_crons_overdue_seconds", rows[0]["behind"] or 0.0)


def _runs(rows: Rows) -> Iterator[Metric]:
    yield family("ostinato_runs", *(((status,), rows[0][status]) for status in ("pending", "running")))


def _owed(rows: Rows) -> Iterator[Metric]:
    yield single("ostinato_webhooks_owed", rows[0]["many"])


def _workers(rows: Rows) -> Iterator[Metric]:
    named = [((row["hostname"], row["pid"]), row) for row in rows]
    blocked = [((*worker, row["blocked_graph"]), 1.0) for worker, row in named if row["loop_lag_ms"]]
    yield single("ostinato_workers", len(rows))
    yield single("ostinato_worker_slots", sum(row["slots"] for row in rows))
    yield family("ostinato_worker_loop_lag_seconds", *((worker, row["loop_lag_ms"] / 1000) for worker, row in named))
    yield family("ostinato_worker_blocked", *(sample for sample in blocked if sample[0][-1]))
