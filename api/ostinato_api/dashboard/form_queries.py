"""Statements of the form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import exists, select

from ostinato_shared.models import Assistant, CronEvent

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


def known(cron_id: UUID) -> Select[tuple[bool]]:
    """Whether there is, or has been, a cron of this id."""
    return select(exists().where(CronEvent.cron_id == cron_id))
