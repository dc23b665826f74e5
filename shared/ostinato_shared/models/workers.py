from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from ostinato_shared.models.base import Model


class Worker(Model):
    """A worker process's lease. A run whose owner's lease has expired is orphaned."""

    __tablename__ = "worker"

    worker_id: Mapped[UUID] = mapped_column(primary_key=True)
    hostname: Mapped[str]
    pid: Mapped[int]
    slots: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    expires_at: Mapped[datetime]
    released_at: Mapped[datetime | None]  # it ended in order: its runs are charged no crash
    blocked_by: Mapped[UUID | None]  # the run that keeps its loop from turning: the others are charged no crash
    loop_lag_ms: Mapped[int] = mapped_column(server_default="0")  # the longest since the heartbeat before the last
    blocked_graph: Mapped[str | None]  # the last graph that kept its loop from turning, and since when
    blocked_since: Mapped[datetime | None]
