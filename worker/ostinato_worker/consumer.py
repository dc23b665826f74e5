"""Celery's consumer, telling Flower of a busy worker's tasks in batches."""

from __future__ import annotations

from typing import Any

from celery.worker import consumer

FLUSH_SECONDS = 0.2  # what a person does not notice; stock Celery publishes after every turn of its loop


class BatchingConsumer(consumer.Consumer):
    hub: Any
    _flush_events: Any
    flush_due = False

    def on_send_event_buffered(self) -> None:  # type: ignore[override]  # celery-types has an attribute there
        """Publish what is buffered a moment later, together with what comes meanwhile."""
        if self.hub and not self.flush_due:
            self.flush_due = True
            self.hub.call_later(FLUSH_SECONDS, self._flush_batch)

    def _flush_batch(self) -> None:
        self.flush_due = False
        self._flush_events()
