"""What the sweep finds: work that a dead process or an emptied Redis left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


class DueFiring(NamedTuple):
    firing_id: UUID
    cron_id: UUID
    fire_time: datetime
    name: str | None
    fresh: bool  # on time still: its message goes ahead of the late ones


class PendingRun(NamedTuple):
    run_id: UUID
    name: str | None


class TakenOver(NamedTuple):
    verdict: str  # pending, ended
    next_run_id: UUID | None  # the run to send


# Every `due` row, in pages: a new leader sends them all again.
ALL_DUE: Final = """
SELECT firing_id, cron_id, fire_time, name, fire_time > clock_timestamp() - %(late)s::interval
FROM firing
WHERE outcome = 'due' AND (fire_time, firing_id) > (%(after)s, %(firing_id)s::uuid)
ORDER BY fire_time, firing_id LIMIT %(limit)s
"""

# Of crons that were changed: what had come before the change is theirs still.
DUE_OF: Final = """
SELECT firing_id, cron_id, fire_time, name, fire_time > clock_timestamp() - %(late)s::interval
FROM firing WHERE outcome = 'due' AND cron_id = ANY(%(cron_ids)s::uuid[]) ORDER BY fire_time LIMIT %(limit)s
"""

OVERDUE: Final = """
SELECT firing_id, cron_id, fire_time, name, false
FROM firing
WHERE outcome = 'due' AND fire_time < clock_timestamp() - %(age)s::interval
    AND due_at < clock_timestamp() - %(age)s::interval
ORDER BY fire_time LIMIT %(limit)s
"""

# Runs whose time has come join the end of their thread's queue.
RIPEN: Final = """
WITH ripe AS (
    SELECT run_id, waits_until FROM run WHERE status = 'pending' AND waits_until <= clock_timestamp()
    ORDER BY waits_until LIMIT %(limit)s FOR UPDATE SKIP LOCKED),
placed AS MATERIALIZED (
    SELECT run_id, nextval(pg_get_serial_sequence('run', 'seq')) AS place
    FROM (SELECT run_id FROM ripe ORDER BY waits_until) AS in_order)
UPDATE run SET waits_until = NULL, seq = placed.place, updated_at = clock_timestamp()
FROM placed WHERE run.run_id = placed.run_id RETURNING run.run_id
"""

NEXT_RIPE: Final = """
SELECT extract(epoch FROM min(waits_until) - clock_timestamp())::float8 FROM run
WHERE status = 'pending' AND waits_until IS NOT NULL
"""

# Asked to end so long ago that their owner does not answer.
UNANSWERED: Final = """
SELECT run_id FROM run
WHERE cancel_requested IS NOT NULL AND status IN ('pending', 'running')
    AND cancel_asked_at < clock_timestamp() - %(patience)s::interval
ORDER BY cancel_asked_at LIMIT %(limit)s
"""

END_UNANSWERED: Final = "SELECT next_run_id FROM ostinato_end_unanswered(%(run_id)s, %(patience)s::interval)"

# The oldest pending run of each thread that has none running; only the oldest may start.
STRANDED: Final = """
SELECT r.run_id, c.name
FROM run r LEFT JOIN cron c ON c.cron_id = r.cron_id
WHERE r.status = 'pending' AND r.waits_until IS NULL AND r.updated_at < clock_timestamp() - %(age)s::interval
    AND NOT EXISTS (SELECT FROM run o WHERE o.thread_id = r.thread_id
                    AND (o.status = 'running' OR (o.status = 'pending' AND o.waits_until IS NULL AND o.seq < r.seq)))
    AND NOT EXISTS (SELECT FROM thread t WHERE t.thread_id = r.thread_id AND t.deleted_at IS NOT NULL)
ORDER BY r.seq LIMIT %(limit)s
"""

# A run that began after its owner's lease had run out shows that the owner has woken up: it gets time to renew it.
ORPHANED: Final = """
SELECT r.run_id, c.name
FROM run r LEFT JOIN worker w ON w.worker_id = r.owner LEFT JOIN cron c ON c.cron_id = r.cron_id
WHERE r.status = 'running' AND r.owner IS NOT NULL
    AND (w.worker_id IS NULL OR w.expires_at < clock_timestamp())
    AND (r.updated_at < w.expires_at OR r.updated_at < clock_timestamp() - make_interval(secs => %(lease)s))
ORDER BY r.seq LIMIT %(limit)s
"""

TAKE_OVER: Final = "SELECT verdict, next_run_id FROM ostinato_take_over(%(run_id)s, %(crashes)s)"

HIDDEN_THREADS: Final = """
SELECT thread_id FROM thread WHERE deleted_at < clock_timestamp() - %(age)s::interval
ORDER BY deleted_at LIMIT %(limit)s
"""

PURGE_THREAD: Final = "SELECT ostinato_delete_thread(%(thread_id)s, true)"

# A worker that still names a running run is evidence: that run's take-over looks for it.
FORGET_WORKERS: Final = """
DELETE FROM worker w WHERE w.expires_at < clock_timestamp() - %(age)s::interval
    AND NOT EXISTS (SELECT FROM run r WHERE r.owner = w.worker_id AND r.status = 'running')
"""

# Those that a living worker is to make itself, in a second or four, are not older than `age`.
OWED_WEBHOOKS: Final = """
SELECT run_id FROM webhook_delivery
WHERE status = 'pending' AND next_attempt_at < clock_timestamp() - %(age)s::interval
ORDER BY next_attempt_at LIMIT %(limit)s
"""

FORGET_WEBHOOKS: Final = """
DELETE FROM webhook_delivery WHERE run_id IN (
    SELECT run_id FROM webhook_delivery
    WHERE status <> 'pending' AND ended_at < clock_timestamp() - %(age)s::interval LIMIT %(limit)s)
"""
