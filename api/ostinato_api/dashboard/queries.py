"""Statements of the pages: each is one round trip, whatever the number of rows shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ARRAY, Uuid, and_, bindparam, func, or_, select, text

from ostinato_shared.models import Assistant, Cron

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import ColumnElement, Select, TextClause

PAGE: Final = 25  # rows
STRIP: Final = 20  # firings of a cron in the list
LABELS: Final = 4  # chips
LABEL_MARK: Final = "label:"
WORD: Final = re.compile(r'(?:"[^"]*"?|[^\s"])+')  # spaces within quotes belong to it

FAILING: Final = Cron.consecutive_failures > 0
ACTIVE: Final = and_(Cron.enabled, Cron.next_run_date.is_not(None))
ENDED: Final = and_(Cron.enabled, Cron.next_run_date.is_(None))
PAUSED: Final = Cron.enabled.is_(False)
ASKS: Final = """
    outcome = 'success'
    AND thread_id IN (
        SELECT thread_id FROM thread WHERE status = 'interrupted' AND interrupts <> '{}' AND deleted_at IS NULL)
    AND firing_id = (
        SELECT run.firing_id FROM run WHERE run.thread_id = firing.thread_id AND run.firing_id IS NOT NULL
        ORDER BY run.seq DESC LIMIT 1)
"""  # of a firing: its run has ended by asking a person, who has not answered yet
TITLE: Final = func.coalesce(func.nullif(Cron.name, ""), Assistant.name, "")


class Show(StrEnum):
    """The segments of the list."""

    ALL = "all"
    ACTIVE = "active"
    FAILING = "failing"
    PAUSED = "paused"


SEGMENTS: Final[dict[Show, ColumnElement[bool] | None]] = {
    Show.ALL: None,
    Show.ACTIVE: ACTIVE,
    Show.FAILING: FAILING,
    Show.PAUSED: PAUSED,
}


@dataclass(frozen=True)
class CronFilters:
    """What the list is asked for: words and `label:name="a value"` in `q`, chips, a segment, a page from 1."""

    q: str = ""
    labels: tuple[str, ...] = ()
    show: Show = Show.ALL
    page: int = 1

    conditions: list[ColumnElement[bool]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        said = [word.replace('"', "") for word in WORD.findall(self.q)]
        marked = [word.removeprefix(LABEL_MARK) for word in said if word.startswith(LABEL_MARK)]
        words = [word for word in said if word and not word.startswith(LABEL_MARK)]
        found = [_labelled(label) for label in (*self.labels, *marked) if label] + [_named(word) for word in words]
        object.__setattr__(self, "conditions", found)


def crons(filters: CronFilters) -> Select[*tuple[Any, ...]]:
    """One page of crons, failing first, then by name; `assistant` is its assistant's name."""
    return (
        cron_rows()
        .where(*_conditions(filters))
        .order_by(FAILING.desc(), func.lower(TITLE), Cron.cron_id)
        .limit(PAGE)
        .offset((filters.page - 1) * PAGE)
    )


def cron(cron_id: UUID) -> Select[*tuple[Any, ...]]:
    """One cron as the list has it."""
    return cron_rows().where(Cron.cron_id == cron_id)


def segments(filters: CronFilters) -> Select[*tuple[Any, ...]]:
    """How many crons each segment has, under the same search: one row, a column each."""
    counts = (
        (func.count() if condition is None else func.count().filter(condition)).label(show.value)
        for show, condition in SEGMENTS.items()
    )
    joined = select(*counts).select_from(Cron).outerjoin(Assistant, Assistant.assistant_id == Cron.assistant_id)
    return joined.where(*filters.conditions)


def labels() -> TextClause:
    """The labels that most crons have: name, value."""
    return text("""
        SELECT label.name, label.value FROM cron
        CROSS JOIN LATERAL jsonb_each_text(
            CASE jsonb_typeof(metadata -> 'labels') WHEN 'object' THEN metadata -> 'labels' ELSE '{}' END
        ) AS label (name, value)
        GROUP BY label.name, label.value ORDER BY count(*) DESC, label.name, label.value LIMIT :many
    """).bindparams(many=LABELS)


