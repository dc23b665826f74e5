"""Those of `ostinato doctor`'s checks that a page can make in passing, with advice for what is not well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from ostinato_api.dashboard.words import number, span
from ostinato_shared import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ostinato_api.dashboard.examining import Broker, Database

CLOCK_SECONDS: Final = 1.0
DUE_WARN: Final = timedelta(seconds=30)
DUE_FAIL: Final = timedelta(minutes=5)
GLYPHS: Final = {"ok": "✓", "warn": "!", "bad": "✕"}


@dataclass(frozen=True)
class Check:
    name: str
    tone: str  # ok, warn, bad
    text: str
    advice: str = ""

    @property
    def glyph(self) -> str:
        return GLYPHS[self.tone]


@dataclass(frozen=True)
class Verdict:
    tone: str
    glyph: str
    text: str


def checks(database: Database | None, broker: Broker | None) -> list[Check]:
    """All checks; what builds on a server that is away is left out."""
    return list(_checks(database, broker))


def verdict(found: list[Check]) -> Verdict:
    """All of them in one badge."""
    for tone, word in (("bad", "failed"), ("warn", "to look at")):
        many = sum(check.tone == tone for check in found)
        if many:
            return Verdict(tone, GLYPHS[tone], f"{many} of {len(found)} checks {word}")
    return Verdict("ok", "✓", f"all {len(found)} checks pass")


def _checks(database: Database | None, broker: Broker | None) -> Iterator[Check]:
    yield _database(database)
    yield _redis(broker)
    if database and broker:
        yield _clocks(database, broker)
    if broker:
        yield _beat(broker)
    if database:
        yield _workers(database)
        yield _firings(database)
        yield _schedules(database)
    if database and broker:
        yield _in_step(database, broker)


def _database(database: Database | None) -> Check:
    if database is None:
        return Check("Database", "bad", "does not answer", "Nothing runs until it does: look at the server.")
    found, wanted = database.figures.revision, migrate.head()
    if found != wanted:
        return Check("Database", "bad", f"at revision {found}, this version needs {wanted}", migrate.ADVICE)
    return Check("Database", "ok", f"Postgres {database.figures.version.split()[0]}, revision {found}")


def _redis(broker: Broker | None) -> Check:
    if broker is None:
        return Check("Redis", "bad", "does not answer", "Crons fire late until it does: look at the server.")
    info = broker.info
    policy = info.get("maxmemory_policy")
    if policy != "noeviction":
        return Check("Redis", "bad", f"maxmemory-policy is {policy}", "Schedules could vanish: set it to noeviction.")
    if "err" in {info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status")}:
        return Check("Redis", "bad", "cannot write to its disk", "It refuses writes: look at its log and its disk.")
    if not info.get("aof_enabled") and not broker.snapshots:
        return Check("Redis", "warn", "its data do not survive a restart", "Set `appendonly yes`.")
    kept = "append-only file" if info.get("aof_enabled") else "snapshots"
    return Check("Redis", "ok", f"{server_of(info)}, noeviction, {kept}")


def _clocks(database: Database, broker: Broker) -> Check:
    far = max(abs(database.offset), abs(broker.offset), abs(database.offset - broker.offset))
    if far > CLOCK_SECONDS:
        return Check("Clocks", "warn", f"{far:.1f} s apart", "Let NTP set the clocks of all hosts.")
    return Check("Clocks", "ok", f"this host's, Postgres' and Redis' agree within {CLOCK_SECONDS:g} s")


def _beat(broker: Broker) -> Check:
    if broker.leader.state != "leads":
        return Check("Beat", "bad", "none leads, so nothing fires", "Start `ostinato beat`, better two.")
    return Check("Beat", "ok", "one leads")


def _workers(database: Database) -> Check:
    alive = [worker for worker in database.workers if worker.alive]
    if not alive:
        return Check("Workers", "bad", "none is alive, so nothing runs", "Start `ostinato worker`.")
    blocked = next((worker for worker in alive if worker.loop_lag_ms), None)
    if blocked is not None:
        who = f"graph {blocked.blocked_graph}" if blocked.blocked_graph else "something"
        seconds = blocked.loop_lag_ms // 1000
        text = f"{who} blocked {blocked.hostname}:{blocked.pid} for {seconds} s: all its runs waited"
        return Check("Workers", "warn", text, "Move blocking calls to a thread (asyncio.to_thread).")
    slots = sum(worker.slots for worker in alive)
    return Check("Workers", "ok", f"{len(alive)} alive, {number(slots)} runs at a time")


def _firings(database: Database) -> Check:
    figures = database.figures
    if figures.late:
        text = f"{_crons(figures.late)} should have fired and did not"
        return Check("Firings", "bad", text, "The leading beat's log says what holds it up.")
    if figures.oldest is not None and figures.oldest > DUE_WARN:
        tone = "bad" if figures.oldest > DUE_FAIL else "warn"
        text = f"{number(figures.due)} wait for a worker, the oldest for {span(figures.oldest)}"
        return Check("Firings", tone, text, "Start more workers, or see why these are busy.")
    return Check("Firings", "ok", "none is late")


def _schedules(database: Database) -> Check:
    parked = database.figures.parked
    if parked:
        return Check("Schedules", "warn", f"{_crons(parked)} cannot be read and will not fire", "Edit or delete them.")
    return Check("Schedules", "ok", "all can be read")


def _in_step(database: Database, broker: Broker) -> Check:
    crons, entries = database.figures.active, broker.entries
    if crons != entries:
        text = f"{number(crons)} in Postgres, {number(entries)} in Redis"
        return Check("In step", "warn", text, "Beat mends that within seconds; `ostinato doctor` compares each.")
    return Check("In step", "ok", f"{_crons(crons)} in Postgres, all in Redis")


def server_of(info: dict[str, Any]) -> str:
    """Redis or what stands in for it, with its version."""
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', '')}"


def _crons(many: int) -> str:
    return f"{number(many)} cron{'' if many == 1 else 's'}"
