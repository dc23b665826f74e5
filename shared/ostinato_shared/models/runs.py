from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from ostinato_shared.models.base import Model, one_of
from ostinato_shared.models.states import CancelAction, MultitaskStrategy, OnCompletion, RunStatus


class Run(Model):
    """One execution of an assistant on a thread. `owner` and `attempt` fence what a worker may still write."""

    __tablename__ = "run"
    __table_args__ = (
        CheckConstraint(one_of("status", RunStatus), name="status"),
        CheckConstraint(one_of("multitask_strategy", MultitaskStrategy), name="multitask_strategy"),
        CheckConstraint(one_of("on_completion", OnCompletion), name="on_completion"),
        CheckConstraint(one_of("cancel_requested", CancelAction), name="cancel_requested"),
        Index(None, "thread_id", "seq"),
        # Is the thread busy, and whose turn is it: whatever its history.
        Index("ix_run_live", "thread_id", "seq", postgresql_where=text("status IN ('pending', 'running')")),
        # Is a run of this cron live.
        Index(
            "ix_run_cron_live",
            "cron_id",
            postgresql_where=text("cron_id IS NOT NULL AND status IN ('pending', 'running')"),
        ),
        Index("ix_run_pending", "seq", postgresql_where=text("status = 'pending'")),
        Index("ix_run_owner", "owner", postgresql_where=text("status = 'running'")),
        Index(
            "ix_run_cancel_asked_at",
            "cancel_asked_at",
            postgresql_where=text("cancel_requested IS NOT NULL AND status IN ('pending', 'running')"),
        ),
        Index(
            "ix_run_waits_until",
            "waits_until",
            postgresql_where=text("waits_until IS NOT NULL AND status = 'pending'"),
        ),
        # The backstop behind thread.active_run_id: never two running runs on one thread.
        Index("uq_run_running", "thread_id", unique=True, postgresql_where=text("status = 'running'")),
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    thread_id: Mapped[UUID] = mapped_column(ForeignKey("thread.thread_id", ondelete="CASCADE"))
    assistant_id: Mapped[UUID]
    graph_id: Mapped[str]
    status: Mapped[str]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata")
    kwargs: Mapped[dict[str, Any]]
    multitask_strategy: Mapped[str]
    on_completion: Mapped[str]  # what becomes of the thread when the run is over
    cron_id: Mapped[UUID | None]
    firing_id: Mapped[UUID | None]
    fire_time: Mapped[datetime | None]
    seq: Mapped[int] = mapped_column(BigInteger, Identity())  # the order of a thread's queue: clocks may step back
    owner: Mapped[UUID | None]
    attempt: Mapped[int] = mapped_column(server_default="0")
    crash_count: Mapped[int] = mapped_column(server_default="0")
    answers: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))  # ids of the interrupts that it answers
    error: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    user_id: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    timeout_seconds: Mapped[float | None]  # its limit, counted from started_at
    waits_until: Mapped[datetime | None]  # while that lies ahead the run is not in its thread's queue
    cancel_requested: Mapped[str | None]  # a wish: the owner ends the run, somebody else only if it does not answer
    cancel_reason: Mapped[str | None]  # for the ledger
    cancel_asked_at: Mapped[datetime | None]
