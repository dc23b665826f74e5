"""Rows of the crons page, its figures and its segments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from statistics import median_high
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ostinato_api.dashboard.queries import PAGE, CronFilters, Show
from ostinato_api.dashboard.svg.strip import Bar, draw_strip
from ostinato_api.dashboard.views.outcomes import FAILED
from ostinato_shared.errors import InvalidError
from ostinato_shared.schedule_words import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta
    from uuid import UUID

    from markupsafe import Markup

    from ostinato_shared.models import Cron

FIELDS_TO_THE_MINUTE = 5
SHOWN_LABELS = 4
LABEL_LENGTH = 40  # characters of name=value


@dataclass(frozen=True)
class CronRow:
    cron: Cron
    title: str
    assistant: str
    labels: Sequence[str]
    words: str
    strip: Markup | None
    p50: timedelta | None

    @property
    def cron_id(self) -> UUID:
        return self.cron.cron_id

    @property
    def zone(self) -> str:
        return self.cron.timezone or "UTC"

    @property
    def seconds(self) -> bool:
        """Whether its fire times are told to the second."""
        return len(self.cron.schedule.split()) > FIELDS_TO_THE_MINUTE

    @property
    def failing(self) -> bool:
        return self.cron.consecutive_failures > 0

    @property
    def state(self) -> str:
        """`paused`, `parked` (beat cannot evaluate it), `ended` or `active`."""
        if not self.cron.enabled:
            return "paused"
        if self.cron.fault:
            return "parked"
        return "active" if self.cron.next_run_date else "ended"


@dataclass(frozen=True)
class Segment:
    show: Show
    word: str
    many: int
    on: bool
    url: str


@dataclass(frozen=True)
class Chip:
    label: str
    on: bool
    url: str


@dataclass(frozen=True)
class Pager:
    first: int
    last: int
    total: int
    previous: str | None
    following: str | None


def title_of(cron: Cron, assistant: str | None) -> str:
    """What a cron is called: its name, else its assistant's, else the beginning of its id."""
    return cron.name or assistant or str(cron.cron_id)[:8]


def rows(found: Iterable[Any], firings: Iterable[Any]) -> list[CronRow]:
    """The rows of crons with their last firings."""
    by_cron: dict[UUID, list[Any]] = {}
    for firing in firings:
        by_cron.setdefault(firing.cron_id, []).append(firing)
    return [_row(cron, assistant, by_cron.get(cron.cron_id, [])) for cron, assistant in found]


def _row(cron: Cron, assistant: str | None, newest_first: Sequence[Any]) -> CronRow:
    bars = [
        Bar(firing.fire_time, firing.outcome, length(firing), asks=firing.asks) for firing in reversed(newest_first)
    ]
    done = [bar.length for bar in bars if bar.length is not None and bar.outcome not in FAILED]
    return CronRow(
        cron=cron,
        title=title_of(cron, assistant),
        assistant=assistant or "deleted assistant",
        labels=labels_of(cron.metadata_),
        words=_words(cron),
        strip=draw_strip(bars) if bars else None,
        p50=median_high(done) if done else None,
    )


def _words(cron: Cron) -> str:
    try:
        return describe(cron.schedule, None)
    except InvalidError:  # beat has parked it: the row says so
        return cron.schedule


def length(firing: Any) -> timedelta | None:
    """How long a firing's run took; None while it goes on, and for what never ran."""
    if firing.started_at is None or firing.ended_at is None:
        return None
    taken: timedelta = firing.ended_at - firing.started_at
    return taken


def labels_of(metadata: Mapping[str, Any]) -> list[str]:
    """The first labels as `name=value`; whatever else a user wrote there is not shown."""
    labels = metadata.get("labels")
    if not isinstance(labels, dict):
        return []
    return [label_text(name, value) for name, value in list(labels.items())[:SHOWN_LABELS]]


def label_text(name: str, value: Any) -> str:
    return f"{name}={value}"[:LABEL_LENGTH]


def segments(filters: CronFilters, counts: Mapping[str, int]) -> list[Segment]:
    """All, Active, Failing and Paused, with the number of each."""
    return [
        Segment(
            show, show.value.capitalize(), counts[show.value], show is filters.show, url(filters, show=show, page=1)
        )
        for show in Show
    ]


def chips(filters: CronFilters, common: Iterable[Any]) -> list[Chip]:
    """The labels to choose from, those that are chosen first."""
    known = [f"{label.name}={label.value}" for label in common]
    listed = [*filters.labels, *(label for label in known if label not in filters.labels)]
    return [Chip(label, label in filters.labels, _toggled(filters, label)) for label in listed]


def on_a_page(filters: CronFilters, total: int) -> CronFilters:
    """The same, on the last page rather than beyond it: rows may have gone since the page was linked to."""
    return replace(filters, page=min(filters.page, max(1, ceil(total / PAGE))))


def pager(filters: CronFilters, total: int) -> Pager:
    """Where the page stands, and its neighbours."""
    first = (filters.page - 1) * PAGE
    last = min(first + PAGE, total)
    return Pager(
        min(first + 1, total),
        last,
        total,
        url(filters, page=filters.page - 1) if filters.page > 1 else None,
        url(filters, page=filters.page + 1) if last < total else None,
    )


def url(filters: CronFilters, **changed: Any) -> str:
    """The address of the list under these filters, with some of them changed."""
    values = {"q": filters.q, "label": filters.labels, "show": filters.show, "page": filters.page} | changed
    defaults = {"q": "", "label": (), "show": Show.ALL, "page": 1}
    told = {name: value for name, value in values.items() if value != defaults[name]}
    return f"/ui/crons?{urlencode(told, doseq=True)}" if told else "/ui/crons"


def _toggled(filters: CronFilters, label: str) -> str:
    others = tuple(other for other in filters.labels if other != label)
    return url(filters, label=others if label in filters.labels else (*others, label), page=1)
