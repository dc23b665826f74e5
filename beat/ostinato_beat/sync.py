"""Postgres -> Redis: crons that changed are written to their entries; now and then all are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg.rows import args_row, scalar_row, tuple_row

from ostinato_beat import sweeping
from ostinato_beat.entries import GONE, Standing, written
from ostinato_beat.store import Change
from ostinato_shared.queries import sync as queries
from ostinato_shared.queries.sync import CronRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from psycopg import Connection

    from ostinato_beat.store import EntryStore

DRAIN_LIMIT: Final = 500
WALK_LIMIT: Final = 250  # crons that are compared before due entries get their turn again
PARKED: Final = -1
FIRST_TIME: Final = -62_000_000_000  # before every cron's next_run_date
FIRST_ID: Final = "00000000-0000-0000-0000-000000000000"


def plan(
    cron_ids: Iterable[str],
    crons: Mapping[str, CronRow],
    standings: Mapping[str, Standing],
    *,
    unreadable: Collection[str] = (),
) -> Iterator[Change]:
    """What to change so that the crons' entries say what their rows say."""
    for cron_id in cron_ids:
        cron, entry = crons.get(cron_id), standings[cron_id]
        if cron is None or not _fires(cron):
            rev = GONE if cron is None else cron.revision
            if entry.score is not None or (cron is None and entry.seen and entry.rev != GONE):
                yield Change(cron_id, entry.seen, [str(rev)])
        elif cron_id in unreadable or _differs(cron, entry):
            yield Change(cron_id, entry.seen, written(cron))


def _fires(cron: CronRow) -> bool:
    if not cron.enabled or cron.next_run_date is None:
        return False
    return cron.end_time is None or cron.next_run_date <= cron.end_time


def _differs(cron: CronRow, entry: Standing) -> bool:
    if entry.score is None or entry.rev != cron.revision:
        return True
    return entry.score != PARKED and entry.nominal != cron.next_run_date


def drain(connection: Connection, store: EntryStore, token: str) -> int:
    """Bring some of the outbox's crons up to date, and send what they owe; the number of outbox rows that are done.

    The rows are gone only if their entries are written: an error leaves them for the next time.
    """
    healed: list[str] = []
    with connection.transaction(), connection.cursor(row_factory=scalar_row) as cursor:
        noted = cursor.execute(queries.DRAIN, {"limit": DRAIN_LIMIT}).fetchall()
        if noted:
            healed = refresh(connection, store, token, cron_ids=set(noted))
            sweeping.send_due_of(connection, store, token, set(noted))
    clear_faults(connection, healed)
    return len(noted)


def refresh(
    connection: Connection,
    store: EntryStore,
    token: str,
    *,
    cron_ids: Iterable[str],
    unreadable: Collection[str] = (),
) -> list[str]:
    """Bring the given crons' entries up to date, from their current rows; those with a fault that are written anew."""
    wanted = list({*cron_ids, *unreadable})
    with connection.cursor(row_factory=args_row(CronRow)) as cursor:
        rows = cursor.execute(queries.READ, {"cron_ids": wanted}).fetchall()
    return _bring(store, token, wanted, rows, unreadable=unreadable)


def reconcile(connection: Connection, store: EntryStore, token: str) -> Iterator[None]:
    """Compare all crons with their entries, nearest first, a part at each step."""
    after, last_id = FIRST_TIME, FIRST_ID
    while True:
        values = {"after": after, "cron_id": last_id, "limit": WALK_LIMIT}
        with connection.cursor(row_factory=args_row(CronRow)) as cursor:
            rows = cursor.execute(queries.WALK, values).fetchall()
        if rows:
            clear_faults(connection, _bring(store, token, [row.cron_id for row in rows], rows))
        if len(rows) < WALK_LIMIT:
            return
        yield
        after, last_id = rows[-1].next_run_date or after, rows[-1].cron_id


def clear_faults(connection: Connection, cron_ids: Sequence[str]) -> None:
    """Their entries are parked no more."""
    if cron_ids:
        connection.execute(queries.CLEAR_FAULTS, {"cron_ids": list(cron_ids)})


def probe(connection: Connection) -> tuple[float, bool]:
    """The server's clock in seconds since the epoch, and whether the outbox holds anything."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(queries.PROBE).fetchone()
    if row is None:
        raise AssertionError("a SELECT without FROM always gives a row")
    return float(row[0]), bool(row[1])


def _bring(
    store: EntryStore,
    token: str,
    cron_ids: Sequence[str],
    rows: Sequence[CronRow],
    *,
    unreadable: Collection[str] = (),
) -> list[str]:
    crons = {row.cron_id: row for row in rows}
    changes = list(plan(cron_ids, crons, store.look(cron_ids), unreadable=unreadable))
    if not changes:
        return []
    store.apply(token, changes)
    changed = {change.cron_id for change in changes}
    return [row.cron_id for row in rows if row.fault is not None and row.cron_id in changed]
