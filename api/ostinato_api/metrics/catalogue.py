"""Every metric there is: its name, kind, labels and meaning, which docs/metrics.md lists too. No label names a cron."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prometheus_client.core import Metric

COUNTER: Final = "_total"


class Family(NamedTuple):
    meaning: str
    labels: Sequence[str] = ()


FAMILIES: Final = {
    "ostinato_info": Family("The version that serves this page; always 1.", ("version",)),
    "ostinato_scrape_seconds": Family("How long it took to gather this page."),
    "ostinato_postgres_up": Family("1 if Postgres answered; while it is 0, what is read there is missing."),
    "ostinato_redis_up": Family("1 if Redis answered; while it is 0, what is read there is missing."),
    "ostinato_firings_total": Family("Firings that are over, all that the ledger holds.", ("outcome", "trigger")),
    "ostinato_firings_due": Family("Firings that no worker has started yet."),
    "ostinato_firings_due_oldest_seconds": Family("How long the oldest of them has waited; 0 without any."),
    "ostinato_firing_lag_seconds": Family(
        "From fire time to start, of the scheduled firings of the last 5 minutes; missing without any.", ("quantile",)
    ),
    "ostinato_crons": Family("Crons by state: active, paused, ended or parked.", ("state",)),
    "ostinato_crons_overdue_seconds": Family("How far the beat is behind the first fire time that it owes; else 0."),
    "ostinato_runs": Family("Runs that are not over, by status: pending or running.", ("status",)),
    "ostinato_webhooks_owed": Family("Webhooks that have not been answered yet, nor given up."),
    "ostinato_workers": Family("Worker processes that are alive."),
    "ostinato_worker_slots": Family("Runs that all of them can have at a time."),
    "ostinato_worker_loop_lag_seconds": Family(
        "How long a graph has lately kept a worker from all its other runs.", ("host", "pid")
    ),
    "ostinato_worker_blocked": Family(
        "1 for a worker that a graph keeps from working, with it.", ("host", "pid", "graph")
    ),
    "ostinato_queue_messages": Family("Messages that wait in a queue for a worker.", ("queue",)),
    "ostinato_beat_leads": Family("1 if a beat leads: without one nothing fires."),
    "ostinato_beat_last_tick_seconds": Family("Since the leader last looked for what is due; below 2 when it is well."),
}


def family(name: str, *samples: tuple[Iterable[object], float]) -> Metric:
    """A metric with its samples: the values of its labels, and the figure."""
    meaning, labels = FAMILIES[name]
    kind = CounterMetricFamily if name.endswith(COUNTER) else GaugeMetricFamily
    made = kind(name.removesuffix(COUNTER), meaning, labels=labels)
    for values, figure in samples:
        made.add_metric([str(value) for value in values], figure)
    return made


def single(name: str, figure: float) -> Metric:
    """A metric without labels."""
    return family(name, ((), figure))
