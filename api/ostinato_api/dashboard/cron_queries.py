"""Statements of one cron's page. Its history is looked at as far back as a page can show, never whole."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import TextClause, text

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

FIRINGS: Final = 15  # rows of the table
DURATIONS: Final = 60  # runs
FAILURES: Final = 200  # firings that are looked at for errors
KINDS: Final = 5  # of errors
WEEKS: Final = 26
BUSIEST: Final = 20_000  # firings that the calendar looks at: of an every-minute cron two weeks
SLOT: Final = timedelta(minutes=15)  # every zone's day begins with one


def days(cron_id: UUID, *, since: datetime) -> TextClause:
    """What became of the fire times of each quarter of an hour: a zone's days are made of them."""
    return text("""
        SELECT date_bin(:slot, fire_time, '2000-01-01Z') AS at, count(*) AS many,
               count(*) FILTER (WHERE outcome IN ('error', 'timeout')) AS failed,
               count(*) FILTER (WHERE outcome = 'success') AS succeeded,
               coalesce(sum(ended_at - started_at) FILTER (WHERE outcome = 'success'), '0') AS taken
        FROM (SELECT fire_time, outcome, started_at, ended_at FROM firing
              WHERE cron_id = :cron_id AND fire_time >= :since ORDER BY fire_time DESC LIMIT :busiest) AS newest
        GROUP BY 1 ORDER BY 1
    """).bindparams(cron_id=cron_id, since=since, slot=SLOT, busiest=BUSIEST)


def durations(cron_id: UUID) -> TextClause:
    """The last runs that are over, newest first."""
    return text("""
        SELECT fire_time, outcome, ended_at - started_at AS taken FROM (
            SELECT fire_time, outcome, started_at, ended_at FROM firing
            WHERE cron_id = :cron_id ORDER BY fire_time DESC LIMIT :looked) AS newest
        WHERE started_at IS NOT NULL AND ended_at IS NOT NULL ORDER BY fire_time DESC LIMIT :many
    """).bindparams(cron_id=cron_id, many=DURATIONS, looked=4 * DURATIONS)


def failures(cron_id: UUID) -> TextClause:
    """The errors of the last firings, gathered by kind and message; those that came last first."""
    return text("""
        SELECT error ->> 'error' AS kind, left(error ->> 'message', 200) AS message, count(*) AS many,
               max(fire_time) AS last, (array_agg(thread_id ORDER BY fire_time DESC))[1] AS thread_id
        FROM (SELECT error, fire_time, thread_id, outcome FROM firing
              WHERE cron_id = :cron_id ORDER BY fire_time DESC LIMIT :looked) AS newest
        WHERE outcome IN ('error', 'timeout') GROUP BY 1, 2 ORDER BY last DESC LIMIT :many
    """).bindparams(cron_id=cron_id, looked=FAILURES, many=KINDS)


def threads_there(thread_ids: list[UUID]) -> TextClause:
    """Which of these threads can still be read."""
    return text("SELECT thread_id FROM thread WHERE thread_id = ANY(:ids) AND deleted_at IS NULL").bindparams(
        ids=thread_ids
    )
