"""Runs: on a thread, without one, in the background, waited for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from ostinato_api import cancelling, runs, threads, webhooks
from ostinato_api.dependencies import CallerDep, Services, ServicesDep, SessionDep
from ostinato_api.errors import CONFLICT, SENSELESS
from ostinato_api.json_bodies import JsonRoute
from ostinato_api.pages import answer_page, check_select, page
from ostinato_api.schemas.base import Limit, Offset, RunId, ThreadId
from ostinato_api.schemas.runs import Batch, CancelMany, RunCreate, RunOut, Select, Status
from ostinato_api.waiting import ServerStoppingError, Waiting
from ostinato_shared.queries import thread_runs as queries
from ostinato_shared.queries.thread_runs import NewRun
from ostinato_shared.serialization import to_json

router = APIRouter(route_class=JsonRoute, tags=["Runs"])

Action = Annotated[
    Literal["interrupt", "rollback"],
    Query(description="Keep what the run did so far, or remove it with its checkpoints."),
]
Wait = Annotated[bool, Query(description="Whether to answer only when the run is over.")]
HEARTBEAT_SECONDS = 5.0  # proxies and clients give up on a connection that says nothing


@router.post("/threads/{thread_id}/runs", response_model=RunOut, responses=SENSELESS | CONFLICT)
async def create(
    thread_id: ThreadId, body: RunCreate, services: ServicesDep, caller: CallerDep, response: Response
) -> Any:
    """Run an assistant on a thread, in the background."""
    run = runs.planned(body, project=services.project, user_id=caller, thread_id=thread_id)
    await webhooks.check(services.project, body.webhook)
    response.headers["content-location"] = _path(run)
    return await runs.put_on_thread(services, run, create=body.if_not_exists == "create")


@router.post("/runs", response_model=RunOut, responses=SENSELESS)
async def create_stateless(body: RunCreate, services: ServicesDep, caller: CallerDep, response: Response) -> Any:
    """Run an assistant on a thread of its own, in the background."""
    run = runs.planned(body, project=services.project, user_id=caller)
    await webhooks.check(services.project, body.webhook)
    response.headers["content-location"] = f"/runs/{run.run_id}"
    (made,) = await runs.put_on_new_threads(services, [run])
    return made


@router.post("/runs/batch", response_model=list[RunOut], responses=SENSELESS)
async def create_batch(bodies: Batch, services: ServicesDep, caller: CallerDep) -> Any:
    """Run assistants, each on a thread of its own, in the background."""
    planned = [runs.planned(body, project=services.project, user_id=caller) for body in bodies]
    await webhooks.check(services.project, *(body.webhook for body in bodies))
    return await runs.put_on_new_threads(services, planned)


@router.post("/threads/{thread_id}/runs/wait", responses=SENSELESS | CONFLICT)
async def create_and_wait(thread_id: ThreadId, body: RunCreate, services: ServicesDep, caller: CallerDep) -> Response:
    """Run an assistant on a thread and give its values when it is over."""
    run = runs.planned(body, project=services.project, user_id=caller, thread_id=thread_id)
    await webhooks.check(services.project, body.webhook)
    await runs.put_on_thread(services, run, create=body.if_not_exists == "create")
    return _waited(services, run, body)


@router.post("/runs/wait", responses=SENSELESS)
async def create_stateless_and_wait(body: RunCreate, services: ServicesDep, caller: CallerDep) -> Response:
    """Run an assistant on a thread of its own and give its values when it is over."""
    run = runs.planned(body, project=services.project, user_id=caller)
    await webhooks.check(services.project, body.webhook)
    await runs.put_on_new_threads(services, [run])
    return _waited(services, run, body)


@router.post("/threads/{thread_id}/runs/stream", include_in_schema=False)  # noqa: FAST003 - no id matters yet
@router.post("/runs/stream", include_in_schema=False)
@router.get("/threads/{thread_id}/runs/{run_id}/stream", include_in_schema=False)
@router.get("/runs/{run_id}/stream", include_in_schema=False)
async def stream() -> None:
    """Streams come with a later version."""
    raise runs.NotBuiltError("Streaming")


@router.post("/threads/{thread_id}/runs/{run_id}/cancel", status_code=202, response_class=Response)
async def cancel(
    thread_id: ThreadId, run_id: RunId, services: ServicesDep, *, wait: Wait = False, action: Action = "interrupt"
) -> Response:
    """Ask a run to end, or to leave no trace; with `wait` the answer comes when it is over."""
    await cancelling.cancel(services, thread_id, run_id, action=action)
    return Waited(partial(_ended, services.waiting, run_id)) if wait else Response(status_code=202)


@router.post("/runs/cancel", status_code=204)
async def cancel_many(body: CancelMany, services: ServicesDep, *, action: Action = "interrupt") -> None:
    """Ask runs to end: all with a status, or some of one thread."""
    await cancelling.cancel_many(services, body, action=action)


@router.get("/threads/{thread_id}/runs", response_model=list[RunOut])
async def list_runs(
    thread_id: ThreadId,
    session: SessionDep,
    *,
    limit: Limit = 10,
    offset: Offset = 0,
    status: Annotated[Status | None, Query(description="Standing so only.")] = None,
    select: Annotated[Select, Query(default_factory=list, description="Give these fields only.")],
) -> Response:
    """List a thread's runs, newest first."""
    fields = check_select(select, RunOut.model_fields)
    await threads.get(session, thread_id)
    rows, total = await page(session, queries.of_thread(thread_id, status=status), limit=limit, offset=offset)
    items = [RunOut.model_validate(row) for row in rows]
    return answer_page(items, total=total, limit=limit, offset=offset, fields=fields)


