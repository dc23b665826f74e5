from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from ostinato_shared.models.base import Model, one_of
from ostinato_shared.models.states import OnCompletion


class Cron(Model):
    """A stored definition: schedule, assistant and payload. Beat alone moves `next_run_date` on."""

    __tablename__ = "cron"
    __table_args__ = (
        CheckConstraint(one_of("on_run_completed", OnCompletion), name="on_run_completed"),
        Index(None, "user_id", "created_at", "cron_id"),
        Index(None, "created_at", "cron_id"),
        Index("ix_cron_next_run_date", "next_run_date", "cron_id", postgresql_where=text("enabled")),
        Index(None, "assistant_id"),
        Index("ix_cron_thread_id", "thread_id", postgresql_where=text("thread_id IS NOT NULL")),
        Index("ix_cron_metadata", "metadata", postgresql_using="gin", postgresql_ops={"metadata": "jsonb_path_ops"}),
    )

    cron_id: Mapped[UUID] = mapped_column(primary_key=True)
    assistant_id: Mapped[UUID]
    thread_id: Mapped[UUID | None]
    user_id: Mapped[str] = mapped_column(server_default="")
    schedule: Mapped[str]
    timezone: Mapped[str | None]
    end_time: Mapped[datetime | None]
    next_run_date: Mapped[datetime | None]
    enabled: Mapped[bool]
    on_run_completed: Mapped[str | None]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata")
    payload: Mapped[dict[str, Any]]
    name: Mapped[str | None]  # metadata.name, sanitised: the one text of the user's that travels to Redis and Flower
    policy: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))  # metadata.ostinato
    revision: Mapped[int] = mapped_column(server_default="1")  # bumped by every change that moves the schedule
    consecutive_failures: Mapped[int] = mapped_column(server_default="0")
    run_count: Mapped[int] = mapped_column(server_default="0")  # runs started by the schedule under max_runs
    paused_by: Mapped[str | None]  # who or what disabled it, see PausedBy; null while it is enabled
    note: Mapped[str | None]  # why, in words for people
    fault: Mapped[str | None]  # why beat parked the entry; null when it is well
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class CronEvent(Model):
    """A version of a cron: who changed what, and the schedule's history for the proof that nothing was missed."""

    __tablename__ = "cron_event"
    __table_args__ = (Index(None, "cron_id", "event_id"),)

    event_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    cron_id: Mapped[UUID]
    kind: Mapped[str]  # created, updated, deleted, parked, paused, resumed, triggered
    revision: Mapped[int]
    user_id: Mapped[str] = mapped_column(server_default="")
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    note: Mapped[str | None]
    snapshot: Mapped[dict[str, Any]]  # the definition after the change


class Outbox(Model):
    """A cron that beat has to look at again. Read with SKIP LOCKED, never by `greater than the last`."""

    __tablename__ = "outbox"

    outbox_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    cron_id: Mapped[UUID]
