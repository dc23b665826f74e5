"""What a cron's `metadata.ostinato` asks of its firings. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import inf
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from ostinato_shared.errors import InvalidError

KEY = "ostinato"
LABELS = "labels"
LONGEST_TIMEOUT = timedelta(days=7)
LARGEST_COUNT = 1_000_000
LONGEST_LABEL = 128  # characters
LONGEST_DURATION = 32  # characters
SHOWN = 80  # characters of a key that a message repeats
DURATION: Final = TypeAdapter(timedelta)


class Overlap(StrEnum):
    """What a fire time does that finds the cron's previous run not ended."""

    ALLOW = "allow"
    SKIP = "skip"


class InvalidPolicyError(InvalidError):
    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"metadata.{KEY}.{key[:SHOWN]}: {reason}")


@dataclass(frozen=True, slots=True)
class Policy:
    """What guards a cron; None and `allow` are what a cron without a policy has."""

    timeout: timedelta | None = None
    overlap: Overlap = Overlap.ALLOW
    pause_after_failures: int | None = None
    max_runs: int | None = None

    def stored(self) -> dict[str, Any] | None:
        """What stands in `cron.policy`, which SQL reads: what differs from a cron without one, None for nothing."""
        given: dict[str, Any] = {
            "timeout_seconds": None if self.timeout is None else self.timeout.total_seconds(),
            "overlap": None if self.overlap == Overlap.ALLOW else str(self.overlap),
            "pause_after_failures": self.pause_after_failures,
            "max_runs": self.max_runs,
        }
        return {key: value for key, value in given.items() if value is not None} or None


def read_policy(metadata: dict[str, Any]) -> Policy:
    """The policy in a cron's metadata. Raises InvalidError, naming the field: nothing in it is ever ignored."""
    given = metadata.get(KEY)
    if given is None:
        return Policy()
    if not isinstance(given, dict):
        raise InvalidError(f"metadata.{KEY}: must be an object")
    for key in given:
        if key not in READERS:
            raise InvalidPolicyError(key, "not supported yet by this version of Ostinato")
    _check_labels(metadata.get(LABELS))
    read: dict[str, Any] = {key: READERS[key](key, value) for key, value in given.items()}
    return Policy(**read)


def runs_left(policy: dict[str, Any] | None, run_count: int) -> float:
    """How many runs a cron's schedule may still start by its stored policy; infinitely many without `max_runs`."""
    max_runs = (policy or {}).get("max_runs")
    return inf if max_runs is None else max(max_runs - run_count, 0)


def merge_metadata(stored: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """The stored metadata overlaid by the change; a null policy removes the stored one."""
    merged = {**stored, **change}
    if merged.get(KEY, {}) is None:
        del merged[KEY]
    return merged


def _read_duration(key: str, value: object) -> timedelta:
    if isinstance(value, str) and value.startswith("P") and len(value) <= LONGEST_DURATION:
        try:
            found = DURATION.validate_python(value)
        except ValidationError:
            found = timedelta()
        if timedelta() < found <= LONGEST_TIMEOUT:
            return found
    raise InvalidPolicyError(key, 'must be an ISO 8601 duration above zero and up to 7 days, such as "PT5M" or "P1D"')


def _read_overlap(key: str, value: object) -> Overlap:
    if isinstance(value, str) and value in set(Overlap):
        return Overlap(value)
    raise InvalidPolicyError(key, 'must be "allow" or "skip"; no other way is supported yet')


def _read_count(key: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_COUNT:
        return value
    raise InvalidPolicyError(key, f"must be a whole number from 1 to {LARGEST_COUNT:,}")


def _check_labels(labels: object) -> None:
    """Labels are shown and searched. Metadata without a policy may hold anything: other clients' labels are theirs."""
    if labels is None:
        return
    fits = isinstance(labels, dict) and all(
        isinstance(value, str) and max(len(key), len(value)) <= LONGEST_LABEL for key, value in labels.items()
    )
    if not fits:
        raise InvalidError(
            f"metadata.{LABELS}: must be an object of texts of up to {LONGEST_LABEL} characters,"
            ' such as {"team": "growth"}'
        )


READERS: Final = {
    "timeout": _read_duration,
    "overlap": _read_overlap,
    "pause_after_failures": _read_count,
    "max_runs": _read_count,
}
