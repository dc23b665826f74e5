"""The ledger, as the first migration makes it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql


def make_firing() -> None:
    op.create_table(
        "firing",
        sa.Column("firing_id", sa.Uuid(), nullable=False),
        sa.Column("cron_id", sa.Uuid(), nullable=False),
        sa.Column("fire_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("request_digest", sa.String(), nullable=True),
        sa.Column("cron_revision", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.String(), server_default="", nullable=False),
        sa.Column("assistant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("thread_id", sa.Uuid(), nullable=True),
        sa.Column("input", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lag_ms", sa.Integer(), nullable=True),
        sa.Column("missed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("missed_count", sa.Integer(), nullable=True),
        sa.Column("error", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("usage", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("output", sa.String(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('due', 'started', 'skipped', 'success', 'error', 'timeout', 'interrupted')",
            name=op.f("ck_firing_outcome"),
        ),
        sa.CheckConstraint("trigger IN ('schedule', 'catchup', 'manual', 'backfill')", name=op.f("ck_firing_trigger")),
        sa.PrimaryKeyConstraint("firing_id", name=op.f("pk_firing")),
    )
    _index_firing()


def _index_firing() -> None:
    op.create_index(
        "ix_firing_ended_at",
        "firing",
        ["ended_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NOT NULL"),
        postgresql_include=["outcome", "trigger"],
    )
    op.create_index(
        "ix_firing_failed",
        "firing",
        ["fire_time", "firing_id"],
        unique=False,
        postgresql_where=sa.text("outcome IN ('error', 'timeout')"),
    )
    op.create_index(
        "ix_firing_skipped",
        "firing",
        ["fire_time", "firing_id"],
        unique=False,
        postgresql_where=sa.text("outcome = 'skipped'"),
    )
    op.create_index(
        "ix_firing_run_id", "firing", ["run_id"], unique=False, postgresql_where=sa.text("run_id IS NOT NULL")
    )
    op.create_index("ix_firing_due", "firing", ["fire_time"], unique=False, postgresql_where=sa.text("outcome = 'due'"))
    op.create_index(
        "uq_firing_fire_time",
        "firing",
        ["cron_id", "fire_time"],
        unique=True,
        postgresql_where=sa.text("trigger IN ('schedule', 'catchup')"),
    )
    op.create_index(
        "uq_firing_request",
        "firing",
        ["cron_id", "request_id", "fire_time"],
        unique=True,
        postgresql_where=sa.text("request_id IS NOT NULL"),
    )
    op.create_index(
        "uq_firing_manual",
        "firing",
        ["cron_id", "request_id"],
        unique=True,
        postgresql_where=sa.text("trigger = 'manual'"),
    )
    op.create_index("ix_firing_cron_id_fire_time", "firing", ["cron_id", "fire_time", "firing_id"], unique=False)
    op.create_index(
        "ix_firing_fire_time", "firing", ["fire_time", "firing_id"], unique=False, postgresql_include=["outcome"]
    )
