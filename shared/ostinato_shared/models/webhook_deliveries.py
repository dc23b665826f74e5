from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from ostinato_shared.models.base import Model, one_of
from ostinato_shared.models.states import DeliveryStatus


class WebhookDelivery(Model):
    """The call that a run owes when it is over: one a run, sent at least once. Outlives run and thread."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        CheckConstraint(one_of("status", DeliveryStatus), name="status"),
        Index("ix_webhook_delivery_pending", "next_attempt_at", postgresql_where=text("status = 'pending'")),
        Index("ix_webhook_delivery_ended_at", "ended_at", postgresql_where=text("status <> 'pending'")),
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    url: Mapped[str]
    body: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))  # the run as it ended; null once it is settled
    status: Mapped[str] = mapped_column(server_default=DeliveryStatus.PENDING)
    attempts: Mapped[int] = mapped_column(server_default="0")  # those whose outcome is known
    # While one is under way: the end of its lease. Whoever records an outcome must still hold that lease.
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    ended_at: Mapped[datetime | None]
