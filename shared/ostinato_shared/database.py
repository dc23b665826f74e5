"""Connections to Postgres: SQLAlchemy sessions for the api, a plain psycopg pool for statements on the hot path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

if TYPE_CHECKING:
    from psycopg import AsyncConnection

# A client that stalls inside a transaction must not hold its locks: neither for others, nor for itself.
# In another zone than UTC, the first and last days of the calendar are no datetimes.
GUARDS = "-c idle_in_transaction_session_timeout=5s -c lock_timeout=5s -c timezone=UTC"

# A host that died without a word is noticed within some 10 s, also by who waits for its answer.
SILENCE: Final[dict[str, Any]] = {
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}


def make_engine(dsn: str, *, size: int = 10) -> AsyncEngine:
    """An async engine whose connections carry the guards."""
    url = "postgresql+psycopg://" + dsn.partition("://")[2]
    return create_async_engine(
        url,
        pool_size=size,
        max_overflow=size,
        pool_pre_ping=True,
        hide_parameters=True,  # else an error's text, and so the log, would hold people's input
        connect_args=connect_kwargs(),
    )


def make_pool(dsn: str, *, size: int = 10) -> AsyncConnectionPool[AsyncConnection[DictRow]]:
    """A closed pool of autocommit connections with dict rows: open it on the loop that uses it."""
    return AsyncConnectionPool(
        dsn,
        min_size=1,
        max_size=size,
        open=False,
        kwargs={**connect_kwargs(), "autocommit": True, "row_factory": dict_row},
    )


def connect_kwargs() -> dict[str, Any]:
    """What every connection of ours is opened with."""
    return {"options": GUARDS, "application_name": "ostinato", "prepare_threshold": 5, **SILENCE}
