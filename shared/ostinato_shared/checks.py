"""What is checked of an installation, by `ostinato doctor` and by the system page: facts in, findings out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from ostinato_shared import migrate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CLOCK_SECONDS: Final = 1.0  # apart
DUE_WARN: Final = timedelta(seconds=30)
DUE_FAIL: Final = timedelta(minutes=5)


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"  # it works, but not for long or not well
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What one check has found; `advice` says what to do when that is not well."""

    check: str
    level: Level
    text: str
    advice: str = ""

    def __str__(self) -> str:
        shown = self.level if self.level is Level.OK else self.level.upper()
        return f"{shown:<4}  {self.check}: {self.text}{f'. {self.advice}' if self.advice else ''}"


def database(version: str, revision: str | None) -> Finding:
    """Whether Postgres has this version's schema."""
    wanted = migrate.head()
    if revision != wanted:
        text = f"at revision {revision or 'none'}, this version needs {wanted}"
        return Finding("database", Level.FAIL, text, migrate.ADVICE)
    return Finding("database", Level.OK, f"Postgres {version.partition(' ')[0]}, revision {revision}")


def redis(info: Mapping[str, Any], *, number: int, snapshots: bool) -> Finding:
    """Whether schedule and queues are safe in this Redis; `number` is that of its database."""
    fault = _redis_fault(info, number)
    if fault is not None:
        return Finding("redis", Level.FAIL, *fault)
    named = f"{server_of(info)}, noeviction"
    if not info.get("aof_enabled") and not snapshots:
        text = (
            f"{named}, but its data do not survive a restart: firings would be late until all is rebuilt from Postgres"
        )
        return Finding("redis", Level.WARN, text, "Set `appendonly yes`.")
    return Finding("redis", Level.OK, f"{named}, {'append-only file' if info.get('aof_enabled') else 'snapshots'}")


def _redis_fault(info: Mapping[str, Any], number: int) -> tuple[str, str] | None:
    if "cluster" in {info.get("redis_mode"), info.get("server_mode")}:
        return "is a Cluster, which cannot move several keys in one step", "Use a single server."
    policy = info.get("maxmemory_policy")
    if policy != "noeviction":
        text = f"maxmemory-policy is {policy}: schedules and queued runs could vanish when memory runs out"
        return text, "Set it to noeviction."
    if number != 0:
        return "schedule and queues lie in database 0 only", "Use a REDIS_URI that ends with /0."
    if "err" in {info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status")}:
        return "cannot write to its disk, and so refuses writes", "Look at its log and its disk."
    return None


def server_of(info: Mapping[str, Any]) -> str:
    """Redis or what stands in for it, with its version."""
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', '')}"


def clocks(offsets: Mapping[str, float]) -> Finding:
    """How far the servers' clocks are from this host's, in seconds by the server's name."""
    far = {name: offset for name, offset in offsets.items() if abs(offset) > CLOCK_SECONDS}
    if not far:
        return Finding("clocks", Level.OK, f"this host's, Postgres' and Redis' agree within {CLOCK_SECONDS:g} s")
    apart = (f"{name} is {abs(off):.1f} s {'ahead' if off > 0 else 'behind'}" for name, off in far.items())
    advice = "Let NTP (chrony, systemd-timesyncd) set the clocks of all hosts."
    return Finding("clocks", Level.WARN, f"{' and '.join(apart)} of this host", advice)


def beat(*, leads: bool) -> Finding:
    """Whether a beat holds the lease."""
    if not leads:
        return Finding("beat", Level.FAIL, "none leads, so nothing fires", "Start `ostinato beat`, better two.")
    return Finding("beat", Level.OK, "one leads")


def workers(alive: Sequence[Any]) -> Finding:
    """How many workers are alive (rows of WORKERS), and whether a graph keeps one of them from working."""
    if not alive:
        return Finding("workers", Level.FAIL, "none is alive, so nothing runs", "Start `ostinato worker`.")
    worst = max(alive, key=lambda worker: worker.loop_lag_ms)
    if worst.loop_lag_ms:
        who = f"graph {worst.blocked_graph}" if worst.blocked_graph else "something"
        seconds = worst.loop_lag_ms // 1000
        text = f"{who} has blocked {worst.hostname}:{worst.pid} for {seconds} s: all its runs wait"
        advice = "Move blocking calls to a thread (asyncio.to_thread), or make the node a plain `def`: it gets one."
        return Finding("workers", Level.WARN, text, advice)
    hosts = len({worker.hostname for worker in alive})
    slots = sum(worker.slots for worker in alive)
    text = f"{len(alive)} alive on {hosts} host{'s' * (hosts > 1)}, {slots} runs at a time"
    return Finding("workers", Level.OK, text)


def firings(figures: Any) -> Finding:
    """Whether crons fire at their times, and whether firings are started, by the row of FIGURES."""
    if figures.late:
        text = f"the time of {_crons(figures.late)} has come and is not in the ledger"
        return Finding("firings", Level.FAIL, text, "Look at the leading beat: its log says what holds it up.")
    if figures.due and figures.oldest > DUE_WARN:
        level = Level.FAIL if figures.oldest > DUE_FAIL else Level.WARN
        seconds = figures.oldest.total_seconds()
        text = f"{figures.due} wait{'s' * (figures.due == 1)} for a worker, the oldest for {seconds:.0f} s"
        return Finding("firings", level, text, "Start more workers, or look why the present ones are busy.")
    if figures.parked:
        text = f"{_crons(figures.parked)} cannot be evaluated and will not fire"
        return Finding(
            "firings", Level.WARN, text, "Its page, and column fault of table cron, say why: edit or delete it."
        )
    return Finding("firings", Level.OK, "none is late")


def _crons(number: int) -> str:
    return f"{number} cron{'s' * (number > 1)}"
