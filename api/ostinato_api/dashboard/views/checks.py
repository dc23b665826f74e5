"""The checks that a page can make in passing, as it shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ostinato_api.dashboard.words import number
from ostinato_shared import checks
from ostinato_shared.checks import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ostinato_api.dashboard.examining import Broker, Database

TONES: Final = {Level.OK: "ok", Level.WARN: "warn", Level.FAIL: "bad"}
GLYPHS: Final = {"ok": "✓", "warn": "!", "bad": "✕"}


@dataclass(frozen=True)
class Check:
    name: str
    tone: str  # ok, warn, bad
    text: str
    advice: str

    @property
    def glyph(self) -> str:
        return GLYPHS[self.tone]


@dataclass(frozen=True)
class Verdict:
    tone: str
    glyph: str
    text: str


def shown(database: Database | None, broker: Broker | None) -> list[Check]:
    """All checks; what builds on a server that is away is left out."""
    return [
        Check(found.check.capitalize(), TONES[found.level], found.text, found.advice)
        for found in _findings(database, broker)
    ]


def verdict(found: list[Check]) -> Verdict:
    """All of them in one badge."""
    for tone, word in (("bad", "failed"), ("warn", "to look at")):
        many = sum(check.tone == tone for check in found)
        if many:
            return Verdict(tone, GLYPHS[tone], f"{many} of {len(found)} checks {word}")
    return Verdict("ok", "✓", f"all {len(found)} checks pass")


def _findings(database: Database | None, broker: Broker | None) -> Iterator[Finding]:
    if database:
        yield checks.database(database.server.version, database.server.revision)
    else:
        yield _away("database", "Nothing runs until it does: look at the server.")
    if broker:
        yield checks.redis(broker.info, number=broker.number, snapshots=broker.snapshots)
    else:
        yield _away("redis", "Crons fire late until it does: look at the server.")
    if database and broker:
        yield checks.clocks({"Postgres": database.offset, "Redis": broker.offset})
    if broker:
        yield checks.beat(leads=broker.leader.state == "leads")
    if database:
        yield checks.workers([worker for worker in database.workers if worker.alive])
        yield checks.firings(database.figures)
    if database and broker:
        yield _in_step(database, broker)


def _away(check: str, advice: str) -> Finding:
    return Finding(check, Level.FAIL, "does not answer", advice)


def _in_step(database: Database, broker: Broker) -> Finding:
    crons, entries = number(database.figures.active), number(broker.entries)
    if crons != entries:
        advice = "Beat mends that within seconds; `ostinato doctor` compares each."
        return Finding("in step", Level.WARN, f"crons: {crons} in Postgres, {entries} in Redis", advice)
    return Finding("in step", Level.OK, f"crons: {crons} in Postgres, all in Redis")
