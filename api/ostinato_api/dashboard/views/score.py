"""Lanes of the Score, from crons, the ledger and the schedules."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ostinato_api.dashboard.svg.score import AHEAD, SLOT, Lane, Mark
from ostinato_api.dashboard.views.crons import title_of
from ostinato_shared.errors import InvalidError
from ostinato_shared.firetimes import SECOND, fire_times, next_fire_time
from ostinato_shared.policies import runs_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from uuid import UUID

    from ostinato_shared.models import Cron

LANES: Final = 12
MOST: Final = AHEAD // SLOT  # marks that a lane has room for
COUNTED: Final = 1000  # runs left that are counted; with more the lane is drawn to its end


def choose(found: Sequence[Any]) -> list[Any]:
    """Those of a list's crons that get a lane: failing ones, then active ones, then those that rest."""
    return sorted(found, key=lambda row: (row[0].consecutive_failures == 0, not active(row[0])))[:LANES]


def active(cron: Cron) -> bool:
    return cron.enabled and cron.next_run_date is not None


def lanes(
    found: Iterable[Any], slots: Iterable[Any], *, now: datetime, url_of: Callable[[UUID], str | None]
) -> list[Lane]:
    """One lane a cron, in the order given."""
    by_cron: dict[UUID, list[Mark]] = {}
    for slot in slots:
        by_cron.setdefault(slot.cron_id, []).append(past(slot))
    return [
        _lane(cron, title_of(cron, assistant), by_cron.get(cron.cron_id, []), now=now, url=url_of(cron.cron_id))
        for cron, assistant in found
    ]


def _lane(cron: Cron, title: str, before: list[Mark], *, now: datetime, url: str | None) -> Lane:
    if not cron.enabled:
        return Lane(title, url, "paused", before)
    if cron.next_run_date is None or not runs_left(cron.policy, cron.run_count):
        return Lane(title, url, "ended", before)
    coming = [Mark(at, "next", "to come") for at in ahead(cron, now=now)]
    later = cron.next_run_date if cron.next_run_date > now + AHEAD else None
    return Lane(title, url, "", [*before, *coming], later)


def past(slot: Any) -> Mark:
    """What stands in a slot: its worst outcome, and all of them in words."""
    counts = {
        "failed": slot.failed, "asking a person": slot.asking, "succeeded": slot.succeeded - slot.asking,
        "skipped": slot.skipped, "cancelled": slot.cancelled,
    }  # fmt: skip
    open_ones = slot.many - sum(counts.values())
    text = ", ".join(f"{many} {word}" for word, many in {**counts, "running": open_ones}.items() if many)
    return Mark(slot.at, _kind(slot, open_ones), text)


def _kind(slot: Any, open_ones: int) -> str:
    if slot.failed:
        return "bad"
    if slot.asking:
        return "ask"
    return "run" if open_ones else "ok" if slot.succeeded else "skip"


def ahead(cron: Cron, *, now: datetime) -> Iterator[datetime]:
    """The coming fire times, at most one a slot."""
    if cron.next_run_date is None:
        return
    until = now + AHEAD if cron.end_time is None else min(now + AHEAD, cron.end_time)
    left = runs_left(cron.policy, cron.run_count)
    if left <= COUNTED:
        times = fire_times(cron.schedule, cron.timezone, first=cron.next_run_date, until=until)
        until = max(islice(times, int(left)), default=now - SECOND)
    yield from (at for at in slots_from(cron.schedule, cron.timezone, cron.next_run_date) if now <= at <= until)


@lru_cache(maxsize=256)
def slots_from(schedule: str, timezone: str | None, first: datetime) -> tuple[datetime, ...]:
    """`first` and what follows in a window's length, each at least a slot after the one before."""
    times = [first]
    while len(times) <= MOST:
        try:
            following = next_fire_time(schedule, timezone, after=times[-1] + SLOT - SECOND)
        except InvalidError:  # parked by beat: the list says so
            break
        if following is None or following > first + AHEAD:
            break
        times.append(following)
    return tuple(times)
