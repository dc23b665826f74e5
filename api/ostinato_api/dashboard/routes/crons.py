"""The crons page: figures, Score and list, live; on/off for each cron."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from ostinato_api.askers import wants_page
from ostinato_api.dashboard import queries, rendering
from ostinato_api.dashboard.page_route import PageRoute
from ostinato_api.dashboard.svg.score import PAST, SLOT, draw_score
from ostinato_api.dashboard.views import crons as views
from ostinato_api.dashboard.views import score as score_views
from ostinato_api.dependencies import ProjectDep, ServicesDep, SessionDep
from ostinato_api.routes import system

router = APIRouter(route_class=PageRoute)

LONGEST_SEARCH = 200
LAST_PAGE = 100_000
LIST_PARTS = ("parts/crons_list.html", "parts/crons_facets.html", "parts/crons_lanes.html")


async def filters(
    *,
    q: Annotated[str, Query(max_length=LONGEST_SEARCH)] = "",
    label: Annotated[tuple[str, ...], Query(max_length=10)] = (),
    show: queries.Show = queries.Show.ALL,
    page: Annotated[int, Query(ge=1, le=LAST_PAGE)] = 1,
) -> queries.CronFilters:
    """What the list is asked for. NUL cannot be stored, so nothing is called so."""
    return queries.CronFilters(
        q.replace("\0", " ").strip(), tuple(each.replace("\0", "") for each in label), show, page
    )


FiltersDep = Annotated[queries.CronFilters, Depends(filters)]


@router.get("/", name="ui_home")
async def home(
    request: Request, services: ServicesDep, session: SessionDep, filters: FiltersDep, *, check_db: bool = False
) -> Response:
    """The crons page for a browser; that the server answers for everybody else."""
    if wants_page(request.headers):
        return await show(request, session, services.project, filters)
    answer = await system.ok(services, check_db=check_db)
    return answer if isinstance(answer, Response) else JSONResponse(answer)


@router.get("/ui/crons", name="ui_crons")
async def show(request: Request, session: SessionDep, project: ProjectDep, filters: FiltersDep) -> Response:
    """The whole page, or for htmx the list under other filters."""
    counts = dict((await session.execute(queries.segments(filters))).mappings().one())
    filters = views.on_a_page(filters, counts[filters.show])
    found = (await session.execute(queries.crons(filters))).all()
    values = await _list(session, filters, found, counts) | await _score(request, session, found)
    if rendering.is_part(request):
        return rendering.part(request, *LIST_PARTS, swap=True, **values)
    values |= {"stats": await _states(session), "ran": None, "graph": next(iter(project.graphs), "agent")}
    return rendering.page(request, "crons.html", swap=False, **values)


@router.get("/ui/crons/stats", name="ui_crons_stats")
async def stats(request: Request, session: SessionDep, *, had: bool = False) -> Response:
    """The figures at the top. `had` crons or not: with the first and without the last the page is another one."""
    states = await _states(session)
    if had != bool(states["crons"]):
        return Response(status_code=204, headers={"hx-refresh": "true"})
    ran = (await session.execute(queries.ran(datetime.now(UTC)))).mappings().one()
    return rendering.part(request, "parts/crons_stats.html", stats=states, ran=ran)


async def _list(
    session: SessionDep, filters: queries.CronFilters, found: Sequence[Any], counts: Mapping[str, int]
) -> dict[str, Any]:
    firings = (await session.execute(queries.last_firings([cron.cron_id for cron, _ in found]))).all() if found else []
    labels = (await session.execute(queries.labels())).all()
    return {
        "filters": filters,
        "rows": views.rows(found, firings),
        "segments": views.segments(filters, counts),
        "chips": views.chips(filters, labels),
        "pager": views.pager(filters, counts[filters.show]),
        "refresh": views.url(filters),
    }


async def _states(session: SessionDep) -> dict[str, Any]:
    """What of the figures is read at once; those of what ran come when the page is there."""
    counts = dict((await session.execute(queries.states())).mappings().one())
    coming = (await session.execute(queries.next_cron())).one_or_none()
    following = None if coming is None else {"at": coming[0].next_run_date, "title": views.title_of(*coming)}
    return {**counts, "next": following, "crons": sum(counts.values())}


async def _score(request: Request, session: SessionDep, found: Sequence[Any]) -> dict[str, Any]:
    now = datetime.now(UTC)
    shown = score_views.choose(found)
    ids = [cron.cron_id for cron, _ in shown]
    slots = (await session.execute(queries.score_marks(ids, since=now - PAST, until=now, slot=SLOT))).all()

    def url_of(cron_id: UUID) -> str | None:
        return rendering.path_of(request, "ui_cron", cron_id=cron_id)

    lanes = score_views.lanes(shown, slots, now=now, url_of=url_of)
    return {"score": draw_score(lanes, now=now) if lanes else None}
