from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from ostinato_shared.models.base import Model


class Assistant(Model):
    """A graph with a configuration; the system makes one for every graph of the project."""

    __tablename__ = "assistant"
    __table_args__ = (Index(None, "created_at"), Index(None, "graph_id"))

    assistant_id: Mapped[UUID] = mapped_column(primary_key=True)
    graph_id: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    config: Mapped[dict[str, Any]]
    context: Mapped[dict[str, Any]]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata")
    version: Mapped[int]
    user_id: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class AssistantVersion(Model):
    """An assistant as it was at one version."""

    __tablename__ = "assistant_version"

    assistant_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    graph_id: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    config: Mapped[dict[str, Any]]
    context: Mapped[dict[str, Any]]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
