"""What a form's schedule would do, and the cron that it would make: for looking at only."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from ostinato_api.dashboard.views.form import reason_of
from ostinato_api.extras import schedules
from ostinato_shared.errors import InvalidError, InvalidTimezoneError
from ostinato_shared.firetimes import Schedule, parse_schedule, parse_timezone
from ostinato_shared.models import Cron

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from ostinato_api.dashboard.views.form import Form, Reading

COUNT: Final = 5  # fire times
MONTH: Final = timedelta(days=30)
PRESETS: Final = (
    ("every 10 minutes", "*/10 * * * *"),
    ("hourly", "0 * * * *"),
    ("daily 9:00", "0 9 * * *"),
    ("weekdays 8:00", "0 8 * * 1-5"),
    ("Mondays 9:00", "0 9 * * 1"),
    ("first of the month", "0 6 1 * *"),
)


@dataclass(frozen=True)
class Fire:
    """One coming fire time; `local` is how the clock of the cron's zone shows it."""

    at: datetime
    local: str
    note: str | None


@dataclass(frozen=True)
class Shown:
    """What a schedule does; only `fault` and `place`, the field that it is in, when it cannot be read."""

    words: str = ""
    zone: str = "UTC"
    fires: tuple[Fire, ...] = ()
    lint: tuple[str, ...] = ()
    monthly: int = 0
    seconds: bool = False
    fault: str | None = None
    place: str = "schedule"


def look_ahead(form: Form, reading: Reading, *, now: datetime) -> Shown:
    """What the form's schedule will do from now on."""
    if not form.schedule:
        return Shown()
    timezone = form.timezone or None
    try:
        found = schedules.preview(form.schedule, timezone, now=now, since=None, count=COUNT)
        zone = parse_timezone(timezone)
        monthly = in_a_month(parse_schedule(form.schedule), zone, now=now)
    except InvalidTimezoneError as error:
        return Shown(fault=str(error), place="timezone")
    except InvalidError as error:
        return Shown(fault=reason_of(error))
    seconds = parse_schedule(form.schedule).fields.seconds != (0,)
    form_of = "%a %-d %b, %H:%M:%S" if seconds else "%a %-d %b, %H:%M"
    end = _end(reading)
    fires = tuple(
        Fire(each.at, f"{each.at.astimezone(zone):{form_of}}", each.note)
        for each in found["next"]
        if end is None or each.at <= end
    )
    lint = tuple(each.text for each in found["lint"])
    return Shown(found["description"], timezone or "UTC", fires, lint, monthly, seconds)


def in_a_month(schedule: Schedule, zone: ZoneInfo, *, now: datetime) -> int:
    """How often it fires in 30 days: its days are counted one by one, its times of a day multiplied."""
    fields = schedule.fields
    daily = Schedule(replace(fields, minutes=(0,), hours=(0,), seconds=(0,), elapsed=False))
    midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    at, end, days = midnight.replace(tzinfo=UTC), midnight.replace(tzinfo=UTC) + MONTH, 0
    while (following := daily.next_after(at, zoneinfo.ZoneInfo("UTC"))) is not None and following <= end:
        at, days = following, days + 1
    return days * len(fields.minutes) * len(fields.hours) * len(fields.seconds)


def as_cron(form: Form, reading: Reading, stored: Cron | None) -> Cron:
    """The cron that saving would make, belonging to no session."""
    kept = {} if stored is None else stored.payload
    metadata = {**({} if stored is None else stored.metadata_), **reading.body.get("metadata", {})}
    payload = {name: value for name, value in {**kept, **reading.body}.items() if name not in reading.without}
    return Cron(
        cron_id=_uuid(form.cron_id),
        thread_id=_uuid(form.thread_id) if form.thread == "one" else None,
        schedule=form.schedule,
        timezone=form.timezone or None,
        end_time=_end(reading) if "end_time" in reading.body or stored is None else stored.end_time,
        enabled=bool(form.enabled),
        on_run_completed=form.thread,
        payload=payload,
        metadata_={name: value for name, value in metadata.items() if value not in (None, "", {})},
    )


@lru_cache(maxsize=1)
def zones() -> tuple[str, ...]:
    """The names to choose a zone from, in order."""
    return tuple(sorted(name for name in zoneinfo.available_timezones() if "/" in name or name == "UTC"))


def _end(reading: Reading) -> datetime | None:
    text: Any = reading.body.get("end_time")
    return datetime.fromisoformat(text) if text else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
