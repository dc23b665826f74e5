"""Fill an Ostinato's database as years of use would: crons, their ledger and history, and the last runs with threads.

python benchmarks/fill.py postgresql://user:password@host/database [--crons 10000] [--firings 1000000]

The database must be migrated, and holds nothing afterwards but what is filled in. The same numbers give the same rows.
"""

from __future__ import annotations

import argparse
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import psycopg
from psycopg.types.json import Jsonb

from ostinato_shared.firetimes import next_fire_time

CRONS, FIRINGS = 10_000, 1_000_000
BUSY = 10  # crons that have a tenth of all firings among them
SPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")  # assistants of graphs are named in it, likewise here
TABLES = "cron, cron_event, outbox, firing, run, thread, webhook_delivery"
ZONES = (None, "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Sydney")
TEAMS = ("growth", "support", "research", "finance", "ops")
COLUMNS = (
    "cron_id", "assistant_id", "schedule", "timezone", "next_run_date", "enabled", "on_run_completed", "metadata",
    "payload", "name", "consecutive_failures", "paused_by", "note", "created_at",
)  # fmt: skip
TYPES = (
    "uuid", "uuid", "text", "text", "timestamptz", "bool", "text", "jsonb", "jsonb", "text", "int4", "text", "text",
    "timestamptz",
)  # fmt: skip

