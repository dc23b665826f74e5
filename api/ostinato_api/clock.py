"""Postgres decides what time it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncSession


async def read_clock(session: AsyncSession) -> datetime:
    """The database's clock, now; not the transaction's beginning."""
    moment: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return moment