@router.get("/threads/{thread_id}/runs/{run_id}", response_model=RunOut)
async def get(thread_id: ThreadId, run_id: RunId, session: SessionDep) -> Any:
    """Read one run."""
    return await runs.get(session, thread_id, run_id)


@router.get("/threads/{thread_id}/runs/{run_id}/join")
async def join(thread_id: ThreadId, run_id: RunId, services: ServicesDep) -> Response:
    """Give a run's values when it is over."""
    if not await queries.is_on_thread(services.pool, thread_id, run_id):
        raise runs.RunNotFoundError(run_id)
    return Waited(partial(runs.outcome, services, run_id))


@router.delete("/threads/{thread_id}/runs/{run_id}", status_code=204)
async def remove(thread_id: ThreadId, run_id: RunId, services: ServicesDep) -> None:
    """Delete a run, also while it is pending or running."""
    await runs.remove(services, thread_id, run_id)


class Waited(StreamingResponse):
    """What is told when it is known; until then a newline now and then, which JSON's readers skip.

    `on_disconnect` is called when the client goes before that.
    """

    def __init__(
        self,
        outcome: Callable[[], Coroutine[Any, Any, Any]],
        *,
        headers: dict[str, str] | None = None,
        on_disconnect: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(self._told(outcome), media_type="application/json", headers=headers)
        self.on_disconnect = on_disconnect
        self._left = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientDisconnect):
            await super().__call__(scope, receive, send)
        if self._left and self.on_disconnect is not None:
            await self.on_disconnect()

    async def stream_response(self, send: Send) -> None:
        # Left without its end, the answer makes the SDKs ask at `Location` again: of the next process.
        with suppress(ServerStoppingError):
            await super().stream_response(send)

    async def _told(self, outcome: Callable[[], Coroutine[Any, Any, Any]]) -> AsyncIterator[str]:
        found = asyncio.create_task(outcome())
        try:
            while not (await asyncio.wait({found}, timeout=HEARTBEAT_SECONDS))[0]:
                yield "\n"
            self._left = False  # it is over, or this process is
            yield to_json(found.result())
        finally:
            found.cancel()


async def _ended(waiting: Waiting, run_id: UUID) -> dict[str, Any]:
    await waiting.end(run_id)
    return {}  # the JavaScript SDK reads a body


def _waited(services: Services, run: NewRun, body: RunCreate) -> Waited:
    path = _path(run)
    headers = {"content-location": path, "location": f"{path}/join"}
    outcome = partial(runs.outcome, services, run.run_id)
    if body.on_disconnect == "continue":
        return Waited(outcome, headers=headers)
    give_up = partial(cancelling.give_up, services, run.thread_id, run.run_id)
    return Waited(outcome, headers=headers, on_disconnect=give_up)


def _path(run: NewRun) -> str:
    return f"/threads/{run.thread_id}/runs/{run.run_id}"
