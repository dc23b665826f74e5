"""Statements of the system page."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import TextClause, text

if TYPE_CHECKING:
    from datetime import datetime

HOUR: Final = timedelta(hours=1)
LOST_SHOWN: Final = timedelta(minutes=15)  # a worker that vanished is shown for so long


def server() -> TextClause:
    """How the database stands: one row."""
    return text("""
        SELECT current_setting('server_version') AS version,
               (SELECT version_num FROM alembic_version) AS revision,
               extract(epoch FROM clock_timestamp())::float8 AS clock,
               pg_database_size(current_database()) AS size
    """)


def workers() -> TextClause:
    """The workers that hold their lease, and those that lost it lately; how many runs each has."""
    return text("""
        SELECT hostname, pid, slots, started_at, expires_at - clock_timestamp() AS lease,
               expires_at > clock_timestamp() AS alive, loop_lag_ms, blocked_graph, blocked_since,
               (SELECT count(*) FROM run WHERE owner = worker_id AND status = 'running') AS used
        FROM worker
        WHERE released_at IS NULL AND expires_at > clock_timestamp() - :shown
        ORDER BY alive DESC, hostname, pid LIMIT 100
    """).bindparams(shown=LOST_SHOWN)


def lags(*, since: datetime) -> TextClause:
    """How late runs started, a row for each minute and one, without `at`, for all."""
    return text("""
        SELECT date_trunc('minute', fire_time) AS at, count(*) AS many, max(lag_ms) AS most,
               percentile_disc(0.5) WITHIN GROUP (ORDER BY lag_ms) AS p50,
               percentile_disc(0.95) WITHIN GROUP (ORDER BY lag_ms) AS p95,
               percentile_disc(0.99) WITHIN GROUP (ORDER BY lag_ms) AS p99
        FROM firing WHERE fire_time > :since AND trigger = 'schedule' AND lag_ms IS NOT NULL
        GROUP BY GROUPING SETS ((date_trunc('minute', fire_time)), ()) ORDER BY 1
    """).bindparams(since=since)
