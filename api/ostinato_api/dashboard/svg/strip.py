"""The last runs of a cron as a strip of bars: height is duration, colour and shape are the outcome."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from ostinato_api.dashboard.views.outcomes import WAITING, Look, look
from ostinato_api.dashboard.words import took
from ostinato_shared.models import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

HEIGHT: Final = 26
WIDTH: Final = 5
STEP: Final = 7
SLOTS: Final = 20
LOWEST: Final = 5  # the shortest run is still seen

NOT_RUN: Final = {Outcome.SKIPPED, Outcome.DUE}
HOLLOW: Final = {*NOT_RUN, Outcome.STARTED, Outcome.INTERRUPTED}


@dataclass(frozen=True)
class Bar:
    at: datetime
    outcome: str
    length: timedelta | None
    asks: bool = False  # a person, who has not answered yet

    @property
    def look(self) -> Look:
        return WAITING if self.asks else look(self.outcome)


def draw_strip(bars: Sequence[Bar]) -> Markup:
    """The strip, oldest first; a cron that is new has few bars, from the left."""
    longest = max((bar.length for bar in bars if bar.length is not None), default=timedelta())
    drawn = "".join(_bar(bar, index * STEP, longest) for index, bar in enumerate(bars))
    # Numbers and our own words: nothing of a user's. Escaping each of 500 bars would take a third of the page's time.
    return Markup(  # noqa: S704 - see above
        f'<svg class="strip" viewBox="0 0 {SLOTS * STEP - (STEP - WIDTH)} {HEIGHT}" role="img"'
        f' aria-label="{summary(bars)}">{drawn}</svg>'
    )


def summary(bars: Sequence[Bar]) -> str:
    """The strip in words."""
    if not bars:
        return "No runs yet"
    counts = Counter(bar.look.word for bar in bars)
    return f"Last {len(bars)}: " + ", ".join(f"{many} {word}" for word, many in counts.most_common())


def _bar(bar: Bar, x: int, longest: timedelta) -> str:
    seen = bar.look
    height = _height(bar, longest)
    text = f"{seen.word}, {took(bar.length)}" if bar.length is not None else seen.word
    shape = _shape(bar.outcome, seen.tone, x, height)
    return f'<g class="t-{seen.tone}" data-at="{bar.at.isoformat()}"><title>{text}</title>{shape}</g>'


def _height(bar: Bar, longest: timedelta) -> int:
    if bar.outcome in NOT_RUN:
        return 8
    if bar.length is None or not longest:
        return HEIGHT // 2
    return LOWEST + round((HEIGHT - LOWEST) * (bar.length / longest))


def _shape(outcome: str, tone: str, x: int, height: int) -> str:
    y = HEIGHT - height
    if tone == "bad":  # notched at the top, so that it is told from a good one without its colour
        return f'<path class="fill" d="M{x} {y}v{height}h{WIDTH}v-{height}l-2.5 3.2z"/>'
    if tone == "warn":  # pointed
        return f'<path class="fill" d="M{x} {HEIGHT}v{3.2 - height}l2.5 -3.2l2.5 3.2v{height - 3.2}z"/>'
    form, inset = ("hollow", 0.5) if outcome in HOLLOW else ("fill", 0)
    width, tall = WIDTH - 2 * inset, height - 2 * inset
    return f'<rect class="{form}" x="{x + inset}" y="{y + inset}" width="{width}" height="{tall}" rx="1.5"/>'
