"""One page of a list: its rows, the true total, and the headers that tell where the next one begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse
from sqlalchemy import func, select

from ostinato_shared.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncSession

    from ostinato_api.schemas.base import Answer


async def count(session: AsyncSession, matches: Select[Any]) -> int:
    """How many rows a statement finds."""
    counted = select(func.count()).select_from(matches.order_by(None).subquery())
    return await session.scalar(counted) or 0


async def page(session: AsyncSession, matches: Select[Any], *, limit: int, offset: int) -> tuple[Sequence[Any], int]:
    """The rows of one page, in the statement's order, and the number of all matches."""
    rows = (await session.scalars(matches.limit(limit).offset(offset))).all()
    if offset == 0 and len(rows) < limit:
        return rows, len(rows)
    return rows, await count(session, matches)


def answer_page(
    items: Iterable[Answer], *, total: int, limit: int, offset: int, fields: set[str] | None
) -> JSONResponse:
    """The page as the SDKs read it."""
    headers = {"x-pagination-total": str(total)}
    if offset + limit < total:
        headers["x-pagination-next"] = str(offset + limit)
    return JSONResponse([item.model_dump(mode="json", include=fields) for item in items], headers=headers)


def check_select(names: list[str], allowed: Collection[str]) -> set[str] | None:
    """The fields to give, None for all. Raises InvalidError for an unknown one."""
    for name in names:
        if name not in allowed:
            raise InvalidError(f"select: there is no field {name[:80]!r}; choose from {', '.join(allowed)}")
    return set(names) or None
