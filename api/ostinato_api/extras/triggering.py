"""Fire a cron now, by hand: a ledger row of its own that moves nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, literal, select
from sqlalchemy.dialects.postgresql import JSONB, insert

from ostinato_api.crons import CronNotFoundError
from ostinato_shared.broker import fire_message
from ostinato_shared.errors import ConflictError
from ostinato_shared.ids import new_id
from ostinato_shared.models import Cron, CronEvent, Firing, Outcome, Trigger

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncSession

COLUMNS = (
    "firing_id", "cron_id", "fire_time", "outcome", "trigger", "request_id", "request_digest", "cron_revision",
    "user_id", "assistant_id", "name", "input",
)  # fmt: skip


class RequestReusedError(ConflictError):
    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"request_id: {request_id[:80]!r} came before with another body; each request needs its own id"
        )


def message_of(firing: Firing) -> str:
    """The message that tells a worker of a firing, for after the commit."""
    return fire_message(
        cron_id=firing.cron_id, fire_time=firing.fire_time, firing_id=firing.firing_id, name=firing.name
    )


async def trigger(
    session: AsyncSession, cron_id: UUID, *, override: Any = None, request_id: str | None = None, user_id: str
) -> Firing:
    """The `due` firing of this request; the same request again has the same one. Send its message after the commit."""
    digest = hashlib.sha256(json.dumps(override, sort_keys=True).encode()).hexdigest()
    made: Firing | None = (await session.scalars(_insert(cron_id, override, request_id, digest))).one_or_none()
    if made is None:
        return await _of_request(session, cron_id, request_id, digest)
    happened = {"firing_id": str(made.firing_id), "request_id": request_id, "input_given": override is not None}
    session.add(
        CronEvent(cron_id=cron_id, kind="triggered", revision=made.cron_revision, user_id=user_id, snapshot=happened)
    )
    return made


def _insert(cron_id: UUID, override: Any, request_id: str | None, digest: str) -> Any:
    """One statement: the unique index decides, whoever comes at the same time waits for it."""
    values = select(
        literal(new_id()), Cron.cron_id, func.clock_timestamp(), literal(Outcome.DUE), literal(Trigger.MANUAL),
        literal(request_id), literal(digest), Cron.revision, Cron.user_id, Cron.assistant_id, Cron.name,
        literal(override, JSONB(none_as_null=True)),
    ).where(Cron.cron_id == cron_id)  # fmt: skip
    return insert(Firing).from_select(COLUMNS, values).on_conflict_do_nothing().returning(Firing)


async def _of_request(session: AsyncSession, cron_id: UUID, request_id: str | None, digest: str) -> Firing:
    same = select(Firing).where(
        Firing.cron_id == cron_id, Firing.request_id == request_id, Firing.trigger == Trigger.MANUAL
    )
    found = (await session.scalars(same)).one_or_none() if request_id else None
    if found is None or request_id is None:
        raise CronNotFoundError(cron_id)
    if found.request_digest != digest:
        raise RequestReusedError(request_id)
    return found
