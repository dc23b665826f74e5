"""What happens to runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from ostinato_api import assistants, states, threads
from ostinato_api.schemas.base import as_uuid
from ostinato_api.states import ThreadBusyError
from ostinato_api.waiting import answer
from ostinato_shared.broker import run_message
from ostinato_shared.errors import BadRequestError, InvalidError, NotFoundError
from ostinato_shared.ids import new_id
from ostinato_shared.models import MultitaskStrategy, OnCompletion, Thread
from ostinato_shared.payload import has_both
from ostinato_shared.queries import thread_runs as queries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from psycopg.rows import DictRow
    from sqlalchemy.ext.asyncio import AsyncSession

    from ostinato_api.dependencies import Services
    from ostinato_api.schemas.runs import RunCreate
    from ostinato_shared.models import Run
    from ostinato_shared.project import Project
    from ostinato_shared.queries.thread_runs import NewRun, Verdict

log = structlog.get_logger()

DISPLACING = frozenset({MultitaskStrategy.INTERRUPT, MultitaskStrategy.ROLLBACK})


class RunNotFoundError(NotFoundError):
    def __init__(self, run_id: UUID) -> None:
        super().__init__(f"Run with ID {run_id} not found")


class NothingToCancelError(NotFoundError):
    def __init__(self) -> None:
        super().__init__("No runs found to cancel.")


class NotBuiltError(NotFoundError):
    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not supported yet by this version of Ostinato.")


class ThreadOrAssistantNotFoundError(NotFoundError):
    def __init__(self) -> None:
        super().__init__("Thread or assistant not found.")


class UnknownGraphError(InvalidError):
    def __init__(self, name: str, project: Project) -> None:
        known = ", ".join(project.graphs)
        super().__init__(f"assistant_id: '{name[:200]}' is neither a UUID nor one of the graphs: {known}")


class ConfigurableAndContextError(BadRequestError):
    def __init__(self) -> None:
        super().__init__("Cannot specify both configurable and context. Prefer context; configurable is the older way.")


def planned(body: RunCreate, *, project: Project, user_id: str, thread_id: UUID | None = None) -> NewRun:
    """The run that the body asks for, on this thread or on a new one. Raises for what cannot be, or not yet."""
    assistant_id = as_uuid(body.assistant_id)
    if assistant_id is None and body.assistant_id not in project.graphs:
        raise UnknownGraphError(body.assistant_id, project)
    if has_both(body.given.get("config"), body.context):
        raise ConfigurableAndContextError
    return queries.NewRun(
        run_id=new_id(),
        thread_id=thread_id or new_id(),
        assistant_id=assistant_id or assistants.system_id(body.assistant_id),
        payload=body.payload,
        strategy=body.multitask_strategy,
        on_completion=OnCompletion.KEEP if thread_id else OnCompletion(body.on_completion),
        user_id=user_id,
        delay=body.after_seconds,
    )


async def put_on_thread(services: Services, run: NewRun, *, create: bool) -> DictRow:
    """The run, now on its thread, which is made if it is not there and `create` says so; sent when it is its turn."""
    verdict = await queries.enqueue(services.pool, run)
    while verdict.verdict == "thread_gone" and create:  # again when somebody deletes it in between
        await threads.clear(services.pool, run.thread_id)
        verdict = await queries.enqueue_on_new_threads(services.pool, [run])
    (made,) = await _settle(services, [run], verdict)
    return made


async def put_on_new_threads(services: Services, runs: Sequence[NewRun]) -> Sequence[DictRow]:
    """The runs, each on a thread of its own now, and sent: all of them or none."""
    return await _settle(services, runs, await queries.enqueue_on_new_threads(services.pool, runs))


async def get(session: AsyncSession, thread_id: UUID, run_id: UUID) -> Run:
    """The run. Raises RunNotFoundError, also when its thread is hidden."""
    found = await session.scalar(queries.by_id(thread_id, run_id))
    if found is None:
        raise RunNotFoundError(run_id)
    return found


async def outcome(services: Services, run_id: UUID) -> dict[str, Any]:
    """What a client that waited for the run gets. Returns when it is over."""
    found = await services.waiting.end(run_id)
    if found is not None and found.state_stale_at is not None:
        try:
            async with services.sessions() as session:
                thread = await session.get(Thread, found.thread_id)
            if thread is not None:
                await states.refresh(services, thread)
            found = await queries.outcome(services.pool, run_id)
        except (SQLAlchemyError, psycopg.Error) as error:  # the status line is out
            log.warning("state_not_refreshed", run_id=str(run_id), error=type(error).__name__)
    return answer(found)


async def remove(services: Services, thread_id: UUID, run_id: UUID) -> None:
    """Delete the run, also while it runs, and let the thread go on with its next one."""
    removed = await queries.remove(services.pool, thread_id, run_id)
    if removed is None:
        raise RunNotFoundError(run_id)
    (next_run_id,) = removed
    if next_run_id is not None:
        await services.sender.send(run_message(next_run_id))
    await services.sender.tell_cancel(thread_id)
    await services.sender.tell_done(run_id)


async def _settle(services: Services, runs: Sequence[NewRun], verdict: Verdict) -> Sequence[DictRow]:
    if verdict.verdict == "thread_busy":
        raise ThreadBusyError
    if verdict.verdict != queries.MADE:
        raise ThreadOrAssistantNotFoundError
    for run in runs:
        if run.strategy in DISPLACING and not verdict.ready:
            await services.sender.tell_cancel(run.thread_id)
    sent = [run_message(run.run_id) for run in runs if not run.delay]
    if verdict.ready and sent:
        await services.sender.send(*sent)
    return verdict.made
