"""The tasks: each takes one hint, a dict with a version, and hands it to the loop."""

from __future__ import annotations

import threading
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from celery import Celery, Task

from ostinato_shared import broker
from ostinato_shared.task_names import EXECUTE_RUN, FIRE_CRON, HINT_VERSION, SEND_WEBHOOK
from ostinato_worker import firing, webhooks

if TYPE_CHECKING:
    from ostinato_worker.runtime import Runtime

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class RuntimeTask(Task[[Any], None]):
    """A task that works on the process's loop while its thread waits. It never fails: the rows are the truth."""

    ignore_result = True
    key: str  # of the hint: the id of what is to be done

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def work(self, subject: UUID) -> Coroutine[Any, Any, None]:
        raise NotImplementedError

    def again(self, hint: Any) -> str:
        """The same message, for another worker."""
        raise NotImplementedError

    def run(self, hint: Any) -> None:
        subject = self._subject(hint)
        if subject is None:
            return
        me = threading.get_ident()
        self.runtime.at_work.add(me)  # before it looks: a stop that begins now waits for it
        try:
            if self.runtime.stopping.is_set():
                self.runtime.put_off.append(self.again(hint))
            else:
                self.runtime.run(self.work(subject))
        except Exception:  # the task boundary: the row stays as it is, and the sweep finds it
            log.exception("task_failed", task=self.name, **{self.key: str(subject)})
        finally:
            self.runtime.at_work.discard(me)

    def _subject(self, hint: Any) -> UUID | None:
        """The id in the hint; None for a hint that this version cannot read."""
        version = hint.get("v") if isinstance(hint, Mapping) else None
        if isinstance(version, int) and version > HINT_VERSION:
            log.warning("hint_too_new", task=self.name, version=version)  # a newer worker, or the sweep, will see to it
            return None
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            if version == HINT_VERSION:
                return UUID(hint[self.key])
        log.warning("hint_malformed", task=self.name)
        return None


class FireTask(RuntimeTask):
    name = FIRE_CRON
    key = "firing_id"

    def work(self, subject: UUID) -> Coroutine[Any, Any, None]:
        return firing.fire(self.runtime, subject)

    def again(self, hint: Any) -> str:
        return broker.fire_message(
            cron_id=UUID(hint["cron_id"]),
            fire_time=datetime.fromisoformat(hint["fire_time"]),
            firing_id=UUID(hint["firing_id"]),
        )


class RunTask(RuntimeTask):
    name = EXECUTE_RUN
    key = "run_id"

    def work(self, subject: UUID) -> Coroutine[Any, Any, None]:
        return firing.start(self.runtime, subject)

    def again(self, hint: Any) -> str:
        return broker.run_message(UUID(hint["run_id"]))


class WebhookTask(RuntimeTask):
    name = SEND_WEBHOOK
    key = "run_id"

    def work(self, subject: UUID) -> Coroutine[Any, Any, None]:
        return webhooks.send(self.runtime, subject)

    def again(self, hint: Any) -> str:
        return broker.webhook_message(UUID(hint["run_id"]))


def register(app: Celery, runtime: Runtime) -> None:
    """Make the tasks of this process known to its Celery app."""
    for task in (FireTask(runtime), RunTask(runtime), WebhookTask(runtime)):
        app.register_task(task)
