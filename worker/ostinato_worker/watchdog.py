"""Watch the loop from a thread of its own: name the run that stalls it, and end a process whose loop stands still."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import structlog

from ostinato_shared.queries.runs import Stall

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from uuid import UUID

    from ostinato_worker.lease import Lease
    from ostinato_worker.runtime import Runtime

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
LOOK_SECONDS: Final = 0.5
BLOCKED_SECONDS: Final = 1.0  # shorter stalls are a busy loop's
EXIT_CODE: Final = 70
CURRENT_RUN: ContextVar[UUID | None] = ContextVar("current_run", default=None)


class RunTask(asyncio.Task[Any]):
    """A task that knows for which run it was made."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], **options: Any) -> None:
        super().__init__(coroutine, **options)
        self.run_id = CURRENT_RUN.get()

    def cancel(self, msg: Any | None = None) -> bool:
        """Refused to a graph for the worker's own tasks: one that cancels all there are would end no run any more."""
        if self.run_id is None and CURRENT_RUN.get() is not None:
            return False
        return super().cancel(msg)


def enter_run(run_id: UUID) -> None:
    """Make the current task, and what it will start, the run's."""
    CURRENT_RUN.set(run_id)
    task = asyncio.current_task()
    if isinstance(task, RunTask):
        task.run_id = run_id


def mark_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Make the loop's tasks know their runs."""
    loop.set_task_factory(lambda loop, coroutine, **options: RunTask(coroutine, loop=loop, **options))


class Watchdog:
    """Counts the looks that the loop left unanswered, not the time: a process that was frozen has not stalled."""

    def __init__(self, runtime: Runtime, lease: Lease, *, leave: Callable[[int], object] = os._exit) -> None:
        self.runtime = runtime
        self.lease = lease
        self.leave = leave
        self._answered = threading.Event()
        self._answered.set()
        self._silent = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Look no more; for a loop that is about to be closed."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self._look()
            if self._silent >= self.runtime.settings.stall_seconds:
                self._end()

    def _look(self) -> None:
        if self._answered.is_set():
            self._silent = 0.0
            self._answered.clear()
            self.runtime.loop.call_soon_threadsafe(self._answered.set)
        else:
            self._silent += LOOK_SECONDS
        self._note(_running_now(self.runtime.loop) if self._silent >= BLOCKED_SECONDS else None)

    def _note(self, culprit: UUID | None) -> None:
        """Keep what the next heartbeat tells."""
        self.runtime.blocked_by = culprit
        if self._silent >= BLOCKED_SECONDS:
            under_way = None if culprit is None else self.runtime.under_way.get(culprit)
            graph_id = None if under_way is None else under_way.run.graph_id
            self.runtime.stall = Stall(graph_id, self._silent, time.monotonic() - self._silent)

    def _end(self) -> None:
        """End the process; its runs go to others, and the one that stalls it is charged for all."""
        log.error("loop_stood_still", seconds=self._silent, run_id=str(self.runtime.blocked_by))
        self.lease.abandon()
        self.runtime.send_put_off()
        self.leave(EXIT_CODE)


def _running_now(loop: asyncio.AbstractEventLoop) -> UUID | None:
    return getattr(asyncio.current_task(loop), "run_id", None)
