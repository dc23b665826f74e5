"""What the Postgres -> Redis sync reads. Times are seconds since the epoch."""

from __future__ import annotations

from typing import Final, NamedTuple


class CronRow(NamedTuple):
    """A cron as far as its entry is concerned."""

    cron_id: str
    schedule: str
    timezone: str | None
    end_time: int | None  # whole seconds, rounded down: fire times are whole seconds
    next_run_date: int | None
    enabled: bool
    revision: int
    fault: str | None


# The server's clock, and whether a cron has to be looked at again.
PROBE: Final = "SELECT extract(epoch FROM clock_timestamp())::float8, EXISTS (SELECT FROM outbox)"

# Commit order has gaps, so "greater than the last number I saw" would lose rows; a row is read once, by deleting it.
DRAIN: Final = """
DELETE FROM outbox WHERE outbox_id IN
    (SELECT outbox_id FROM outbox ORDER BY outbox_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING cron_id::text
"""

_COLUMNS: Final = """
SELECT cron_id::text, schedule, timezone, floor(extract(epoch FROM end_time))::bigint,
       ceil(extract(epoch FROM next_run_date))::bigint, enabled, revision, fault
FROM cron
"""

READ: Final = _COLUMNS + " WHERE cron_id = ANY(%(cron_ids)s::uuid[])"

# Nearest first; a cron's time only moves on, or its change lies in the outbox: a walk misses nobody.
WALK: Final = _COLUMNS + (
    " WHERE enabled AND (next_run_date, cron.cron_id) > (to_timestamp(%(after)s::bigint), %(cron_id)s::uuid)"
    " ORDER BY next_run_date, cron.cron_id LIMIT %(limit)s"  # unqualified, it would be the text of the first column
)

# Never waits for a lock: a fault that is shown a little longer harms nobody.
CLEAR_FAULTS: Final = """
UPDATE cron SET fault = NULL WHERE cron_id IN
    (SELECT cron_id FROM cron WHERE cron_id = ANY(%(cron_ids)s::uuid[]) AND fault IS NOT NULL
     FOR NO KEY UPDATE SKIP LOCKED)
"""
