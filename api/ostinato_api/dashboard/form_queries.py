"""Statements of the form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from ostinato_shared.models import Assistant, Cron, CronEvent

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Select

ASSISTANTS: Final = 500  # in the list; more are not chosen from a list


def assistants(chosen: UUID | None) -> Select[*tuple[Any, ...]]:
    """The assistants to choose from: the chosen one, those of the project's graphs, the others by name."""
    system = Assistant.metadata_.contains({"created_by": "system"})
    return (
        select(Assistant.assistant_id, Assistant.name, Assistant.graph_id)
        .order_by((Assistant.assistant_id == chosen).desc(), system.desc(), Assistant.name, Assistant.assistant_id)
        .limit(ASSISTANTS)
    )


def made(cron_id: UUID) -> Select[*tuple[Any, ...]]:
    """Whether there has been a cron of this id: a row, with the cron or None when it is deleted."""
    joined = select(Cron).select_from(CronEvent).outerjoin(Cron, Cron.cron_id == CronEvent.cron_id)
    return joined.where(CronEvent.cron_id == cron_id).limit(1)
