"""How long the last runs took, a bar a run, with lines to read them by."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from ostinato_api.dashboard.views.outcomes import FAILED, look
from ostinato_api.dashboard.words import HOUR, MINUTE, SECOND, took

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ostinato_api.dashboard.svg.strip import Bar

WIDTH: Final = 900
HEIGHT: Final = 120
FLOOR: Final = 112
TALLEST: Final = 100
LEFT: Final = 62
LINES: Final = 3
LOWEST: Final = 3
FACTORS: Final = (1, 1.5, 2, 3, 5, 7.5, 10)
FRACTIONS: Final = (1, 2, 3, 5, 10, 15, 20, 30)  # that seconds and minutes are counted by


def draw_durations(bars: Sequence[Bar], *, slots: int) -> Markup:
    """The bars, oldest first, from the left."""
    top = nice(max((bar.length for bar in bars if bar.length), default=timedelta()))
    step = (WIDTH - LEFT) / slots
    drawn = "".join(_bar(bar, LEFT + index * step, step, top) for index, bar in enumerate(bars))
    return Markup(  # noqa: S704 - numbers and our own words: nothing of a user's
        f'<svg class="durations" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{summary(bars)}">'
        f"{_lines(top)}{drawn}</svg>"
    )


def nice(longest: timedelta) -> timedelta:
    """A round length of time that is no less."""
    return next(LINES * step for step in _steps() if longest <= LINES * step)


def _steps() -> Iterator[timedelta]:
    for power in range(3):
        yield from (factor * timedelta(milliseconds=10**power) for factor in FACTORS)
    for unit in (SECOND, MINUTE):
        yield from (fraction * unit for fraction in FRACTIONS)
    yield from (HOUR * 2**power for power in count())


def summary(bars: Sequence[Bar]) -> str:
    """The drawing in words."""
    taken = sorted(bar.length for bar in bars if bar.length is not None)
    return f"Last {len(bars)} runs, from {took(taken[0])} to {took(taken[-1])}" if taken else "No runs yet"


def _lines(top: timedelta) -> str:
    levels = [(FLOOR - TALLEST * n / LINES, took(top * n / LINES)) for n in range(1, LINES + 1)]
    return f'<path class="grid" d="M{LEFT} {FLOOR}H{WIDTH}"/>' + "".join(
        f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH}"/>'
        f'<text class="hour end" x="{LEFT - 8}" y="{y + 4:.1f}">{word}</text>'
        for y, word in levels
    )


def _bar(bar: Bar, x: float, step: float, top: timedelta) -> str:
    seen = look(bar.outcome)
    height = max(LOWEST, TALLEST * ((bar.length or timedelta()) / top))
    width, y = step * 0.64, FLOOR - height
    shape = f'<rect class="fill" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"/>'
    if bar.outcome in FAILED:
        middle = x + width / 2
        shape += f'<path class="cross" d="M{middle - 3:.1f} {y - 9:.1f}l6 6m0-6l-6 6"/>'
    text = f"{seen.word}, {took(bar.length)}"
    return f'<g class="t-{seen.tone}" data-at="{bar.at.isoformat()}"><title>{text}</title>{shape}</g>'
