"""What happens to crons: functions over the request's session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from ostinato_api import assistants, overdue, switching
from ostinato_api.clock import read_clock
from ostinato_api.schemas.base import check_metadata_size
from ostinato_api.schemas.crons import CronCreate, CronOut
from ostinato_shared.broker import display_name
from ostinato_shared.errors import BadRequestError, NotFoundError
from ostinato_shared.firetimes import check_schedule, next_fire_time
from ostinato_shared.ids import new_id
from ostinato_shared.models import Cron, CronEvent, Firing, Outbox, PausedBy, Thread
from ostinato_shared.payload import has_both
from ostinato_shared.policies import merge_metadata, read_policy
from ostinato_shared.queries import crons as queries

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import ColumnElement, Select, UnaryExpression
    from sqlalchemy.ext.asyncio import AsyncSession

    from ostinato_api.schemas.crons import CronFields, CronFilter, CronPatch, CronSearch

REPLACED = (
    "schedule", "timezone", "end_time", "input", "context", "interrupt_before", "interrupt_after", "on_run_completed",
    "enabled", "webhook", "stream_mode", "stream_subgraphs", "stream_resumable", "durability", "checkpoint_during",
)  # fmt: skip


class CronNotFoundError(NotFoundError):
    def __init__(self, cron_id: UUID) -> None:
        super().__init__(f"Cron '{cron_id}' not found")


class ThreadNotFoundError(NotFoundError):
    def __init__(self, thread_id: UUID) -> None:
        super().__init__(f"Thread with ID '{thread_id}' not found")


async def create(
    session: AsyncSession,
    body: CronCreate,
    *,
    thread_id: UUID | None = None,
    cron_id: UUID | None = None,
    user_id: str,
) -> Cron:
    """The new cron: on a thread, or with a new thread at each fire time; `cron_id` if it is to have that id."""
    _check(body)
    now = await read_clock(session)
    check_schedule(body.schedule, body.timezone, now=now)
    if thread_id is not None:
        await _hold_thread(session, thread_id)
    assistant = await assistants.hold(session, body.assistant_id)
    metadata = body.metadata or {}
    cron_id = cron_id or new_id()
    cron = Cron(
        cron_id=cron_id,
        assistant_id=assistant.assistant_id,
        thread_id=thread_id,
        user_id=user_id,
        schedule=body.schedule,
        timezone=body.timezone,
        end_time=body.end_time,
        enabled=body.enabled is not False,
        paused_by=PausedBy.USER if body.enabled is False else None,
        on_run_completed=None if thread_id else body.on_run_completed or "delete",
        metadata_=metadata,
        payload={
            **body.given,
            "assistant_id": str(assistant.assistant_id),
            "config": _config_of(cron_id, body.given.get("config")),
        },
        name=display_name(metadata.get("name")),
        policy=read_policy(metadata).stored(),
        revision=1,
        created_at=now,
        updated_at=now,
    )
    cron.next_run_date = next_run_date(cron, now=now)
    session.add(cron)
    tell(session, cron, kind="created", user_id=user_id)
    return cron


async def get(session: AsyncSession, cron_id: UUID) -> Cron:
    """The cron of this id. Raises CronNotFoundError."""
    found = await session.get(Cron, cron_id)
    if found is None:
        raise CronNotFoundError(cron_id)
    return found


async def change(
    session: AsyncSession, cron_id: UUID, body: CronPatch, *, user_id: str, without: Collection[str] = ()
) -> Cron:
    """The cron after the change, `without` these fields of its payload; what had come before stays owed."""
    if not body.given and not without:
        raise BadRequestError("Request body cannot be empty")
    _check(body)
    cron = await hold(session, cron_id)
    now = await read_clock(session)
    resumed = body.enabled is True and not cron.enabled
    if _moves(cron, body):
        await settle(session, cron, now=now)
        _reschedule(cron, body, now=now)
    _change_payload(cron, body)
    cron.payload = {name: value for name, value in cron.payload.items() if name not in without}
    if resumed:
        switching.check_runs_left(cron)
    if cron.thread_id is None and body.on_run_completed is not None:
        cron.on_run_completed = body.on_run_completed
    cron.updated_at = now
    tell(session, cron, kind="updated", user_id=user_id)
    return cron


async def hold(session: AsyncSession, cron_id: UUID) -> Cron:
    """The cron, locked against other changes. Raises CronNotFoundError."""
    cron = (await session.scalars(queries.locked(cron_id))).one_or_none()
    if cron is None:
        raise CronNotFoundError(cron_id)
    return cron


async def settle(session: AsyncSession, cron: Cron, *, now: datetime) -> None:
    """Record the fire times that had come by the cron's definition so far."""
    if owed := overdue.rows(cron, now=now):
        await session.execute(insert(Firing).values(owed).on_conflict_do_nothing())


