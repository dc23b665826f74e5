"""Make the calls that ended runs owe: beside the slots, so that a slow far end holds up no run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import psycopg
import structlog

from ostinato_shared import broker
from ostinato_shared.models.states import DeliveryStatus
from ostinato_shared.queries import webhooks as queries
from ostinato_worker.outages import ride_out
from ostinato_worker.webhook_calls import Verdict

if TYPE_CHECKING:
    from uuid import UUID

    from ostinato_shared.queries.webhooks import Delivery
    from ostinato_worker.runtime import Runtime
    from ostinato_worker.webhook_calls import Caller, Reply

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
PAUSES_SECONDS = (1.0, 4.0)  # before the second and the third call: three in all
LEASE_SECONDS = 45.0  # longer than a call may take with all that belongs to it
AT_A_TIME = 50  # calls of one process: each holds a socket, and a copy of its run's values


@dataclass
class Courier:
    """The calls that this process makes, or waits to make again."""

    caller: Caller
    under_way: dict[UUID, asyncio.Task[None]] = field(default_factory=dict)
    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_A_TIME))

    def cancel(self) -> None:
        """Leave what is not done to others: the rows stay, and the sweep finds them."""
        for task in list(self.under_way.values()):
            task.cancel()

    async def close(self) -> None:
        """Cancel them, and wait until they have let go."""
        self.cancel()
        await asyncio.gather(*self.under_way.values(), return_exceptions=True)


async def send(runtime: Runtime, run_id: UUID) -> None:
    """Begin to make the call that this run owes, unless it is being made here; returns at once."""
    begin(runtime, run_id)


def begin(runtime: Runtime, run_id: UUID) -> None:
    """The same, on the loop."""
    under_way = runtime.courier.under_way
    if run_id in under_way:
        return
    task = asyncio.create_task(_deliver(runtime, run_id), name=f"webhook {run_id}")
    under_way[run_id] = task
    task.add_done_callback(lambda _: under_way.pop(run_id, None))


async def _deliver(runtime: Runtime, run_id: UUID) -> None:
    try:
        pause = await _attempt(runtime, run_id)
        while pause is not None:
            await asyncio.sleep(pause)
            pause = await _attempt(runtime, run_id)
    except psycopg.Error as error:  # the row stays as it is, and the sweep finds it
        log.warning("webhook_left", run_id=str(run_id), error=type(error).__name__)


async def _attempt(runtime: Runtime, run_id: UUID) -> float | None:
    """Make the call once, if it is due; the seconds to the next attempt, None when there is none for this process."""
    async with runtime.courier.free:
        if runtime.stopping.is_set():
            runtime.put_off.append(broker.webhook_message(run_id))
            return None
        delivery = await ride_out(
            lambda: queries.claim(runtime.pool, run_id, seconds=LEASE_SECONDS), what="webhook", seconds=LEASE_SECONDS
        )
        if delivery is None:
            return None
        reply = await runtime.courier.caller.call(delivery)
        return await _record(runtime, delivery, reply)


async def _record(runtime: Runtime, delivery: Delivery, reply: Reply) -> float | None:
    pool, made = runtime.pool, delivery.attempts + 1
    ids = {"run_id": str(delivery.run_id), "host": httpx.URL(delivery.url).host, "attempt": made}
    if reply.verdict == Verdict.AGAIN and delivery.attempts < len(PAUSES_SECONDS):
        pause, error = PAUSES_SECONDS[delivery.attempts], reply.error or ""
        held = await ride_out(
            lambda: queries.put_off(pool, delivery, seconds=pause, error=error), what="webhook", seconds=LEASE_SECONDS
        )
        log.warning("webhook_put_off", reason=reply.error, seconds=pause, **ids)
        return pause if held else None
    status = DeliveryStatus.DONE if reply.verdict == Verdict.TAKEN else DeliveryStatus.FAILED
    await ride_out(
        lambda: queries.settle(pool, delivery, status=status, error=reply.error), what="webhook", seconds=LEASE_SECONDS
    )
    if status == DeliveryStatus.DONE:
        log.info("webhook_sent", **ids)
    else:
        log.warning("webhook_given_up", reason=reply.error, **ids)
    return None
