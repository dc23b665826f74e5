"""How late runs started, minute by minute: the middle one and the slow ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from ostinato_api.dashboard.svg.durations import nice
from ostinato_api.dashboard.words import took

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 900
HEIGHT: Final = 156
FLOOR: Final = 134
TALLEST: Final = 120
LEFT: Final = 56
RIGHT: Final = 8
LINES: Final = 3
MINUTE: Final = timedelta(minutes=1)
WORDS: Final = timedelta(minutes=10)  # between two words below
LONGEST_GAP: Final = timedelta(minutes=5)  # lines are drawn over minutes in which nothing fired, not over longer gaps


@dataclass(frozen=True)
class Lag:
    at: datetime
    p50: float  # milliseconds
    p99: float


def draw_lag(lags: Sequence[Lag], *, start: datetime, end: datetime) -> Markup:
    """The two lines, oldest minute first."""
    top = nice(timedelta(milliseconds=max((lag.p99 for lag in lags), default=0)) or MINUTE / 60)
    curves = "".join(f'<path class="{name}" d="{_path(lags, name, start, end, top)}"/>' for name in ("p99", "p50"))
    touched = "".join(_touch(lag, start, end) for lag in lags)
    return Markup(  # noqa: S704 - numbers and our own words: nothing of a user's
        f'<svg class="lag" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{summary(lags)}">'
        f"{_grid(top)}{_hours(start, end)}{curves}{touched}</svg>"
    )


def summary(lags: Sequence[Lag]) -> str:
    """The drawing in words."""
    if not lags:
        return "No run in the last hour"
    worst = max(lags, key=lambda lag: lag.p99)
    return f"Start lag by minute, last hour: p99 at most {took(timedelta(milliseconds=worst.p99))}"


def _path(lags: Sequence[Lag], name: str, start: datetime, end: datetime, top: timedelta) -> str:
    drawn, before = "", None
    for lag in lags:
        x, y = _x(lag.at, start, end), FLOOR - TALLEST * (timedelta(milliseconds=getattr(lag, name)) / top)
        joined = before is not None and lag.at - before <= LONGEST_GAP
        drawn += f"L{x:.1f} {y:.1f}" if joined else f"M{x:.1f} {y:.1f}h.01"  # a minute by itself is a dot
        before = lag.at
    return drawn


def _x(at: datetime, start: datetime, end: datetime) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * ((at - start) / (end - start))


def _touch(lag: Lag, start: datetime, end: datetime) -> str:
    width = (WIDTH - LEFT - RIGHT) * (MINUTE / (end - start))
    text = f"p50 {took(timedelta(milliseconds=lag.p50))}, p99 {took(timedelta(milliseconds=lag.p99))}"
    x = _x(lag.at, start, end) - width / 2
    return (
        f'<g data-at="{lag.at.isoformat()}"><title>{text}</title>'
        f'<rect class="touch" x="{x:.1f}" y="0" width="{width:.1f}" height="{FLOOR}"/></g>'
    )


def _grid(top: timedelta) -> str:
    levels = [(FLOOR - TALLEST * n / LINES, took(top * n / LINES)) for n in range(1, LINES + 1)]
    return f'<path class="grid" d="M{LEFT} {FLOOR}H{WIDTH}"/>' + "".join(
        f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH}"/>'
        f'<text class="hour end" x="{LEFT - 8}" y="{y + 4:.1f}">{word}</text>'
        for y, word in levels
    )


def _hours(start: datetime, end: datetime) -> str:
    first = start.replace(minute=start.minute // 10 * 10, second=0, microsecond=0) + WORDS
    marks = [first + WORDS * n for n in range((end - first) // WORDS + 1)]
    return "".join(
        f'<text class="hour" x="{min(_x(at, start, end), WIDTH - 16):.1f}" y="{FLOOR + 17}"'
        f' data-at="{at.isoformat()}">{at:%H:%M}</text>'
        for at in marks
    )
