"""The calls that ended runs owe: taken on a lease, settled by who holds it. Each is one autocommit statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from psycopg.rows import DictRow

    from ostinato_shared.queries.runs import Pool

# Body and time as text: what is sent is what Postgres wrote, whatever its numbers.
CLAIM = """
WITH due AS (
    SELECT run_id FROM webhook_delivery
    WHERE run_id = %s AND status = 'pending' AND next_attempt_at <= clock_timestamp() FOR UPDATE SKIP LOCKED)
UPDATE webhook_delivery AS d SET next_attempt_at = clock_timestamp() + make_interval(secs => %s)
FROM due WHERE d.run_id = due.run_id
RETURNING d.run_id, d.url, d.attempts, d.next_attempt_at AS lease,
    (d.body || jsonb_build_object('webhook_sent_at', clock_timestamp()))::text AS body"""
# Without the lease somebody else sends it, and will tell what came of it.
SETTLE = """
UPDATE webhook_delivery SET status = %s, attempts = attempts + 1, last_error = %s, body = NULL,
    ended_at = clock_timestamp()
WHERE run_id = %s AND status = 'pending' AND next_attempt_at = %s RETURNING run_id"""
PUT_OFF = """
UPDATE webhook_delivery SET attempts = attempts + 1, last_error = %s,
    next_attempt_at = clock_timestamp() + make_interval(secs => %s)
WHERE run_id = %s AND status = 'pending' AND next_attempt_at = %s RETURNING run_id"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A call to make; `attempts` were made before. `lease` is what proves that this is the one to make it."""

    run_id: UUID
    url: str
    attempts: int
    lease: datetime
    body: str


async def claim(pool: Pool, run_id: UUID, *, seconds: float) -> Delivery | None:
    """The call that this run owes, for so many seconds nobody else's; None when it is not due, or taken."""
    row = await _one(pool, CLAIM, (run_id, seconds))
    return None if row is None else Delivery(**row)


async def settle(pool: Pool, delivery: Delivery, *, status: str, error: str | None) -> bool:
    """Record that nothing more is owed. False: the lease had run out, and another worker took it."""
    return await _one(pool, SETTLE, (status, error, delivery.run_id, delivery.lease)) is not None


async def put_off(pool: Pool, delivery: Delivery, *, seconds: float, error: str) -> bool:
    """Record that the attempt failed and when the next is due. False as for `settle`."""
    return await _one(pool, PUT_OFF, (error, seconds, delivery.run_id, delivery.lease)) is not None


async def _one(pool: Pool, statement: str, arguments: tuple[Any, ...]) -> DictRow | None:
    async with pool.connection() as connection:
        return await (await connection.execute(statement, arguments)).fetchone()
