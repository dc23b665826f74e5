"""The Score: past and coming fire times on one lane a cron."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Final
from unicodedata import east_asian_width

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAST: Final = timedelta(hours=6)
AHEAD: Final = timedelta(hours=18)
GRID: Final = timedelta(hours=3)
SLOT: Final = timedelta(minutes=4)  # marks nearer to each other than that are drawn as one

WIDTH: Final = 1300
LEFT: Final = 170
RIGHT: Final = 1288
TOP: Final = 26
LANE: Final = 21
FOOT: Final = 20
DENSE: Final = timedelta(minutes=12)  # mean distance under which circles would touch
ROOM: Final = 22  # ordinary letters of a title
BROAD: Final = "mwMW@%"  # letters with the room of two, as those of East Asia


@dataclass(frozen=True)
class Mark:
    """A fire time, or several in one slot: `kind` is ok, bad, ask, skip, run or next."""

    at: datetime
    kind: str
    text: str


@dataclass(frozen=True)
class Lane:
    title: str
    url: str | None
    quiet: str  # why nothing comes: `paused`, `ended`; else empty
    marks: Sequence[Mark]
    later: datetime | None = None  # the next fire time when it lies beyond the window


def draw_score(lanes: Sequence[Lane], *, now: datetime) -> Markup:
    """The drawing, from six hours ago to eighteen hours ahead."""
    height = TOP + LANE * len(lanes) + FOOT
    parts = [*_grid(now, height), *(_lane(lane, index, now) for index, lane in enumerate(lanes)), _now(now, height)]
    return Markup(
        '<svg class="score" viewBox="0 0 {} {}" role="group"'
        ' aria-label="Past and coming fire times of {} crons">{}</svg>'
    ).format(WIDTH, height, len(lanes), Markup().join(parts))


def _x(at: datetime, now: datetime) -> float:
    return round(LEFT + (at - (now - PAST)) / (PAST + AHEAD) * (RIGHT - LEFT), 1)


def _grid(now: datetime, height: int) -> Iterator[Markup]:
    first = now - PAST
    at = datetime.fromtimestamp(first.timestamp() // GRID.total_seconds() * GRID.total_seconds(), UTC) + GRID
    while at < now + AHEAD - timedelta(minutes=20):
        x = _x(at, now)
        if x > LEFT + 16:  # half a label: it would run into the names
            yield Markup(
                '<line class="grid" x1="{0}" x2="{0}" y1="17" y2="{1}"/>'
                '<text class="hour" x="{0}" y="11" data-at="{2}">{3}</text>'
            ).format(x, height - FOOT + 4, at.isoformat(), f"{at:%H:%M}")
        at += GRID


def _lane(lane: Lane, index: int, now: datetime) -> Markup:
    y = TOP + LANE * index + 4
    label = Markup('<text class="name{}" x="{}" y="{}"><title>{}</title>{}</text>').format(
        " quiet" if lane.quiet else "", LEFT - 14, y + 4, lane.title, _short(lane.title)
    )
    if lane.url is not None:
        label = Markup('<a id="lane-{}" href="{}">{}</a>').format(lane.url.rpartition("/")[2], lane.url, label)
    line = Markup('<line class="lane" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(LEFT, RIGHT, y, y)
    marks = _crowd(lane.marks, y, now) if _is_dense(lane.marks) else _notes(lane.marks, y, now)
    return Markup("<g>{}{}{}{}</g>").format(label, line, marks, _edge(lane, y))


def _short(title: str) -> str:
    """As much of a title as there is room for beside its lane."""
    widths = [2 if letter in BROAD or east_asian_width(letter) in {"F", "W"} else 1 for letter in title]
    if sum(widths) <= ROOM:
        return title
    fit = sum(so_far < ROOM for so_far in accumulate(widths))
    return title[:fit] + "…"


def _crowd(marks: Sequence[Mark], y: int, now: datetime) -> Markup:
    """Ticks, one path a kind; failures, questions and skips keep their shapes and words."""
    paths = [_ticks(kind, [mark for mark in marks if mark.kind == kind], y, now) for kind in ("next", "ok", "run")]
    return Markup().join([*paths, _notes([mark for mark in marks if mark.kind in {"bad", "ask", "skip"}], y, now)])


def _ticks(kind: str, marks: Sequence[Mark], y: int, now: datetime) -> Markup:
    tall = 8 if kind == "next" else 10
    path = "".join(f"M{_x(mark.at, now):g} {y - tall // 2}v{tall}" for mark in marks)
    return Markup('<path class="ticks-{}" d="{}"/>').format(kind, path) if path else Markup()


def _notes(marks: Sequence[Mark], y: int, now: datetime) -> Markup:
    return Markup().join(_note(mark, _x(mark.at, now), y) for mark in marks)


def _is_dense(marks: Sequence[Mark]) -> bool:
    if len(marks) < 3:  # noqa: PLR2004 - two cannot crowd
        return False
    return (marks[-1].at - marks[0].at) / (len(marks) - 1) < DENSE


def _edge(lane: Lane, y: int) -> Markup:
    if lane.quiet:
        return Markup('<text class="edge" x="{}" y="{}">{}</text>').format(RIGHT - 4, y - 3, lane.quiet)
    if lane.later is not None:
        return Markup(
            '<text class="edge" x="{}" y="{}">next <tspan data-at="{}" data-form="full">{}</tspan> →</text>'
        ).format(RIGHT - 4, y - 3, lane.later.isoformat(), f"{lane.later:%a %-d %b, %H:%M} UTC")
    return Markup()


def _note(mark: Mark, x: float, y: int) -> Markup:
    return Markup('<g class="m-{}" data-at="{}"><title>{}</title>{}</g>').format(
        mark.kind, mark.at.isoformat(), mark.text, _shape(mark.kind, x, y)
    )


def _shape(kind: str, x: float, y: int) -> Markup:
    if kind == "bad":
        return Markup('<path d="M{:g} {}l8 8m0-8l-8 8"/>').format(x - 4, y - 4)
    if kind == "ask":
        return Markup('<path d="M{:g} {}l5 5l-5 5l-5 -5z"/>').format(x, y - 5)
    if kind == "skip":
        return Markup('<rect x="{:g}" y="{}" width="8" height="8" rx="1.5"/>').format(x - 4, y - 4)
    return Markup('<circle cx="{:g}" cy="{}" r="4"/>').format(x, y)


def _now(now: datetime, height: int) -> Markup:
    x = _x(now, now)
    return Markup(
        '<g class="now"><line x1="{0}" x2="{0}" y1="17" y2="{1}"/>'
        '<rect x="{2}" y="{3}" width="34" height="15" rx="7.5"/><text x="{0}" y="{4}">now</text></g>'
    ).format(x, height - 15, x - 17, height - 16, height - 5)
