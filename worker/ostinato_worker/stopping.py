"""The graceful stop: stock Celery never ends while a graph hangs, so this does it, in bounded time."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from ostinato_worker.lease import Lease
    from ostinato_worker.runtime import Runtime

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
HANG_SECONDS = 4.0  # what cancelled graphs get to let go; then the process ends under them
POLL_SECONDS = 0.05


class Stop:
    """Begun once, by the first signal; runs in its own thread beside Celery's own shutdown."""

    def __init__(self, runtime: Runtime, lease: Lease, *, leave: Callable[[int], object] = os._exit) -> None:
        self.runtime = runtime
        self.lease = lease
        self.leave = leave
        self._begun = False

    def begin(self) -> None:
        """Start to stop; called in a signal handler, so it only starts a thread."""
        if not self._begun:
            self._begun = True
            self.runtime.stopping.set()
            threading.Thread(target=self._stop, name="stop", daemon=True).start()

    def _stop(self) -> None:
        log.info("worker_stopping", runs=len(self.runtime.under_way), drain_seconds=self.runtime.settings.drain_seconds)
        if not self._idle_within(self.runtime.settings.drain_seconds):
            self.runtime.loop.call_soon_threadsafe(self._cancel_all)
        if not self._idle_within(HANG_SECONDS):
            log.warning("worker_left_runs", run_ids=[str(run_id) for run_id in list(self.runtime.under_way)])
            self._leave()
        time.sleep(HANG_SECONDS)  # the main thread ends the process in this time, unless a thread of a graph's hangs
        self._leave()

    def _cancel_all(self) -> None:
        for under_way in list(self.runtime.under_way.values()):
            under_way.cancel()
        self.runtime.courier.cancel()

    def _idle_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not self._idle() and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        return self._idle()

    def _idle(self) -> bool:
        return not self.runtime.at_work and not self.runtime.courier.under_way

    def _leave(self) -> None:
        self.lease.release()
        self.runtime.send_put_off()
        log.warning("worker_stopped", by="force")
        self.leave(0)
