"""Lanes of the Score, from crons, the ledger and the schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ostinato_api.dashboard.svg.score import AHEAD, SLOT, Lane, Mark
from ostinato_api.dashboard.views.crons import title_of
from ostinato_shared.errors import InvalidError
from ostinato_shared.firetimes import next_fire_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from uuid import UUID

    from ostinato_shared.models import Cron

MOST: Final = AHEAD // SLOT  # marks that a lane has room for


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
    if cron.next_run_date is None:
        return Lane(title, url, "ended", before)
    coming = [Mark(at, "next", "to come") for at in ahead(cron, now=now)]
    later = cron.next_run_date if cron.next_run_date > now + AHEAD else None
    return Lane(title, url, "", [*before, *coming], later)


def past(slot: Any) -> Mark:
    """What stands in a slot: its worst outcome, and all of them in words."""
    counts = {"failed": slot.failed, "succeeded": slot.succeeded, "skipped": slot.skipped, "cancelled": slot.cancelled}
    open_ones = slot.many - sum(counts.values())
    text = ", ".join(f"{many} {word}" for word, many in {**counts, "running": open_ones}.items() if many)
    kind = "bad" if slot.failed else "run" if open_ones else "ok" if slot.succeeded else "skip"
    return Mark(slot.at, kind, text)


def ahead(cron: Cron, *, now: datetime) -> Iterator[datetime]:
    """The coming fire times, at most one a slot."""
    until = now + AHEAD if cron.end_time is None else min(now + AHEAD, cron.end_time)
    at = cron.next_run_date
    for _ in range(MOST):
        if at is None or at > until:
            return
        if at >= now:
            yield at
        following = _next(cron, at)
        if following is not None and following - at < SLOT:  # a dense one: the first of the next slot will do
            following = _next(cron, at + SLOT)
        at = following


def _next(cron: Cron, after: datetime) -> datetime | None:
    try:
        return next_fire_time(cron.schedule, cron.timezone, after=after)
    except InvalidError:  # parked by beat: the list says so
        return None
