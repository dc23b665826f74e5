"""Whether the entries in Redis say what the crons in Postgres say. Reads only: beat is who mends."""

import time
from collections import Counter
from collections.abc import Collection, Iterator
from enum import StrEnum

import redis
from psycopg.rows import args_row

from ostinato_beat import sync
from ostinato_beat.entries import SCHEDULE_KEY, cron_id_of
from ostinato_beat.store import EntryStore
from ostinato_cli.doctor.servers import Connection
from ostinato_shared.checks import Finding, Level
from ostinato_shared.queries.sync import READ, CronRow

PAGE = 500
LOOKS = 3  # the second and third at what differed: a change is under way for some milliseconds
SETTLE_SECONDS = 1.2  # beat looks every second
ADVICE = "The leading beat should have mended that within seconds: its log says why not. Restarting it compares all."


class Drift(StrEnum):
    MISSING = "missing"  # it does not fire
    DIFFERENT = "out of date"
    SURPLUS = "left over"  # the ledger refuses what it fires


def examine_entries(connection: Connection, client: redis.Redis) -> Finding:
    """Compare all crons with their entries; what differs, again a little later."""
    store = EntryStore(client)
    suspects = _enabled(connection) | _scheduled(client)
    compared = len(suspects)
    found = _compare(connection, store, suspects)
    for _ in range(LOOKS - 1):
        if found:
            time.sleep(SETTLE_SECONDS)
            found = _compare(connection, store, found)
    if not found:
        return Finding(
            "schedule", Level.OK, f"{compared} cron{'s' * (compared != 1)} compared, all are in Redis as stored"
        )
    counts = Counter(found.values())
    level = Level.WARN if set(counts) == {Drift.SURPLUS} else Level.FAIL
    text = ", ".join(f"{counts[kind]} {kind}" for kind in Drift if counts[kind])
    return Finding("schedule", level, f"of {compared} entries in Redis {text}", ADVICE)


def _enabled(connection: Connection) -> set[str]:
    rows = connection.execute("SELECT cron_id::text FROM cron WHERE enabled AND next_run_date IS NOT NULL")
    return {cron_id for (cron_id,) in rows}


def _scheduled(client: redis.Redis) -> set[str]:
    members = client.zscan_iter(SCHEDULE_KEY, count=PAGE)
    return {cron_id for key, _score in members if (cron_id := cron_id_of(key)) is not None}


def _compare(connection: Connection, store: EntryStore, cron_ids: Collection[str]) -> dict[str, Drift]:
    return {
        cron_id: drift for page in _pages(list(cron_ids)) for cron_id, drift in _compare_page(connection, store, page)
    }


def _compare_page(connection: Connection, store: EntryStore, cron_ids: list[str]) -> Iterator[tuple[str, Drift]]:
    with connection.cursor(row_factory=args_row(CronRow)) as cursor:
        crons = {row.cron_id: row for row in cursor.execute(READ, {"cron_ids": cron_ids})}
    standings = store.look(cron_ids)
    for change in sync.plan(cron_ids, crons, standings):
        if len(change.fields) == 1:
            yield change.cron_id, Drift.SURPLUS
        else:
            missing = standings[change.cron_id].score is None
            yield change.cron_id, Drift.MISSING if missing else Drift.DIFFERENT


def _pages(cron_ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(cron_ids), PAGE):
        yield cron_ids[start : start + PAGE]
