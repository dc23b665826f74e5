"""What comes in the next hour: fire times a minute."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 320
HEIGHT: Final = 78
FLOOR: Final = 60
TALLEST: Final = 54
LOWEST: Final = 2.5
MINUTES: Final = 60
MARK: Final = 15  # minutes between two words below


def draw_load(times: Sequence[datetime], *, start: datetime) -> Markup:
    """The bars of the 60 minutes from `start`, which is a whole one."""
    many = per_minute(times, start=start)
    top, step = max(many.values(), default=1), WIDTH / MINUTES
    bars = "".join(_bar(start, minute, count, top, step) for minute, count in sorted(many.items()))
    hours = "".join(_word(start + timedelta(minutes=minute), minute * step) for minute in range(0, MINUTES, MARK))
    return Markup(  # noqa: S704 - numbers and our own words: nothing of a user's
        f'<svg class="load" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{len(times)} fire times in the next'
        f' 60 minutes"><path class="grid" d="M0 {FLOOR + 0.5}H{WIDTH}"/>{hours}{bars}</svg>'
    )


def per_minute(times: Sequence[datetime], *, start: datetime) -> Counter[int]:
    """How many fire times each minute has."""
    return Counter((at - start) // timedelta(minutes=1) for at in times)


def _bar(start: datetime, minute: int, count: int, top: int, step: float) -> str:
    height = max(LOWEST, TALLEST * count / top)
    at = start + timedelta(minutes=minute)
    return (
        f'<g data-at="{at.isoformat()}"><title>{count} fire time{"" if count == 1 else "s"}</title>'
        f'<rect class="f-next" x="{minute * step + 0.6:.1f}" y="{FLOOR - height:.1f}" width="{step - 1.2:.1f}"'
        f' height="{height:.1f}" rx="1"/></g>'
    )


def _word(at: datetime, x: float) -> str:
    return f'<text class="hour start" x="{x:.1f}" y="{FLOOR + 14}" data-at="{at.isoformat()}">{at:%H:%M}</text>'
