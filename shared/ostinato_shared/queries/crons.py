"""Statements about crons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Select, TextClause, select, text

from ostinato_shared.models import Cron

if TYPE_CHECKING:
    from uuid import UUID

REMOVE = "SELECT ostinato_remove_crons(ARRAY(SELECT cron_id FROM cron WHERE {condition}), :user_id, :reason)"


def locked(cron_id: UUID) -> Select[Cron]:
    """One cron, locked against other changes of it but not against what refers to it."""
    return select(Cron).where(Cron.cron_id == cron_id).with_for_update(key_share=True)


def remove(cron_id: UUID, *, user_id: str) -> TextClause:
    """Delete one cron, with its event and its outbox row. No row comes back when there is none."""
    bound = text(REMOVE.format(condition="cron_id = :cron_id"))
    return bound.bindparams(cron_id=cron_id, user_id=user_id, reason="deleted")


def remove_of_assistant(assistant_id: UUID, *, user_id: str) -> TextClause:
    """Likewise all crons of an assistant; the ids of those that there were come back."""
    bound = text(REMOVE.format(condition="assistant_id = :assistant_id"))
    return bound.bindparams(assistant_id=assistant_id, user_id=user_id, reason="assistant_deleted")
