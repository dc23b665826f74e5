"""Ostinato's own endpoints: what will run, what ran, what changed; run now, pause, resume."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Header, Query, Response

from ostinato_api.clock import read_clock
from ostinato_api.dependencies import CallerDep, SenderDep, SessionDep
from ostinato_api.errors import Problem
from ostinato_api.extras import events, firings, pausing, schedules, triggering, upcoming
from ostinato_api.json_bodies import JsonRoute
from ostinato_api.schemas.base import CronId
from ostinato_api.schemas.crons import CronOut, Time
from ostinato_api.schemas.extras import (
    EventOut,
    FiringOut,
    Preview,
    PreviewOut,
    Remark,
    RequestId,
    StatusOut,
    TriggerNow,
    UpcomingOut,
)
from ostinato_shared.errors import InvalidError
from ostinato_shared.models import Outcome, Trigger

router = APIRouter(route_class=JsonRoute, tags=["Ostinato"])

A_DAY = timedelta(days=1)
LAST = datetime.max.replace(tzinfo=UTC)
CONFLICT: dict[int | str, dict[str, Any]] = {409: {"model": Problem, "description": "It cannot be done as things are"}}
NEXT = "x-pagination-next"
PAGED: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {NEXT: {"description": "The next page's cursor; absent on the last.", "schema": {"type": "string"}}}
    }
}

Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
Cursor = Annotated[str | None, Query(description=f"Where to go on: what the page before gave as `{NEXT}`.")]
RunId = Annotated[
    str | None,
    Query(
        description=f"That of this run: its id, or at least the first {firings.SHORTEST_BEGINNING} characters of it."
    ),
]
From = Annotated[Time | None, Query(alias="from", description="From this time on.", examples=["2026-11-01T00:00:00Z"])]
To = Annotated[Time | None, Query(description="Up to this time.", examples=["2026-12-01T00:00:00Z"])]


@router.post("/crons/preview", response_model=PreviewOut)
async def preview(body: Preview, session: SessionDep) -> Any:
    """Say what a schedule means: in words, with its next fire times and the traps in it. Nothing is stored."""
    now = await read_clock(session)
    return schedules.preview(body.schedule, body.timezone, now=now, since=body.since, count=body.count)


@router.get("/crons/upcoming", response_model=list[UpcomingOut])
async def list_upcoming(session: SessionDep, since: From = None, to: To = None, limit: Limit = 100) -> Any:
    """List what will fire, in order: from now on and for a day unless told otherwise, for 31 days at most."""
    start = await read_clock(session) if since is None else since
    end = start + min(A_DAY, LAST - start) if to is None else to
    return await upcoming.between(session, start=start, end=end, limit=limit)


@router.get("/crons/firings", response_model=list[FiringOut], responses=PAGED)
async def list_all_firings(  # noqa: PLR0917 - FastAPI passes them by name
    session: SessionDep,
    response: Response,
    outcome: Annotated[list[Outcome], Query(default_factory=list, description="These outcomes only.")],
    trigger: Annotated[list[Trigger], Query(default_factory=list, description="Fired by these only.")],
    run_id: RunId = None,
    since: From = None,
    to: To = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Any:
    """List what became of all crons' fire times, newest first."""
    wanted = firings.Filter(outcomes=outcome, triggers=trigger, run_id=run_id, since=since, until=to)
    rows, following = await firings.page(session, wanted, limit=limit, cursor=cursor)
    return _paged(response, rows, following)


@router.get("/runs/crons/{cron_id}/firings", response_model=list[FiringOut], responses=PAGED)
async def list_firings(  # noqa: PLR0917 - FastAPI passes them by name
    cron_id: CronId,
    session: SessionDep,
    response: Response,
    outcome: Annotated[list[Outcome], Query(default_factory=list, description="These outcomes only.")],
    trigger: Annotated[list[Trigger], Query(default_factory=list, description="Fired by these only.")],
    run_id: RunId = None,
    since: From = None,
    to: To = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Any:
    """List what became of a cron's fire times, newest first. A deleted cron's firings stay."""
    wanted = firings.Filter(cron_id, outcomes=outcome, triggers=trigger, run_id=run_id, since=since, until=to)
    rows, following = await firings.page(session, wanted, limit=limit, cursor=cursor)
    if not rows:
        await firings.check_known(session, cron_id)
    return _paged(response, rows, following)


@router.get("/runs/crons/{cron_id}/events", response_model=list[EventOut], responses=PAGED)
async def list_events(
    cron_id: CronId, session: SessionDep, response: Response, limit: Limit = 50, cursor: Cursor = None
) -> Any:
    """List who did what to a cron, newest first, its deletion included."""
    rows, following = await events.page(session, cron_id, limit=limit, cursor=cursor)
    if not rows:
        await firings.check_known(session, cron_id)
    return _paged(response, [event.told() for event in rows], following)


@router.get("/runs/crons/{cron_id}/status", response_model=StatusOut)
async def status(cron_id: CronId, session: SessionDep) -> Any:
    """Read how a cron stands: why it is paused and by whom, its failures in a row, its schedule in words."""
    return await schedules.status(session, cron_id)


@router.post("/runs/crons/{cron_id}/trigger", response_model=FiringOut, responses=CONFLICT)
async def trigger(  # noqa: PLR0917 - FastAPI passes them by name
    cron_id: CronId,
    session: SessionDep,
    caller: CallerDep,
    sender: SenderDep,
    background: BackgroundTasks,
    body: TriggerNow | None = None,
    idempotency_key: Annotated[RequestId | None, Header(description="As `request_id` in the body.")] = None,
) -> Any:
    """Run a cron now, paused or not; its next run stays where it is."""
    given = body or TriggerNow()
    if given.request_id and idempotency_key and given.request_id != idempotency_key:
        raise InvalidError("request_id: differs from the header Idempotency-Key; give one of them")
    firing = await triggering.trigger(
        session, cron_id, override=given.input, request_id=given.request_id or idempotency_key, user_id=caller
    )
    if firing.outcome == Outcome.DUE:
        background.add_task(sender.send, triggering.message_of(firing))
    return firing


@router.post("/runs/crons/{cron_id}/pause", response_model=CronOut)
async def pause(  # noqa: PLR0917 - FastAPI passes them by name
    cron_id: CronId,
    session: SessionDep,
    caller: CallerDep,
    sender: SenderDep,
    background: BackgroundTasks,
    body: Remark | None = None,
) -> Any:
    """Stop a cron's schedule until it is resumed. What is paused already stays so, and takes the new note."""
    background.add_task(sender.wake_beat)
    return await pausing.pause(session, cron_id, note=body.note if body else None, user_id=caller)


@router.post("/runs/crons/{cron_id}/resume", response_model=CronOut, responses=CONFLICT)
async def resume(  # noqa: PLR0917 - FastAPI passes them by name
    cron_id: CronId,
    session: SessionDep,
    caller: CallerDep,
    sender: SenderDep,
    background: BackgroundTasks,
    body: Remark | None = None,
) -> Any:
    """Let a cron's schedule go on from now: failures are forgotten, missed times are not made up for."""
    background.add_task(sender.wake_beat)
    return await pausing.resume(session, cron_id, note=body.note if body else None, user_id=caller)


def _paged(response: Response, rows: Any, following: str | None) -> Any:
    if following is not None:
        response.headers[NEXT] = following
    return rows
