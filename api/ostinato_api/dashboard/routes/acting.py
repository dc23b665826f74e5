"""What a person does to one cron from a page: its row comes back."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Request, Response

from ostinato_api.dashboard import queries, rendering
from ostinato_api.dashboard.page_route import PageRoute
from ostinato_api.dashboard.views import crons as views
from ostinato_api.dependencies import CallerDep, SenderDep, SessionDep
from ostinato_api.extras import pausing, triggering
from ostinato_api.schemas.base import CronId

router = APIRouter(route_class=PageRoute)

ACTED = '{"acted": ""}'  # parts of a page that show more than the row fetch themselves again


@router.post("/ui/crons/{cron_id}/pause", name="ui_cron_pause")
async def pause(  # noqa: PLR0917 - FastAPI passes them by name
    request: Request, cron_id: CronId, session: SessionDep, caller: CallerDep, sender: SenderDep, after: BackgroundTasks
) -> Response:
    """Switch a cron off."""
    after.add_task(sender.wake_beat)
    await pausing.pause(session, cron_id, note=None, user_id=caller)
    return await _row(request, session, cron_id)


@router.post("/ui/crons/{cron_id}/resume", name="ui_cron_resume")
async def resume(  # noqa: PLR0917 - likewise
    request: Request, cron_id: CronId, session: SessionDep, caller: CallerDep, sender: SenderDep, after: BackgroundTasks
) -> Response:
    """Switch a cron on."""
    after.add_task(sender.wake_beat)
    await pausing.resume(session, cron_id, note=None, user_id=caller)
    return await _row(request, session, cron_id)


@router.post("/ui/crons/{cron_id}/trigger", name="ui_cron_trigger")
async def trigger(  # noqa: PLR0917 - likewise
    request: Request, cron_id: CronId, session: SessionDep, caller: CallerDep, sender: SenderDep, after: BackgroundTasks
) -> Response:
    """Fire a cron now."""
    firing = await triggering.trigger(session, cron_id, user_id=caller)
    after.add_task(sender.send, triggering.message_of(firing))
    answer = await _row(request, session, cron_id)
    answer.headers["hx-trigger"] = '{"acted": "", "toast": "Firing now."}'
    return answer


async def _row(request: Request, session: SessionDep, cron_id: UUID) -> Response:
    await session.flush()
    found: Any = (await session.execute(queries.cron(cron_id))).all()
    firings = (await session.execute(queries.last_firings([cron_id]))).all()
    answer = rendering.part(request, "parts/crons_row.html", row=views.rows(found, firings)[0])
    answer.headers["hx-trigger"] = ACTED
    return answer
