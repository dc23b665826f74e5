"""Takes runs from workers whose lease is over. An outage lets every lease run out: after one, workers come first."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import psycopg
import structlog
from psycopg.rows import args_row, scalar_row

from ostinato_shared.broker import run_message
from ostinato_shared.queries import sweep as queries
from ostinato_shared.queries.sweep import PendingRun, TakenOver
from ostinato_shared.task_names import DONE_CHANNEL

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from psycopg import Connection
    from redis import Redis

    from ostinato_beat.store import EntryStore

log = structlog.get_logger()
LIMIT: Final = 1000  # runs in one sweep
CRASHES: Final = 3  # that end a run
TAKEN_MEANWHILE: Final = "OS001"


class Contact:
    """For how long this process has reached Postgres without a gap in which workers may have failed to.

    Measured by Postgres' clock: so a suspended host shows as a gap, too.
    """

    def __init__(self, lease_seconds: float) -> None:
        self._lease = timedelta(seconds=lease_seconds)
        self._since: datetime | None = None
        self._last: datetime | None = None

    def lost(self) -> None:
        """Begin again at the next contact."""
        self._last = None

    def holds(self, now: datetime) -> bool:
        """Whether it has lasted a whole lease at `now`, the time that Postgres just told."""
        if self._since is None or self._last is None or not timedelta() <= now - self._last < self._lease / 2:
            self._since = now
        self._last = now
        return now - self._since >= self._lease


def ask_time(connection: Connection) -> datetime:
    """Postgres' clock."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        now: datetime = cursor.execute("SELECT clock_timestamp()").fetchone()  # type: ignore[assignment]  # one row
        return now


def take_over(connection: Connection, redis: Redis, store: EntryStore, token: str, *, lease_seconds: float) -> int:
    """Make orphaned runs pending again, or end those that crashed too often; the number of both."""
    with connection.cursor(row_factory=args_row(PendingRun)) as cursor:
        orphans = cursor.execute(queries.ORPHANED, {"lease": lease_seconds, "limit": LIMIT}).fetchall()
    names = {orphan.run_id: orphan.name for orphan in orphans}
    taken = [(orphan.run_id, found) for orphan in orphans if (found := _take(connection, orphan.run_id))]
    messages = [
        run_message(found.next_run_id, name=names.get(found.next_run_id))
        for _, found in taken
        if found.next_run_id is not None
    ]
    if messages:
        store.commit(token, messages=messages)
    for run_id, found in taken:
        log.warning("run_taken_over", run_id=str(run_id), verdict=found.verdict)
        if found.verdict == "ended":
            redis.publish(DONE_CHANNEL, str(run_id))
    return len(taken)


def _take(connection: Connection, run_id: UUID) -> TakenOver | None:
    """None: somebody else has changed it, or holds it too long; the next sweep looks again."""
    try:
        with connection.cursor(row_factory=args_row(TakenOver)) as cursor:
            return cursor.execute(queries.TAKE_OVER, {"run_id": run_id, "crashes": CRASHES}).fetchone()
    except psycopg.Error as error:
        if error.sqlstate is None or connection.broken:
            raise
        if error.sqlstate != TAKEN_MEANWHILE:
            log.warning("run_not_taken_over", run_id=str(run_id), error=type(error).__name__)
    return None