# 93 of 100 go well, as far as the cron is a good one; lags have a long tail; every fortieth output is a long one.
FIRE = """
INSERT INTO firing (firing_id, cron_id, fire_time, outcome, reason, trigger, cron_revision, assistant_id, name, run_id,
                    thread_id, due_at, started_at, ended_at, lag_ms, error, output)
SELECT gen_random_uuid(), cron_id, at, outcome, CASE outcome WHEN 'skipped' THEN 'overlap' END,
       CASE WHEN luck < 0.01 THEN 'catchup' ELSE 'schedule' END, 1, assistant_id, name,
       CASE WHEN outcome <> 'skipped' THEN gen_random_uuid() END,
       CASE WHEN outcome <> 'skipped' THEN gen_random_uuid() END, at,
       CASE WHEN outcome <> 'skipped' THEN at + lag * interval '1 ms' END,
       at + (lag + 500 + took) * interval '1 ms', lag,
       CASE WHEN outcome IN ('error', 'timeout') THEN jsonb_build_object(
           'error', (ARRAY['TimeoutError', 'HTTPStatusError', 'ValueError'])[1 + mod((luck * 900)::int, 3)],
           'message', 'The far end gave up after ' || (luck * 30)::int || ' s') END,
       CASE WHEN outcome = 'success' THEN repeat('Three new papers on plasticity today. ',
           CASE WHEN luck < 0.025 THEN 100 ELSE 1 + (luck * 4)::int END) END
FROM (
    SELECT *, CASE
            WHEN luck < 0.93 - trouble THEN 'success' WHEN luck < 0.98 - trouble / 2 THEN 'error'
            WHEN luck < 0.985 THEN 'timeout' WHEN luck < 0.99 THEN 'interrupted' ELSE 'skipped' END AS outcome,
        (15 + 30 * luck / (1.01 - luck))::int AS lag, (2000 * luck / (1.001 - luck))::int AS took
    FROM (
        SELECT cron_id, assistant_id, name, random() AS luck,
            (CASE WHEN mod(number, 20) = 0 THEN 0.3 ELSE 0 END) AS trouble,
            date_trunc('minute', now()) - interval '1 minute' - n * interval '1 second' * CASE
                WHEN number <= %(busy)s THEN 300 ELSE (ARRAY[300, 900, 3600, 86400])[1 + mod(number, 4)] END AS at
        FROM (SELECT *, row_number() OVER (ORDER BY created_at, cron_id) AS number FROM cron) AS c,
            generate_series(0, CASE WHEN number <= %(busy)s THEN %(many)s ELSE %(few)s END - 1) AS n
    ) AS drawn) AS judged
"""
# The threads of each third cron's last runs are there still; some of them wait for a person.
KEEP = """
WITH kept AS (
    SELECT f.*, row_number() OVER (PARTITION BY f.cron_id ORDER BY f.fire_time DESC) AS nth
    FROM firing f WHERE f.run_id IS NOT NULL AND f.fire_time > now() - interval '3 days'
        AND mod(get_byte(uuid_send(f.cron_id), 15), 3) = 0),
threads AS (
    INSERT INTO thread (thread_id, status, rest_status, metadata, values, interrupts, created_at, updated_at)
    SELECT thread_id, status, status, jsonb_build_object('cron_id', cron_id, 'graph_id', 'agent'),
           jsonb_build_object('messages', jsonb_build_array(
               jsonb_build_object('type', 'human', 'content', 'What is new?', 'id', 'h'),
               jsonb_build_object('type', 'ai', 'content', coalesce(output, 'Nothing.'), 'id', 'a'))),
           CASE status WHEN 'interrupted' THEN '{"t": [{"id": "i", "value": "Send it?"}]}'::jsonb ELSE '{}' END,
           started_at, ended_at
    FROM (SELECT *, CASE WHEN outcome = 'error' THEN 'error' WHEN nth = 1 AND firing_id::text < '1' THEN 'interrupted'
                    ELSE 'idle' END AS status FROM kept WHERE nth <= 5) AS told)
INSERT INTO run (run_id, thread_id, assistant_id, graph_id, status, metadata, kwargs, multitask_strategy, on_completion,
                 cron_id, firing_id, fire_time, attempt, error, created_at, started_at, ended_at)
SELECT run_id, thread_id, assistant_id, 'agent', outcome, jsonb_build_object('cron_id', cron_id),
       '{"input": {"messages": []}, "config": {}}', 'enqueue', 'keep', cron_id, firing_id, fire_time, 1, error,
       started_at, started_at, ended_at
FROM kept WHERE nth <= 5
"""
TELL = """
INSERT INTO cron_event (cron_id, kind, revision, at, snapshot)
SELECT cron_id, CASE n WHEN 1 THEN 'created' ELSE 'updated' END, 1, created_at + n * interval '1 minute',
       jsonb_build_object('cron_id', cron_id, 'schedule', schedule, 'enabled', enabled, 'metadata', metadata,
                          'payload', payload || jsonb_build_object('input', jsonb_build_object('n', n)))
FROM cron, generate_series(1, 3) AS n
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dsn")
    parser.add_argument("--crons", type=int, default=CRONS)
    parser.add_argument("--firings", type=int, default=FIRINGS)
    args = parser.parse_args()
    fill(args.dsn, crons=args.crons, firings=args.firings)


def fill(dsn: str, *, crons: int = CRONS, firings: int = FIRINGS) -> None:
    """Replace what the database holds by so many crons and about so many firings."""
    started = time.monotonic()
    busy = min(BUSY, crons)
    shares = {"busy": busy, "many": firings // 10 // busy, "few": firings * 9 // 10 // max(crons - busy, 1)}
    with psycopg.connect(dsn) as connection:
        connection.execute(f"TRUNCATE {TABLES} CASCADE")  # type: ignore[arg-type]  # names from above
        connection.execute("SELECT setseed(0.5)")
        _copy_crons(connection, crons)
        connection.execute(FIRE, shares)
        connection.execute(KEEP)
        connection.execute(TELL)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        for table in ("cron", "firing", "cron_event", "thread", "run"):
            counted = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # type: ignore[arg-type]  # noqa: S608 - a name of ours
            print(f"{table}: {counted[0] if counted else 0:,}")
    print(f"filled in {time.monotonic() - started:.0f} s")


def _copy_crons(connection: psycopg.Connection, count: int) -> None:
    dice = random.Random(1)  # noqa: S311 - the same crons each time
    now = datetime.now(UTC)
    assistant_id = uuid5(SPACE, "agent")
    with connection.cursor().copy(f"COPY cron ({', '.join(COLUMNS)}) FROM STDIN") as copy:  # type: ignore[arg-type]  # likewise
        copy.set_types(TYPES)
        for number in range(count):
            copy.write_row(_cron(number, dice, assistant_id=assistant_id, now=now))


def _cron(number: int, dice: random.Random, *, assistant_id: UUID, now: datetime) -> tuple[Any, ...]:
    cron_id = uuid5(SPACE, f"cron {number}")
    schedule, zone = _schedule(dice), dice.choice(ZONES)
    enabled = number % 10 > 0
    failing = number % 20 == 1
    name = f"{dice.choice(TEAMS)}-report-{number}"
    metadata = {"name": name, "labels": {"team": dice.choice(TEAMS)}}
    payload = {"assistant_id": str(assistant_id), "schedule": schedule, "input": {"messages": []}, "metadata": metadata,
               "config": {"configurable": {"cron_id": str(cron_id)}}}  # fmt: skip
    return (
        cron_id, assistant_id, schedule, zone, next_fire_time(schedule, zone, after=now), enabled, "keep",
        Jsonb(metadata), Jsonb(payload), name, dice.randint(1, 9) if failing else 0,
        None if enabled else "user", None if enabled else "Not needed before spring.",
        now - timedelta(minutes=number),
    )  # fmt: skip


def _schedule(dice: random.Random) -> str:
    minute, hour = dice.randrange(60), dice.randrange(24)
    kinds = ("*/5 * * * *", "*/15 * * * *", f"{minute} * * * *", f"{minute} {hour} * * *", f"{minute} {hour} * * 1-5",
             f"{minute} {hour} 1 * *")  # fmt: skip
    return dice.choices(kinds, weights=(5, 10, 20, 35, 20, 10))[0]


if __name__ == "__main__":
    main()
