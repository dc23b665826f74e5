"""The tables, one a file."""

from ostinato_shared.models.assistants import Assistant, AssistantVersion
from ostinato_shared.models.base import Model
from ostinato_shared.models.crons import Cron, CronEvent, Outbox
from ostinato_shared.models.firings import Firing
from ostinato_shared.models.runs import Run
from ostinato_shared.models.states import (
    CancelAction,
    CancelReason,
    DeliveryStatus,
    MultitaskStrategy,
    OnCompletion,
    Outcome,
    PausedBy,
    RunStatus,
    SkipReason,
    ThreadStatus,
    Trigger,
)
from ostinato_shared.models.threads import Thread
from ostinato_shared.models.webhook_deliveries import WebhookDelivery
from ostinato_shared.models.workers import Worker

__all__ = [
    "Assistant",
    "AssistantVersion",
    "CancelAction",
    "CancelReason",
    "Cron",
    "CronEvent",
    "DeliveryStatus",
    "Firing",
    "Model",
    "MultitaskStrategy",
    "OnCompletion",
    "Outbox",
    "Outcome",
    "PausedBy",
    "Run",
    "RunStatus",
    "SkipReason",
    "Thread",
    "ThreadStatus",
    "Trigger",
    "WebhookDelivery",
    "Worker",
]
