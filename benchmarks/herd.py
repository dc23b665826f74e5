"""A thundering herd: 1,000 crons due at one instant, a trivial graph, two worker processes.

python benchmarks/herd.py [--crons 1000] [--runs 3] [--workers 2]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import psycopg
from langgraph_sdk import get_client
from stack import Stack, running_stack

BAR_SECONDS = 5.0
CREATORS = 16

STAGES = """
SELECT extract(epoch FROM f.due_at - f.fire_time) AS ledger, extract(epoch FROM f.started_at - f.fire_time) AS claim,
       extract(epoch FROM f.ended_at - f.fire_time) AS ended, f.outcome
FROM firing f WHERE f.fire_time = %s
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crons", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    with running_stack(workers=args.workers) as stack:
        lasts = [one_run(stack, number=n + 1, crons=args.crons, workers=args.workers) for n in range(args.runs)]
    best = min(lasts)
    verdict = "ok" if best <= BAR_SECONDS else "MISSED"
    print(f"best of {args.runs}: last node started after {best:.2f} s (bar: {BAR_SECONDS} s for 1,000) {verdict}")


def one_run(stack: Stack, *, number: int, crons: int, workers: int) -> float:
    """Print one herd's figures; seconds from the fire time to the last node's start come back."""
    fire_time = (datetime.now(UTC) + timedelta(seconds=10 + crons / 80)).replace(microsecond=0)
    seen = len(stack.read_stamps())
    asyncio.run(create(stack.url, crons, fire_time))
    left = (fire_time - datetime.now(UTC)).total_seconds()
    if left < 0:
        print(f"creating took {-left:.1f} s too long: raise the lead time")
    time.sleep(max(0.0, left))
    rows = stack.wait_for_stamps(seen + crons, seconds=60)[seen:]
    time.sleep(2)  # a doubled node would show now
    rows = stack.read_stamps()[seen:]
    lags = sorted(at - fire_time.timestamp() for _, at, _ in rows)
    runs_of = Counter(cron_id for cron_id, _, _ in rows)
    by_worker = Counter(pid for _, _, pid in rows)
    print(
        f"run {number}: {len(rows)} nodes of {crons}, lost {crons - len(runs_of)}, "
        f"doubled {sum(count > 1 for count in runs_of.values())}, workers used {len(by_worker)} of {workers} "
        f"{sorted(by_worker.values())}; first node {lags[0]:.3f} s, median {statistics.median(lags):.2f} s, "
        f"last {lags[-1]:.2f} s = {len(rows) / lags[-1]:.0f} firings/s"
    )
    print_stages(stack.database_uri, fire_time)
    return lags[-1]


async def create(url: str, crons: int, fire_time: datetime) -> None:
    """Create all crons, a few at a time, each to fire once at `fire_time`."""
    client = get_client(url=url)
    gate = asyncio.Semaphore(CREATORS)
    schedule = f"{fire_time.minute} {fire_time.hour} {fire_time.day} {fire_time.month} * {fire_time.second}"

    async def one() -> None:
        async with gate:
            await client.crons.create("stamp", schedule=schedule, input={}, end_time=fire_time + timedelta(minutes=1))

    await asyncio.gather(*(one() for _ in range(crons)))


def print_stages(database_uri: str, fire_time: datetime) -> None:
    """Where the time goes: seconds after the fire time at which each stage was reached, from the ledger."""
    with psycopg.connect(database_uri) as connection:
        found = connection.execute(STAGES, (fire_time,)).fetchall()
    for number, stage in enumerate(("in the ledger", "claimed by a worker", "run ended")):
        times = sorted(float(row[number]) for row in found if row[number] is not None)
        if times:
            print(f"    {stage:<20} median {statistics.median(times):6.3f} s   last {times[-1]:6.3f} s")
    print(f"    ledger outcomes      {dict(Counter(row[3] for row in found))}")


if __name__ == "__main__":
    main()
