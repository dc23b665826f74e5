"""Rows of the runs page and its segments."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ostinato_api.dashboard.run_queries import MOST
from ostinato_api.dashboard.views import cron as cron_views
from ostinato_api.dashboard.views.crons import FIELDS_TO_THE_MINUTE, length
from ostinato_api.dashboard.views.outcomes import WAITING, Look, look
from ostinato_api.dashboard.words import number
from ostinato_shared.models import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from ostinato_shared.models import Firing

TRIGGERS = {"catchup": "caught up", "manual": "by hand", "backfill": "backfill"}
ASKING_KEYS = ("question", "message", "prompt", "text", "description")
EXCERPT = 400  # characters of output, error or question


class Show(StrEnum):
    """The segments of the feed."""

    ALL = "all"
    RUNNING = "running"
    FAILED = "failed"
    WAITING = "waiting"
    SKIPPED = "skipped"


WORDS = {
    Show.ALL: "All",
    Show.RUNNING: "Running",
    Show.FAILED: "Failed",
    Show.WAITING: "Waiting for a person",
    Show.SKIPPED: "Skipped",
}


@dataclass(frozen=True)
class RunRow:
    firing: Firing
    title: str
    linked: bool  # whether its cron is still there
    zone: str
    seconds: bool
    thread_id: UUID | None  # None when there is none to be read
    look: Look
    reason: str | None
    question: str | None

    @property
    def took(self) -> timedelta | None:
        return length(self.firing)

    @property
    def trigger(self) -> str | None:
        """What made it fire, when that was not its schedule."""
        return TRIGGERS.get(self.firing.trigger)

    @property
    def cancellable(self) -> bool:
        return self.firing.outcome == Outcome.STARTED and self.firing.run_id is not None

    @property
    def error(self) -> str | None:
        return told(self.firing.error)

    @property
    def output(self) -> str:
        return (self.firing.output or "")[:EXCERPT]


@dataclass(frozen=True)
class Segment:
    show: Show
    word: str
    many: str
    on: bool
    url: str


def rows(firings: Iterable[Firing], threads: Iterable[Any], crons: Iterable[Any]) -> list[RunRow]:
    """The rows of these firings, in their order."""
    threads_by_id = {thread.thread_id: thread for thread in threads}
    crons_by_id = {cron.cron_id: cron for cron in crons}
    return [_row(each, threads_by_id.get(each.thread_id), crons_by_id.get(each.cron_id)) for each in firings]


def segments(show: Show, counts: Mapping[str, int], since: datetime | None) -> list[Segment]:
    """The segments; those that are about now carry their number."""
    return [
        Segment(each, word, _many(counts.get(each.value)), each is show, url(each, since))
        for each, word in WORDS.items()
    ]


def url(show: Show, since: datetime | None = None, cursor: str | None = None) -> str:
    """The path of the feed under these filters."""
    given: dict[str, Any] = {} if show is Show.ALL else {"show": show.value}
    if since is not None:
        given["since"] = int(since.timestamp())
    if cursor is not None:
        given["cursor"] = cursor
    return "/ui/runs" + (f"?{urlencode(given)}" if given else "")


def asked(question: str | None) -> str | None:
    """What an interrupt's value, as JSON that may be cut off, asks."""
    if question is None:
        return None
    try:
        value = json.loads(question)
    except ValueError:
        return question[:EXCERPT]
    return spoken(value)[:EXCERPT]


def spoken(value: Any) -> str:
    """The text of an interrupt's value: itself, the part that asks, or all of it."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        said = next((value[key] for key in ASKING_KEYS if isinstance(value.get(key), str) and value[key]), None)
        if said is not None:
            return str(said)
    return json.dumps(value, ensure_ascii=False)


def told(error: Any) -> str | None:
    """An error as one line."""
    if not error:
        return None
    if not isinstance(error, dict):
        return str(error)[:EXCERPT]
    return ": ".join(str(error[key]) for key in ("error", "message") if error.get(key))[:EXCERPT]


def _row(firing: Firing, thread: Any, cron: Any) -> RunRow:
    asks = thread is not None and thread.asking == firing.firing_id
    return RunRow(
        firing=firing,
        title=_title(firing, cron),
        linked=cron is not None,
        zone=(cron.timezone if cron else None) or "UTC",
        seconds=cron is not None and len(cron.schedule.split()) > FIELDS_TO_THE_MINUTE,
        thread_id=None if thread is None else thread.thread_id,
        look=WAITING if asks else look(firing.outcome),
        reason=None if asks else cron_views.reason(firing),
        question=asked(thread.question) if asks else None,
    )


def _title(firing: Firing, cron: Any) -> str:
    names: Sequence[str | None] = (cron.name, cron.assistant) if cron else (firing.name,)
    return next((name for name in names if name), f"cron {firing.cron_id.hex[:8]}")


def _many(count: int | None) -> str:
    if not count:
        return ""
    return number(count) + ("+" if count >= MOST else "")
