"""The beat process: Celery beat's own service with our scheduler."""

from __future__ import annotations

import logging
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from celery import Celery
from celery.beat import Service

from ostinato_beat.checks import check_redis
from ostinato_beat.scheduler import OstinatoScheduler
from ostinato_shared import logs, migrate
from ostinato_shared.settings import Settings
from ostinato_shared.task_names import QUEUE

if TYPE_CHECKING:
    from types import FrameType

log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Fire crons, or stand by while another beat does, until SIGTERM or SIGINT."""
    logs.configure(level=settings.log_level, as_json=settings.log_json)
    logging.getLogger("celery.beat").setLevel(logging.WARNING)
    migrate.wait_until_current(settings.database_dsn)
    check_redis(settings.redis_url)
    service = make_service(settings)
    _stop_on_signals(service)
    log.info("beat_ready", leads=service.scheduler.leads)
    service.start()
    log.info("beat_stopped")


def make_app(settings: Settings) -> Celery:
    """A Celery app that knows the broker and nothing else: beat makes its messages itself."""
    app = Celery("ostinato-beat", broker=settings.redis_url, set_as_current=False)
    app.conf.update(
        redbeat_redis_url=settings.redis_url,
        redbeat_redis_options={},
        task_default_queue=QUEUE,
        task_ignore_result=True,
        beat_schedule={},
        enable_utc=True,
        timezone="UTC",
    )
    return app


def make_service(settings: Settings) -> Any:
    """Celery beat's loop around our scheduler, not started."""
    scheduler: Any = partial(OstinatoScheduler, settings=settings)  # Celery calls it like a class
    return Service(make_app(settings), scheduler_cls=scheduler)


def _stop_on_signals(service: Any) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        service.stop()
        # Not in this thread: the signal may have found it with the lock of what is set here.
        threading.Thread(target=service.scheduler.wake, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


if __name__ == "__main__":
    run(Settings())
