"""Answering what a thread asks: a run that resumes it, put there as the API's own runs are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ostinato_api import runs
from ostinato_api.dashboard import thread_queries
from ostinato_api.schemas.runs import Command, RunCreate
from ostinato_api.states import ThreadBusyError
from ostinato_shared.errors import ConflictError, InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from ostinato_api.dashboard.views.thread import Question
    from ostinato_api.dependencies import Services

# What the server itself puts into a run's configurable.
OWN: Final = frozenset({"run_id", "thread_id", "assistant_id", "graph_id", "user_id", "cron_id"})
OWN_PREFIXES: Final = ("langgraph_", "__", "checkpoint")


class AnsweredError(ConflictError):
    def __init__(self) -> None:
        super().__init__("That question has been answered meanwhile: look at the thread again.")


async def resume(services: Services, thread_id: UUID, answer: Any, *, user_id: str) -> None:
    """Put the run that gives the thread its answer on it. Raises AnsweredError when another run was put there."""
    async with services.sessions() as session:
        last = (await session.execute(thread_queries.last_given(thread_id))).one_or_none()
    if last is None:
        raise AnsweredError
    assistant_id, kwargs = last
    body = RunCreate(assistant_id=str(assistant_id), command=Command(resume=answer), multitask_strategy="reject")
    run = runs.planned(body, project=services.project, user_id=user_id, thread_id=thread_id)
    payload = {"command": {"resume": answer}, **again(kwargs)}
    try:
        await runs.put_on_thread(services, replace(run, payload=payload), create=False)
    except ThreadBusyError:
        raise AnsweredError from None


def again(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Config and context of the run that asks: its graph may not go on without."""
    config = dict(kwargs.get("config") or {})
    configurable = config.get("configurable") or {}
    kept = {key: value for key, value in configurable.items() if key not in OWN and not key.startswith(OWN_PREFIXES)}
    return {"config": {**config, "configurable": kept}, "context": kwargs.get("context") or {}}


def answers(questions: Sequence[Question], given: Mapping[str, str], *, as_json: bool) -> Any:
    """What the graph is told: the answer to its one question, or one for each that was answered, by their ids."""
    told = {
        question.id: _read(text) if as_json else text
        for question in questions
        if (text := given.get(f"answer-{question.id}", "").replace("\r\n", "\n")).strip()
    }
    if not told:
        raise InvalidError("answer: must not be empty")
    return next(iter(told.values())) if len(questions) == 1 else told


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidError(f"answer: is not JSON ({error})") from error
