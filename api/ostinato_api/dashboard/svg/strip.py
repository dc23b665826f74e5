"""The last runs of a cron as a strip of bars: height is duration, colour and shape are the outcome."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from ostinato_api.dashboard.views.outcomes import look
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


@dataclass(frozen=True)
class Bar:
    at: datetime
    outcome: str
    length: timedelta | None


def draw_strip(bars: Sequence[Bar]) -> Markup:
    """The strip, oldest first; a cron that is new has few bars, from the left."""
    longest = max((bar.length for bar in bars if bar.length is not None), default=timedelta())
    drawn = Markup().join(_bar(bar, index * STEP, longest) for index, bar in enumerate(bars))
    return Markup('<svg class="strip" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        SLOTS * STEP - (STEP - WIDTH), HEIGHT, summary(bars), drawn
    )


def summary(bars: Sequence[Bar]) -> str:
    """The strip in words."""
    if not bars:
        return "No runs yet"
    counts = Counter(look(bar.outcome).word for bar in bars)
    return f"Last {len(bars)}: " + ", ".join(f"{many} {word}" for word, many in counts.most_common())


def _bar(bar: Bar, x: int, longest: timedelta) -> Markup:
    seen = look(bar.outcome)
    height = _height(bar, longest)
    y = HEIGHT - height
    text = f"{seen.word}, {took(bar.length)}" if bar.length is not None else seen.word
    return Markup('<g class="t-{}" data-at="{}"><title>{}</title>{}</g>').format(
        seen.tone, bar.at.isoformat(), text, _shape(bar.outcome, seen.tone, x, y, height)
    )


def _height(bar: Bar, longest: timedelta) -> int:
    if bar.outcome in NOT_RUN:
        return 8
    if bar.length is None or not longest:
        return HEIGHT // 2
    return LOWEST + round((HEIGHT - LOWEST) * (bar.length / longest))


def _shape(outcome: str, tone: str, x: int, y: int, height: int) -> Markup:
    if tone == "bad":  # notched at the top, so that it is told from a good one without its colour
        return Markup('<path class="fill" d="M{} {}v{}h{}v-{}l-2.5 3.2z"/>').format(x, y, height, WIDTH, height)
    form = "hollow" if outcome in {Outcome.SKIPPED, Outcome.STARTED, Outcome.DUE, Outcome.INTERRUPTED} else "fill"
    inset = 0.5 if form == "hollow" else 0
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="1.5"/>').format(
        form, x + inset, y + inset, WIDTH - 2 * inset, height - 2 * inset
    )
