"""One cron: how it stands, what it did, what it will do; and its end."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, BackgroundTasks, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncSession

from ostinato_api import assistants, crons
from ostinato_api.dashboard import cron_queries, queries, rendering, run_queries
from ostinato_api.dashboard.page_route import PageRoute
from ostinato_api.dashboard.svg.calendar import draw_calendar
from ostinato_api.dashboard.svg.durations import draw_durations
from ostinato_api.dashboard.svg.strip import Bar
from ostinato_api.dashboard.views import cron as views
from ostinato_api.dashboard.views import crons as list_views
from ostinato_api.dashboard.views import runs as run_views
from ostinato_api.dashboard.views.code import as_code
from ostinato_api.dashboard.views.outcomes import WAITING
from ostinato_api.dependencies import CallerDep, SenderDep, SessionDep
from ostinato_api.extras import events, firings
from ostinato_api.schemas.base import CronId
from ostinato_shared.errors import InvalidError
from ostinato_shared.models import Assistant
from ostinato_shared.policies import runs_left
from ostinato_shared.schedule_preview import preview

router = APIRouter(route_class=PageRoute)

NEXT = 7  # fire times
EVENTS = 10
CursorQuery = Annotated[str | None, Query(max_length=128)]


@router.get("/ui/crons/{cron_id}", name="ui_cron")
async def show(request: Request, session: SessionDep, cron_id: CronId) -> Response:
    """The cron's page."""
    row = await _row(session, cron_id)
    values = await _head(session, row) | await _runs(session, cron_id, None) | _coming(row)
    assistant = await session.get(Assistant, row.cron.assistant_id)
    named = assistants.reference(assistant) if assistant else row.assistant
    history, _ = await events.page(session, cron_id, limit=EVENTS)
    return rendering.page(
        request, "cron.html", **values, behaviour=views.behaviour(row.cron), history=history, changed=views.changed,
        given=views.pretty(row.cron.payload.get("input")),
        code=as_code(row.cron, assistant=named, url=str(request.base_url).rstrip("/")),
    )  # fmt: skip


@router.get("/ui/crons/{cron_id}/head", name="ui_cron_head")
async def head(request: Request, session: SessionDep, cron_id: CronId) -> Response:
    """How it stands and what comes next, again."""
    row = await _row(session, cron_id)
    values = await _head(session, row) | _coming(row)
    return rendering.part(request, "parts/cron_head.html", "parts/cron_next.html", swap=True, **values)


@router.get("/ui/crons/{cron_id}/runs", name="ui_cron_runs")
async def runs(request: Request, session: SessionDep, cron_id: CronId, cursor: CursorQuery = None) -> Response:
    """A page of its firings, and how long the last runs took."""
    row = await _row(session, cron_id)
    return rendering.part(request, "parts/cron_runs.html", row=row, **await _runs(session, cron_id, cursor))


@router.get("/ui/crons/{cron_id}/calendar", name="ui_cron_calendar")
async def calendar(request: Request, session: SessionDep, cron_id: CronId) -> Response:
    """Every day of the last half year."""
    row = await _row(session, cron_id)
    today = datetime.now(UTC).astimezone(ZoneInfo(row.zone)).date()
    since = datetime.now(UTC) - timedelta(weeks=cron_queries.WEEKS)
    slots = (await session.execute(cron_queries.days(cron_id, since=since))).all()
    drawn = draw_calendar(views.days(slots, row.zone), today=today, weeks=cron_queries.WEEKS)
    return rendering.part(request, "parts/cron_calendar.html", calendar=drawn)


@router.post("/ui/crons/{cron_id}/delete", name="ui_cron_delete")
async def delete(  # noqa: PLR0917 - FastAPI passes them by name
    request: Request, session: SessionDep, cron_id: CronId, caller: CallerDep, sender: SenderDep, after: BackgroundTasks
) -> Response:
    """Delete it; threads and ledger stay."""
    after.add_task(sender.wake_beat)
    await crons.remove(session, cron_id, user_id=caller)
    if rendering.is_part(request):
        return Response(status_code=204, headers={"hx-redirect": "/ui/crons"})
    return RedirectResponse("/ui/crons", status_code=303)


async def _row(session: AsyncSession, cron_id: UUID) -> list_views.CronRow:
    found: Any = (await session.execute(queries.cron(cron_id))).all()
    if not found:
        raise crons.CronNotFoundError(cron_id)
    return list_views.rows(found, [])[0]


async def _head(session: AsyncSession, row: list_views.CronRow) -> dict[str, Any]:
    failures = (await session.execute(cron_queries.failures(row.cron_id))).all()
    return {"row": row, "failures": failures, "there": await _there(session, failures)}


async def _runs(session: AsyncSession, cron_id: UUID, cursor: str | None) -> dict[str, Any]:
    found, following = await firings.page(
        session, firings.Filter(cron_id=cron_id), limit=cron_queries.FIRINGS, cursor=cursor
    )
    thread_ids = [each.thread_id for each in found if each.thread_id is not None]
    threads = (await session.execute(run_queries.threads(thread_ids))).all() if thread_ids else []
    over = (await session.execute(cron_queries.durations(cron_id))).all()
    bars = [Bar(each.fire_time, each.outcome, each.taken) for each in reversed(over)]
    return {
        "firings": found,
        "cursor": cursor,
        "following": following,
        "reason": views.reason,
        "length": list_views.length,
        "waiting": WAITING,
        "runs_there": {thread.thread_id for thread in threads},
        "questions": {thread.asking: run_views.asked(thread.question) for thread in threads},
        "durations": draw_durations(bars, slots=cron_queries.DURATIONS) if bars else None,
        "bars": len(bars),
        "spread": views.spread(bars),
    }


async def _there(session: AsyncSession, found: Any) -> set[UUID]:
    """Those of their threads that a page can show."""
    ids = [each.thread_id for each in found if each.thread_id is not None]
    return set((await session.scalars(cron_queries.threads_there(ids))).all()) if ids else set()


def _coming(row: list_views.CronRow) -> dict[str, Any]:
    if row.state != "active":
        return {"coming": []}
    many = int(min(NEXT, runs_left(row.cron.policy, row.cron.run_count)))
    try:
        coming = preview(row.cron.schedule, row.cron.timezone, after=datetime.now(UTC), count=many)
    except InvalidError:
        return {"coming": []}
    end = row.cron.end_time
    return {"coming": [each for each in coming if end is None or each.at <= end]}
