"""Runs that need the leader: those that wait for their time, and those that shall end though their worker is silent."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog
from psycopg.rows import scalar_row, tuple_row

from ostinato_beat.connections import LOCKED
from ostinato_shared.broker import run_message
from ostinato_shared.queries import sweep as queries
from ostinato_shared.task_names import DONE_CHANNEL

if TYPE_CHECKING:
    from uuid import UUID

    from psycopg import Connection
    from redis import Redis

    from ostinato_beat.store import EntryStore

log = structlog.get_logger()
LIMIT: Final = 500
LOOK_SECONDS: Final = 1.0  # a run that shall wait for less is late by at most so much
HEARTBEATS: Final = 6  # of a worker in one lease
UNANSWERED: Final = 2  # of them, then its run is ended in its place


def patience(lease_seconds: float) -> timedelta:
    """How long a worker has to end a run that it is asked to end."""
    return timedelta(seconds=lease_seconds * UNANSWERED / HEARTBEATS)


def send_ripe(connection: Connection, store: EntryStore, token: str) -> float:
    """Send the runs whose time has come; the seconds until the next look."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        ripe: list[UUID] = cursor.execute(queries.RIPEN, {"limit": LIMIT}).fetchall()
        if ripe:
            store.commit(token, messages=[run_message(run_id) for run_id in ripe])
            log.info("delayed_runs_sent", count=len(ripe))
        pause: float | None = cursor.execute(queries.NEXT_RIPE).fetchone()
    return LOOK_SECONDS if pause is None else min(LOOK_SECONDS, max(0.0, pause))


def end_unanswered(connection: Connection, redis: Redis, store: EntryStore, token: str, *, patience: timedelta) -> None:
    """End the runs whose worker has not answered a cancel for so long, and let their threads go on."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        silent = cursor.execute(queries.UNANSWERED, {"patience": patience, "limit": LIMIT}).fetchall()
    for run_id in silent:
        _end(connection, redis, store, token, run_id=run_id, patience=patience)


def _end(
    connection: Connection, redis: Redis, store: EntryStore, token: str, *, run_id: UUID, patience: timedelta
) -> None:
    try:
        with connection.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(queries.END_UNANSWERED, {"run_id": run_id, "patience": patience}).fetchone()
    except LOCKED:
        log.warning("cancel_not_enforced", run_id=str(run_id), reason="locked")
        return
    if row is None:
        return
    log.warning("cancel_enforced", run_id=str(run_id))
    if row[0] is not None:
        store.commit(token, messages=[run_message(row[0])])
    redis.publish(DONE_CHANNEL, str(run_id))
