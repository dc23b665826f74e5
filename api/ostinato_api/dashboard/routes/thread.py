"""One thread: what was said, what it holds, what it asks; and its answer."""

from typing import Annotated, Any
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from ostinato_api import threads
from ostinato_api.dashboard import answering, rendering, thread_queries
from ostinato_api.dashboard.page_route import PageRoute
from ostinato_api.dashboard.views import thread as views
from ostinato_api.dashboard.views.runs import told
from ostinato_api.dependencies import CallerDep, Services, ServicesDep
from ostinato_api.json_bodies import read
from ostinato_api.schemas.base import ThreadId
from ostinato_shared.errors import InvalidError

router = APIRouter(route_class=PageRoute)

LIVE_PARTS = ("parts/thread_head.html", "parts/thread_messages.html", "parts/thread_side.html")
LONGEST_ANSWER = 1_000_000  # bytes
KeyQuery = Annotated[str, Query(max_length=64)]


@router.get("/ui/threads/{thread_id}", name="ui_thread")
async def show(request: Request, thread_id: ThreadId, services: ServicesDep) -> Response:
    """The thread's page; a friendly one when there is no such thread any more."""
    try:
        values = await _values(services, thread_id)
    except threads.ThreadNotFoundError:
        if rendering.is_part(request):
            raise
        return rendering.page(request, "thread_gone.html", status=404, thread_id=thread_id)
    return rendering.page(request, "thread.html", swap=False, **values)


@router.get("/ui/threads/{thread_id}/live", name="ui_thread_live")
async def live(
    request: Request, thread_id: ThreadId, services: ServicesDep, *, seen: KeyQuery = "", asked: KeyQuery = ""
) -> Response:
    """What has changed since it was `seen` so; the question only when it is another: somebody may be writing."""
    values = await _values(services, thread_id)
    if values["version"] == seen:
        return Response(status_code=204)
    parts = LIVE_PARTS if values["asked"] == asked else (*LIVE_PARTS, "parts/thread_question.html")
    return rendering.part(request, *parts, swap=True, **values)


@router.post("/ui/threads/{thread_id}/resume", name="ui_thread_resume")
async def resume(request: Request, thread_id: ThreadId, services: ServicesDep, caller: CallerDep) -> Response:
    """Answer what it asks."""
    given = await _form(request)
    thread = await threads.show(services, thread_id)
    questions = views.questions(thread)
    if not questions or given.get("asked") != views.asked_key(questions):
        raise answering.AnsweredError
    answer = answering.answers(questions, given, as_json="json" in given)
    await answering.resume(services, thread_id, answer, user_id=caller)
    if rendering.is_part(request):
        return Response(status_code=204, headers={"hx-trigger": '{"acted": "", "toast": "Answered: it goes on."}'})
    return RedirectResponse(f"/ui/threads/{thread_id}", status_code=303)


async def _values(services: Services, thread_id: UUID) -> dict[str, Any]:
    thread = await threads.show(services, thread_id)
    async with services.sessions() as session:
        runs = (await session.execute(thread_queries.runs(thread_id))).all()
        cron = (await session.execute(thread_queries.cron_of(thread_id))).one_or_none()
    shown, before = views.messages(thread.values)
    questions = views.questions(thread)
    return {
        "thread": thread,
        "runs": runs,
        "cron": cron,
        "zone": (cron.timezone if cron else None) or "UTC",
        "title": (cron.name if cron else None) or (runs[0].assistant if runs else None) or "Thread",
        "stands": views.status(runs, questions),
        "messages": shown,
        "before": before,
        "others": views.others(thread.values),
        "questions": questions,
        "asked": views.asked_key(questions),
        "version": views.version(thread, runs),
        "run_look": views.run_look,
        "cut_short": views.cut_short,
        "told": told,
    }


async def _form(request: Request) -> dict[str, str]:
    body = await read(request)
    if len(body) > LONGEST_ANSWER:
        raise InvalidError("answer: is too long")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    except ValueError:
        raise InvalidError("answer: must be text") from None