async def remove(session: AsyncSession, cron_id: UUID, *, user_id: str) -> None:
    """Delete the cron; its threads and runs stay."""
    gone = await session.scalar(queries.remove(cron_id, user_id=user_id))
    if gone is None:
        raise NotFoundError("Not Found")


def matching(body: CronFilter) -> Select[Cron]:
    """The crons that a filter means."""
    conditions: list[ColumnElement[bool]] = []
    if body.assistant_id is not None:
        conditions.append(Cron.assistant_id == assistants.id_of(body.assistant_id))
    if body.thread_id is not None:
        conditions.append(Cron.thread_id == body.thread_id)
    if body.enabled is not None:
        conditions.append(Cron.enabled == body.enabled)
    if body.metadata:
        conditions.append(Cron.metadata_.contains(body.metadata))
    if body.failing is not None:
        conditions.append((Cron.consecutive_failures > 0) == body.failing)
    return select(Cron).where(*conditions)


def sorted_by(found: Select[Cron], body: CronSearch) -> Select[Cron]:
    """The same in the order that the body asks for: ascending, those without the field come last."""
    columns = (getattr(Cron, body.sort_by), Cron.cron_id)
    order: list[UnaryExpression[Any]] = [c.asc() if body.sort_order == "asc" else c.desc() for c in columns]
    return found.order_by(*order)


def _check(body: CronFields) -> None:
    """Refuse what is valid but not built yet, and what can never run."""
    read_policy(body.metadata or {})
    _check_values(body.given.get("config"), body.given.get("context"))


def _check_values(config: object, context: object) -> None:
    if has_both(config, context):
        raise BadRequestError("config.configurable and context cannot both be given: LangGraph takes one of them")


async def _hold_thread(session: AsyncSession, thread_id: UUID) -> None:
    """Make sure that the thread is there, and stays until the cron is."""
    shared_lock = select(Thread.thread_id).where(Thread.thread_id == thread_id, Thread.deleted_at.is_(None))
    if await session.scalar(shared_lock.with_for_update(read=True, key_share=True)) is None:
        raise ThreadNotFoundError(thread_id)


def _config_of(cron_id: UUID, config: dict[str, Any] | None) -> dict[str, Any]:
    given = config or {}
    return {**given, "configurable": {**given.get("configurable", {}), "cron_id": str(cron_id)}}


def next_run_date(cron: Cron, *, now: datetime) -> datetime | None:
    """The first fire time after now, None when none comes before the cron's end."""
    following = next_fire_time(cron.schedule, cron.timezone, after=now)
    ended = following is None or (cron.end_time is not None and following > cron.end_time)
    return None if ended else following


def _moves(cron: Cron, body: CronPatch) -> bool:
    return (
        body.schedule is not None
        or body.timezone is not None
        or (body.has("end_time") and body.end_time != cron.end_time)
        or (body.enabled is not None and body.enabled != cron.enabled)
    )


def _reschedule(cron: Cron, body: CronPatch, *, now: datetime) -> None:
    cron.revision += 1
    switched_off = cron.enabled and body.enabled is False
    if body.enabled is not None:
        switching.switch(cron, enabled=body.enabled)
    if body.has("end_time"):
        cron.end_time = body.end_time
    if body.schedule is not None or body.timezone is not None:
        cron.schedule = cron.schedule if body.schedule is None else body.schedule
        cron.timezone = cron.timezone if body.timezone is None else body.timezone
        check_schedule(cron.schedule, cron.timezone, now=now)
    elif switched_off and not body.has("end_time"):
        return  # the date of a disabled cron stays
    cron.next_run_date = next_run_date(cron, now=now)


def _change_payload(cron: Cron, body: CronPatch) -> None:
    payload = {**cron.payload, **{name: body.given[name] for name in REPLACED if name in body.given}}
    if body.has("end_time") and body.end_time is None:
        del payload["end_time"]
    if body.config is not None:
        payload["config"] = _config_of(cron.cron_id, body.given["config"])
    if body.metadata is not None:
        merged = merge_metadata(cron.metadata_, body.metadata)
        check_metadata_size(merged)
        cron.metadata_ = payload["metadata"] = merged
        cron.name = display_name(merged.get("name"))
        cron.policy = read_policy(merged).stored()
        if "max_runs" not in (cron.policy or {}):
            cron.run_count = 0
    _check_values(payload.get("config"), payload.get("context"))
    cron.payload = payload


def tell(session: AsyncSession, cron: Cron, *, kind: str, user_id: str, note: str | None = None) -> None:
    """Note the cron's new version for its history, and for beat to look at."""
    snapshot = CronOut.model_validate(cron).model_dump(mode="json")
    session.add(
        CronEvent(
            cron_id=cron.cron_id, kind=kind, revision=cron.revision, user_id=user_id, note=note, snapshot=snapshot
        )
    )
    session.add(Outbox(cron_id=cron.cron_id))
