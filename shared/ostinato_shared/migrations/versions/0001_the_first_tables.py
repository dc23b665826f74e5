"""The first tables."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from ostinato_shared.migrations.ledger_0001 import make_firing

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    _make_assistant()
    _make_assistant_version()
    _make_cron()
    _make_cron_event()
    make_firing()
    _make_outbox()
    _make_thread()
    _make_worker()
    _make_run()
    _make_webhook_delivery()
    op.get_bind().exec_driver_sql("SET LOCAL check_function_bodies = off")  # checkpoint tables come after
    for name in ("0001_functions.sql", "0001_cancelling.sql", "0001_guards.sql"):
        text = (SQL / name).read_text(encoding="utf-8")
        op.get_bind().exec_driver_sql(text.replace("%", "%%"))  # else the driver takes %s for a place of its own


def _make_assistant() -> None:
    op.create_table(
        "assistant",
        sa.Column("assistant_id", sa.Uuid(), nullable=False),
        sa.Column("graph_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("config", postgresql.JSONB(), nullable=False),
        sa.Column("context", postgresql.JSONB(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.String(), server_default="", nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("assistant_id", name=op.f("pk_assistant")),
    )
    op.create_index(op.f("ix_assistant_created_at"), "assistant", ["created_at"], unique=False)
    op.create_index(op.f("ix_assistant_graph_id"), "assistant", ["graph_id"], unique=False)


def _make_assistant_version() -> None:
    op.create_table(
        "assistant_version",
        sa.Column("assistant_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("graph_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("config", postgresql.JSONB(), nullable=False),
        sa.Column("context", postgresql.JSONB(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("assistant_id", "version", name=op.f("pk_assistant_version")),
    )


def _make_cron() -> None:
    op.create_table(
        "cron",
        sa.Column("cron_id", sa.Uuid(), nullable=False),
        sa.Column("assistant_id", sa.Uuid(), nullable=False),
        sa.Column("thread_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.String(), server_default="", nullable=False),
        sa.Column("schedule", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=True),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_run_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("on_run_completed", sa.String(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("policy", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.Column("consecutive_failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("run_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("paused_by", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("fault", sa.String(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("on_run_completed IN ('delete', 'keep')", name=op.f("ck_cron_on_run_completed")),
        sa.PrimaryKeyConstraint("cron_id", name=op.f("pk_cron")),
    )
    op.create_index(op.f("ix_cron_assistant_id"), "cron", ["assistant_id"], unique=False)
    op.create_index(
        "ix_cron_metadata",
        "cron",
        ["metadata"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
    )
    op.create_index(
        "ix_cron_next_run_date", "cron", ["next_run_date", "cron_id"], unique=False, postgresql_where=sa.text("enabled")
    )
    op.create_index(
        "ix_cron_thread_id", "cron", ["thread_id"], unique=False, postgresql_where=sa.text("thread_id IS NOT NULL")
    )
    op.create_index(op.f("ix_cron_created_at_cron_id"), "cron", ["created_at", "cron_id"], unique=False)
    op.create_index(
        op.f("ix_cron_user_id_created_at_cron_id"), "cron", ["user_id", "created_at", "cron_id"], unique=False
    )


def _make_cron_event() -> None:
    op.create_table(
        "cron_event",
        sa.Column("event_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("cron_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.String(), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("snapshot", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_cron_event")),
    )
    op.create_index(op.f("ix_cron_event_cron_id_event_id"), "cron_event", ["cron_id", "event_id"], unique=False)


def _make_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("outbox_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("cron_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("outbox_id", name=op.f("pk_outbox")),
    )


def _make_thread() -> None:
    op.create_table(
        "thread",
        sa.Column("thread_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(), server_default="idle", nullable=False),
        sa.Column("rest_status", sa.String(), server_default="idle", nullable=False),
        sa.Column("metadata", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("config", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("values", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("interrupts", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("error", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("active_run_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.String(), server_default="", nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column(
            "state_updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("state_stale_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('idle', 'busy', 'interrupted', 'error')", name=op.f("ck_thread_status")),
        sa.PrimaryKeyConstraint("thread_id", name=op.f("pk_thread")),
    )
    op.create_index(
        "ix_thread_waiting",
        "thread",
        ["updated_at"],
        unique=False,
        postgresql_where=sa.text("status = 'interrupted' AND interrupts <> '{}' AND deleted_at IS NULL"),
    )
    op.create_index(op.f("ix_thread_created_at"), "thread", ["created_at"], unique=False)
    for column in ("deleted_at", "state_stale_at"):
        op.create_index(
            f"ix_thread_{column}",
            "thread",
            [column],
            unique=False,
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
    op.create_index(
        "ix_thread_metadata",
        "thread",
        ["metadata"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
    )


def _make_worker() -> None:
    op.create_table(
        "worker",
        sa.Column("worker_id", sa.Uuid(), nullable=False),
        sa.Column("hostname", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column(
            "started_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("blocked_by", sa.Uuid(), nullable=True),
        sa.Column("loop_lag_ms", sa.Integer(), server_default="0", nullable=False),
        sa.Column("blocked_graph", sa.String(), nullable=True),
        sa.Column("blocked_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("pk_worker")),
    )


def _make_run() -> None:
    op.create_table(
        "run",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("thread_id", sa.Uuid(), nullable=False),
        sa.Column("assistant_id", sa.Uuid(), nullable=False),
        sa.Column("graph_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), nullable=False),
        sa.Column("kwargs", postgresql.JSONB(), nullable=False),
        sa.Column("multitask_strategy", sa.String(), nullable=False),
        sa.Column("on_completion", sa.String(), nullable=False),
        sa.Column("cron_id", sa.Uuid(), nullable=True),
        sa.Column("firing_id", sa.Uuid(), nullable=True),
        sa.Column("fire_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("owner", sa.Uuid(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("crash_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("answers", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("error", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("user_id", sa.String(), server_default="", nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("timeout_seconds", sa.Float(), nullable=True),
        sa.Column("waits_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested", sa.String(), nullable=True),
        sa.Column("cancel_reason", sa.String(), nullable=True),
        sa.Column("cancel_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("cancel_requested IN ('interrupt', 'rollback')", name=op.f("ck_run_cancel_requested")),
        sa.CheckConstraint(
            "multitask_strategy IN ('reject', 'rollback', 'interrupt', 'enqueue')",
            name=op.f("ck_run_multitask_strategy"),
        ),
        sa.CheckConstraint("on_completion IN ('delete', 'keep')", name=op.f("ck_run_on_completion")),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'success', 'error', 'timeout', 'interrupted')", name=op.f("ck_run_status")
        ),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.thread_id"], name=op.f("fk_run_thread_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run")),
    )
    _index_run()


def _index_run() -> None:
    op.create_index(
        "ix_run_cancel_asked_at",
        "run",
        ["cancel_asked_at"],
        unique=False,
        postgresql_where=sa.text("cancel_requested IS NOT NULL AND status IN ('pending', 'running')"),
    )
    op.create_index(
        "ix_run_waits_until",
        "run",
        ["waits_until"],
        unique=False,
        postgresql_where=sa.text("waits_until IS NOT NULL AND status = 'pending'"),
    )
    op.create_index(
        "ix_run_live",
        "run",
        ["thread_id", "seq"],
        unique=False,
        postgresql_where=sa.text("status IN ('pending', 'running')"),
    )
    op.create_index(
        "ix_run_cron_live",
        "run",
        ["cron_id"],
        unique=False,
        postgresql_where=sa.text("cron_id IS NOT NULL AND status IN ('pending', 'running')"),
    )
    op.create_index("ix_run_owner", "run", ["owner"], unique=False, postgresql_where=sa.text("status = 'running'"))
    op.create_index("ix_run_pending", "run", ["seq"], unique=False, postgresql_where=sa.text("status = 'pending'"))
    op.create_index(op.f("ix_run_thread_id_seq"), "run", ["thread_id", "seq"], unique=False)
    op.create_index("uq_run_running", "run", ["thread_id"], unique=True, postgresql_where=sa.text("status = 'running'"))


def _make_webhook_delivery() -> None:
    op.create_table(
        "webhook_delivery",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("body", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("status", sa.String(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('pending', 'done', 'failed')", name=op.f("ck_webhook_delivery_status")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_webhook_delivery")),
    )
    op.create_index(
        "ix_webhook_delivery_pending",
        "webhook_delivery",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_webhook_delivery_ended_at",
        "webhook_delivery",
        ["ended_at"],
        unique=False,
        postgresql_where=sa.text("status <> 'pending'"),
    )


DROP_FUNCTIONS = r"""
DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT oid FROM pg_proc
        WHERE proname LIKE 'ostinato\_%' AND pronamespace = current_schema()::regnamespace
    LOOP
        EXECUTE format('DROP FUNCTION %s', f);
    END LOOP;
END $$"""
TABLES = ("webhook_delivery", "run", "worker", "thread", "outbox", "firing")
CRON_TABLES = ("cron_event", "cron", "assistant_version", "assistant")


def downgrade() -> None:
    op.get_bind().exec_driver_sql(DROP_FUNCTIONS.replace("%", "%%"))
    for name in TABLES + CRON_TABLES:
        op.drop_table(name)
