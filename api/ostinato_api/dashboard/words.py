"""Numbers and instants as a page says them. The server writes UTC; app.js rewrites `<time>` for the zone chosen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
THIN: Final = "\u202f"  # a space that does not break
DASH: Final = "\u2013"


def when(at: datetime, zone: str | None = None) -> Markup:
    """An instant as `<time>`: day and time, in UTC until app.js reads it; `zone` is its cron's own."""
    return _time(at, "full", f"{at.astimezone(UTC):%a %-d %b, %H:%M} UTC", zone)


def exact(at: datetime, zone: str | None = None) -> Markup:
    """Likewise to the second: for schedules that have seconds."""
    return _time(at, "exact", f"{at.astimezone(UTC):%a %-d %b, %H:%M:%S} UTC", zone)


def clock(at: datetime, zone: str | None = None) -> Markup:
    """A minute of today as `<time>`."""
    return _time(at, "hour", f"{at.astimezone(UTC):%H:%M} UTC", zone)


def ago(at: datetime, now: datetime) -> Markup:
    """An instant as `<time>` by its distance from now, kept true by app.js."""
    return _time(at, "distance", distance(at, now), None)


def distance(at: datetime, now: datetime) -> str:
    """How far off an instant is, such as `in 7 min`, `3 h ago` or `now`."""
    if abs(at - now) < SECOND:
        return "now"
    said = span(abs(at - now))
    return f"in {said}" if at > now else f"{said} ago"


def span(length: timedelta) -> str:
    """A length of time, such as `41 s` or `6 h 57 min`."""
    if length < MINUTE:
        return f"{length // SECOND} s"
    if length < HOUR:
        return f"{length // MINUTE} min"
    if length < DAY:
        minutes = length % HOUR // MINUTE
        return f"{length // HOUR} h {minutes} min" if minutes else f"{length // HOUR} h"
    return f"{length // DAY} d"


def took(length: timedelta | None) -> str:
    """How long something took, finely: `212 ms`, `4.1 s`, `1 min 30 s`; a dash when it is not known."""
    if length is None:
        return DASH
    if length < SECOND:
        return milliseconds(length / timedelta(milliseconds=1))
    if length < 10 * SECOND:
        return f"{length / SECOND:.1f} s"
    seconds = length % MINUTE // SECOND
    return f"{span(length)} {seconds} s" if MINUTE <= length < HOUR and seconds else span(length)


def milliseconds(value: float | None) -> str:
    """Milliseconds, as seconds from one second on; a dash when there are none."""
    if value is None:
        return DASH
    return f"{value:.0f} ms" if value < 1000 else took(timedelta(milliseconds=value))  # noqa: PLR2004 - in a second


def number(value: int) -> str:
    """A count, its thousands set apart."""
    return f"{value:,}".replace(",", THIN)


def percent(part: int, whole: int) -> str:
    """A share; 100 % only when it is all of them."""
    share = 1000 * part // whole / 10
    return f"{share:.0f} %" if share in {0, 100} else f"{share:.1f} %"


def _time(at: datetime, form: str, text: str, zone: str | None) -> Markup:
    stamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    own = Markup(' data-zone="{}"').format(zone) if zone else Markup()
    return Markup('<time datetime="{}" data-form="{}"{}>{}</time>').format(stamp, form, own, text)


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    word.__name__: word for word in (when, exact, clock, ago, distance, span, took, milliseconds, number, percent)
}
