"""How many runs succeeded and failed in each slot of the last day; each bar leads to its runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta

WIDTH: Final = 1300
HEIGHT: Final = 84
FLOOR: Final = 66
TALLEST: Final = 58
GAP: Final = 3.0
LOWEST: Final = 2.5  # one run among thousands is still seen
HOURS: Final = 4  # between two words below


@dataclass(frozen=True)
class Count:
    succeeded: int
    failed: int
    skipped: int

    @property
    def ran(self) -> int:
        return self.succeeded + self.failed


def draw_throughput(
    counts: Mapping[datetime, Count], *, starts: Sequence[datetime], slot: timedelta,
    url_of: Callable[[datetime], str], chosen: datetime | None = None,
) -> Markup:  # fmt: skip
    """The bars of these slots, oldest first: failed ones stand on those that succeeded."""
    top = max((count.ran for count in counts.values()), default=0)
    step = WIDTH / len(starts)
    bars = "".join(
        _bar(counts[at], at, index * step, step, top, url_of(at), on=at == chosen)
        for index, at in enumerate(starts)
        if at in counts and (counts[at].ran or counts[at].skipped)
    )
    hours = "".join(_hour(at, index * step) for index, at in enumerate(starts) if _is_marked(at, slot))
    return Markup(  # noqa: S704 - numbers and our own words, but for the URLs, which are escaped
        f'<svg class="throughput" viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="{summary(counts)}">'
        f'<path class="grid" d="M0 {FLOOR + 0.5}H{WIDTH}"/>{hours}{bars}</svg>'
    )


def summary(counts: Mapping[datetime, Count]) -> str:
    """The drawing in words."""
    succeeded, failed = (sum(getattr(count, name) for count in counts.values()) for name in ("succeeded", "failed"))
    return f"Last 24 hours: {succeeded} succeeded, {failed} failed"


def _bar(count: Count, at: datetime, x: float, step: float, top: int, url: str, *, on: bool) -> str:  # noqa: PLR0917 - a drawing's measures
    good, bad = (_height(many, top) for many in (count.succeeded, count.failed))
    width = step - GAP
    shapes = f'<rect class="touch" x="{x:.1f}" y="0" width="{step:.1f}" height="{FLOOR}"/>'
    if good:
        shapes += _rect("ok", x, FLOOR - good, width, good)
    if bad:
        y = max(0.0, FLOOR - good - bad - (1 if good else 0))
        shapes += _rect("bad", x, y, width, bad)
    if not good and not bad:
        shapes += _rect("skip", x, FLOOR - LOWEST, width, LOWEST)
    text = f"{count.succeeded} succeeded, {count.failed} failed, {count.skipped} skipped"
    form = ' class="on"' if on else ""
    return (
        f'<a id="slot-{at:%H%M}" href="{escape(url)}"{form} aria-label="{at:%H:%M} UTC: {text}">'
        f'<g data-at="{at.isoformat()}"><title>{text}</title>{shapes}</g></a>'
    )


def _rect(tone: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="f-{tone}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="1.5"/>'


def _height(many: int, top: int) -> float:
    return max(LOWEST, TALLEST * many / top) if many else 0.0


def _is_marked(at: datetime, slot: timedelta) -> bool:
    return at.hour % HOURS == 0 and at.minute * 60 < slot.total_seconds()


def _hour(at: datetime, x: float) -> str:
    anchor = "start" if x < 30 else "middle"  # noqa: PLR2004 - half a word's width
    return f'<text class="hour {anchor}" x="{x:.1f}" y="{FLOOR + 14}" data-at="{at.isoformat()}">{at:%H:%M}</text>'
