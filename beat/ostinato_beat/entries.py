"""A cron's copy in Redis: RedBeat's hash that stock code can decode, with our own fields beside it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ostinato_shared.task_names import ENTRIES_KEY, FIRE_CRON, LEADER_KEY, QUEUE

if TYPE_CHECKING:
    from ostinato_shared.queries.sync import CronRow

PREFIX: Final = "redbeat:"  # RedBeat's own default
SCHEDULE_KEY: Final = ENTRIES_KEY
LOCK_KEY: Final = LEADER_KEY

_KEY: Final = re.compile(PREFIX + "([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")

# A stock reader insists on a schedule that it can decode; ours says more than Celery's crontab can.
PLACEHOLDER: Final = {"__type__": "interval", "every": 86400.0, "relative": False}
META: Final = json.dumps({"last_run_at": None})
GONE: Final = 2**31 - 1  # the rev of a deleted cron's tombstone: no writer comes after it
TOMBSTONE_SECONDS: Final = 3600  # longer than any reader of the old row may dream


class UnreadableEntryError(ValueError):
    """An entry that the sync did not write so: it is written anew."""


class BrokenEntryError(ValueError):
    """A definition that cannot be evaluated: its entry is parked, its neighbours fire."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An entry as it was when it was claimed; all text, as it stands in Redis."""

    key: str
    score: str
    rev: str
    nominal: str
    schedule: str
    timezone: str
    end: str

    @property
    def cron_id(self) -> str | None:
        """The cron's id; None for a key that is not ours."""
        return cron_id_of(self.key)


@dataclass(frozen=True, slots=True)
class Entry:
    """A claimed entry, read."""

    claimed: Claimed
    cron_id: str
    revision: int
    nominal: int
    schedule: str
    timezone: str | None
    end: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How an entry stands in Redis; all None: it does not."""

    seen: str = ""  # its rev as it is written
    rev: int | None = None
    nominal: int | None = None
    score: float | None = None


def key_of(cron_id: str) -> str:
    """The name of a cron's hash, which is also its member in the schedule."""
    return PREFIX + cron_id


def cron_id_of(key: str) -> str | None:
    """The cron whose hash has this name; None for a key that is not ours."""
    match = _KEY.fullmatch(key)
    return match and match[1]


def claimed(fields: list[str | bool]) -> Claimed:
    """One element of what the claim script gives."""
    return Claimed(*(field if isinstance(field, str) else "" for field in fields))


def read(entry: Claimed) -> Entry:
    """The entry's fields by their types. Raises UnreadableEntryError."""
    cron_id = entry.cron_id
    if cron_id is None:
        raise UnreadableEntryError("its key names no cron")
    try:
        if b"\0" in (entry.schedule + entry.timezone).encode():
            raise ValueError("NUL")  # noqa: TRY301 - beside what int() and encode() raise
        return Entry(
            claimed=entry,
            cron_id=cron_id,
            revision=int(entry.rev),
            nominal=int(entry.nominal),
            schedule=entry.schedule,
            timezone=entry.timezone or None,
            end=int(entry.end) if entry.end else None,
        )
    except ValueError as error:
        raise UnreadableEntryError(f"its fields cannot be read: {error!a}") from None


def standing(fields: list[str | bool]) -> Standing:
    """One element of what the look script gives."""
    rev, nominal, score = (field if isinstance(field, str) else None for field in fields)
    return Standing(
        seen=rev or "",
        rev=int(rev) if rev and rev.isdigit() else None,
        nominal=int(nominal) if nominal and nominal.isdigit() else None,
        score=float(score) if score else None,
    )


def written(cron: CronRow) -> list[str]:
    """rev, nominal, definition, schedule, timezone, end: an entry's fields as the apply script takes them."""
    return [
        str(cron.revision),
        str(cron.next_run_date),
        _definition(cron.cron_id),
        cron.schedule,
        cron.timezone or "",
        "" if cron.end_time is None else str(cron.end_time),
    ]


def _definition(cron_id: str) -> str:
    return _DEFINITION.replace("?", cron_id)


_DEFINITION: Final = json.dumps(
    {
        "name": "?",
        "task": FIRE_CRON,
        "args": [],
        "kwargs": {},
        "options": {"queue": QUEUE},
        "schedule": PLACEHOLDER,
        "enabled": True,
    }
)
