"""One cron's page: how it stands, how it behaves, what its history looks like."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from statistics import median_high, quantiles
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from ostinato_api.dashboard.svg.calendar import Day
from ostinato_api.dashboard.views.outcomes import FAILED
from ostinato_api.dashboard.words import took, when

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from ostinato_api.dashboard.svg.strip import Bar
    from ostinato_api.extras.events import Event
    from ostinato_shared.models import Cron

SHORT = 40  # characters of a value that stand in one line with another
LONGEST = 2000  # characters of a value
FEW = 2  # no percentiles of fewer
STRATEGIES = {
    "enqueue": "waits for its turn",
    "reject": "is skipped",
    "interrupt": "stops the run under way",
    "rollback": "undoes the run under way",
}
REASONS = {
    "overlap": "the run before was still under way",
    "missed": "the server was down",
    "disabled": "paused",
    "ended": "past its end",
    "deleted": "the cron was deleted",
    "max_runs": "all its runs were used",
    "thread_busy": "its thread was busy",
    "thread_gone": "its thread is gone",
    "assistant_gone": "its assistant is gone",
    "invalid": "it could not be read",
    "cancelled": "by a person",
    "displaced": "by a newer run",
    "disconnected": "its client went away",
    "worker_lost": "its workers died",
    "thread_deleted": "its thread was deleted",
}


@dataclass(frozen=True)
class Change:
    name: str
    before: str
    after: str

    @property
    def short(self) -> bool:
        return max(len(self.before), len(self.after)) <= SHORT


@dataclass(frozen=True)
class Spread:
    """Of the runs that succeeded."""

    p50: timedelta | None
    p95: timedelta | None


def spread(bars: Sequence[Bar]) -> Spread:
    """Half and nearly all of the runs took no longer than this."""
    taken = [bar.length for bar in bars if bar.length is not None and bar.outcome not in FAILED]
    if not taken:
        return Spread(None, None)
    seconds = [length.total_seconds() for length in taken]
    p95 = timedelta(seconds=quantiles(seconds, n=20)[-1]) if len(taken) > FEW else max(taken)
    return Spread(median_high(taken), p95)


def days(slots: Iterable[Any], zone: str) -> dict[date, Day]:
    """The calendar's days in the cron's own zone."""
    found: dict[date, list[Any]] = {}
    for slot in slots:
        found.setdefault(slot.at.astimezone(ZoneInfo(zone)).date(), []).append(slot)
    return {day: _day(slots) for day, slots in found.items()}


def _day(slots: Sequence[Any]) -> Day:
    succeeded = sum(slot.succeeded for slot in slots)
    taken = sum((slot.taken for slot in slots), timedelta())
    return Day(
        many=sum(slot.many for slot in slots),
        failed=sum(slot.failed for slot in slots),
        succeeded=succeeded,
        mean=taken / succeeded if succeeded else None,
    )


def reason(firing: Any) -> str | None:
    """Why a firing was skipped or cut short, for people."""
    if firing.missed_until is not None:
        many = "" if firing.missed_count is None else f"{firing.missed_count} times, "
        return f"{many}{REASONS.get(firing.reason, firing.reason)}"
    return REASONS.get(firing.reason, firing.reason) if firing.reason else None


def behaviour(cron: Cron) -> list[tuple[str, Any]]:
    """What a cron does when, as pairs of a question and its answer; only what is so."""
    policy = cron.policy or {}
    told: list[tuple[str, Any]] = [("Thread", _thread(cron))]
    if cron.thread_id is not None:
        strategy = str(cron.payload.get("multitask_strategy", "enqueue"))
        told.append(("If its thread is busy", STRATEGIES.get(strategy, strategy)))
    told.append(("If still running", "skips the new one" if policy.get("overlap") == "skip" else "starts another"))
    told.append(("If the server was down", "runs once, then goes on"))
    limit = policy.get("timeout_seconds")
    told.append(("Time limit", "none" if limit is None else took(timedelta(seconds=limit))))
    failures = policy.get("pause_after_failures")
    told.append(("Auto-pause", f"after {failures} failures in a row" if failures else "never"))
    if (most := policy.get("max_runs")) is not None:
        told.append(("Runs", f"{cron.run_count} of {most}, then it pauses"))
    if cron.end_time is not None:
        told.append(("Ends", when(cron.end_time, cron.timezone or "UTC")))
    if cron.payload.get("webhook"):
        told.append(("Webhook", "called at the end of each run"))
    return told


def changed(event: Event) -> list[Change]:
    """What an event changed, from what to what; pausing and resuming say it by their name."""
    told = {name: change for name, change in event.changes.items() if name != "enabled" or event.row.kind == "updated"}
    return [Change(name, _value(change["from"]), _value(change["to"])) for name, change in told.items()]


def _value(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else pretty(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def pretty(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _thread(cron: Cron) -> str:
    if cron.thread_id is not None:
        return "always the same one"
    return "a new one each time, kept" if cron.on_run_completed == "keep" else "a new one each time, deleted after"
