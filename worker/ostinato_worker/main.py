"""The worker process: a stock Celery worker whose threads hand everything to one event loop."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import warnings
from typing import TYPE_CHECKING, Any

import structlog
from celery import Celery, signals
from celery.exceptions import SecurityWarning
from kombu import Exchange, Queue

from ostinato_shared import logs, migrate
from ostinato_shared.project import load_project
from ostinato_shared.task_names import LATE_QUEUE, QUEUE
from ostinato_worker import loop_lag, tasks, transport
from ostinato_worker.consumer import BatchingConsumer
from ostinato_worker.lease import Lease
from ostinato_worker.runtime import Runtime
from ostinato_worker.stopping import Stop
from ostinato_worker.watchdog import Watchdog

if TYPE_CHECKING:
    from ostinato_shared.settings import Settings

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
GARBAGE = 10_000  # objects between collections; half the time in them that Python's 700 take
NOISY = ("celery.worker.strategy", "celery.app.trace", "celery.worker.consumer.connection")


def run(settings: Settings) -> None:
    """Serve until a signal ends it. A database without the schema, or a project that cannot be loaded, raises."""
    logs.configure(level=settings.log_level, as_json=settings.log_json)
    migrate.wait_until_current(settings.database_dsn)
    runtime = Runtime(settings, load_project(settings.config))
    gc.freeze()  # what is loaded by now stays: no collection need look at it again
    gc.set_threshold(GARBAGE)
    runtime.start()
    lease = Lease(runtime)
    lease.hold()
    watchdog = Watchdog(runtime, lease)
    watchdog.start()
    watcher = asyncio.run_coroutine_threadsafe(loop_lag.watch(runtime), runtime.loop)
    exit_code = serve(make_app(settings, runtime), runtime, Stop(runtime, lease))
    watcher.cancel()
    watchdog.stop()
    lease.release()
    runtime.send_put_off()
    runtime.close()
    log.info("worker_stopped")
    if exit_code and not runtime.stopping.is_set():  # Celery calls Ctrl-C a failure
        sys.exit(exit_code)


def serve(app: Celery, runtime: Runtime, stop: Stop) -> int:
    """Consume until the process is told to stop; its exit code."""

    def begin_stop(**_: Any) -> None:
        stop.begin()

    def tell_ready(**_: Any) -> None:
        graphs = sorted(runtime.project.graphs)
        log.info("worker_ready", worker_id=str(runtime.worker_id), slots=runtime.settings.slots, graphs=graphs)

    warnings.simplefilter("ignore", SecurityWarning)  # of being root: JSON is all that it accepts, and containers are
    signals.setup_logging.connect(_keep_logging)
    signals.worker_shutting_down.connect(begin_stop)
    signals.worker_ready.connect(tell_ready)
    # Not `app.worker_main`: that puts the working directory on sys.path and imports what it finds there.
    worker = app.Worker(
        hostname=f"worker-{runtime.worker_id.hex[-8:]}@{runtime.hostname}",
        pool="threads",
        consumer_cls=f"{BatchingConsumer.__module__}:{BatchingConsumer.__name__}",
        concurrency=runtime.settings.slots,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
    )
    worker.start()
    return worker.exitcode or 0


def make_app(settings: Settings, runtime: Runtime) -> Celery:
    """The Celery app of this process, with its tasks."""
    transport.install()
    app = Celery("ostinato", set_as_current=False)
    exchange = Exchange(QUEUE, type="direct")
    app.conf.update(
        broker_url=settings.redis_url,
        # kombu's own default takes turns between the queues.
        broker_transport_options={
            "queue_order_strategy": "sorted",
            "priority_steps": [0],
            "health_check_interval": 15,
            "socket_keepalive": True,
        },
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_queues=[Queue(name, exchange, routing_key=name) for name in (QUEUE, LATE_QUEUE)],
        task_default_queue=QUEUE,
        task_acks_late=False,
        task_ignore_result=True,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_send_task_events=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    tasks.register(app, runtime)
    return app


def _keep_logging(**_: Any) -> None:
    """Celery leaves logging alone when anybody listens to its signal; its lines for each task are ours to say."""
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
