"""How an installation stands, by its tables: what the checks judge."""

from typing import Final

# Enabled crons and due firings: one row. A fire time that came 15 s ago should be in the ledger.
# By due_at: a catch-up firing stands for a time long ago.
FIGURES: Final = """
SELECT crons.*, due.*
FROM (SELECT count(*) FILTER (WHERE fault IS NULL AND next_run_date IS NOT NULL) AS active,
             count(*) FILTER (WHERE fault IS NOT NULL) AS parked,
             count(*) FILTER (WHERE fault IS NULL AND (end_time IS NULL OR next_run_date <= end_time)
                 AND next_run_date < clock_timestamp() - interval '15 seconds') AS late
      FROM cron WHERE enabled) AS crons,
     (SELECT count(*) AS due, greatest(clock_timestamp() - min(due_at), '0') AS oldest
      FROM firing WHERE outcome = 'due') AS due
"""

# Those alive: a worker that has ended lets its lease expire.
WORKERS: Final = """
SELECT hostname, pid, slots, loop_lag_ms, blocked_graph FROM worker WHERE expires_at > clock_timestamp()
"""
