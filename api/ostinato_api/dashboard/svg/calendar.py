"""Every day of the last half year as a square: shade is how long its runs took, a mark says that some failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from ostinato_api.dashboard.words import took

if TYPE_CHECKING:
    from collections.abc import Mapping

STEP: Final = 15
SIZE: Final = 12
LEFT: Final = 30
TOP: Final = 16
DAYS: Final = 7
SHADES: Final = 4
NAMED: Final = {0: "Mon", 2: "Wed", 4: "Fri"}


@dataclass(frozen=True)
class Day:
    many: int
    failed: int
    succeeded: int
    mean: timedelta | None  # of the runs that succeeded


def draw_calendar(days: Mapping[date, Day], *, today: date, weeks: int) -> Markup:
    """The calendar up to the end of this week, a column a week from Monday on."""
    first = today - timedelta(days=today.weekday() + DAYS * (weeks - 1))
    means = sorted(day.mean for day in days.values() if day.mean is not None)
    squares = "".join(
        _square(first + timedelta(days=n), n, days.get(first + timedelta(days=n)), today=today, means=means)
        for n in range(weeks * DAYS)
    )
    names = "".join(
        f'<text class="hour end" x="{LEFT - 6}" y="{TOP + n * STEP + 10}">{word}</text>' for n, word in NAMED.items()
    )
    return Markup(  # noqa: S704 - numbers, dates and our own words: nothing of a user's
        f'<svg class="calendar" viewBox="0 0 {LEFT + weeks * STEP} {TOP + DAYS * STEP}" role="img"'
        f' aria-label="{_summary(days)}">{_months(first, weeks)}{names}{squares}</svg>'
    )


def _summary(days: Mapping[date, Day]) -> str:
    many, failed = sum(day.many for day in days.values()), sum(1 for day in days.values() if day.failed)
    return f"{many} fire times on {len(days)} days; {failed} days with failures"


def _months(first: date, weeks: int) -> str:
    mondays = [first + timedelta(days=DAYS * week) for week in range(weeks)]
    return "".join(
        f'<text class="hour start" x="{LEFT + week * STEP}" y="10">{monday:%b}</text>'
        for week, monday in enumerate(mondays)
        if monday.day <= DAYS
    )


def _square(at: date, index: int, day: Day | None, *, today: date, means: list[timedelta]) -> str:
    x, y = LEFT + index // DAYS * STEP, TOP + index % DAYS * STEP
    kind = "to-come" if at > today else _kind(day, means)
    mark = " today" if at == today else ""
    box = f'<rect class="{kind}{mark}" x="{x}" y="{y}" width="{SIZE}" height="{SIZE}" rx="2.5"/>'
    if day is not None and day.failed:
        box += f'<path class="cross" d="M{x + 3.5} {y + 3.5}l5 5m0-5l-5 5"/>'
    return f"<g><title>{at:%a %d %b}: {_words(day)}</title>{box}</g>"


def _kind(day: Day | None, means: list[timedelta]) -> str:
    if day is None:
        return "none"
    if day.failed:
        return "part" if day.succeeded else "bad"
    if day.mean is None:
        return "idle"
    below = sum(1 for mean in means if mean < day.mean)
    return f"shade-{1 + min(SHADES - 1, SHADES * below // len(means))}"


def _words(day: Day | None) -> str:
    if day is None:
        return "nothing"
    said = f"{day.succeeded} succeeded, {day.failed} failed, {day.many - day.succeeded - day.failed} others"
    return said if day.mean is None else f"{said}; {took(day.mean)} on average"
