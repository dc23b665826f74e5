"""Labels, lengths of time and end times as a person types them."""

from __future__ import annotations

import re
import shlex
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError

from ostinato_shared.errors import InvalidError
from ostinato_shared.policies import LABELS, LONGEST_DURATION, LONGEST_LABEL

if TYPE_CHECKING:
    from datetime import datetime

UNITS: Final = {"d": "D", "h": "H", "m": "M", "s": "S"}
PIECE: Final = re.compile(
    r"(\d{1,9})\s*(d|days?|h|hours?|m|mins?|minutes?|s|secs?|seconds?)\b[\s,]*", re.ASCII | re.IGNORECASE
)
LENGTH: Final = TypeAdapter(timedelta)


def read_labels(text: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """The labels that words such as `team=growth "note=two words"` say, beside those that no word can say."""
    try:
        words = shlex.split(text.replace(",", " ") if '"' not in text and "'" not in text else text)
    except ValueError:
        raise InvalidError("A quotation mark is not closed.") from None
    found: dict[str, Any] = {}
    for word in words:
        name, given, value = word.partition("=")
        if not given or not name:
            raise InvalidError(f"{word[:LONGEST_LABEL]!r} is no label: write name=value.")
        if max(len(name), len(value)) > LONGEST_LABEL:
            raise InvalidError(f"A label's name and value have at most {LONGEST_LABEL} characters each.")
        found[name] = value
    return {name: value for name, value in _labels(metadata).items() if not _sayable(name, value)} | found


def labels_of(metadata: dict[str, Any]) -> str:
    """The labels of a cron as words; those that are no text, or hold line breaks, are left out."""
    return shlex.join(f"{name}={value}" for name, value in _labels(metadata).items() if _sayable(name, value))


def _labels(metadata: dict[str, Any]) -> dict[str, Any]:
    labels = metadata.get(LABELS)
    return labels if isinstance(labels, dict) else {}


def _sayable(name: str, value: object) -> bool:
    return isinstance(value, str) and bool(name) and "=" not in name and f"{name}{value}".isprintable()


def read_length(text: str) -> str:
    """The ISO 8601 duration of `5 min`, `1h 30m` or `PT5M`; the text as it is when it says no length."""
    if text[:1] in "pP":
        return text.upper()
    rest, sums = text, dict.fromkeys(UNITS, 0)
    while piece := PIECE.match(rest):
        sums[piece[2][0].lower()] += int(piece[1])
        rest = rest[piece.end() :]
    if rest or not any(sums.values()):
        return text
    days = sums.pop("d")
    time = "".join(f"{many}{UNITS[unit]}" for unit, many in sums.items() if many)
    return f"P{f'{days}D' if days else ''}{'T' if time else ''}{time}"


def length_of(value: object) -> str:
    """A stored duration as a person types it, such as `1 h 30 min`; as it is stored when that would lose something."""
    if not isinstance(value, str) or len(value) > LONGEST_DURATION:
        return ""
    try:
        length = LENGTH.validate_python(value)
    except ValidationError:
        return value
    if length.microseconds or length <= timedelta():
        return value
    hours, rest = divmod(length.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = ((length.days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{many} {unit}" for many, unit in parts if many)


def written(at: datetime, timezone: str | None) -> str:
    """An instant as `datetime-local` has it, in a zone; to the second only when it has seconds."""
    local = at.astimezone(ZoneInfo(timezone or "UTC")).replace(tzinfo=None)
    return local.isoformat(timespec="minutes" if not local.second else "seconds")
