"""Firings that are over, counted without reading the whole ledger at every scrape.

The first scrape of a process counts all of them; each later one adds those that have ended since. A counter so made
is the ledger's own: every api process, and the next one after a restart, gives the same.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

SETTLE: Final = timedelta(seconds=10)  # an end is counted so late: by then the transaction that wrote it is over

_ENDED: Final = """
SELECT outcome, trigger, count(*) AS many FROM firing WHERE ended_at > %(since)s AND ended_at <= %(until)s GROUP BY 1, 2
"""
_BEGINNING: Final = datetime(1, 1, 2, tzinfo=UTC)


class Tally:
    """The counts so far, and up to when. Lives as long as the process."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._until = _BEGINNING
        self._lock = asyncio.Lock()

    async def read(self, connection: AsyncConnection[DictRow]) -> dict[tuple[str, str], int]:
        """How many firings ended with each outcome, by what fired them."""
        async with self._lock:
            until = await _now(connection) - SETTLE
            if until > self._until:  # the database's clock may step back
                found = await connection.execute(_ENDED, {"since": self._until, "until": until})
                rows = await found.fetchall()
                self._counts.update({(row["outcome"], row["trigger"]): row["many"] for row in rows})
                self._until = until
            return dict(self._counts)


async def _now(connection: AsyncConnection[DictRow]) -> datetime:
    row = await (await connection.execute("SELECT clock_timestamp() AS now")).fetchone()
    if row is None:
        raise AssertionError("it always gives a row")
    now: datetime = row["now"]
    return now
