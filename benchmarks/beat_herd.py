"""10,000 crons due at one instant: until all are in ledger and queue, beside stock RedBeat without a ledger.

python benchmarks/beat_herd.py [--crons 10000] [--runs 3]
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import redis
from celery import Celery
from celery.schedules import schedule
from redbeat import RedBeatSchedulerEntry
from redbeat.schedulers import RedBeatScheduler

from ostinato_cli.embedded.postgres import EmbeddedPostgres
from ostinato_cli.embedded.valkey import EmbeddedValkey
from ostinato_shared import migrate
from ostinato_shared.task_names import QUEUE

if TYPE_CHECKING:
    from collections.abc import Iterator

BAR_SECONDS = 2.0
BAR_RATIO = 10.0
LEAD_SECONDS = 3  # until the fire time, once all entries are in Redis
PATIENCE_SECONDS = 60.0

MAKE = """
INSERT INTO cron (cron_id, assistant_id, schedule, next_run_date, enabled, metadata, payload, name)
SELECT gen_random_uuid(), %(assistant_id)s, '0 0 1 1 *', '2100-01-01Z', true, '{}', '{}', 'herd ' || n
FROM generate_series(1, %(crons)s) AS n
"""
AIM = """
WITH aimed AS (
    UPDATE cron SET schedule = %(schedule)s, next_run_date = %(at)s, revision = revision + 1 RETURNING cron_id
)
INSERT INTO outbox (cron_id) SELECT cron_id FROM aimed
"""
COUNT = "SELECT count(*), count(DISTINCT cron_id) FROM firing WHERE fire_time = %(at)s AND trigger = 'schedule'"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crons", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    logging.getLogger("celery").setLevel(logging.ERROR)
    with running_servers() as (postgres, valkey):
        stock = stock_redbeat(valkey.uri, crons=args.crons)
        print(f"stock RedBeat, no ledger: {stock:.2f} s = {args.crons / stock:.0f} firings/s")
        ours = ostinato(postgres.uri, valkey.uri, crons=args.crons, runs=args.runs)
    best = min(ours)
    print(f"best of {args.runs}: {best:.2f} s, median {statistics.median(ours):.2f} s, stock takes {stock / best:.1f}x")
    ok = best <= BAR_SECONDS * args.crons / 10_000 and stock / best >= BAR_RATIO
    print(f"bars: {BAR_SECONDS} s for 10,000 and {BAR_RATIO:.0f}x stock: {'ok' if ok else 'MISSED'}")
    sys.exit(not ok)


def stock_redbeat(redis_uri: str, *, crons: int) -> float:
    """Seconds that one tick of the stock scheduler takes with so many entries due."""
    app = Celery("stock", broker=redis_uri, set_as_current=False)
    app.conf.update(redbeat_redis_url=redis_uri, redbeat_redis_options={}, redbeat_lock_key=None)
    with warnings.catch_warnings(), redis.Redis.from_url(redis_uri) as client:
        warnings.simplefilter("ignore")
        client.flushall()
        scheduler = RedBeatScheduler(app, lock_key=None)
        scheduler.lock_key = None
        for n in range(crons):
            entry = RedBeatSchedulerEntry(f"herd {n}", "ostinato.fire", schedule(3600.0), app=app)
            entry.last_run_at = datetime.now(UTC) - timedelta(hours=2)
            entry.save()
        started = time.perf_counter()
        scheduler.tick()
        took = time.perf_counter() - started
        sent = client.llen(app.conf.task_default_queue)
        if sent != crons:
            sys.exit(f"stock RedBeat sent {sent} of {crons}")
        client.flushall()
    return took


def ostinato(database_uri: str, redis_uri: str, *, crons: int, runs: int) -> list[float]:
    """Seconds from the fire time to the last message, for each run."""
    migrate.upgrade(database_uri)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "ostinato_beat.main"],
        env={**os.environ, "DATABASE_URI": database_uri, "REDIS_URI": redis_uri, "OSTINATO_LOG_LEVEL": "WARNING"},
    )
    try:
        with psycopg.connect(database_uri, autocommit=True) as connection, redis.Redis.from_url(redis_uri) as client:
            connection.execute(MAKE, {"assistant_id": UUID(int=1), "crons": crons})
            return [one_run(connection, client, number=n + 1, crons=crons) for n in range(runs)]
    finally:
        process.terminate()
        process.wait()


def one_run(connection: psycopg.Connection, client: redis.Redis, *, number: int, crons: int) -> float:
    client.delete(QUEUE)
    # Or the sweep would send the last run's rows again.
    connection.execute("UPDATE firing SET outcome = 'success' WHERE outcome = 'due'")
    at = (datetime.now(UTC) + timedelta(seconds=LEAD_SECONDS + crons / 3000)).replace(microsecond=0)
    spec = f"{at.minute} {at.hour} {at.day} {at.month} * {at.second}"
    connection.execute(AIM, {"schedule": spec, "at": at})
    connection.execute("ANALYZE cron")
    while client.zcount("redbeat::schedule", at.timestamp(), at.timestamp()) < crons:
        if datetime.now(UTC) > at:
            sys.exit("the entries came too late: raise the lead time")
        time.sleep(0.05)
    time.sleep(max(0.0, at.timestamp() - time.time()))
    first = None
    while (sent := client.llen(QUEUE)) < crons and time.time() - at.timestamp() < PATIENCE_SECONDS:
        first = first or (time.time() - at.timestamp() if sent else None)
        time.sleep(0.005)
    took = time.time() - at.timestamp()
    rows, distinct = connection.execute(COUNT, {"at": at}).fetchone() or (0, 0)
    print(
        f"run {number}: {took:.2f} s = {crons / took:.0f} firings/s, first page after {first or took:.3f} s; "
        f"{sent} messages, {rows} rows, lost {crons - distinct}, doubled {rows - distinct + sent - crons}"
    )
    return took


@contextmanager
def running_servers() -> Iterator[tuple[EmbeddedPostgres, EmbeddedValkey]]:
    shm = Path("/dev/shm")  # noqa: S108 - memory, so that another tenant's disk is not what is measured
    with tempfile.TemporaryDirectory(prefix="ostinato-bench-", dir=shm if shm.is_dir() else None) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedPostgres(folder / "postgres") as postgres, EmbeddedValkey(folder / "valkey") as valkey:
            yield postgres, valkey


if __name__ == "__main__":
    main()
