"""The entries in Redis. Every write goes through Lua and holds only while the lease does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from ostinato_beat import entries
from ostinato_beat.entries import META, TOMBSTONE_SECONDS, Claimed, Standing, key_of
from ostinato_shared.errors import OstinatoError
from ostinato_shared.task_names import LATE_QUEUE, LEADER_STAMP, QUEUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import Redis

LATE_LIMIT = 1000  # messages in the late queue; what has no room waits in the ledger for the sweep


class LeaseLostError(OstinatoError):
    """Another beat leads: nothing was changed."""


class Page(NamedTuple):
    """A batch of due entries, and the score of the first that is not due yet."""

    entries: list[Claimed]
    next_score: float | None


class Move(NamedTuple):
    """What becomes of an entry, if it still is as it was claimed."""

    key: str
    score: str
    rev: str
    kind: str  # move, park, remove
    value: str


@dataclass(frozen=True, slots=True)
class Change:
    """An entry to write, or to remove if it has a rev only; holds while the entry's rev is the seen one."""

    cron_id: str
    seen: str
    fields: Sequence[str]


class EntryStore:
    """One beat's hands on the schedule. A token that is no longer the lock's raises LeaseLostError."""

    def __init__(
        self, redis: Redis, *, schedule_key: str = entries.SCHEDULE_KEY, lock_key: str = entries.LOCK_KEY
    ) -> None:
        self._schedule_key = schedule_key
        self._lock_key = lock_key
        self._claim, self._commit, self._look, self._apply = (
            redis.register_script(lua(name)) for name in ("claim", "commit", "look", "apply")
        )

    def claim(self, token: str, *, now: float, offset: int = 0, limit: int = 500) -> Page:
        """Entries due at `now` (seconds since the epoch), oldest first, after the first `offset`."""
        reply: Any = self._claim(
            keys=[self._lock_key, self._schedule_key, LEADER_STAMP], args=[token, repr(now), offset, limit]
        )
        if reply is None:
            raise LeaseLostError
        found, later = reply
        return Page([entries.claimed(fields) for fields in json.loads(found)], float(later) if later else None)

    def commit(
        self, token: str, *, moves: Sequence[Move] = (), messages: Sequence[str] = (), late: Sequence[str] = ()
    ) -> int:
        """Send the messages, then carry out the moves: all or nothing. The number of entries moved."""
        reply: Any = self._commit(
            keys=[self._lock_key, self._schedule_key, QUEUE, LATE_QUEUE],
            args=[token, LATE_LIMIT, len(messages), _text(moves), *messages, *late],
        )
        if reply is None:
            raise LeaseLostError
        return int(reply)

    def look(self, cron_ids: Sequence[str]) -> dict[str, Standing]:
        """How the crons' entries stand."""
        reply: Any = self._look(keys=[self._schedule_key], args=[key_of(cron_id) for cron_id in cron_ids])
        return {cron_id: entries.standing(f) for cron_id, f in zip(cron_ids, json.loads(reply), strict=True)}

    def apply(self, token: str, changes: Sequence[Change]) -> int:
        """Carry out what the sync has planned. The number of entries that were still as they were seen."""
        written = [[key_of(change.cron_id), change.seen, *change.fields] for change in changes]
        reply: Any = self._apply(
            keys=[self._lock_key, self._schedule_key], args=[token, TOMBSTONE_SECONDS, META, _text(written)]
        )
        if reply is None:
            raise LeaseLostError
        return int(reply)


def _text(value: object) -> str:
    """JSON whose bytes are the keys' own, whatever they are."""
    return json.dumps(value, ensure_ascii=False)


def lua(name: str) -> str:
    """The text of one of the scripts beside this module."""
    return files("ostinato_beat").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
