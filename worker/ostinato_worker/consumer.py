"""Celery's consumer, soon back when Redis is, and telling Flower of a busy worker's tasks in batches."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from celery.worker import consumer

if TYPE_CHECKING:
    from kombu import Connection

FLUSH_SECONDS = 0.2  # what a person does not notice; stock Celery publishes after every turn of its loop
PAUSE_SECONDS = 1  # between attempts to reach Redis; stock Celery's grow to 30, and by so much firings would be late


class BatchingConsumer(consumer.Consumer):
    hub: Any
    _flush_events: Any
    flush_due = False

    def ensure_connected(self, conn: Connection) -> Connection:
        """The connection, once Redis is there."""
        often = partial(conn.ensure_connection, interval_start=PAUSE_SECONDS, interval_max=PAUSE_SECONDS)
        conn.ensure_connection = often  # type: ignore[method-assign]  # Celery has no setting for it
        return super().ensure_connected(conn)

    def on_send_event_buffered(self) -> None:  # type: ignore[override]  # celery-types has an attribute there
        """Publish what is buffered a moment later, together with what comes meanwhile."""
        if self.hub and not self.flush_due:
            self.flush_due = True
            self.hub.call_later(FLUSH_SECONDS, self._flush_batch)

    def _flush_batch(self) -> None:
        self.flush_due = False
        self._flush_events()
