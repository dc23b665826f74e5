"""Statements about crons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Select, TextClause, select, text

from ostinato_shared.models import Cron

if TYPE_CHECKING:
    from uuid import UUID

# A fire time that had come but was not dispatched gets its row: nothing is lost in silence, not even by a deletion.
REMOVE = """
    WITH doomed AS (SELECT cron_id FROM cron WHERE {condition} ORDER BY cron_id FOR UPDATE),
    gone AS (DELETE FROM cron USING doomed WHERE cron.cron_id = doomed.cron_id RETURNING cron.*),
    settled AS (
        INSERT INTO firing (firing_id, cron_id, fire_time, outcome, reason, trigger, cron_revision, user_id,
                            assistant_id, name, thread_id, ended_at, missed_until)
        SELECT gen_random_uuid(), cron_id, next_run_date, 'skipped', 'deleted', 'schedule', revision, user_id,
               assistant_id, name, thread_id, clock_timestamp(),
               CASE WHEN next_run_date < clock_timestamp() - interval '1 second' THEN clock_timestamp() END
        FROM gone WHERE enabled AND next_run_date <= clock_timestamp()
        ON CONFLICT DO NOTHING),
    told AS (INSERT INTO outbox (cron_id) SELECT cron_id FROM gone)
    INSERT INTO cron_event (cron_id, kind, revision, user_id, snapshot)
    SELECT cron_id, 'deleted', revision, :user_id, jsonb_build_object('reason', CAST(:reason AS text)) FROM gone
    RETURNING cron_id
"""


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
