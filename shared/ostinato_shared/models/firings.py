from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from ostinato_shared.models.base import Model, one_of
from ostinato_shared.models.states import Outcome, Trigger


class Firing(Model):
    """The ledger: what became of one fire time of one cron. Outlives cron, thread and run."""

    __tablename__ = "firing"
    __table_args__ = (
        CheckConstraint(one_of("outcome", Outcome), name="outcome"),
        CheckConstraint(one_of("trigger", Trigger), name="trigger"),
        # One fire time, one row: whoever comes second changes nothing.
        Index(
            "uq_firing_fire_time",
            "cron_id",
            "fire_time",
            unique=True,
            postgresql_where=text("trigger IN ('schedule', 'catchup')"),
        ),
        Index(
            "uq_firing_request",
            "cron_id",
            "request_id",
            "fire_time",
            unique=True,
            postgresql_where=text("request_id IS NOT NULL"),
        ),
        # One request by hand, one row, whenever it comes again.
        Index(
            "uq_firing_manual",
            "cron_id",
            "request_id",
            unique=True,
            postgresql_where=text("trigger = 'manual'"),
        ),
        # Whose run a person means, by the beginning of its id; the run itself may be gone.
        Index("ix_firing_run_id", "run_id", postgresql_where=text("run_id IS NOT NULL")),
        # The lists, newest first: of one cron, and of all.
        Index("ix_firing_cron_id_fire_time", "cron_id", "fire_time", "firing_id"),
        # Outcomes of a day are counted from the index alone.
        Index("ix_firing_fire_time", "fire_time", "firing_id", postgresql_include=["outcome"]),
        # Outcomes are counted as they come.
        Index(
            "ix_firing_ended_at",
            "ended_at",
            postgresql_where=text("ended_at IS NOT NULL"),
            postgresql_include=["outcome", "trigger"],
        ),
        # What people look for among a million that went well.
        Index("ix_firing_failed", "fire_time", "firing_id", postgresql_where=text("outcome IN ('error', 'timeout')")),
        Index("ix_firing_skipped", "fire_time", "firing_id", postgresql_where=text("outcome = 'skipped'")),
        Index("ix_firing_due", "fire_time", postgresql_where=text("outcome = 'due'")),
    )

    firing_id: Mapped[UUID] = mapped_column(primary_key=True)
    cron_id: Mapped[UUID]
    fire_time: Mapped[datetime]
    outcome: Mapped[str]
    reason: Mapped[str | None]
    trigger: Mapped[str]
    request_id: Mapped[str | None]
    request_digest: Mapped[str | None]  # of a manual request's body: its id with another body is refused
    cron_revision: Mapped[int]
    user_id: Mapped[str] = mapped_column(server_default="")
    assistant_id: Mapped[UUID]
    name: Mapped[str | None]
    run_id: Mapped[UUID | None]
    thread_id: Mapped[UUID | None]
    input: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))  # while it is due: in place of the payload's
    due_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    lag_ms: Mapped[int | None]  # from fire_time to the claim
    missed_until: Mapped[datetime | None]  # a gap: the last fire time that this row accounts for
    missed_count: Mapped[int | None]
    error: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    usage: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    output: Mapped[str | None]  # capped excerpt