def last_firings(cron_ids: Sequence[UUID]) -> TextClause:
    """The last firings of each cron, newest first."""
    return text(f"""
        SELECT cron_id, fire_time, outcome, reason, started_at, ended_at, {ASKS} AS asks
        FROM unnest(:cron_ids) AS wanted (wanted_id)
        CROSS JOIN LATERAL (
            SELECT * FROM firing WHERE cron_id = wanted_id ORDER BY fire_time DESC LIMIT :many) AS firing
    """).bindparams(bindparam("cron_ids", list(cron_ids), type_=ARRAY(Uuid())), many=STRIP)  # noqa: S608 - from above


def states() -> Select[*tuple[Any, ...]]:
    """How many crons are active, paused and ended, one row."""
    counts = {"active": ACTIVE, "paused": PAUSED, "ended": ENDED}
    return select(*(func.count().filter(state).label(name) for name, state in counts.items())).select_from(Cron)


def ran(now: datetime) -> TextClause:
    """What ran in the last day, and the lag of the last hour, one row."""
    return text("""
        SELECT day.*, hour.* FROM
            (SELECT count(*) FILTER (WHERE outcome = 'success') AS succeeded,
                    count(*) FILTER (WHERE outcome IN ('error', 'timeout')) AS failed
             FROM firing WHERE fire_time > :day) AS day,
            (SELECT percentile_disc(0.99) WITHIN GROUP (ORDER BY lag_ms) AS lag_p99
             FROM firing WHERE fire_time > :hour AND trigger = 'schedule' AND lag_ms IS NOT NULL) AS hour
    """).bindparams(day=now - timedelta(days=1), hour=now - timedelta(hours=1))


def next_cron() -> Select[*tuple[Any, ...]]:
    """The cron that fires next."""
    return cron_rows().where(ACTIVE).order_by(Cron.next_run_date, Cron.cron_id).limit(1)


def cron_rows() -> Select[*tuple[Any, ...]]:
    """Crons with their assistant's name."""
    joined = select(Cron, Assistant.name.label("assistant"))
    return joined.outerjoin(Assistant, Assistant.assistant_id == Cron.assistant_id)


def score_marks(cron_ids: Sequence[UUID], *, since: datetime, until: datetime, slot: timedelta) -> TextClause:
    """What became of the fire times of each cron, gathered into slots of time: `at` is the first one in the slot."""
    return text(f"""
        SELECT cron_id, min(fire_time) AS at, count(*) AS many,
               count(*) FILTER (WHERE outcome IN ('error', 'timeout')) AS failed,
               count(*) FILTER (WHERE outcome = 'success') AS succeeded,
               count(*) FILTER (WHERE {ASKS}) AS asking,
               count(*) FILTER (WHERE outcome = 'skipped') AS skipped,
               count(*) FILTER (WHERE outcome = 'interrupted') AS cancelled
        FROM firing WHERE cron_id = ANY(:cron_ids) AND fire_time >= :since AND fire_time < :until
        GROUP BY cron_id, date_bin(:slot, fire_time, '2000-01-01Z') ORDER BY cron_id, at
    """).bindparams(  # noqa: S608 - likewise
        bindparam("cron_ids", list(cron_ids), type_=ARRAY(Uuid())),
        since=since, until=until, slot=slot,
    )  # fmt: skip


def _conditions(filters: CronFilters) -> list[ColumnElement[bool]]:
    segment = SEGMENTS[filters.show]
    return filters.conditions if segment is None else [*filters.conditions, segment]


def _labelled(label: str) -> ColumnElement[bool]:
    name, given, value = label.partition("=")
    if given:
        return Cron.metadata_.contains({"labels": {name: value}})
    has: ColumnElement[bool] = Cron.metadata_["labels"].has_key(name)
    return has


def _named(word: str) -> ColumnElement[bool]:
    return or_(Cron.name.icontains(word, autoescape=True), Assistant.name.icontains(word, autoescape=True))
