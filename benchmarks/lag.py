"""Lag of a lone firing: node start minus fire time, of a five-second cron, beside a bare timer in the same run.

python benchmarks/lag.py [--firings 20] [--runs 3]
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time

from langgraph_sdk import get_sync_client
from stack import Stack, running_stack

PERIOD = 5
BAR_MS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--firings", type=int, default=20)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with running_stack(workers=1) as stack:
        medians = [one_run(stack, number=number + 1, firings=args.firings) for number in range(args.runs)]
    best = min(medians)
    print(f"best median of {args.runs} runs: {best:.1f} ms (bar: {BAR_MS} ms) {'ok' if best <= BAR_MS else 'MISSED'}")


def one_run(stack: Stack, *, number: int, firings: int) -> float:
    """Print one run's figures; the median lag comes back in milliseconds."""
    client = get_sync_client(url=stack.url)
    cron = client.crons.create("stamp", schedule=f"* * * * * */{PERIOD}", input={})
    timer: list[float] = []
    thread = threading.Thread(target=bare_timer, args=(timer, firings))
    thread.start()
    seen = len(stack.read_stamps())
    rows = stack.wait_for_stamps(seen + firings, seconds=(firings + 3) * PERIOD)[seen:]
    client.crons.delete(cron["cron_id"])
    thread.join()
    lags = sorted(
        (at % PERIOD) * 1000 if at % PERIOD < PERIOD - 1 else (at % PERIOD - PERIOD) * 1000 for _, at, _ in rows
    )
    print(
        f"run {number}: {len(lags)} firings, lag median {statistics.median(lags):.1f} ms, worst {lags[-1]:.1f} ms, "
        f"least {lags[0]:.1f} ms; bare timer median {statistics.median(timer):.2f} ms, worst {max(timer):.2f} ms"
    )
    if lags[0] < 0:
        print("a firing was EARLY")
    return statistics.median(lags)


def bare_timer(lags: list[float], count: int) -> None:
    """What a thread that only sleeps until each fire time is late by, in milliseconds."""
    for _ in range(count):
        at = (time.time() // PERIOD + 1) * PERIOD
        time.sleep(max(0.0, at - time.time()))
        lags.append((time.time() - at) * 1000)


if __name__ == "__main__":
    main()
