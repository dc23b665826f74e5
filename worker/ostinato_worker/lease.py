"""The process's lease: one row, renewed by a thread of its own, so that neither graphs nor the loop can delay it."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
import structlog

from ostinato_shared.database import connect_kwargs
from ostinato_shared.queries.runs import abandon_lease, release_lease, renew_lease

if TYPE_CHECKING:
    from collections.abc import Callable

    from ostinato_worker.runtime import Runtime

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
RENEWALS = 6  # chances in one lease
CONNECT_SECONDS = 5


class Lease:
    """Held from `hold` to `release`."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.seconds = runtime.settings.lease_seconds
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._connection: psycopg.Connection[Any] | None = None

    def hold(self) -> None:
        """Take the lease; the process may claim from now on."""
        self._renew()
        self._thread.start()

    def release(self) -> None:
        """Let the lease expire at once: what is left under way is everybody's. Once is enough."""
        self._give_up(lambda connection: release_lease(connection, self.runtime.worker_id))

    def abandon(self) -> None:
        """The same for a process whose loop stands still."""
        culprit = self.runtime.blocked_by
        self._give_up(lambda connection: abandon_lease(connection, self.runtime.worker_id, blocked_by=culprit))

    def _give_up(self, statement: Callable[[psycopg.Connection[Any]], None]) -> None:
        if self._released.is_set():
            return
        self._released.set()
        # In a thread: a server that hangs would keep the process from ending.
        last = threading.Thread(target=self._end, args=(statement,), name="lease-end", daemon=True)
        last.start()
        last.join(CONNECT_SECONDS)

    def _end(self, statement: Callable[[psycopg.Connection[Any]], None]) -> None:
        self._thread.join()
        with suppress(psycopg.Error):  # then it expires by itself
            statement(self._connected())
        if self._connection is not None:
            self._connection.close()

    def _keep(self) -> None:
        while not self._released.wait(self.seconds / RENEWALS):
            try:
                self._renew()
            except psycopg.Error as error:
                log.warning("lease_not_renewed", error=type(error).__name__)
                self._drop_connection()

    def _renew(self) -> None:
        stall = self.runtime.stall
        renew_lease(
            self._connected(),
            self.runtime.worker_id,
            hostname=self.runtime.hostname,
            pid=os.getpid(),
            slots=self.runtime.settings.slots,
            blocked_by=self.runtime.blocked_by,
            seconds=self.seconds,
            stall=stall,
        )
        if self.runtime.stall is stall:  # else it goes on: the next heartbeat has the longer time
            self.runtime.stall = None

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self.runtime.settings.database_dsn,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                **connect_kwargs(),
            )
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
