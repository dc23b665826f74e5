"""Answers to interrupts through the official Python SDK: plain ones, and ones by the id of the interrupt."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from api_setting import serve_api
from api_worker import Worker, open_worker, write_graphs
from ostinato_shared.settings import Settings


@dataclass
class Stage:
    client: LangGraphClient
    worker: Worker

    async def wait(self, thread_id: str, graph: str, **fields: Any) -> Any:
        waiting = asyncio.create_task(self.client.runs.wait(thread_id, graph, **fields))
        await asyncio.to_thread(self.worker.work)
        return await waiting

    async def asked(self, graph: str) -> tuple[str, dict[str, str]]:
        """A thread that waits for answers, and the ids of its interrupts by what they ask."""
        thread_id = (await self.client.threads.create())["thread_id"]
        stopped = await self.wait(thread_id, graph, input={"parts": []})
        return thread_id, {str(one["value"]): one["id"] for one in stopped["__interrupt__"]}

    async def pending(self, thread_id: str) -> list[str]:
        """The ids of the interrupts that the thread shows."""
        thread = await self.client.threads.get(thread_id)
        return [question["id"] for questions in thread["interrupts"].values() for question in questions]


@pytest.fixture
def settings(database_uri: str, redis_uri: str, tmp_path: Path) -> Settings:
    config = write_graphs(tmp_path)
    return Settings(database_uri=database_uri, redis_uri=redis_uri, config=config, slots=20, drain_seconds=0.2)


@pytest.fixture
def worker(settings: Settings) -> Iterator[Worker]:
    with open_worker(settings) as worker:
        yield worker


@pytest.fixture
async def stage(settings: Settings, worker: Worker) -> AsyncIterator[Stage]:
    with serve_api(settings) as url:
        async with get_client(url=url) as client:
            yield Stage(client, worker)


@pytest.mark.parametrize("answer", ["yes", 0, False, ["a"], {"free": "text"}])
async def test_only_question_is_answered_by_a_plain_value_whatever_it_is(stage: Stage, answer: Any) -> None:
    thread_id, _ = await stage.asked("asker")

    values = await stage.wait(thread_id, "asker", command={"resume": answer})

    assert values == {"parts": ["first"], "answer": answer}
    assert (await stage.client.threads.get(thread_id))["status"] == "idle"


async def test_only_question_is_answered_by_its_id(stage: Stage) -> None:
    thread_id, ids = await stage.asked("asker")

    values = await stage.wait(thread_id, "asker", command={"resume": dict.fromkeys(ids.values(), "yes")})

    assert values == {"parts": ["first"], "answer": "yes"}


async def test_several_questions_are_answered_by_their_ids(stage: Stage) -> None:
    thread_id, ids = await stage.asked("askers")
    assert sorted(await stage.pending(thread_id)) == sorted(ids.values())

    values = await stage.wait(thread_id, "askers", command={"resume": {ids["left?"]: "L", ids["right?"]: "R"}})

    assert values == {"parts": ["L", "R"]}
    assert await stage.pending(thread_id) == []


async def test_question_that_got_no_answer_is_asked_on(stage: Stage) -> None:
    thread_id, ids = await stage.asked("askers")

    stopped = await stage.wait(thread_id, "askers", command={"resume": {ids["left?"]: "L"}})

    assert [question["id"] for question in stopped["__interrupt__"]] == [ids["right?"]]
    assert await stage.pending(thread_id) == [ids["right?"]]
    assert (await stage.client.threads.get(thread_id))["status"] == "interrupted"
    assert (await stage.wait(thread_id, "askers", command={"resume": "R"}))["parts"] == ["L", "R"]


async def test_plain_answer_to_several_questions_is_an_error_and_they_stay(stage: Stage) -> None:
    thread_id, ids = await stage.asked("askers")

    with pytest.raises(Exception, match="must specify the interrupt id"):
        await stage.wait(thread_id, "askers", command={"resume": "yes"})

    assert (await stage.client.threads.get(thread_id))["status"] == "error"
    state = await stage.client.threads.get_state(thread_id)
    assert sorted(question["id"] for question in state["interrupts"]) == sorted(ids.values())
    values = await stage.wait(thread_id, "askers", command={"resume": {ids["left?"]: "L", ids["right?"]: "R"}})
    assert values == {"parts": ["L", "R"]}
