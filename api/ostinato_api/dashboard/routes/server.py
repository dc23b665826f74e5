"""The system page: who leads, who works, how late runs start, what comes, and what is not well."""

import asyncio
import platform
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Request, Response

from ostinato_api.dashboard import examining, rendering
from ostinato_api.dashboard.page_route import PageRoute
from ostinato_api.dashboard.svg.lag import Lag, draw_lag
from ostinato_api.dashboard.svg.load import draw_load, per_minute
from ostinato_api.dashboard.views import checks as views
from ostinato_api.dependencies import Services, ServicesDep, SessionDep
from ostinato_api.extras import upcoming
from ostinato_shared import checks

router = APIRouter(route_class=PageRoute)

HOUR = timedelta(hours=1)
COMING = 2000  # fire times that are worked out


@router.get("/ui/system", name="ui_system")
async def show(request: Request, services: ServicesDep) -> Response:
    """The whole page, or for htmx all that changes by itself."""
    values = await _values(services)
    if rendering.is_part(request):
        return rendering.part(request, "parts/system_live.html", **values)
    return rendering.page(request, "system.html", flower=services.settings.flower_url, **values)


@router.get("/ui/system/load", name="ui_system_load")
async def load(request: Request, session: SessionDep) -> Response:
    """The next 60 minutes."""
    start = datetime.now(UTC).replace(second=0, microsecond=0)
    found = await upcoming.between(session, start=datetime.now(UTC), end=start + HOUR, limit=COMING)
    times = [each.at for each in found if each.at < start + HOUR]
    many = per_minute(times, start=start)
    peak = max(many, key=lambda minute: (many[minute], -minute), default=None)
    return rendering.part(
        request, "parts/system_load.html", load=draw_load(times, start=start), coming=len(times),
        all_told=len(found) < COMING, peak=None if peak is None else many[peak],
        peak_at=None if peak is None else start + timedelta(minutes=peak),
    )  # fmt: skip


async def _values(services: Services) -> dict[str, Any]:
    database, broker = await asyncio.gather(examining.database(services.sessions), examining.broker(services.redis))
    found = views.shown(database, broker)
    return {
        "database": database,
        "broker": broker,
        "checks": found,
        "verdict": views.verdict(found),
        "versions": _versions(database, broker),
        **_lags(database),
        **_workers(database),
    }


def _lags(database: examining.Database | None) -> dict[str, Any]:
    if database is None:
        return {"lag": None, "total": None}
    end = datetime.now(UTC)
    lags = [Lag(row.at, row.p50, row.p99) for row in database.lags if row.at is not None]
    total = next((row for row in database.lags if row.at is None and row.many), None)
    # The oldest minute is not whole, and begins before the hour does.
    start = end - HOUR
    return {"lag": draw_lag([lag for lag in lags if lag.at >= start], start=start, end=end), "total": total}


def _workers(database: examining.Database | None) -> dict[str, Any]:
    workers = database.workers if database else []
    alive = [worker for worker in workers if worker.alive]
    return {
        "workers": workers,
        "alive": len(alive),
        "used": sum(worker.used for worker in alive),
        "slots": sum(worker.slots for worker in alive),
    }


def _versions(database: examining.Database | None, broker: examining.Broker | None) -> list[tuple[str, str]]:
    found = [
        ("Ostinato", version("ostinato")),
        ("LangGraph", version("langgraph")),
        ("Python", platform.python_version()),
    ]
    if database:
        size = f"{database.server.size / 1e6:,.0f} MB".replace(",", "\u202f")
        found.append(("Postgres", f"{database.server.version.split()[0]} · {size}"))
    if broker:
        server, _, number = checks.server_of(broker.info).partition(" ")
        found.append((server, f"{number} · {broker.info.get('used_memory', 0) / 1e6:.1f} MB"))
    return found
