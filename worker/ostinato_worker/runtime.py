"""What one worker process holds: the event loop, connections, the project, and the runs under way."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import redis
import structlog

from ostinato_shared import broker, channels
from ostinato_shared.ids import new_id
from ostinato_shared.task_names import QUEUE
from ostinato_worker import cancelling, watchdog
from ostinato_worker.checkpoint_writes import CheckpointWriter
from ostinato_worker.connections import Connections
from ostinato_worker.webhook_calls import Caller
from ostinato_worker.webhooks import Courier

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from uuid import UUID

    from redis.asyncio import Redis as AsyncRedis

    from ostinato_shared.project import Project
    from ostinato_shared.queries.runs import RunRow, Stall
    from ostinato_shared.settings import Settings

T = TypeVar("T")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
POOL_SIZE = 10  # more connections than that only make two cores wait for each other


@dataclass
class UnderWay:
    """A run that this process executes; `lost` once its row is somebody else's.

    `asked` once somebody wants it to end, `expired` once its time limit was reached: what came first.
    """

    run: RunRow
    graph: asyncio.Task[Any] | None = None
    lost: bool = False
    asked: bool = False
    expired: bool = False

    @property
    def stopped(self) -> bool:
        return self.asked or self.expired

    def ask(self) -> None:
        """Stop the graph for good, once: its last checkpoint may be on its way after that."""
        if not self.stopped:
            self.asked = True
            self.cancel()

    def expire(self) -> None:
        """Likewise, for the run's time limit."""
        if not self.stopped:
            self.expired = True
            self.cancel()

    def lose(self) -> None:
        """Stop the graph at once: nothing that it does can be kept any more."""
        self.lost = True
        self.cancel()

    def cancel(self) -> None:
        if self.graph is not None:
            self.graph.cancel()


@dataclass
class Runtime:
    """Lives as long as the process. Everything but `start`, `run` and `close` happens on its loop."""

    settings: Settings
    project: Project
    worker_id: UUID = field(default_factory=new_id)
    hostname: str = field(default_factory=socket.gethostname)
    loop: asyncio.AbstractEventLoop = field(init=False)
    pool: Connections = field(init=False)
    writer: CheckpointWriter = field(init=False)
    redis: AsyncRedis = field(init=False)
    courier: Courier = field(init=False)
    hinted: set[UUID] = field(default_factory=set)  # threads where somebody has just asked a run to end
    under_way: dict[UUID, UnderWay] = field(default_factory=dict)
    at_work: set[int] = field(default_factory=set)  # threads with a hint: what it means may be under way in a moment
    put_off: list[str] = field(default_factory=list)  # messages for other workers, sent when this one has stopped
    blocked_by: UUID | None = None  # the run that keeps the loop from turning
    stall: Stall | None = None  # the longest look at the loop that stood still since the last heartbeat
    stopping: threading.Event = field(default_factory=threading.Event)  # claim nothing any more
    _thread: threading.Thread = field(init=False)
    _watching: list[asyncio.Task[None]] = field(init=False)
    _closed: bool = False

    def start(self) -> None:
        """Start the loop and open the connections."""
        self.loop = _new_loop()
        watchdog.mark_tasks(self.loop)
        # LangGraph runs sync nodes here: with fewer threads than slots they would wait for each other.
        self.loop.set_default_executor(ThreadPoolExecutor(self.settings.slots, thread_name_prefix="sync-node"))
        self._thread = threading.Thread(target=self._turn, name="loop", daemon=True)
        self._thread.start()
        self.run(self._open())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result, computed on the loop while this thread waits."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def close(self) -> None:
        """Close the connections and stop the loop; threads of sync nodes that hang are not waited for."""
        self.run(self._shut())
        self._closed = True
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def send_put_off(self) -> None:
        """Send what is left for others: before this process consumes no more, it might get it itself, and lose it."""
        messages, self.put_off = self.put_off, []
        if messages:
            with suppress(redis.RedisError), broker.connect(self.settings.redis_url) as client:  # else the sweep does
                client.lpush(QUEUE, *messages)

    async def _open(self) -> None:
        self.pool = Connections(self.settings.database_dsn, size=POOL_SIZE)
        self.writer = CheckpointWriter(self.pool)
        self.redis = broker.connect_async(self.settings.redis_url)
        self.courier = Courier(Caller(self.project.webhooks))
        self._watching = cancelling.watch(self)

    async def _shut(self) -> None:
        await channels.stop(*self._watching)
        await self.courier.close()
        await self.redis.aclose()
        await self.pool.close()

    def _turn(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._closed:
            try:
                self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                # asyncio lets these two out of the loop. A graph that calls sys.exit() ends its run, not the process.
                log.warning("exit_in_graph_ignored", error=type(error).__name__)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - not to be had on every system
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
