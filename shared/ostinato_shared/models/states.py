"""The closed sets that are stored as text."""

from __future__ import annotations

from enum import StrEnum


class ThreadStatus(StrEnum):
    IDLE = "idle"
    BUSY = "busy"
    INTERRUPTED = "interrupted"
    ERROR = "error"


class RunStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"


class MultitaskStrategy(StrEnum):
    REJECT = "reject"
    ROLLBACK = "rollback"
    INTERRUPT = "interrupt"
    ENQUEUE = "enqueue"


class CancelAction(StrEnum):
    INTERRUPT = "interrupt"
    ROLLBACK = "rollback"


class CancelReason(StrEnum):
    """Why a run was cancelled: stands in the firing's `reason`."""

    CANCELLED = "cancelled"
    DISCONNECTED = "disconnected"
    DISPLACED = "displaced"


class OnCompletion(StrEnum):
    DELETE = "delete"
    KEEP = "keep"


class Trigger(StrEnum):
    SCHEDULE = "schedule"
    CATCHUP = "catchup"
    MANUAL = "manual"
    BACKFILL = "backfill"


class Outcome(StrEnum):
    DUE = "due"
    STARTED = "started"
    SKIPPED = "skipped"
    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"


class SkipReason(StrEnum):
    """Why a fire time made no run: stands in the firing's `reason`."""

    DELETED = "deleted"
    DISABLED = "disabled"
    ENDED = "ended"
    THREAD_GONE = "thread_gone"
    ASSISTANT_GONE = "assistant_gone"
    THREAD_BUSY = "thread_busy"
    OVERLAP = "overlap"
    MAX_RUNS = "max_runs"
    MISSED = "missed"
    INVALID = "invalid"


class PausedBy(StrEnum):
    """What disabled a cron: a person, or one of its own guards."""

    USER = "user"
    PAUSE_AFTER_FAILURES = "pause_after_failures"
    MAX_RUNS = "max_runs"


class DeliveryStatus(StrEnum):
    """Of a webhook: owed, answered with 2xx, or given up."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
