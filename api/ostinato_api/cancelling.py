"""What a cancel does: a run that waits ends at once, one that runs is asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ostinato_api.runs import NothingToCancelError, RunNotFoundError
from ostinato_shared.broker import run_message
from ostinato_shared.models import CancelAction, CancelReason
from ostinato_shared.queries import thread_runs as queries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from ostinato_api.dependencies import Services
    from ostinato_api.schemas.runs import CancelMany

STATUSES = {"pending": ["pending"], "running": ["running"], "all": ["pending", "running"]}


async def cancel(
    services: Services, thread_id: UUID, run_id: UUID, *, action: str, reason: CancelReason = CancelReason.CANCELLED
) -> None:
    """Ask the run to end. Raises RunNotFoundError, also for one that is over."""
    if not await _ask(services, thread_id, run_id, action=action, reason=reason):
        raise RunNotFoundError(run_id)


async def cancel_many(services: Services, body: CancelMany, *, action: str) -> None:
    """Ask all of these runs to end. Raises NothingToCancelError when none of them is live."""
    asked = [
        await _ask(services, thread_id, run_id, action=action, reason=CancelReason.CANCELLED)
        for thread_id, run_id in await _live(services, body)
    ]
    if not any(asked):
        raise NothingToCancelError


async def give_up(services: Services, thread_id: UUID, run_id: UUID) -> None:
    """Ask the run to end because its client is gone; one that is over already stays so."""
    await _ask(services, thread_id, run_id, action=CancelAction.INTERRUPT, reason=CancelReason.DISCONNECTED)


async def _ask(services: Services, thread_id: UUID, run_id: UUID, *, action: str, reason: CancelReason) -> bool:
    cancelled = await queries.cancel(services.pool, thread_id, run_id, action=action, reason=reason)
    if cancelled is None:
        return False
    if not cancelled.ended:
        await services.sender.tell_cancel(thread_id)
        return True
    if cancelled.next_run_id is not None:
        await services.sender.send(run_message(cancelled.next_run_id))
    await services.sender.tell_done(run_id)
    return True


async def _live(services: Services, body: CancelMany) -> Sequence[tuple[UUID, UUID]]:
    if body.status is not None:
        return await queries.live(services.pool, STATUSES[body.status])
    if body.thread_id is None or body.run_ids is None:
        raise ValueError("the body's own check lets no such pass")
    return await queries.live_of_thread(services.pool, body.thread_id, body.run_ids)
