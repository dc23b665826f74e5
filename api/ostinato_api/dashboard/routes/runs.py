"""The runs page: all crons' firings, newest first, live; what runs can be cancelled here."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from ostinato_api import cancelling
from ostinato_api.dashboard import rendering, run_queries
from ostinato_api.dashboard.page_route import PageRoute
from ostinato_api.dashboard.svg.throughput import Count, draw_throughput
from ostinato_api.dashboard.views import runs as views
from ostinato_api.dashboard.views.runs import Show
from ostinato_api.dependencies import ServicesDep, SessionDep
from ostinato_api.extras import firings
from ostinato_api.schemas.base import RunId, ThreadId
from ostinato_shared.models import CancelAction, Outcome

router = APIRouter(route_class=PageRoute)

LATEST = 253_402_300_000  # seconds: the last that a datetime holds, nearly
FAILED = (Outcome.ERROR, Outcome.TIMEOUT)
CursorQuery = Annotated[str | None, Query(max_length=128)]
SinceQuery = Annotated[int | None, Query(ge=0, le=LATEST)]


@router.get("/ui/runs", name="ui_runs")
async def show(
    request: Request, session: SessionDep, *, show: Show = Show.ALL, since: SinceQuery = None,
    cursor: CursorQuery = None,
) -> Response:  # fmt: skip
    """The whole page, or for htmx the feed under other filters."""
    start = None if since is None else datetime.fromtimestamp(since, UTC)
    values = await _feed(session, show, start, cursor)
    if rendering.is_part(request):
        return rendering.part(request, "parts/runs_list.html", **values)
    return rendering.page(request, "runs.html", **values, **await _throughput(session, show, start))


@router.get("/ui/runs/throughput", name="ui_runs_throughput")
async def throughput(
    request: Request, session: SessionDep, *, show: Show = Show.ALL, since: SinceQuery = None
) -> Response:
    """The last day, again."""
    start = None if since is None else datetime.fromtimestamp(since, UTC)
    values = await _throughput(session, show, start)
    return rendering.part(request, "parts/runs_throughput.html", show=show, since=start, **values)


@router.post("/ui/threads/{thread_id}/runs/{run_id}/cancel", name="ui_run_cancel")
async def cancel(thread_id: ThreadId, run_id: RunId, services: ServicesDep) -> Response:
    """Ask a run to end."""
    await cancelling.cancel(services, thread_id, run_id, action=CancelAction.INTERRUPT)
    return Response(status_code=204, headers={"hx-trigger": '{"acted": "", "toast": "Asked it to end."}'})


async def _feed(session: AsyncSession, show: Show, since: datetime | None, cursor: str | None) -> dict[str, Any]:
    wanted = _filter(show, since)
    found, following = await firings.page(session, wanted, limit=run_queries.ROWS, cursor=cursor)
    thread_ids = {each.thread_id for each in found if each.thread_id is not None}
    threads = (await session.execute(run_queries.threads(list(thread_ids)))).all() if thread_ids else []
    cron_ids = list({each.cron_id for each in found})
    crons = (await session.execute(run_queries.crons(cron_ids))).all() if cron_ids else []
    counts = (await session.execute(run_queries.live_counts())).mappings().one()
    return {
        "show": show,
        "since": since,
        "until": None if since is None else since + run_queries.SLOT,
        "cursor": cursor,
        "rows": views.rows(found, threads, crons),
        "segments": views.segments(show, {name: int(many) for name, many in counts.items()}, since),
        "refresh": views.url(show, since),
        "everything": views.url(show),
        "older": views.url(show, since, following) if following else None,
    }


def _filter(show: Show, since: datetime | None) -> firings.Filter:
    until = None if since is None else since + run_queries.SLOT
    match show:
        case Show.RUNNING:
            live = {Outcome.DUE, Outcome.STARTED}
            return firings.Filter(outcomes=live, since=since, until=until, among=run_queries.running())
        case Show.WAITING:
            return firings.Filter(since=since, until=until, among=run_queries.waiting())
        case Show.FAILED:
            return firings.Filter(outcomes=FAILED, since=since, until=until)
        case Show.SKIPPED:
            return firings.Filter(outcomes=(Outcome.SKIPPED,), since=since, until=until)
        case _:
            return firings.Filter(since=since, until=until)


async def _throughput(session: AsyncSession, show: Show, since: datetime | None) -> dict[str, Any]:
    slot = run_queries.SLOT
    last = datetime.fromtimestamp(datetime.now(UTC).timestamp() // slot.total_seconds() * slot.total_seconds(), UTC)
    starts = [last - slot * number for number in reversed(range(run_queries.DAY // slot))]
    found = (await session.execute(run_queries.slots(since=starts[0], until=last + slot))).all()
    counts = {row.at: Count(row.succeeded, row.failed, row.skipped) for row in found}
    drawn = draw_throughput(counts, starts=starts, slot=slot, url_of=lambda at: views.url(show, at), chosen=since)
    totals = {name: sum(getattr(row, name) for row in found) for name in ("succeeded", "failed", "skipped")}
    return {"throughput": drawn, "totals": totals}
