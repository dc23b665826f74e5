from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from ostinato_shared.models.base import Model, one_of
from ostinato_shared.models.states import ThreadStatus


class Thread(Model):
    """A conversation. A row with `deleted_at` is gone for everybody; the sweep purges it a minute later."""

    __tablename__ = "thread"
    __table_args__ = (
        CheckConstraint(one_of("status", ThreadStatus), name="status"),
        Index(None, "created_at"),
        Index("ix_thread_metadata", "metadata", postgresql_using="gin", postgresql_ops={"metadata": "jsonb_path_ops"}),
        Index("ix_thread_state_stale_at", "state_stale_at", postgresql_where=text("state_stale_at IS NOT NULL")),
        Index(
            "ix_thread_waiting",
            "updated_at",
            postgresql_where=text("status = 'interrupted' AND interrupts <> '{}' AND deleted_at IS NULL"),
        ),
        Index("ix_thread_deleted_at", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL")),
    )

    thread_id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(server_default=ThreadStatus.IDLE)
    rest_status: Mapped[str] = mapped_column(server_default=ThreadStatus.IDLE)  # what it is when no run is live
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'"))
    config: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    values: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    interrupts: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    error: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    active_run_id: Mapped[UUID | None]
    user_id: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    state_updated_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    # When a run was ended in its graph's absence: values and interrupts are to be read from the head, by the api.
    state_stale_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
